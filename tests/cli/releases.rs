//! This workspace's own releases: each alone, all of them in their order, and what the code of before
//! and of after does meanwhile.

use std::path::Path;

use rehearsal_tests::{Database, Project};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::all_releases;

/// Each release with the versions at which it stops: expand, where the code of before still works, and
/// contract.
const RELEASES: [(&str, &[i64]); 5] =
    [("R2", &[6]), ("R1", &[10, 11]), ("R3", &[13]), ("R4", &[18, 19]), ("R5", &[22, 23])];

/// How many people the fixtures make. Above 100, so that each kind of awkward row is there.
const ROWS: u32 = 1100;

/// The whole way of the release, with the same schema, the same rows and the same values at its end.
async fn there_and_back(release: &str) {
    let ended = all_releases().run(&format!("rehearse --release {release} --rows {ROWS}")).await;
    ended.must_exit(0).must_say("exactly: ");
    let steps = ended.steps();
    assert!(steps.contains(&"as-before done".to_owned()), "{steps:?}");
    assert!(steps.iter().all(|step| step.ends_with(" done")), "{steps:?}");
}

#[tokio::test]
async fn r2_goes_there_and_back() {
    there_and_back("R2").await;
}

#[tokio::test]
async fn r1_goes_there_and_back() {
    there_and_back("R1").await;
}

#[tokio::test]
async fn r3_goes_there_and_back() {
    there_and_back("R3").await;
}

#[tokio::test]
async fn r4_goes_there_and_back() {
    there_and_back("R4").await;
}

#[tokio::test]
async fn r5_goes_there_and_back() {
    there_and_back("R5").await;
}

/// A project whose target is at that version, with the fixtures of the versions up to it.
pub async fn at(version: i64) -> (Database, Project) {
    let database = Database::create().await;
    let project = all_releases().on(&database);
    let mut stops: Vec<i64> = fixtures(&project).into_iter().map(|(of, _)| of).filter(|of| *of <= version).collect();
    stops.push(version);
    stops.dedup();
    for stop in stops {
        project.run(&format!("migrate --to {stop}")).await.must_exit(0);
        load(&database, &project, stop).await;
    }
    (database, project)
}

async fn load(database: &Database, project: &Project, version: i64) {
    for (_, name) in fixtures(project).iter().filter(|(of, _)| *of == version) {
        let sql = std::fs::read_to_string(project.path("migrations/fixtures").join(name)).expect("it is read");
        database.execute(&format!("SELECT set_config('rehearsal.rows', '{ROWS}', false);\n{sql}")).await;
    }
}

fn fixtures(project: &Project) -> Vec<(i64, String)> {
    let version = |name: &String| name.split('_').next().and_then(|number| number.parse().ok());
    let names = project.names_in("migrations/fixtures");
    names.into_iter().map(|name| (version(&name).expect("a version opens its name"), name)).collect()
}

