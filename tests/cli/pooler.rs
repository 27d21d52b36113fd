//! A connection pooler in transaction mode between us and the server: what needs a session is refused,
//! what only reads works, and nothing stays behind in the session that the next client gets.

use rehearsal_tests::project::QUICK_LIMITS;
use rehearsal_tests::{Database, Ended, Pooler, pooler};

use crate::project;

/// By default it refuses a client that asks for settings; many are told to swallow them instead.
const HOW: [&str; 2] = ["extra_float_digits", "extra_float_digits, options"];

/// What our settings, locks and statements would show as.
const LEFT: &str = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), \
     current_setting('default_transaction_read_only'), current_setting('plan_cache_mode'), \
     (SELECT count(*) FROM pg_prepared_statements)::text, \
     (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())::text";

/// A session that nobody has touched.
const NOTHING: [&str; 6] = ["0", "0", "off", "auto", "0", "0"];

const CHECKS: &str = "-- check: items-there\n-- expect: rows\nSELECT id FROM items\n;\n\
     -- check: items-by-key\n-- expect: uses index items_pkey\nSELECT id FROM items WHERE id = 7\n;\n\
     -- check: broken\n-- expect: rows\n-- severity: warn\nSELECT nonsense FROM items\n;\n";

#[tokio::test]
async fn what_needs_a_session_is_refused() {
    let Some(program) = pooler::program("what_needs_a_session_is_refused") else { return };
    let database = Database::create().await;
    let project = project().items(50).write(".sqlx/.keep", "").on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    project.run("db-backup").await.must_exit(0);
    let backup = project.names_in("backups/dev").remove(0);
    let before = database.everything().await;
    for ignored in HOW {
        let pooler = Pooler::start(&program, ignored).await;
        let url = pooler.url(&database);
        let restore = format!("restore backups/dev/{backup} --into {}_restored", database.name());
        for words in ["migrate", "rollback --to 0", "db-backup", "rehearse --target dev", &restore] {
            let ended = project.start_on(&url, words).end().await;
            let (error, hint) = ended.must_exit(3).error();
            assert!(error.contains("connection pooler in transaction mode"), "{words}: {error}\n{}", pooler.log());
            assert!(hint.contains("direct URL"), "{words}: {hint}");
        }
        assert_eq!(pooler.next_client_sees(&database, LEFT).await, NOTHING, "{ignored}");
    }
    assert_eq!(database.everything().await, before);
}

#[tokio::test]
async fn what_reads_works_and_leaves_nothing() {
    let Some(program) = pooler::program("what_reads_works_and_leaves_nothing") else { return };
    let database = Database::create().await;
    let project = project().items(50).write("migrations/checks/items.sql", CHECKS).on(&database);
    project.run("migrate").await.must_exit(0);
    for ignored in HOW {
        let pooler = Pooler::start(&program, ignored).await;
        let url = pooler.url(&database);
        for words in ["status", "plan", "verify", "watch --for 100ms --every 50ms"] {
            let through = project.start_on(&url, words).end().await;
            let direct = project.run(words).await;
            through.must_exit(0);
            let told = |ended: &Ended| ended.stdout.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
            if matches!(words, "status" | "plan") {
                assert_eq!(told(&through), told(&direct), "{words}");
            } else {
                assert_eq!(through.steps(), direct.steps(), "{words}");
            }
            assert_eq!(pooler.next_client_sees(&database, LEFT).await, NOTHING, "{words}");
        }
        let through = project.start_on(&url, "verify").end().await;
        through.must_say("2 checks passed").must_say("column \"nonsense\" does not exist");
    }
}

#[tokio::test]
async fn of_two_urls_the_direct_one_is_taken() {
    let Some(program) = pooler::program("of_two_urls_the_direct_one_is_taken") else { return };
    let database = Database::create().await;
    let config = format!("[targets.dev]\nurl_env = 'DATABASE_URL'\ndirect_url_env = 'DIRECT_URL'\n{QUICK_LIMITS}");
    let pooler = Pooler::start(&program, HOW[0]).await;
    let project = project().items(50).write("rehearsal.toml", &config).variable("DATABASE_URL", &pooler.url(&database));
    let (_, hint) = project.run("migrate").await.must_exit(3).error();
    assert!(hint.contains("`direct_url_env`"), "{hint}");

    let project = project.variable("DIRECT_URL", &database.url());
    for words in ["migrate", "status", "plan --rollback", "verify", "db-backup", "rollback --to 0"] {
        let ended = project.run(words).await;
        ended.must_exit(0).must_say("not through the pooler at 127.0.0.1:");
        assert_eq!(pooler.next_client_sees(&database, LEFT).await, NOTHING, "{words}");
    }
    project.run("sqlx migrate run --target dev").await.must_exit(0);
    assert_eq!(pooler.next_client_sees(&database, LEFT).await, NOTHING);

    // Without a pooler in between there is nothing to say; and one URL will do.
    let direct = project.start_on(&database.url(), "status").end().await;
    assert!(!direct.must_exit(0).text().contains("pooler"), "{}", direct.text());
    let alone = project.start_on("", "status").end().await;
    assert_eq!(alone.must_exit(0).stdout, direct.stdout);
}

#[tokio::test]
async fn two_urls_of_different_databases_are_refused() {
    let (database, other) = tokio::join!(Database::create(), Database::create());
    let config = format!("[targets.dev]\nurl_env = 'DATABASE_URL'\ndirect_url_env = 'DIRECT_URL'\n{QUICK_LIMITS}");
    let project = project().items(50).write("rehearsal.toml", &config).on(&database);
    let project = project.variable("DIRECT_URL", &other.url());
    let before = (database.everything().await, other.everything().await);
    for words in ["migrate", "status", "db-backup"] {
        let (error, hint) = project.run(words).await.must_exit(3).error();
        assert!(error.contains("lead to different databases"), "{words}: {error}");
        assert!(error.contains(database.name()) && error.contains(other.name()), "{words}: {error}");
        assert!(hint.contains("direct_url_env under [targets.dev]"), "{words}: {hint}");
    }
    assert_eq!((database.everything().await, other.everything().await), before);
}
