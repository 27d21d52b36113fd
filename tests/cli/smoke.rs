//! Smoke tests: a service that is started on copies of the sandbox's database, and one that runs.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use rehearsal_tests::{Database, Project, wait};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::release::{RELEASES, two_releases};

/// A value that must show nowhere.
const TOKEN: &str = "s3cr3t-t0k3n";

/// The requests that every service of these tests answers.
const REQUESTS: &str = "
[app]
run = './service.sh'
port_env = 'PORT'
start_limit = '20s'
secrets = ['ADMIN_KEY']

[[smoke]]
name = 'is healthy'
path = '/health'
expect = { '/status' = 'healthy', '/timestamp' = { there = true }, '/error' = { there = false } }

[[smoke]]
name = 'signs up'
flow = 'person'
method = 'POST'
path = '/people'
body = { name = 'ada {run}' }
status = 201
save = { name = '/name' }

[[smoke]]
name = 'knows its cookie'
flow = 'person'
path = '/people/{name}'
expect = { '/count' = 1, '/name' = '{name}', '/tags' = { contains = 'new' } }

[[smoke]]
name = 'nobody without a cookie'
path = '/people/ada'
status = 303
location = '/log-in'

[[smoke]]
name = 'lets the administrator in'
path = '/admin'
headers = { authorization = 'Bearer {key}' }
secrets = { key = 'ADMIN_KEY' }
contains = 'welcome'
";

/// Two releases and a service for each of them: the old one knows the table as `people`.
fn with_services() -> Project {
    let project = two_releases().write("rehearsal.toml", &format!("{RELEASES}{REQUESTS}"));
    script(&project, "service.sh", "TABLE=persons");
    script(&project, "before.sh", "TABLE=people");
    project
}

/// A program that is this one, told to serve.
pub fn script(project: &Project, name: &str, settings: &str) {
    let this = std::env::current_exe().expect("this program has a path");
    let words = format!("{} smoke::serves --exact --ignored --nocapture", this.display());
    project.change(name, &format!("#!/bin/sh\n{settings} exec {words}\n"));
    std::fs::set_permissions(project.path(name), std::fs::Permissions::from_mode(0o755)).expect("the mode is set");
}

