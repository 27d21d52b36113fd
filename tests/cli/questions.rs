//! `[[questions]]`: what only a person can answer, asked once and kept with a name.

use rehearsal_tests::{Database, Project};

use crate::project;

const QUESTIONS: &str = "[targets.dev]\nurl_env = 'DATABASE_URL'\n[targets.other]\n
[[questions]]
id = 'window'
ask = 'Is the maintenance window announced?'

[[questions]]
id = 'alerts'
ask = 'Are the alerts on?'
targets = ['dev']

[[questions]]
id = 'elsewhere'
ask = 'Is it elsewhere?'
targets = ['other']
";

fn asking() -> Project {
    project()
        .migration("1_t", "CREATE TABLE t (id int);", "DROP TABLE t;")
        .migration("2_u", "CREATE TABLE u (id int);", "DROP TABLE u;")
        .write("rehearsal.toml", QUESTIONS)
}

#[tokio::test]
async fn nothing_is_written_until_somebody_has_said_yes() {
    let database = Database::create().await;
    let before = database.everything().await;
    let project = asking().on(&database);
    project.run("plan").await.must_exit(0).must_say("window: Is the maintenance window announced?");
    let ended = project.run("migrate --to 2").await;
    ended.must_exit(3);
    let (error, hint) = ended.error();
    assert!(error.contains("Is the maintenance window announced? (window) · Are the alerts on? (alerts)"), "{error}");
    let command = "cargo xtask migrate --target dev --to 2 --answer window=yes --answer alerts=yes --by NAME";
    assert!(hint.ends_with(command), "{hint}");
    // It is a gate: --yes does not open it.
    project.run("migrate --yes").await.must_exit(3);
    project.run("migrate --answer window=yes --by ann").await.must_exit(3).must_say("(alerts)");
    let ended = project.run("migrate --answer alerts=no --by bo").await;
    ended.must_exit(3);
    assert_eq!(ended.error().0, "bo answered no: Are the alerts on? (alerts)");
    assert_eq!(database.everything().await, before);
    let ended = project.run("migrate --answer alerts=yes --by bo").await;
    ended.must_exit(0);
    assert_eq!(ended.steps()[0], "questions done");
    let record = ended.record();
    let answers = record["steps"][0]["answers"].as_array().expect("answers");
    let who: Vec<String> = answers.iter().map(|answer| format!("{} {}", answer["id"], answer["by"])).collect();
    assert_eq!(who, ["\"window\" \"ann\"", "\"alerts\" \"bo\""]);
    assert!(ended.summary().contains("| Are the alerts on? | yes | bo |"), "{}", ended.summary());
}

#[tokio::test]
async fn answers_are_kept_until_the_migrations_change() {
    let database = Database::create().await;
    let project = asking().on(&database).write("migrations/2_u.up.sql", "SELECT 1 / 0;");
    let all = "--answer window=yes --answer alerts=yes --by ann";
    project.run(&format!("migrate {all}")).await.must_exit(1);
    assert_eq!(database.applied().await, ["1"]);
    // What is left is part of what was answered for.
    project.run("migrate").await.must_exit(1).must_say("division by zero");
    assert!(!project.run("plan").await.must_exit(0).text().contains("questions that are open"));
    project.change("migrations/2_u.up.sql", "CREATE TABLE u (id int);");
    project.run("migrate").await.must_exit(3);
    // A question that says something else is another one.
    project.run(&format!("migrate {all} --to 1")).await.must_exit(0);
    project.run("migrate --answer window=yes --by ann").await.must_exit(3).must_say("(alerts)");
    project.change("rehearsal.toml", &QUESTIONS.replace("Are the alerts on?", "Are all alerts on?"));
    project.run("migrate --answer alerts=yes --by ann").await.must_exit(0);
    assert_eq!(database.applied().await, ["1", "2"]);
    // By default nobody is asked before a rollback, and nobody in a rehearsal.
    project.run("rollback").await.must_exit(0);
    project.run("rehearse").await.must_exit(0);
}

#[tokio::test]
async fn answers_that_are_none_are_bad_usage() {
    let database = Database::create().await;
    let project = asking().on(&database);
    let ended = project.run("migrate --answer windows=yes").await;
    ended.must_exit(2);
    assert_eq!(ended.error().0, "there is no question `windows`; rehearsal.toml knows: window, alerts, elsewhere");
    project.run("migrate --answer window=maybe").await.must_exit(2).must_say("ID=yes or ID=no");
    project.run("migrate --answer window").await.must_exit(2);
}

#[tokio::test]
async fn what_cannot_be_meant_is_told_with_its_line() {
    let good = "[[questions]]\nid = 'a'\nask = 'Is it?'\n";
    for (questions, line, words) in [
        (format!("{good}{good}"), 4, "question `a`: there is another one of that id"),
        (good.replace("'a'", "'a b'"), 1, "question `a b`: `id` must be made of letters, digits and hyphens"),
        (good.replace("'Is it?'", "''"), 1, "question `a`: `ask` must be a question"),
        (format!("{good}answer = true\n"), 4, "unknown field `answer`"),
        (format!("{good}on = []\n"), 1, "question `a`: `on` must name `migrate` or `rollback`"),
        (format!("{good}targets = ['prodution']\n"), 1, "question `a`: there is no target `prodution`"),
    ] {
        let ended = project().write("rehearsal.toml", &questions).run("status").await;
        ended.must_exit(2).must_say(&format!("rehearsal.toml: line {line}: {words}"));
    }
}
