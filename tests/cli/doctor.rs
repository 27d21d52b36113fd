//! `doctor`: what would keep a command from working is told, with what to do, and nothing is changed.

use insta::assert_snapshot;
use rehearsal_tests::{Database, Ended, Pooler, Project, pooler, words};
use serde_json::Value;

use crate::{all_releases, project};

const SECRET: &str = "hunter2";

/// Area, level and text of each finding.
fn findings(ended: &Ended) -> Vec<(String, String, String)> {
    let diagnosis: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.text()));
    assert_eq!(diagnosis["format"], 1);
    assert_eq!(diagnosis["exit_code"].as_i64(), ended.code.map(i64::from), "{}", ended.text());
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let findings = diagnosis["findings"].as_array().expect("findings");
    for finding in findings {
        assert_eq!(finding["level"] == "ok", finding["remedy"].is_null(), "what to do, or nothing: {finding}");
    }
    findings.iter().map(|finding| (text(finding, "area"), text(finding, "level"), text(finding, "what"))).collect()
}

/// Checks that there is such a finding.
#[track_caller]
fn must_find(ended: &Ended, area: &str, level: &str, what: &str) {
    let all = findings(ended);
    let there = all.iter().any(|(a, l, w)| a == area && l == level && w.contains(what));
    assert!(there, "{level} {area}: {what}\n{all:#?}");
}

#[tokio::test]
async fn all_is_well() {
    let database = Database::create().await;
    let project = project().items(10).on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let before = database.everything().await;
    let files = project.names_in(".");
    let ended = project.run("doctor --json").await;
    ended.must_exit(0);
    must_find(&ended, "database", "ok", "answers: PostgreSQL");
    must_find(&ended, "database", "ok", "no connection pooler");
    must_find(&ended, "history", "ok", "_sqlx_migrations: 1 migration applied, 2 pending");
    must_find(&ended, "rights", "ok", "may migrate");
    must_find(&ended, "rights", "ok", "may read all of it");
    must_find(&ended, "tools", "ok", "fit");
    must_find(&ended, "sandbox", "ok", "would serve, with");
    assert!(findings(&ended).iter().filter(|(area, ..)| area == "disk").count() >= 4, "{}", ended.text());
    assert!(findings(&ended).iter().all(|(_, level, _)| level != "problem"), "{}", ended.text());
    assert_eq!(database.everything().await, before, "nothing is changed");
    assert_eq!(project.names_in("."), files, "nothing is written");
    project.run("doctor").await.must_exit(0).must_say(", 0 problems\n");
}

/// R1's list, by the rules of this workspace.
#[tokio::test]
async fn variables_are_looked_at_by_the_rules() {
    let production = |project: Project| project.variable("PRODUCTION_DATABASE_URL", "postgres://u:p@127.0.0.1:1/d");
    let bad = [
        ("APP_ENV", "hunter2", "is none of production"),
        ("APP_SESSION_SECRET", "hunter2", "is shorter than 64 characters"),
        ("APP_CORS_ORIGINS", "https://hunter2/", "is no list of origins"),
        ("APP_BASE_DOMAIN", "https://hunter2", "is no domain"),
        ("APP_ADMIN_TOKEN", "hunter2", "is shorter than 32 characters"),
        ("APP_MIGRATE", "hunter2", "is none of apply, instant-only, check, off"),
        ("APP_SECURE_COOKIES", "hunter2", "is none of true"),
        ("PORT", "hunter2", "is no whole number"),
        ("REHEARSAL_ANONYMISE_KEY", "hunter2", "is shorter than 64 characters"),
    ];
    let malformed =
        bad.iter().fold(production(all_releases()), |project, (name, value, _)| project.variable(name, value));
    let ended = malformed.run("doctor --json --target production").await;
    ended.must_exit(2);
    for (name, _, complaint) in bad {
        must_find(&ended, "variables", "problem", &format!("{name} {complaint}"));
    }
    for words in ["doctor --target production", "doctor --json -v --target production --for service"] {
        let ended = malformed.run(words).await;
        assert!(!ended.must_exit(2).text().contains(SECRET), "{}", ended.text());
    }
    let absent = production(all_releases());
    // What only the service needs is told; whoever asks for the service must have it.
    let ended = absent.run("doctor --json --target production").await;
    ended.must_exit(4);
    must_find(&ended, "variables", "warning", "APP_SESSION_SECRET is not set; needed by: service");
    let ended = absent.run("doctor --json --target production --for service").await;
    ended.must_exit(2);
    must_find(&ended, "variables", "problem", "APP_SESSION_SECRET is not set, and service needs it");
    let good = [
        ("APP_ENV", "production".to_owned()),
        ("APP_SESSION_SECRET", "s".repeat(64)),
        ("APP_CORS_ORIGINS", "https://app.example.com, https://example.com:8443".to_owned()),
        ("APP_BASE_DOMAIN", "example.com".to_owned()),
        ("REHEARSAL_ANONYMISE_KEY", "0f".repeat(32)),
    ];
    let set = good.iter().fold(production(all_releases()), |project, (name, value)| project.variable(name, value));
    let ended = set.run("doctor --json --target production").await;
    // Nobody listens there, and that is all.
    ended.must_exit(4);
    for (name, _) in good {
        must_find(&ended, "variables", "ok", &format!("{name} is set and well-formed"));
    }
    absent.run("doctor --for servise").await.must_exit(2).must_say("`servise` is no command");
}