/// The steps with what they say.
fn told(record: &serde_json::Value) -> Vec<String> {
    let steps = record["steps"].as_array().expect("steps");
    steps
        .iter()
        .filter(|step| ["migrate", "smoke", "rollback"].iter().any(|name| step["name"] == *name))
        .filter_map(|step| step["summary"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn old_and_new_code_are_tried_out_where_they_must_work() {
    let project = with_services();
    let ended = project.run("rehearse --smoke --app-before before.sh").await;
    ended.must_exit(0);
    let record = ended.record();
    assert_eq!(
        told(&record),
        [
            "app-before: 5 smoke tests passed",
            "2 migrations applied, now at version 4",
            "app-before: 5 smoke tests passed",
            "app: 5 smoke tests passed",
            "1 migration applied, now at version 5",
            "app: 5 smoke tests passed",
            "3 migrations undone, now at version 2",
            "3 migrations applied, now at version 5",
        ]
    );
    let smoke = record["steps"].as_array().expect("steps").iter().find(|step| step["name"] == "smoke");
    let first = &smoke.expect("a smoke step")["smoke"][0];
    assert_eq!(first["request"], "GET /health");
    assert!(first["passed"] == true && first["status"] == 200 && first["duration_ms"].is_u64(), "{first}");
    assert!(ended.summary().contains("| app-before | signs up | `POST /people` | 201 |"), "{}", ended.summary());
    // What the services wrote is beside the record, and as-before has seen nothing of their rows.
    let logs = project.names_in(".rehearsal/records").into_iter().filter(|name| name.ends_with(".log"));
    assert_eq!(logs.filter(|name| name.contains("-app")).count(), 2);
    assert!(ended.steps().contains(&"as-before done".to_owned()));
}

#[tokio::test]
async fn old_code_that_does_not_work_with_the_expand_part_is_found() {
    let project = with_services();
    // The view is forgotten: the name that running code uses is gone as soon as the release begins.
    project.change("migrations/3_persons.up.sql", "ALTER TABLE people RENAME TO persons;\n");
    project.change("migrations/3_persons.down.sql", "ALTER TABLE persons RENAME TO people;\n");
    project.change("migrations/5_contract.up.sql", "SELECT 1;\n");
    project.change("migrations/5_contract.down.sql", "SELECT 1;\n");
    let ended = project.run("rehearse --smoke --app-before before.sh").await;
    ended.must_exit(3);
    let (message, hint) = ended.error();
    assert!(message.contains("2 of 5 smoke tests failed: signs up, knows its cookie"), "{message}");
    assert!(hint.contains("-app-before.log"), "{hint}");
    ended.must_say("expected status 201, found 500").must_say("relation \"people\" does not exist");
    ended.must_say("`name` was not saved by a request before it");
}

/// The workspace's code knows a name that an earlier release has not made yet.
#[tokio::test]
async fn code_of_a_later_release_is_suspected_when_an_earlier_one_is_rehearsed() {
    let project = two_releases();
    let project = project.write("rehearsal.toml", &format!("{RELEASES}{REQUESTS}"));
    script(&project, "service.sh", "TABLE=persons");
    let ended = project.run("rehearse --smoke --release first").await;
    let (_, hint) = ended.must_exit(3).error();
    assert!(hint.contains("of a later release") && hint.contains("--app"), "{hint}");
}

#[tokio::test]
async fn a_wrong_answer_is_told_with_both_sides() {
    let project = two_releases();
    let text = format!("{RELEASES}{REQUESTS}").replace("'/status' = 'healthy'", "'/status' = 'well', '' = 1");
    let project = project.write("rehearsal.toml", &text);
    script(&project, "service.sh", "TABLE=persons");
    let ended = project.run("rehearse --smoke").await;
    ended.must_exit(3).must_say("/status: expected \"well\", found \"healthy\"").must_say("the body: expected 1");
    let record = ended.record();
    assert_eq!(record["outcome"], "refused");
    assert!(ended.summary().contains("**failed**"), "{}", ended.summary());
}

#[tokio::test]
async fn a_service_that_does_not_come_up_is_told_with_its_last_words() {
    let project = with_services();
    project.change("service.sh", "#!/bin/sh\necho 'no luck today' >&2\nexit 7\n");
    let ended = project.run("rehearse --smoke").await;
    ended.must_exit(1);
    let (message, hint) = ended.error();
    assert!(message.contains("it has ended (exit status: 7): no luck today"), "{message}");
    assert!(hint.contains("-app.log"), "{hint}");
    // One that runs and does not serve, with a child of its own.
    project.change("service.sh", "#!/bin/sh\necho silence\nsleep 600 &\nwait\n");
    let text = format!("{RELEASES}{REQUESTS}").replace("'20s'", "'300ms'");
    project.change("rehearsal.toml", &text);
    let ended = project.run("rehearse --smoke").await;
    ended.must_exit(1).must_say("/health gave no answer").must_say("silence");
    assert_eq!(processes_of(&project), [0; 0]);
}

#[tokio::test]
async fn an_interruption_ends_the_service() {
    let project = with_services();
    // It says that it is up only to us, so the command waits for it.
    project.change("service.sh", &format!("#!/bin/sh\ntouch {}\nsleep 600 &\nwait\n", project.path("up").display()));
    let running = project.start("rehearse --smoke");
    wait::until("the service is started", async || project.path("up").exists().then_some(())).await;
    assert!(!processes_of(&project).is_empty());
    running.signal(rustix::process::Signal::INT);
    let ended = running.end().await;
    ended.must_exit(130);
    project.must_be_clean_after(&ended).await;
    assert_eq!(processes_of(&project), [0; 0]);
    // Killed at once: its services hear of it from the system.
    project.remove("up");
    let script = format!("#!/bin/sh\ntouch {}\nexec sleep 600\n", project.path("up").display());
    project.change("service.sh", &script);
    let running = project.start("rehearse --smoke");
    wait::until("the service is started", async || project.path("up").exists().then_some(())).await;
    running.signal(rustix::process::Signal::KILL);
    let ended = running.end().await;
    wait::until("the service ends", async || processes_of(&project).is_empty().then_some(())).await;
    drop(ended);
    project.run("rehearse --rows 1").await.must_exit(0);
}

/// The processes that work in the project's folder: a service, and what it has started.
fn processes_of(project: &Project) -> Vec<u32> {
    let folder = project.folder().canonicalize().expect("the folder is there");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    processes
        .filter_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            (std::fs::read_link(process.path().join("cwd")).ok()? == folder && is_a_service(pid)).then_some(pid)
        })
        .collect()
}

fn is_a_service(pid: u32) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).into_owned();
    words.contains("service.sh") || words.contains("sleep\u{0}600")
}

