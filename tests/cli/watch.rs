//! `watch`: for a while, until the first bad news.

use rehearsal_tests::{Database, Project};

use crate::project;

async fn watched(database: &Database) -> Project {
    let project = project()
        .migration("1_t", "CREATE TABLE t (id int);", "DROP TABLE t;")
        .write("migrations/checks/t.sql", "-- check: nothing-odd\n-- expect: no rows\nSELECT id FROM t WHERE id > 1;\n")
        .write("app.log", "ERROR of yesterday\n")
        .on(database);
    let config = std::fs::read_to_string(project.path("rehearsal.toml")).expect("the configuration");
    let watch = "\n[watch]\nlogs = ['app.log']\nred_flags = ['\\bERROR\\b', 'relation .* does not exist']\ngood_signs = ['200 OK']\n";
    let project = project.write("rehearsal.toml", &format!("{config}{watch}"));
    project.run("migrate").await.must_exit(0);
    project
}

fn log(project: &Project, line: &str) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().append(true).open(project.path("app.log"));
    writeln!(file.expect("the log"), "{line}").expect("written");
}

#[tokio::test]
async fn a_quiet_time_ends_well() {
    let database = Database::create().await;
    let project = watched(&database).await;
    let ended = project.run("watch --for 300ms --every 100ms").await;
    ended.must_exit(0).must_say("looks of 1 check, nothing amiss; 0 lines of logs without a red flag");
}

#[tokio::test]
async fn bad_news_of_the_database_end_it() {
    let database = Database::create().await;
    let project = watched(&database).await;
    let mut running = project.start("watch --for 1min --every 50ms -v");
    running.has_written("nothing-odd").await;
    database.execute("INSERT INTO t VALUES (2)").await;
    running
        .end()
        .await
        .must_exit(3)
        .must_say("1 of 1 checks failed: nothing-odd")
        .must_say("expected no rows, found 2");
}

#[tokio::test]
async fn a_red_flag_in_a_log_ends_it() {
    let database = Database::create().await;
    let project = watched(&database).await;
    let mut running = project.start("watch --for 1min --every 50ms -v");
    running.has_written("nothing-odd").await;
    log(&project, "GET / 200 OK");
    log(&project, "relation \"user\" does not exist");
    let ended = running.end().await;
    ended.must_exit(3).must_say("app.log has 1 new line with a red flag: relation \"user\" does not exist");
}

#[tokio::test]
async fn what_cannot_be_watched_is_told_at_once() {
    let database = Database::create().await;
    let project = watched(&database).await;
    project.remove("app.log");
    project.run("watch --for 1min").await.must_exit(1).must_say("cannot read app.log");
    let config = std::fs::read_to_string(project.path("rehearsal.toml")).expect("the configuration");
    project.change("rehearsal.toml", &config.replace("200 OK", "200 (OK"));
    project.run("watch --for 1min").await.must_exit(2).must_say("unclosed group");
}