#[tokio::test]
async fn all_of_them_one_after_another() {
    let (database, project) = at(1).await;
    let people = "SELECT concat_ws(' ', id, email, name) FROM {} WHERE id <= 20 ORDER BY id";
    let before = database.list(&people.replace("{}", "users")).await;
    for (release, stops) in RELEASES {
        for stop in stops {
            project.run(&format!("migrate --to {stop}")).await.must_exit(0);
            let verified = project.run("verify").await;
            verified.must_exit(0);
            assert_eq!(verified.steps(), ["verify done"], "{release} at {stop}: {}", verified.text());
            if *stop == 11 {
                assert_eq!(database.list(&people.replace("{}", "\"user\"")).await, before, "who they are, stays");
            }
            load(&database, &project, *stop).await;
        }
    }
    // sqlx's own commands agree.
    let newest = 23;
    let info = project.run("sqlx migrate info").await;
    info.must_exit(0);
    assert_eq!(info.stdout.matches("/installed").count(), newest, "{}", info.stdout);
    let history = database.history().await;
    project.run("sqlx migrate run").await.must_exit(0);
    assert_eq!(database.history().await, history);
    // And back, release by release.
    for after in [19, 13, 11, 6, 1] {
        project.run("rollback").await.must_exit(0);
        assert_eq!(database.applied().await.last(), Some(&after.to_string()));
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM users").await, i64::from(ROWS));
}

/// What every other runner of these files does: each in one transaction, markers read as TRUE.
#[tokio::test]
async fn sqlx_alone_takes_the_same_way() {
    let (database, project) = at(1).await;
    let tables = [
        "users",
        "tasks",
        "racer_profiles",
        "vehicles",
        "accounts_userprofile",
        "workshops_userprofile",
        "teacher_applications",
        "courses",
        "workshops",
    ];
    let digest = |table: &str| {
        format!("SELECT '{table}' || md5(string_agg(row::text, '|' ORDER BY row.id)) FROM {table} AS row")
    };
    let digests = tables.map(digest).join(" UNION ALL ");
    let before = database.list(&digests).await;
    project.run("sqlx migrate run").await.must_exit(0);
    project.run("verify").await.must_exit(0).must_say("checks passed");
    project.run("sqlx migrate revert --target-version 1").await.must_exit(0);
    assert_eq!(database.applied().await, ["1"]);
    assert_eq!(database.list(&digests).await, before);
}

/// Not everybody's tables are in `public`.
#[tokio::test]
async fn another_schema_takes_the_same_way() {
    let database = Database::create().await;
    let name = database.name();
    database.execute(&format!("CREATE SCHEMA app; ALTER DATABASE {name} SET search_path = app")).await;
    let project = all_releases().on(&database);
    project.run("migrate").await.must_exit(0);
    for _ in RELEASES {
        project.run("rollback").await.must_exit(0);
    }
    assert_eq!(database.applied().await, ["1"]);
    let elsewhere = "SELECT schemaname || '.' || tablename FROM pg_tables \
                     WHERE schemaname NOT IN ('app', 'rehearsal', 'pg_catalog', 'information_schema')";
    assert!(database.list(elsewhere).await.is_empty());
}

/// Every statement that claims to work at a version does, by itself.
#[tokio::test]
async fn traffic_works_where_it_says() {
    let (database, project) = at(1).await;
    let statements = traffic(&project.path("migrations/traffic"));
    assert!(statements.len() > 50, "{}", statements.len());
    for version in 1..=23 {
        project.run(&format!("migrate --to {version}")).await.must_exit(0);
        if version > 1 {
            load(&database, &project, version).await;
        }
        let mut connection = database.connect().await;
        for statement in statements.iter().filter(|statement| (statement.since..statement.until).contains(&version)) {
            let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(statement.sql.clone()))).await;
            done.unwrap_or_else(|error| panic!("{} at version {version}: {error}", statement.name));
        }
        connection.close().await.expect("it ends");
    }
    project.run("verify").await.must_exit(0);
}

struct Traffic {
    name: String,
    since: i64,
    until: i64,
    sql: String,
}

fn traffic(folder: &Path) -> Vec<Traffic> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("it is read");
        for block in text.split("-- traffic: ").skip(1) {
            let header = |key: &str| block.lines().find_map(|line| line.strip_prefix(&format!("-- {key}: ")));
            let version = |key: &str| header(key).map(|value| value.parse().expect("a version"));
            found.push(Traffic {
                name: block.lines().next().expect("a name").to_owned(),
                since: version("since").expect("since when it works"),
                until: version("until").unwrap_or(i64::MAX),
                sql: block.lines().skip(1).filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n"),
            });
        }
    }
    found
}

