//! Backups in an object store: there whole or not at all, whatever the service does.

use std::path::PathBuf;
use std::time::Duration;

use rehearsal_tests::s3::{BUCKET, SECRET};
use rehearsal_tests::{Database, Fault, Project, S3, database, until};
use rustix::process::Signal;
use serde_json::Value;

use crate::project;

/// Some rows, and with them a schema.
const SMALL: &str =
    "CREATE TABLE a (id int PRIMARY KEY, t text); INSERT INTO a SELECT g, 'row ' || g FROM generate_series(1, 300) g;";

/// More than one part after gzip, which cannot shrink what is random below its 64 bytes a row.
const LARGE: &str = "CREATE TABLE large AS SELECT g, sha512(g::text::bytea) AS b FROM generate_series(1, 130000) g;";

/// More than any test has requests.
const ALWAYS: usize = 1_000;

/// A project whose backups go to the bucket.
fn project_on(s3: &S3, database: &Database) -> Project {
    let config = format!(
        "[targets.dev]\nurl_env = 'DATABASE_URL'\n[backup]\nto = 's3://{BUCKET}/some/prefix'\npatience = '1s'\n"
    );
    s3.serves(project()).write("rehearsal.toml", &config).on(database)
}

async fn with(sql: &str) -> (S3, Database, Project) {
    let (s3, database) = (S3::start().await, Database::create().await);
    database.execute(sql).await;
    let project = project_on(&s3, &database);
    (s3, database, project)
}

async fn list(project: &Project) -> Vec<(String, String)> {
    let listed = project.run("db-backup list --json").await;
    listed.must_exit(0);
    let lines: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let word = |line: &Value, name: &str| line[name].as_str().expect("a word").to_owned();
    lines.as_array().expect("lines").iter().map(|line| (word(line, "id"), word(line, "state"))).collect()
}

/// The only backup, which is proven.
async fn only(project: &Project) -> String {
    let listed = list(project).await;
    let [(id, state)] = &listed[..] else { panic!("one backup: {listed:?}") };
    assert_eq!(state, "proven");
    id.clone()
}

/// The file behind an object of the only backup.
fn file_of(s3: &S3, id: &str, ending: &str) -> PathBuf {
    let objects = s3.objects();
    let found = objects.iter().find(|key| key.contains(id) && key.ends_with(ending));
    s3.bucket().join(found.unwrap_or_else(|| panic!("no {ending} of {id}: {objects:?}")))
}

fn staged(project: &Project) -> Vec<String> {
    project.names_in(".rehearsal/staging/dev")
}

#[tokio::test]
async fn there_and_back() {
    let (s3, source, project) = with(SMALL).await;
    let made = project.run("db-backup").await;
    made.must_exit(0).must_say("s3://bucket/some/prefix/dev/");
    let id = only(&project).await;
    assert!(s3.objects().iter().all(|key| key.starts_with(&format!("some/prefix/dev/{id}/"))), "{:?}", s3.objects());
    assert_eq!(staged(&project), Vec::<String>::new());
    // The record knows where it is, and not where it was made.
    let place = format!("s3://{BUCKET}/some/prefix/dev/{id}");
    assert_eq!(made.record()["steps"][0]["backup"]["path"], place.as_str());
    assert!(made.summary().contains(&place), "{}", made.summary());
    assert!(!made.text().contains(SECRET) && !made.record().to_string().contains(SECRET));
    // By its id, its URL, and as the newest one.
    let url = format!("s3://{BUCKET}/some/prefix/dev/{id}");
    for (number, backup) in [id.as_str(), &url, ""].into_iter().enumerate() {
        let name = format!("{}_restored_{number}", source.name());
        project.run(&format!("restore {backup} --into {name}")).await.must_exit(0).must_say("fetch");
        assert_eq!(database::of(&name).value::<i64>("SELECT count(*) FROM a").await, 300);
    }
    project.run(&format!("db-backup show {id}")).await.must_exit(0).must_say("public.a");
    project.run("db-backup check --restore").await.must_exit(0).must_say("restored and equal");
    project.run("db-backup list").await.must_exit(0).must_say("restored and equal");
    let ended = project.run("restore no-such-backup").await;
    ended.must_exit(2);
    assert!(ended.error().0.contains("there is no backup no-such-backup"), "{:?}", ended.error());
}

