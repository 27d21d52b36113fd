//! `[[hooks]]`: around a change of a target, and put back whatever happens.

use rehearsal_tests::{Database, Ended, Project, until};
use rustix::process::Signal;

use crate::project;

const TARGET: &str = "[targets.dev]\nurl_env = 'DATABASE_URL'\n";

/// Maintenance mode as a file: what the hooks were told is in the order of their lines.
const MAINTENANCE: &str = "
[[hooks]]
name = 'maintenance on'
when = 'before'
run = ['sh', '-c', 'touch maintenance; echo on $REHEARSAL_COMMAND $REHEARSAL_TARGET ${REHEARSAL_OUTCOME-none} >> told']

[[hooks]]
name = 'restart'
when = 'after'
run = ['sh', '-c', 'echo restart >> told']

[[hooks]]
name = 'maintenance off'
when = 'always'
run = ['sh', '-c', 'rm -f maintenance; echo off $REHEARSAL_OUTCOME >> told']
";

fn with(hooks: &str) -> Project {
    project()
        .migration("1_t", "CREATE TABLE t (id int);", "DROP TABLE t;")
        .write("rehearsal.toml", &format!("{TARGET}{hooks}"))
}

fn told(project: &Project) -> Vec<String> {
    let text = std::fs::read_to_string(project.path("told")).unwrap_or_default();
    assert!(!project.path("maintenance").exists(), "maintenance mode is still on: {text}");
    let _ = std::fs::remove_file(project.path("told"));
    text.lines().map(str::to_owned).collect()
}

fn hook(ended: &Ended, name: &str) -> serde_json::Value {
    let record = ended.record();
    let steps = record["steps"].as_array().cloned().unwrap_or_default();
    let found = steps.into_iter().map(|step| step["hook"].clone()).find(|hook| hook["name"] == name);
    found.unwrap_or_else(|| panic!("no hook {name} in {record}"))
}

#[tokio::test]
async fn they_stand_around_a_change() {
    let database = Database::create().await;
    let project = with(MAINTENANCE).on(&database);
    let planned = project.run("plan").await;
    planned.must_exit(0).must_say("before  maintenance on: sh -c").must_say("always  maintenance off: sh -c");
    let ended = project.run("migrate").await;
    ended.must_exit(0);
    assert_eq!(ended.steps(), ["hook done", "preflight done", "audit done", "migrate done", "hook done", "hook done"]);
    assert_eq!(told(&project), ["on migrate dev none", "restart", "off done"]);
    assert_eq!(hook(&ended, "restart")["exit"], 0);
    assert!(ended.summary().contains("hook maintenance on (before)"), "{}", ended.summary());
    project.run("migrate").await.must_exit(0);
    assert!(told(&project).is_empty(), "nothing to do, nothing to stand around");
    project.run("rollback").await.must_exit(0);
    assert_eq!(told(&project), ["on rollback dev none", "restart", "off done"]);
    project.run("rehearse").await.must_exit(0);
    assert!(told(&project).is_empty(), "a rehearsal is no change of a target");
}

#[tokio::test]
async fn what_is_always_run_is_run_after_a_failure() {
    let database = Database::create().await;
    let project = with(MAINTENANCE).on(&database).write("migrations/1_t.up.sql", "SELECT 1 / 0;");
    let ended = project.run("migrate").await;
    ended.must_exit(1).must_say("division by zero");
    assert_eq!(told(&project), ["on migrate dev none", "off failed"]);
}

#[tokio::test]
async fn what_is_always_run_is_run_after_ctrl_c() {
    let database = Database::create().await;
    let project = with(MAINTENANCE).on(&database).write("migrations/1_t.up.sql", "SELECT pg_sleep(600);");
    let running = project.start("migrate");
    until("the statement runs", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                   AND query LIKE '%SELECT pg_sleep%' AND pid <> pg_backend_pid()";
        (database.value::<i64>(sql).await > 0).then_some(())
    })
    .await;
    running.signal(Signal::INT);
    let ended = running.end().await;
    ended.must_exit(130);
    assert_eq!(told(&project), ["on migrate dev none", "off interrupted"]);
    assert_eq!(ended.record()["outcome"], "interrupted");
}

