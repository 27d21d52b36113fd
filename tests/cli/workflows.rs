//! The lines of each workflow, run in their order as GitHub's runner runs them, against databases of this machine.

use rehearsal_tests::workflow::{Given, Ran, Workflow, names};
use rehearsal_tests::{Database, server};

use crate::releases::at;
use crate::smoke::script;
use crate::{all_releases, project};

/// The version before the newest release of this workspace, and the one it goes to.
const BEFORE: i64 = 19;
const AFTER: i64 = 23;

/// A comment on a pull request takes that many characters.
const COMMENT: usize = 65_536;

/// A service that says how it is.
const SERVICE: &str = "[app]\nrun = './service.sh'\nport_env = 'PORT'\nstart_limit = '20s'\nsecrets = ['ADMIN_KEY']\n\
     [[smoke]]\nname = 'is healthy'\npath = '/health'\n";

fn given(values: &[(&str, &str)]) -> Given {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[track_caller]
fn must_be_good(ran: &[Ran], lines: &[&str]) {
    for ran in ran {
        ran.ended.must_exit(0);
    }
    let seen: Vec<&str> = ran.iter().map(|ran| ran.line.as_str()).collect();
    assert_eq!(seen, lines, "every line of the job is run");
}

async fn version(database: &Database) -> i64 {
    database.value("SELECT max(version) FROM _sqlx_migrations").await
}

#[tokio::test]
async fn a_pull_request_is_rehearsed_and_reported() {
    let project = all_releases();
    // The service itself is tried out elsewhere: here, another one answers for it.
    let config = std::fs::read_to_string(project.path("rehearsal.toml")).expect("rehearsal.toml is read");
    let (config, _) = config.split_once("# How `rehearse --smoke` builds").expect("the part about the service");
    project.change("rehearsal.toml", &format!("{config}{SERVICE}"));
    project.change("target/.keep", "");
    script(&project, "service.sh", "TABLE=people");
    let workflow = Workflow::read("rehearse.yml");
    let provider = server().provider();
    let ran = workflow.run("rehearse", &project, &Given::new(), &[("REHEARSAL_PROVIDER", provider)]).await;
    must_be_good(&ran, &workflow.lines("rehearse"));
    assert!(ran[0].summary.starts_with("# ✓ rehearse of R5: done\n"), "{}", ran[0].summary);
    let comment = std::fs::read_to_string(project.path("target/rehearsal.md")).expect("the comment");
    assert!(comment.len() < COMMENT && comment.starts_with("# ✓ rehearse of R5: done\n"), "{} bytes", comment.len());
    for file in ["html", "json"] {
        assert!(project.path(&format!("target/rehearsal.{file}")).is_file(), "the report as {file}");
    }
    assert!(workflow.lines("comment").is_empty(), "what may write comments runs no code of the pull request");
}

/// A rehearsal that fails is reported all the same, and the job is red.
#[tokio::test]
async fn a_pull_request_that_fails_is_reported() {
    let project = project().items(100).migration("4_bad", "SELECT 1;\nSELECT nonsense;\n", "SELECT 1;\n");
    project.change("target/.keep", "");
    let workflow = Workflow::read("rehearse.yml");
    project.change("rehearsal.toml", SERVICE);
    script(&project, "service.sh", "TABLE=people");
    let provider = server().provider();
    let ran = workflow.run("rehearse", &project, &Given::new(), &[("REHEARSAL_PROVIDER", provider)]).await;
    assert_eq!(ran.len(), workflow.lines("rehearse").len(), "the report is made all the same");
    assert_ne!(ran[0].ended.code, Some(0));
    let comment = std::fs::read_to_string(project.path("target/rehearsal.md")).expect("the comment");
    assert!(comment.starts_with("# ✗ rehearse: failed\n"), "{comment}");
    assert!(comment.contains("migrations/4_bad.up.sql:2:8"), "{comment}");
    assert!(ran[0].summary.starts_with("# ✗ rehearse: failed\n"), "{}", ran[0].summary);
}

#[tokio::test]
async fn a_release_goes_to_staging_then_to_production_and_back() {
    let (staging, project) = at(BEFORE).await;
    let production = staging.copy().await;
    let workflow = Workflow::read("release.yml");
    let mut given = given(&[
        ("vars.BACKUP_TO", ""),
        ("vars.AWS_REGION", ""),
        ("secrets.AWS_ACCESS_KEY_ID", ""),
        ("secrets.AWS_SECRET_ACCESS_KEY", ""),
        ("github.server_url", "https://github.example"),
        ("github.repository", "me/shop"),
        ("github.run_id", "17"),
    ]);
    // Each job knows the secrets of its own environment alone.
    given.insert("secrets.STAGING_DATABASE_URL".into(), staging.url());
    // A backup on the runner's disk would go with it.
    let ran = workflow.run("staging", &project, &given, &[]).await;
    ran[0].ended.must_exit(2).must_say("REHEARSAL_BACKUP_TO is set, and empty");
    given.insert("vars.BACKUP_TO".into(), "backups".into());
    let ran = workflow.run("staging", &project, &given, &[]).await;
    must_be_good(&ran, &workflow.lines("staging"));
    assert_eq!((version(&staging).await, version(&production).await), (AFTER, BEFORE));
    assert!(ran.iter().all(|ran| ran.summary.starts_with("# ✓ ")), "each step has its summary");
    given.remove("secrets.STAGING_DATABASE_URL");

    given.insert("secrets.PRODUCTION_DATABASE_URL".into(), production.url());
    let ran = workflow.run("production", &project, &given, &[]).await;
    must_be_good(&ran, &workflow.lines("production"));
    assert_eq!(version(&production).await, AFTER);
    let by = "the reviewers of https&#58;//github.example/me/shop/actions/runs/17";
    assert!(ran[2].summary.contains(by), "{}", ran[2].summary);

    given.insert("secrets.STAGING_DATABASE_URL".into(), String::new());
    given.insert("inputs.target".into(), "production".into());
    given.insert("inputs.version".into(), BEFORE.to_string());
    let ran = workflow.run("rollback", &project, &given, &[]).await;
    must_be_good(&ran, &workflow.lines("rollback"));
    assert_eq!((version(&staging).await, version(&production).await), (AFTER, BEFORE));
    assert!(workflow.lines("evidence").is_empty(), "what signs runs no code of ours");
    assert_eq!(workflow.jobs(), ["staging", "production", "rollback", "evidence"]);
}

/// Whoever forgets the version is asked for it, and nothing is undone.
#[tokio::test]
async fn a_rollback_without_a_version_is_refused() {
    let (staging, project) = at(BEFORE).await;
    let given = given(&[
        ("vars.BACKUP_TO", ""),
        ("vars.AWS_REGION", ""),
        ("secrets.AWS_ACCESS_KEY_ID", ""),
        ("secrets.AWS_SECRET_ACCESS_KEY", ""),
        ("secrets.STAGING_DATABASE_URL", &staging.url()),
        ("secrets.PRODUCTION_DATABASE_URL", ""),
        ("inputs.target", "staging"),
        ("inputs.version", ""),
    ]);
    let ran = Workflow::read("release.yml").run("rollback", &project, &given, &[]).await;
    assert_eq!(ran.len(), 1, "what follows is not run");
    ran[0].ended.must_exit(2).must_say("invalid value '' for '--to <VERSION>'");
    assert_eq!(version(&staging).await, BEFORE);
}

#[tokio::test]
async fn every_night_a_backup_is_made_proven_and_the_old_ones_go() {
    let (production, project) = at(BEFORE).await;
    let given = given(&[
        ("vars.BACKUP_TO", "nightly"),
        ("vars.AWS_REGION", ""),
        ("secrets.AWS_ACCESS_KEY_ID", ""),
        ("secrets.AWS_SECRET_ACCESS_KEY", ""),
        ("secrets.PRODUCTION_DATABASE_URL", &production.url()),
    ]);
    let workflow = Workflow::read("backup.yml");
    let ran = workflow.run("backup", &project, &given, &[]).await;
    must_be_good(&ran, &workflow.lines("backup"));
    assert_eq!(project.names_in("nightly/production").len(), 1, "the newest proven one stays");
    assert!(!project.path("backups/production").exists(), "it is where the variable says");
}

/// Its other lines build and test this workspace, and so this very test.
#[tokio::test]
async fn ci_rehearses_the_newest_release() {
    let project = all_releases();
    let workflow = Workflow::read("ci.yml");
    for line in workflow.jobs().into_iter().flat_map(|job| workflow.lines(job)) {
        let line = if line == "cargo xtask rehearse" { line.to_owned() } else { format!("{line} --help") };
        let variables = [("GITHUB_ACTIONS".to_owned(), "true".to_owned())].into();
        project.start_line(&line, &variables).end().await.must_exit(0);
    }
    assert_eq!(names(), ["backup.yml", "ci.yml", "rehearse.yml", "release.yml"], "each workflow has its test here");
}