#[tokio::test]
async fn the_service_before_is_built_from_a_revision() {
    let project = with_services();
    // What is built is what the revision has: an old service at first, then a new one.
    let toml =
        format!("{RELEASES}{REQUESTS}").replace("run = './service.sh'", "build = 'sh build.sh'\nrun = './built.sh'");
    project.change("rehearsal.toml", &toml);
    // A cargo that found this variable would build half of the world again.
    project.change("build.sh", "test -z \"$CARGO_MANIFEST_DIR\" && cp source.sh built.sh\n");
    std::fs::rename(project.path("before.sh"), project.path("source.sh")).expect("it is renamed");
    project.git(&["init", "--quiet"]);
    project.git(&["add", "source.sh", "build.sh"]);
    project.git(&["commit", "--quiet", "--message", "the release before"]);
    std::fs::rename(project.path("service.sh"), project.path("source.sh")).expect("it is renamed");
    let cache = project.path("cache").display().to_string();
    std::fs::create_dir(&cache).expect("a folder");
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o755)).expect("the mode is set");
    let project = project.variable("REHEARSAL_CACHE", &cache).variable("CARGO_MANIFEST_DIR", "/xtask");
    for _ in 0..2 {
        let ended = project.run("rehearse --smoke --app-before HEAD").await;
        ended.must_exit(0).must_say("app-before: 5 smoke tests passed").must_say("app: 5 smoke tests passed");
    }
    project.git(&["commit", "--quiet", "--all", "--message", "the release"]);
    let ended = project.run("rehearse --smoke --app-before HEAD~1 --app HEAD").await;
    ended.must_exit(0).must_say("app-before: 5 smoke tests passed").must_say("app: 5 smoke tests passed");
    assert_eq!(project.git(&["worktree", "list"]).lines().count(), 1, "the worktree is gone");
    let ended = project.run("rehearse --smoke --app-before no-such-thing").await;
    ended.must_exit(2).must_say("neither a file nor a revision");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_its_line() {
    for (text, words) in [
        ("[[smoke]]\nname = 'a'\npath = 'x'\n", "line 1: smoke test `a`: `path` must begin with `/`"),
        ("\n[[smoke]]\nname = 'a'\npath = '/{x}'\n", "line 2: smoke test `a`: nothing gives `{x}` a value"),
        ("[[smoke]]\nname = 'a'\nurl = 'x'\n", "line 3: unknown field `url`"),
        ("[app]\nrun = 'x'\n", "app.address_env or app.port_env must name"),
    ] {
        let project = two_releases().write("rehearsal.toml", text);
        project.run("rehearse").await.must_exit(2).must_say(words);
    }
    let project = two_releases();
    project.run("rehearse --smoke").await.must_exit(2).must_say("no [[smoke]] tables");
    project.run("rehearse --app-before x").await.must_exit(2);
    let one = "[[smoke]]\nname = 'a'\npath = '/'\nsecrets = { key = 'NO_SUCH_VARIABLE' }\n";
    project.change("rehearsal.toml", one);
    project.run("rehearse --smoke").await.must_exit(2).must_say("[app] has no `run`");
    let ended = project.run("smoke --url http://127.0.0.1:1").await;
    ended.must_exit(2).must_say("needs the environment variable NO_SUCH_VARIABLE");
    let ended = project.run(&format!("smoke --url http://me:{TOKEN}@127.0.0.1:1")).await;
    ended.must_exit(2);
    assert!(!ended.text().contains(TOKEN), "{}", ended.text());
}