#[tokio::test]
async fn r1_the_old_name_can_be_written_through() {
    let (database, project) = at(6).await;
    database
        .execute(
            "DROP ROLE IF EXISTS r1_service; CREATE ROLE r1_service; \
             GRANT SELECT, INSERT ON users TO r1_service WITH GRANT OPTION; \
             GRANT UPDATE (created_at, name) ON users TO r1_service",
        )
        .await;
    project.run("migrate --to 10").await.must_exit(0);
    // Rights reach the view as well, and only those that were given.
    let rights = "SELECT privilege_type FROM information_schema.role_table_grants \
                  WHERE grantee = 'r1_service' AND table_name = 'users' ORDER BY 1";
    assert_eq!(database.list(rights).await, ["INSERT", "SELECT"]);
    let more = "SELECT concat_ws(' ', has_column_privilege('r1_service', 'users', 'created_at', 'UPDATE'), \
                                      has_column_privilege('r1_service', 'users', 'name', 'UPDATE'), \
                                      has_column_privilege('r1_service', 'users', 'email', 'UPDATE'), \
                                      has_table_privilege('r1_service', 'users', 'SELECT WITH GRANT OPTION'))";
    assert_eq!(database.list(more).await, ["t t f t"], "also those on single columns");
    // The contract step and its way back: the view is what it was.
    project.run("migrate --to 11").await.must_exit(0);
    project.run("rollback --to 10").await.must_exit(0);
    assert_eq!(database.list(more).await, ["t t f t"]);
    let id: i64 = database
        .value("INSERT INTO users (email, name, hashed_password) VALUES ('old@code.example', 'Old', 'x') RETURNING id")
        .await;
    let open: bool = database.value(&format!("SELECT NOT onboarding_completed FROM users WHERE id = {id}")).await;
    assert!(open, "the table's defaults hold");
    database
        .execute(&format!("UPDATE users SET name = 'Older', updated_at = '2020-01-01 00:00+00' WHERE id = {id}"))
        .await;
    let row =
        format!(r#"SELECT concat_ws(' ', name, "updatedAt" < now(), "emailVerified") FROM "user" WHERE id = {id}"#);
    assert_eq!(database.list(&row).await, ["Older t f"]);
    database.execute(&format!("DELETE FROM users WHERE id = {id}")).await;
    assert!(database.list(&row).await.is_empty());
    // An account that the old table cannot hold survives the way back, without a way in.
    database.execute(r#"INSERT INTO "user" (email, image) VALUES ('new@code.example', 'i.png')"#).await;
    project.run("rollback --to 6").await.must_exit(0);
    assert_eq!(database.list("SELECT hashed_password FROM users WHERE email = 'new@code.example'").await, ["!"]);
    database.execute("DROP OWNED BY r1_service; DROP ROLE r1_service").await;
}

#[tokio::test]
async fn r3_the_first_profile_is_the_default() {
    let (database, project) = at(11).await;
    let first = "SELECT DISTINCT ON (owner_id) id FROM racer_profiles ORDER BY owner_id, created_at, id";
    let firsts = database.list(&format!("SELECT id FROM ({first}) AS f ORDER BY id")).await;
    project.run("migrate --to 12").await.must_exit(0);
    let defaults = "SELECT id FROM racer_profiles WHERE is_default ORDER BY id";
    assert!(database.list(defaults).await.is_empty(), "what the service applies at its start writes no row");
    // Somebody from before gets a second profile, and it does not become the default by that.
    database.execute("INSERT INTO racer_profiles (owner_id, display_name) SELECT owner_id, 'later' FROM racer_profiles ORDER BY id LIMIT 1").await;
    project.run("migrate --to 13").await.must_exit(0);
    assert_eq!(database.list(defaults).await, firsts);

    // Old code makes two first profiles at once: the second waits, and is no default.
    let owner: i64 =
        database.value(r#"SELECT id FROM "user" WHERE id NOT IN (SELECT owner_id FROM racer_profiles) LIMIT 1"#).await;
    let insert = format!("INSERT INTO racer_profiles (owner_id, display_name) VALUES ({owner}, 'both first')");
    held(&database, &insert, &insert).await;
    let of_owner = format!("SELECT is_default FROM racer_profiles WHERE owner_id = {owner} ORDER BY id");
    assert_eq!(database.list(&of_owner).await, ["true", "false"]);
    database.execute(&format!("DELETE FROM racer_profiles WHERE owner_id = {owner} AND is_default")).await;
    assert_eq!(database.list(&of_owner).await, ["true"], "the next one takes its place");
}

/// Whoever deletes a default meets somebody who deletes its successor, or makes another profile.
#[tokio::test]
async fn r3_one_default_is_left_whoever_deletes_at_once() {
    let (database, project) = at(11).await;
    let owner: i64 =
        database.value(r#"SELECT id FROM "user" WHERE id NOT IN (SELECT owner_id FROM racer_profiles) LIMIT 1"#).await;
    let insert = |name: &str| format!("INSERT INTO racer_profiles (owner_id, display_name) VALUES ({owner}, '{name}')");
    let delete =
        |name: &str| format!("DELETE FROM racer_profiles WHERE owner_id = {owner} AND display_name = '{name}'");
    let of_owner = format!(
        "SELECT concat_ws(' ', display_name, is_default) FROM racer_profiles WHERE owner_id = {owner} ORDER BY id"
    );
    for name in ["a", "b", "c", "d"] {
        database.execute(&insert(name)).await;
    }
    project.run("migrate --to 12").await.must_exit(0);
    // Before the backfill has come by nobody is the default; who loses their first profile gets the next.
    database.execute(&delete("a")).await;
    assert_eq!(database.list(&of_owner).await, ["b t", "c f", "d f"]);
    project.run("migrate --to 13").await.must_exit(0);

    held(&database, &delete("c"), &delete("b")).await;
    assert_eq!(database.list(&of_owner).await, ["d t"]);
    held(&database, &insert("e"), &delete("d")).await;
    assert_eq!(database.list(&of_owner).await, ["e t"]);
    held(&database, &delete("e"), &insert("f")).await;
    assert_eq!(database.list(&of_owner).await, ["f t"]);
}

/// Runs the second statement while the transaction of the first is open, until it waits for it.
async fn held(database: &Database, first: &str, second: &str) {
    let mut connection = database.connect().await;
    let mut transaction = connection.begin().await.expect("it begins");
    transaction.execute(sqlx::raw_sql(AssertSqlSafe(first.to_owned()))).await.expect("the first");
    let first = async {
        rehearsal_tests::until("the second one waits", async || {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
            (database.value::<i64>(waiting).await == 1).then_some(())
        })
        .await;
        transaction.commit().await.expect("it ends");
    };
    let second = async {
        database.execute(second).await;
    };
    tokio::join!(first, second);
}

#[tokio::test]
async fn r4_names_people_by_their_addresses() {
    let (database, project) = at(13).await;
    database
        .execute(r#"INSERT INTO "user" (email) SELECT 'info@many-' || n || '.example' FROM generate_series(1, 3000) n"#)
        .await;
    project.run("migrate --to 14").await.must_exit(0);
    // Somebody signs up before the backfill, and takes what somebody from before would have had.
    database
        .execute(
            r#"INSERT INTO "user" (email) VALUES ('Ada@new.example'), ('admin@new.example'), ('ada@other.example')"#,
        )
        .await;
    let ended = project.run("migrate --to 18").await;
    ended.must_exit(0);
    let of = async |email: &str| {
        let names = database.list(&format!(r#"SELECT username FROM "user" WHERE email = '{email}'"#)).await;
        assert_eq!(names.len(), 1, "{email}");
        names.into_iter().next().unwrap_or_default()
    };
    for (email, username) in [
        ("existing@example.com", "existing"),
        ("jo@example.com", "user-jo"),
        ("twin@example.com", "twin"),
        ("Twin@Example.com", "twin-2"),
        ("twin+2@example.com", "twin-3"),
        ("pg_toast@example.com", "pg-toast"),
        ("İstanbul@example.com", "istanbul"),
        ("--hyphens--inside--@example.com", "hyphens-inside"),
        ("xn--mnchen-3ya@example.com", "xn-mnchen-3ya"),
        ("info-9999999@example.com", "info-9999999"),
        ("Ada@new.example", "ada"),
    ] {
        assert_eq!(of(email).await, username, "{email}");
    }
    assert!(of("admin@example.com").await.starts_with("admin-"), "reserved");
    assert!(of("ada@other.example").await.starts_with("ada-"), "taken");
    let people = r#"SELECT count(*) FROM "user""#;
    let named = r#"SELECT count(DISTINCT username) FROM "user" WHERE username_problem(username) IS NULL"#;
    assert_eq!(database.value::<i64>(people).await, database.value::<i64>(named).await);
    let most = r#"SELECT max(char_length(username)) FROM "user""#;
    assert_eq!(database.value::<i32>(most).await, 30);
    // The rule, as the service asks for it.
    for (name, problem) in [
        ("ada", "-"),
        ("ab", "length"),
        (&*"a".repeat(31), "length"),
        ("Ada", "characters"),
        ("a_a", "characters"),
        ("-ada", "characters"),
        ("ada-", "characters"),
        ("zoë", "characters"),
        ("admin", "reserved"),
        ("xn--mnchen-3ya", "reserved"),
    ] {
        assert_eq!(database.list(&format!("SELECT username_problem('{name}')")).await, [problem], "{name}");
    }
    // Who comes after the contract step chooses.
    project.run("migrate --to 19").await.must_exit(0);
    let refused = database.connect().await.execute(r#"INSERT INTO "user" (email) VALUES ('late@code.example')"#).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("username")));
    // Sign-ups of old code work again one step back.
    project.run("rollback --to 18").await.must_exit(0);
    database.execute(r#"INSERT INTO "user" (email) VALUES ('info@late.example')"#).await;
    assert!(of("info@late.example").await.starts_with("info-"));
}

#[tokio::test]
async fn r5_what_was_written_since_survives_the_way_back() {
    let (database, project) = at(19).await;
    let both = "SELECT concat_ws('|', 'here', user_id, is_teacher, bio, website) FROM accounts_userprofile \
                UNION ALL SELECT concat_ws('|', 'there', user_id, is_instructor, bio, website) FROM workshops_userprofile ORDER BY 1";
    let before = database.list(both).await;
    let rule = "SELECT concat_ws('|', user_id, COALESCE(here.is_teacher, false) OR there.is_instructor, \
                    CASE WHEN here.bio <> '' THEN here.bio ELSE COALESCE(NULLIF(there.bio, ''), here.bio) END) \
                FROM workshops_userprofile AS there LEFT JOIN accounts_userprofile AS here USING (user_id) ORDER BY user_id";
    let expected = database.list(rule).await;
    project.run("migrate --to 22").await.must_exit(0);
    let found = "SELECT concat_ws('|', user_id, here.is_teacher, here.bio) \
                 FROM workshops_userprofile JOIN accounts_userprofile AS here USING (user_id) ORDER BY user_id";
    assert_eq!(database.list(found).await, expected);

    // Old code goes on: an instructor is made, and another one is none any longer.
    let nobody =
        r#"SELECT id FROM "user" WHERE id NOT IN (SELECT user_id FROM accounts_userprofile) ORDER BY id LIMIT 1"#;
    let made: i64 = database.value(nobody).await;
    database
        .execute(&format!(
            "INSERT INTO workshops_userprofile (user_id, is_instructor, bio) VALUES ({made}, true, 'made')"
        ))
        .await;
    let here = async |person: i64| {
        let row = format!("SELECT concat_ws('|', is_teacher, bio) FROM accounts_userprofile WHERE user_id = {person}");
        database.list(&row).await.join(" ")
    };
    assert_eq!(here(made).await, "t|made");
    database
        .execute(&format!(
            "UPDATE workshops_userprofile SET is_instructor = false, bio = 'unmade' WHERE user_id = {made}"
        ))
        .await;
    assert_eq!(here(made).await, "f|unmade");
    database.execute(&format!("DELETE FROM workshops_userprofile WHERE user_id = {made}")).await;
    database.execute(&format!("DELETE FROM accounts_userprofile WHERE user_id = {made}")).await;

    project.run("migrate --to 23").await.must_exit(0);
    assert!(database.value::<bool>("SELECT to_regclass('workshops_userprofile') IS NULL").await);
    // New code: a teacher is made; one who was carried over writes about themselves.
    database
        .execute(&format!("INSERT INTO accounts_userprofile (user_id, is_teacher, bio) VALUES ({made}, true, 'since')"))
        .await;
    let carried =
        "SELECT user_id FROM aside.profiles_carried_over WHERE created AND user_id <> {} ORDER BY user_id LIMIT 1";
    let wrote: i64 = database.value(&carried.replace("{}", &made.to_string())).await;
    database.execute(&format!("UPDATE accounts_userprofile SET bio = 'written since' WHERE user_id = {wrote}")).await;
    // Somebody who was both, and somebody who was made a teacher by the rule, teach no longer.
    let teaching = "SELECT user_id FROM aside.workshops_userprofile \
                    JOIN accounts_userprofile USING (user_id) WHERE is_instructor AND is_teacher \
                    AND (user_id IN (SELECT user_id FROM aside.teachers_before)) = {} ORDER BY user_id LIMIT 1";
    let mut ceased = Vec::new();
    for before in ["true", "false"] {
        let person: i64 = database.value(&teaching.replace("{}", before)).await;
        let cease = "UPDATE accounts_userprofile SET is_teacher = false, bio = 'ceased' WHERE user_id = ";
        database.execute(&format!("{cease}{person}")).await;
        ceased.push(person);
    }
    project.run("rollback").await.must_exit(0);
    for person in &ceased {
        let teaches = "SELECT is_teacher OR is_instructor FROM accounts_userprofile \
                       JOIN workshops_userprofile USING (user_id) WHERE user_id = ";
        assert!(!database.value::<bool>(&format!("{teaches}{person}")).await, "{person} teaches no longer");
    }

    let mut after = database.list(both).await;
    let since = |row: &String| row.contains("|since") || row.contains("|written since");
    let new: Vec<String> = after.extract_if(.., |row| since(row)).collect();
    assert_eq!(new.len(), 3, "{new:?}");
    for row in
        [format!("here|{wrote}|t|written since"), format!("here|{made}|t|since"), format!("there|{made}|t|since")]
    {
        assert!(new.iter().any(|found| found.starts_with(&row)), "{row}: {new:?}");
    }
    let others = |rows: Vec<String>| -> Vec<String> {
        let of = |row: &String| row.split('|').nth(1).and_then(|person| person.parse().ok());
        rows.into_iter().filter(|row| of(row).is_none_or(|person| !ceased.contains(&person))).collect()
    };
    assert_eq!(others(after), others(before), "all else is what it was");
}