/// Errors that pass are ridden out; nobody hears of them.
#[tokio::test]
async fn what_comes_and_goes_is_ridden_out() {
    let (s3, _source, project) = with(SMALL).await;
    s3.breaks("PUT", "toc.dat", 1, Fault::Fails);
    s3.breaks("PUT", ".dat.gz", 1, Fault::SlowDown);
    s3.breaks("PUT", "manifest.json", 1, Fault::Cut);
    project.run("db-backup").await.must_exit(0);
    only(&project).await;
    s3.breaks("GET", "toc.dat", 1, Fault::Cut);
    s3.breaks("GET", ".dat.gz", 1, Fault::Fails);
    s3.breaks("GET", "manifest.json", 1, Fault::SlowDown);
    project.run("db-backup check").await.must_exit(0);
    assert!(s3.requests("PUT", "toc.dat") >= 2 && s3.requests("GET", "toc.dat") >= 2);
}

/// `200 OK` with an error inside: the object is not there, and the backup must not be said to be.
#[tokio::test]
async fn an_error_inside_a_success_is_an_error() {
    let (s3, source, project) = with(LARGE).await;
    s3.breaks("POST", "uploadId=", ALWAYS, Fault::FailsInsideSuccess);
    let ended = project.run("db-backup").await;
    ended.must_exit(4);
    let (error, hint) = ended.error();
    assert!(error.contains("waits in") && error.contains("InternalError: as asked"), "{error}");
    assert!(hint.contains("db-backup upload"), "{hint}");
    assert!(!s3.objects().iter().any(|key| key.contains("manifest.json")), "{:?}", s3.objects());
    assert_eq!(s3.parts(), Vec::<String>::new(), "aborted");
    let listed = list(&project).await;
    assert!(listed.iter().all(|(_, state)| state == "unfinished" || state == "waiting"), "{listed:?}");
    s3.mends();
    project.run("db-backup upload").await.must_exit(0);
    let id = only(&project).await;
    assert_eq!(staged(&project), Vec::<String>::new());
    let name = format!("{}_restored", source.name());
    project.run(&format!("restore {id} --into {name}")).await.must_exit(0);
    assert_eq!(database::of(&name).value::<i64>("SELECT count(*) FROM large").await, 130_000);
}

/// The table of contents comes last of the files, and the manifest after it.
#[tokio::test]
async fn what_has_arrived_is_not_sent_again() {
    let (s3, _source, project) = with(SMALL).await;
    s3.breaks("PUT", "toc.dat", ALWAYS, Fault::SlowDown);
    project.run("db-backup").await.must_exit(4).must_say("SlowDown");
    let states: Vec<String> = list(&project).await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["unfinished", "waiting"]);
    project.run("restore").await.must_exit(2).must_say("there is no backup of `dev`");
    s3.mends();
    s3.forget();
    project.run("db-backup upload").await.must_exit(0);
    only(&project).await;
    assert_eq!((s3.requests("PUT", ".dat.gz"), s3.requests("PUT", "toc.dat")), (0, 1));
    project.run("db-backup upload").await.must_exit(0).must_say("nothing waits");
    project.run("db-backup check").await.must_exit(0);
}

#[tokio::test]
async fn killed_while_it_sends_it_goes_on() {
    let (s3, _source, project) = with(LARGE).await;
    s3.breaks("PUT", "partNumber=2", 1, Fault::Waits(Duration::from_secs(60)));
    let running = project.start("db-backup");
    until("the second part is on its way", async || (s3.requests("PUT", "partNumber=2") > 0).then_some(())).await;
    running.signal(Signal::KILL);
    let killed = running.end().await;
    assert_eq!(killed.code, None);
    assert_ne!(s3.parts(), Vec::<String>::new(), "parts are left");
    assert!(!s3.objects().iter().any(|key| key.contains("manifest.json")), "{:?}", s3.objects());
    s3.mends();
    // The next backup sends what was left first.
    project.run("db-backup").await.must_exit(0);
    let listed = list(&project).await;
    assert!(listed.len() == 2 && listed.iter().all(|(_, state)| state == "proven"), "{listed:?}");
    assert_eq!(s3.parts(), Vec::<String>::new(), "the parts of the killed run as well");
    assert_eq!(staged(&project), Vec::<String>::new());
    project.run("db-backup check --all").await.must_exit(0);
}