/// No server, no git, no container engine, and folders without programs.
#[tokio::test]
async fn nothing_has_to_be_there() {
    let project = project()
        .items(10)
        .variable("DATABASE_URL", &format!("postgres://u:{SECRET}@127.0.0.1:1/d"))
        .variable("PATH", "/nowhere")
        .variable("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .variable("REHEARSAL_PROVIDER", "auto");
    let ended = project.run("doctor --json").await;
    ended.must_exit(4);
    must_find(&ended, "database", "problem", "cannot reach u@127.0.0.1:1/d");
    must_find(&ended, "git", "warning", "git cannot be run");
    let sandbox = findings(&ended).into_iter().find(|(area, ..)| area == "sandbox").expect("a provider");
    assert!(sandbox.2.contains("docker: no container engine answers"), "{sandbox:?}");
    assert!(!ended.text().contains(SECRET), "{}", ended.text());
    let ended = project.run("doctor --json --provider docker").await;
    ended.must_exit(2);
    must_find(&ended, "sandbox", "problem", "no container engine answers");
}

#[tokio::test]
async fn without_a_url_or_a_target_the_rest_is_told_all_the_same() {
    let project = project().items(10);
    let ended = project.run("doctor --json").await;
    ended.must_exit(2);
    must_find(&ended, "variables", "problem", "target `dev` has no database URL: DATABASE_URL is not set");
    assert!(findings(&ended).iter().any(|(area, ..)| area == "disk"), "{}", ended.text());
    let ended = project.run("doctor --json --target prod").await;
    ended.must_exit(2);
    must_find(&ended, "variables", "problem", "there is no target `prod`");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_a_finding() {
    let project = project().write("rehearsal.toml", "[targets.dev]\nurl = 'postgres://x'\n");
    let ended = project.run("doctor --json").await;
    ended.must_exit(2);
    must_find(&ended, "configuration", "problem", "rehearsal.toml: line 2: unknown field `url`");
    for (rule, words) in [
        ("[[variables]]\nname = 'A'\ntargets = ['prod']\n", "line 1: variable `A`: there is no target `prod`"),
        (
            "\n[[variables]]\nname = 'A'\nform = 'number'\nmin = 2\nmax = 1\n",
            "line 2: variable `A`: no value is between",
        ),
        ("[[variables]]\nname = 'A'\nform = 'date'\n", "line 3: unknown variant `date`"),
    ] {
        project.change("rehearsal.toml", rule);
        project.run("doctor").await.must_exit(2);
        project.run("status").await.must_exit(2).must_say(words);
    }
}

#[tokio::test]
async fn what_the_role_may_not_do_is_told_before_it_fails() {
    let database = Database::create().await;
    let role = format!("narrow_{}", database.name());
    let url = database.role(&role, "secret").await;
    database
        .execute(
            "CREATE TABLE theirs (id int); CREATE TABLE hidden (id int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY",
        )
        .await;
    database.execute(&format!("GRANT SELECT ON hidden TO {role}; REVOKE CREATE ON SCHEMA public FROM PUBLIC")).await;
    let project = project().items(10).variable("DATABASE_URL", &url);
    let ended = project.run("doctor --json").await;
    ended.must_exit(3);
    must_find(&ended, "rights", "problem", &format!("the role {role} may not create anything in schema public"));
    must_find(
        &ended,
        "rights",
        "problem",
        &format!("the role {role} may not create the schema rehearsal for the journal"),
    );
    must_find(
        &ended,
        "rights",
        "problem",
        &format!("the role {role} may not read public.theirs, so it can make no backup"),
    );
    must_find(&ended, "rights", "problem", "row-level security hides rows of public.hidden");
    must_find(&ended, "rights", "warning", &format!("the role {role} does not own hidden, theirs"));
    project.run("db-backup --proof none").await.must_exit(1).must_say("permission denied for table theirs");
    database.execute(&format!("DROP OWNED BY {role} CASCADE")).await;
}

#[tokio::test]
async fn a_history_that_does_not_fit_is_told() {
    let database = Database::create().await;
    let project = project().items(10).on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    project.change("migrations/1_items.up.sql", "CREATE TABLE others (id int);\n");
    let ended = project.run("doctor --json").await;
    let code = project.run("plan").await.code;
    assert_eq!(ended.code, code, "as the commands that meet it");
    must_find(&ended, "history", "problem", "was edited after it was applied");
}

#[tokio::test]
async fn a_pooler_in_between_is_told() {
    let Some(program) = pooler::program("a_pooler_in_between_is_told") else { return };
    let database = Database::create().await;
    let pooler = Pooler::start(&program, "extra_float_digits, options").await;
    let project = project().items(10).variable("DATABASE_URL", &pooler.url(&database));
    let ended = project.run("doctor --json").await;
    ended.must_exit(3);
    must_find(&ended, "database", "problem", "pool");
    must_find(&ended, "history", "ok", "0 migrations applied, 3 pending");
    let direct = "[targets.dev]\nurl_env = 'DATABASE_URL'\ndirect_url_env = 'DIRECT_URL'\n";
    let project = project.variable("DIRECT_URL", &database.url()).write("rehearsal.toml", direct);
    let ended = project.run("doctor --json").await;
    ended.must_exit(0);
    must_find(&ended, "database", "ok", "not through the pooler at");
}

#[tokio::test]
async fn an_artefact_without_every_migration_is_told() {
    let database = Database::create().await;
    let project = project().items(10).on(&database);
    let config =
        "[targets.dev]\nurl_env = 'DATABASE_URL'\n[app]\nbuild = 'make app'\nrun = 'bin/app'\nport_env = 'PORT'\n";
    project.change("rehearsal.toml", config);
    let ended = project.run("doctor --json").await;
    ended.must_exit(0);
    must_find(&ended, "artefact", "warning", "bin/app is not there");
    let text = |name: &str| std::fs::read_to_string(project.path(&format!("migrations/{name}.sql"))).expect("a file");
    let some = ["1_items.up", "1_items.down", "2_raise.up", "2_raise.down", "3_index.up"].map(text).join("\0");
    project.change("bin/app", &some);
    let ended = project.run("doctor --json").await;
    ended.must_exit(0);
    must_find(&ended, "artefact", "warning", "bin/app lacks 1 migration, as the folder has it now: 3");
    // What ships must have all of them.
    let ended = project.run("doctor --json --artefact bin/app").await;
    ended.must_exit(3);
    must_find(&ended, "artefact", "problem", "lacks 1 migration");
    project.run("doctor --artefact bin/none").await.must_exit(2);
    project.change("bin/app", &format!("{some}\0{}", text("3_index.down")));
    let ended = project.run("doctor --json --artefact bin/app").await;
    ended.must_exit(0);
    must_find(&ended, "artefact", "ok", "bin/app has all 3 migrations as they are in the folder");
}

#[tokio::test]
async fn migrations_that_are_in_no_commit_are_told() {
    let database = Database::create().await;
    let project = project().items(10).on(&database).write(".gitignore", "tmp\n");
    project.git(&["init", "--quiet"]);
    must_find(&project.run("doctor --json").await, "git", "warning", "there is no commit yet");
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "--message", "all"]);
    must_find(&project.run("doctor --json").await, "git", "ok", "and nothing differs from it");
    project.change(".gitignore", "tmp\n4_*\n");
    for name in ["4_ignored", "5_new"] {
        project.change(&format!("migrations/{name}.sql"), "SELECT 1;\n");
    }
    let ended = project.run("doctor --json").await;
    ended.must_exit(0);
    must_find(&ended, "git", "warning", "2 files differ from commit ");
    must_find(&ended, "git", "warning", "in no commit as they are: migrations/5_new.sql");
    must_find(&ended, "git", "warning", "git ignores migrations/4_ignored.sql");
}

/// What people read.
#[tokio::test]
async fn problems_are_told_with_what_to_do() {
    let config = "[targets.dev]\nurl_env = 'DATABASE_URL'\n[[variables]]\nname = 'KEY'\nform = 'hex'\nmin_length = 8\n\
                  example = '$(openssl rand -hex 4)'\n";
    let project = project().items(10).write("rehearsal.toml", config).variable("KEY", "hunter2!");
    let project = project.variable("DATABASE_URL", "postgres://u:p@127.0.0.1:1/d");
    let ended = project.run("doctor --quiet").await;
    ended.must_exit(2);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let shown = lines[..lines.len() - 1].join("\n");
    insta::with_settings!({filters => words::filters()}, { assert_snapshot!(shown) });
    assert!(lines.last().is_some_and(|last| last.ends_with(", 2 problems")), "{}", ended.stdout);
}