#[tokio::test]
async fn a_hook_that_fails_before_ends_it_before_anything_is_written() {
    let database = Database::create().await;
    let before = database.everything().await;
    let fails = MAINTENANCE.replace("touch maintenance;", "touch maintenance; echo no such host >&2; exit 7;");
    let project = with(&fails).on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(1);
    let (error, hint) = ended.error();
    assert_eq!(error, "hook `maintenance on` failed (exit code 7): no such host");
    assert!(hint.contains("nothing was written to the database"), "{hint}");
    assert_eq!(told(&project), ["off failed"]);
    assert_eq!(hook(&ended, "maintenance on")["exit"], 7);
    assert_eq!(database.everything().await, before);
}

#[tokio::test]
async fn the_first_failure_is_the_one_that_is_told() {
    let database = Database::create().await;
    let fails = MAINTENANCE.replace("'echo restart >> told'", "'exit 3'").replace("echo off", "false; exit 4; echo");
    let ended = with(&fails).on(&database).run("migrate").await;
    ended.must_exit(1);
    assert_eq!(ended.error().0, "hook `restart` failed (exit code 3)");
    assert_eq!(ended.steps().last().map(String::as_str), Some("hook failed"));
    assert_eq!(database.applied().await, ["1"]);
}

#[tokio::test]
async fn a_hook_that_hangs_is_stopped_with_all_that_it_started() {
    let database = Database::create().await;
    let hangs = "[[hooks]]\nname = 'hangs'\nwhen = 'before'\nlimit = '300ms'\n\
                 run = ['sh', '-c', 'sleep 600 & echo $! > child; wait']\n";
    let project = with(hangs).on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(1).must_say("hook `hangs` took longer than 300ms and was stopped");
    must_be_gone(&project, "child").await;
}

#[tokio::test]
async fn ctrl_c_ends_a_hook_and_a_second_one_gives_up() {
    let database = Database::create().await;
    let hangs = "[[hooks]]\nname = 'hangs'\nwhen = 'before'\nrun = ['sh', '-c', 'echo $$ > child; exec sleep 600']\n\
                 [[hooks]]\nname = 'hangs too'\nwhen = 'always'\nrun = ['sh', '-c', 'echo $$ > second; exec sleep 600']\n";
    let project = with(hangs).on(&database);
    let running = project.start("migrate");
    for file in ["child", "second"] {
        until("the hook runs", async || {
            let text = std::fs::read_to_string(project.path(file)).unwrap_or_default();
            text.ends_with('\n').then_some(())
        })
        .await;
        running.signal(Signal::INT);
    }
    running.end().await.must_exit(130);
    must_be_gone(&project, "child").await;
    must_be_gone(&project, "second").await;
}