#[tokio::test]
async fn an_interrupted_upload_leaves_no_parts() {
    let (s3, _source, project) = with(LARGE).await;
    s3.breaks("PUT", "partNumber=2", ALWAYS, Fault::Waits(Duration::from_secs(60)));
    let running = project.start("db-backup");
    until("the second part is on its way, and the first is there", async || {
        let first = s3.parts().iter().any(|name| name.ends_with(".part-1"));
        (first && s3.requests("PUT", "partNumber=2") > 0).then_some(())
    })
    .await;
    running.signal(Signal::INT);
    let ended = running.end().await;
    ended.must_exit(130).must_say("db-backup upload");
    assert_eq!(s3.parts(), Vec::<String>::new(), "aborted");
    s3.mends();
    project.run("db-backup upload").await.must_exit(0);
    only(&project).await;
}

/// As it should be, wrong, or not checked: three ways to end, and only the first is a pass.
#[tokio::test]
async fn what_is_stored_is_checked() {
    let (s3, source, project) = with(SMALL).await;
    project.run("db-backup").await.must_exit(0);
    let id = only(&project).await;
    project.run("db-backup check").await.must_exit(0);
    for share in 1..=3 {
        project.run(&format!("db-backup check --subset {share}/3")).await.must_exit(0);
    }
    // A share does not hide that all of it was read before.
    let listed = project.run("db-backup list").await;
    let checked: Vec<&str> = listed.stdout.lines().filter(|line| line.contains("  checked ")).collect();
    assert!(
        matches!(checked[..], [all, share] if !all.contains("share") && share.contains("share 3/3")),
        "{checked:?}"
    );
    let data = file_of(&s3, &id, ".dat.gz");
    let whole = std::fs::read(&data).expect("read");
    let name = format!("{}_restored", source.name());
    let refused = async |what: &str| {
        for command in ["db-backup check".to_owned(), format!("restore {id} --into {name}")] {
            let ended = project.run(&command).await;
            ended.must_exit(3);
            assert!(ended.error().0.contains(what), "{command}: {:?}", ended.error());
        }
        let there: bool =
            source.value(&format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')")).await;
        assert!(!there, "nothing is restored from what is damaged");
    };
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    std::fs::write(&data, &flipped).expect("written");
    refused("another digest").await;
    assert_eq!(list(&project).await[0].1, "wrong");
    std::fs::write(&data, &whole[..whole.len() - 1]).expect("written");
    refused("bytes instead of").await;
    std::fs::remove_file(&data).expect("removed");
    refused("is missing").await;
    std::fs::write(&data, &whole).expect("written");
    // What was found wrong stands until all of it was read again.
    project.run("db-backup check --subset 1/1000000000").await.must_exit(0).must_say("nothing was read");
    assert_eq!(list(&project).await[0].1, "wrong");
    project.run("db-backup check").await.must_exit(0);
    assert_eq!(list(&project).await[0].1, "proven");
    s3.breaks("GET", ".dat.gz", ALWAYS, Fault::Fails);
    project.run("db-backup check").await.must_exit(4).must_say("could not be checked");
    s3.mends();
    s3.breaks("GET", ".dat.gz", ALWAYS, Fault::Denied);
    project.run("db-backup check").await.must_exit(2).must_say("AccessDenied");
    assert_eq!(list(&project).await[0].1, "proven", "nothing was found");
}

#[tokio::test]
async fn a_place_that_nobody_reaches_is_told_before_the_dump() {
    let (s3, _source, project) = with(SMALL).await;
    s3.breaks("GET", "list-type=2", ALWAYS, Fault::Fails);
    project.run("db-backup").await.must_exit(4);
    assert_eq!(staged(&project), Vec::<String>::new());
    drop(s3);
    project.run("db-backup list").await.must_exit(4);
    let config = "[targets.dev]\nurl_env = 'DATABASE_URL'\n[backup]\nto = 's3://key:secret-of-mine@bucket/x'\n";
    project.change("rehearsal.toml", config);
    let ended = project.run("db-backup list").await;
    ended.must_exit(2);
    assert!(!ended.text().contains("secret-of-mine"), "{}", ended.text());
}