/// A service that runs, as in a deployment. Killed with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_service_that_runs_is_asked_the_same() {
    let database = Database::create().await;
    let project = with_services().on(&database).variable("ADMIN_KEY", TOKEN);
    project.run("migrate").await.must_exit(0);
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let service = Command::new(project.path("service.sh"))
        .env("DATABASE_URL", database.url())
        .env("PORT", port.to_string())
        .env("ADMIN_KEY", TOKEN)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _service = Running(service.expect("the service starts"));
    wait::until("it serves", async || TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    let url = format!("http://127.0.0.1:{port}/");
    for words in [format!("smoke --url {url}"), format!("smoke --url {url} --target dev -v")] {
        let ended = project.run(&words).await;
        ended.must_exit(0).must_say("5 smoke tests passed");
        assert!(!ended.text().contains(TOKEN), "{}", ended.text());
    }
    // A wrong one comes back in the answer, and is not shown for that.
    let wrong = "wr0ng-k3y";
    let project = project.variable("ADMIN_KEY", wrong);
    let ended = project.run(&format!("smoke --url {url} -v")).await;
    ended.must_exit(3).must_say("1 of 5 smoke tests failed: lets the administrator in").must_say("[secret]");
    let record = ended.record().to_string();
    assert!(!ended.text().contains(wrong) && !record.contains(wrong), "{}", ended.text());
    let ended = project.run("smoke --url http://127.0.0.1:1").await;
    ended.must_exit(3).must_say("no answer");
}

/// The service that the tests above start: a person is a row, and the cookie says that somebody signed up.
#[tokio::test]
#[ignore = "it is what the other tests start"]
async fn serves() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    assert!(std::env::var("REHEARSAL_PROVIDER").is_err(), "nothing is inherited that was not named");
    let mut database = PgConnection::connect(&variable("DATABASE_URL")).await.expect("the database is there");
    let listener = TcpListener::bind(format!("127.0.0.1:{}", variable("PORT"))).await.expect("the port is free");
    loop {
        let (stream, _) = listener.accept().await.expect("somebody comes");
        answer(stream, &mut database, &variable("TABLE"), &variable("ADMIN_KEY")).await;
    }
}

/// Reads one request and answers it.
async fn answer(stream: TcpStream, database: &mut PgConnection, table: &str, key: &str) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim().to_owned();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        head.push(line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("the body comes");
    let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
    let request = head[0].trim_end_matches(" HTTP/1.1");
    let (status, more, answer) = match request.split_once(' ').expect("method and path") {
        ("GET", "/health") => ("200 OK", "", json!({"status": "healthy", "timestamp": 1}).to_string()),
        ("POST", "/people") => {
            let name = serde_json::from_slice::<serde_json::Value>(&body).expect("JSON")["name"].clone();
            let insert = format!("INSERT INTO {table} (name) VALUES ($1)");
            match sqlx::query(AssertSqlSafe(insert)).bind(name.as_str()).execute(&mut *database).await {
                Ok(_) => ("201 Created", "set-cookie: known=yes; Path=/\r\n", json!({ "name": name }).to_string()),
                Err(error) => ("500 Internal Server Error", "", error.to_string()),
            }
        }
        ("GET", path) if path.starts_with("/people/") && header("cookie:") == "known=yes" => {
            let name = path.trim_start_matches("/people/").replace("%20", " ");
            let count = format!("SELECT count(*) FROM {table} WHERE name = $1");
            let row = sqlx::query(AssertSqlSafe(count)).bind(&name).fetch_one(&mut *database).await.expect("a row");
            let count = row.get::<i64, _>(0);
            ("200 OK", "", json!({"name": name, "count": count, "tags": ["new", 1]}).to_string())
        }
        ("GET", "/admin") if header("authorization:") == format!("Bearer {key}") => ("200 OK", "", "welcome".into()),
        ("GET", "/admin") => ("403 Forbidden", "", format!("not with {}", header("authorization:"))),
        _ => ("303 See Other", "location: /log-in\r\n", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    stream.write_all(format!("{head}{answer}").as_bytes()).await.expect("it is taken");
    stream.shutdown().await.expect("it is taken");
}
