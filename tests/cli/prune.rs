//! `db-backup prune`: removes what no rule keeps, and never what is needed.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rehearsal::backup::manifest::Manifest;
use rehearsal_tests::{Database, Project};

use crate::project;

const CONFIG: &str = "[targets.dev]\nurl_env = 'DATABASE_URL'\n[backup.keep]\nlast = 1\ndaily = 2\n";

async fn with_a_backup() -> (Database, Project) {
    let database = Database::create().await;
    database.execute("CREATE TABLE a (id int)").await;
    let project = project().write("rehearsal.toml", CONFIG).on(&database);
    project.run("db-backup").await.must_exit(0);
    (database, project)
}

/// The same backup, made at another time.
fn copy(project: &Project, made_at: DateTime<Utc>) -> String {
    let original = project.names_in("backups/dev").into_iter().next_back().expect("a backup");
    let id = format!("{}-copy", made_at.format("%Y%m%dT%H%M%S%3fZ"));
    let (from, to) = (project.path(&format!("backups/dev/{original}")), project.path(&format!("backups/dev/{id}")));
    copy_folder(&from, &to);
    let mut manifest = Manifest::read(&to).expect("a manifest");
    manifest.made_at = made_at;
    manifest.write(&to).expect("written");
    id
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("read") {
        let path = entry.expect("it can be read").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

#[tokio::test]
async fn what_no_rule_keeps_goes() {
    let (_database, project) = with_a_backup().await;
    let now = project.names_in("backups/dev").pop().expect("a backup");
    let [old, older, oldest] = [2, 4, 6].map(|days| copy(&project, Utc::now() - TimeDelta::days(days)));
    let all = project.names_in("backups/dev");
    let shown = project.run("db-backup prune --dry-run").await;
    shown.must_exit(0).must_say(&format!("remove  {older}")).must_say(&format!("remove  {oldest}"));
    shown.must_say("2 backups to remove");
    assert_eq!(project.names_in("backups/dev"), all, "a dry run removes nothing");
    let refused = project.run("db-backup prune").await;
    refused.must_exit(3);
    assert!(refused.error().1.contains("--yes"), "{:?}", refused.error());
    assert_eq!(project.names_in("backups/dev"), all, "nobody has confirmed it");
    project.run("db-backup prune --yes").await.must_exit(0).must_say("2 backups removed");
    assert_eq!(project.names_in("backups/dev"), [old, now]);
    project.run("db-backup prune --yes").await.must_exit(0).must_say("0 backups to remove");
    project.run("db-backup check --all").await.must_exit(0);
}

/// A clock that jumped ahead and back has left a backup of next year. It takes nobody's place.
#[tokio::test]
async fn a_clock_that_jumped_removes_nothing_more() {
    let (_database, project) = with_a_backup().await;
    let future = copy(&project, Utc::now() + TimeDelta::days(365));
    let old = copy(&project, Utc::now() - TimeDelta::days(3));
    let all = project.names_in("backups/dev");
    project.run("db-backup prune --yes").await.must_exit(0).must_say("its time is in the future");
    assert_eq!(project.names_in("backups/dev"), all, "{future} and {old} as well");
    project.run("db-backup list").await.must_exit(0).must_say("its time is in the future");
}

#[tokio::test]
async fn after_an_attempt_that_failed_nothing_is_removed() {
    let (_database, project) = with_a_backup().await;
    for days in [2, 4, 6] {
        copy(&project, Utc::now() - TimeDelta::days(days));
    }
    let all = project.names_in("backups/dev");
    let nowhere = project.start_on("postgres://nobody@127.0.0.1:1/nothing", "db-backup").end().await;
    assert_ne!(nowhere.code, Some(0));
    project.run("db-backup prune --yes").await.must_exit(0).must_say("nothing is removed").must_say("failed");
    assert_eq!(project.names_in("backups/dev"), all);
    project.run("db-backup").await.must_exit(0);
    project.run("db-backup prune --yes").await.must_exit(0).must_say("removed");
    assert_eq!(project.names_in("backups/dev").len(), 2);
}

/// One that cannot be read, or was never finished, is newer than what is proven: older ones may be needed.
#[tokio::test]
async fn in_doubt_nothing_is_removed() {
    let (_database, project) = with_a_backup().await;
    for days in [2, 4, 6] {
        copy(&project, Utc::now() - TimeDelta::days(days));
    }
    let broken = copy(&project, Utc::now() + TimeDelta::seconds(5));
    let all = project.names_in("backups/dev");
    let manifest = format!("backups/dev/{broken}/manifest.json");
    project.change(&manifest, "{ \"format\": ");
    project.run("db-backup prune --yes").await.must_exit(0).must_say("cannot be read");
    project.run("db-backup check").await.must_exit(3);
    project.remove(&manifest);
    project.run("db-backup prune --yes").await.must_exit(0).must_say("is not finished");
    project.run("db-backup list").await.must_exit(0).must_say("unfinished");
    assert_eq!(project.names_in("backups/dev"), all);
}

/// Whoever reads a backup has said so; a reader that was killed has not.
#[tokio::test]
async fn one_that_is_read_stays() {
    let (_database, project) = with_a_backup().await;
    let [old, older, oldest] = [2, 4, 6].map(|days| copy(&project, Utc::now() - TimeDelta::days(days)));
    let ours = rehearsal::process::identity();
    let gone = ours.replacen(&std::process::id().to_string(), "4194305", 1);
    project.change(&format!("backups/.rehearsal/dev/leases/{older}/reader"), &ours);
    project.change(&format!("backups/.rehearsal/dev/leases/{oldest}/reader"), &gone);
    project.run("db-backup prune --yes").await.must_exit(0).must_say(&format!("{older} stays: somebody reads it"));
    let left = project.names_in("backups/dev");
    assert!(left.contains(&older) && left.contains(&old) && !left.contains(&oldest), "{left:?}");
}

#[tokio::test]
async fn without_rules_nothing_is_removed() {
    let project = project();
    let ended = project.run("db-backup prune").await;
    ended.must_exit(2);
    assert!(ended.error().1.contains("[backup.keep]"), "{:?}", ended.error());
}