async fn must_be_gone(project: &Project, file: &str) {
    let pid = std::fs::read_to_string(project.path(file)).expect("the hook has begun");
    let stat = format!("/proc/{}/stat", pid.trim());
    until("the hook's child is gone", async || {
        let text = std::fs::read_to_string(&stat).unwrap_or_default();
        // One that nobody has waited for yet is gone as well.
        (text.is_empty() || text.contains(") Z ")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_it_writes_is_capped_and_harmless() {
    let database = Database::create().await;
    let writes = "[[hooks]]\nname = 'writes'\nwhen = 'after'\n\
                  run = ['sh', '-c', 'seq 1 200000; printf \"\\\\033[31mred\\\\007\\\\n\" >&2']\n";
    let project = with(writes).on(&database);
    let ended = project.run("migrate -v").await;
    ended.must_exit(0).must_say("200000");
    let hook = hook(&ended, "writes");
    let output = hook["output"].as_array().expect("lines");
    assert_eq!((output.len(), hook["more"].as_bool()), (20, Some(true)));
    assert_eq!(output[19], " [31mred ");
    assert!(!ended.text().contains(['\u{1b}', '\u{7}']), "{}", ended.text());
}

#[tokio::test]
async fn it_sees_no_secret_but_those_that_it_names() {
    let database = Database::create().await;
    let prints = |secrets: &str| {
        format!("[[hooks]]\nname = 'prints'\nwhen = 'before'\nsecrets = [{secrets}]\nrun = ['sh', '-c', 'env']\n")
    };
    let url = database.url();
    for (secrets, sees) in [("", false), ("'TOKEN'", true)] {
        let project = with(&prints(secrets)).on(&database).variable("TOKEN", "hunter2hunter2");
        let ended = project.run("migrate -v").await;
        ended.must_exit(0).must_say("REHEARSAL_TARGET=dev").must_say("REHEARSAL_RUN_ID=");
        let all = format!("{}{}{}", ended.text(), ended.record(), ended.summary());
        assert!(!all.contains("hunter2") && !all.contains(&url) && !all.contains("DATABASE_URL"), "{all}");
        assert_eq!(all.contains("TOKEN=[secret]"), sees, "{all}");
        project.run("rollback").await.must_exit(0);
    }
    let ended = with(&prints("'TOKEN'")).on(&database).run("migrate").await;
    ended.must_exit(2).must_say("hook `prints` needs the environment variable TOKEN");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told() {
    let database = Database::create().await;
    let missing = "[[hooks]]\nname = 'missing'\nwhen = 'before'\nrun = ['no-such-program-anywhere']\n";
    let ended = with(missing).on(&database).run("migrate").await;
    ended.must_exit(1).must_say("hook `missing` cannot be started: no-such-program-anywhere: ");
    assert!(ended.error().1.contains("nothing was written"), "{}", ended.text());
}

#[tokio::test]
async fn targets_releases_and_commands_choose() {
    let database = Database::create().await;
    let hooks = "[[releases]]\nname = 'R'\nafter = 0\nto = 1\n[targets.other]\n\
        [[hooks]]\nname = 'a'\nwhen = 'before'\ntargets = ['other']\nrun = ['sh', '-c', 'echo a >> told']\n\
        [[hooks]]\nname = 'b'\nwhen = 'before'\non = ['rollback']\nrun = ['sh', '-c', 'echo b >> told']\n\
        [[hooks]]\nname = 'c'\nwhen = 'before'\nreleases = ['R']\nrun = ['sh', '-c', 'echo c $REHEARSAL_RELEASE >> told']\n";
    let project = with(hooks).on(&database);
    project.run("migrate").await.must_exit(0);
    assert_eq!(told(&project), ["c R"]);
    project.run("rollback").await.must_exit(0);
    assert_eq!(told(&project), ["b", "c R"]);
}

#[tokio::test]
async fn what_cannot_be_meant_is_told_with_its_line() {
    let good = "[[hooks]]\nname = 'a'\nwhen = 'before'\nrun = ['true']\n";
    for (hooks, line, words) in [
        (good.replace("['true']", "[]"), 3, "hook `a`: `run` must name a program"),
        (format!("{good}{good}"), 7, "hook `a`: there is another one of that name"),
        (format!("{good}shell = true\n"), 7, "unknown field `shell`"),
        (format!("{good}targets = ['prodution']\n"), 3, "hook `a`: there is no target `prodution`"),
        (format!("{good}releases = ['R9']\n"), 3, "hook `a`: there is no release `R9`"),
        (good.replace("before", "sometimes"), 5, "unknown variant `sometimes`"),
    ] {
        let ended = with(&hooks).run("status").await;
        ended.must_exit(2).must_say(&format!("rehearsal.toml: line {line}: {words}"));
    }
}
