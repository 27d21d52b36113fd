//! TLS in each of its modes: sqlx and pg_dump come in the same way, or neither does.

use insta::assert_snapshot;
use rehearsal::postgres::Tools;
use rehearsal::postgres::libpq::Libpq;
use rehearsal::postgres::tools::Invocation;
use rehearsal::postgres::version::Version;
use rehearsal::providers::provider::DEFAULT_MAJOR;
use rehearsal::target::Target;
use rehearsal_tests::certificates::Authority;
use rehearsal_tests::listening::{self, Wanted};
use rehearsal_tests::{Listening, Project, docker};
use tokio_util::sync::CancellationToken;

use crate::project;

/// A certificate of each kind: of an authority, of a stranger, and an expired one.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

fn one_table(url: &str) -> Project {
    let project = project().migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n");
    let home = project.path("home").display().to_string();
    project.write("home/empty", "").variable("HOME", &home).variable("DATABASE_URL", url)
}

async fn server(programs: &std::path::Path, expired: bool) -> (Listening, Files) {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "authority");
    let _ = Authority::new(folder.path(), "stranger");
    let signed = authority.sign("server", "database", &["localhost"], expired);
    let _ = authority.sign("certified", "certified", &[], false);
    let tls = Some((&signed, folder.path().join("authority.crt")));
    let tls = tls.as_ref().map(|(signed, path)| (*signed, path.as_path()));
    let server = Listening::start(programs, Wanted { tls, ..Wanted::default() }).await;
    (server, Files { folder })
}

#[tokio::test]
async fn every_mode_leads_sqlx_and_pg_dump_in_by_the_same_way() {
    let Some(programs) = listening::programs("tls") else { return };
    let (server, files) = server(&programs, false).await;
    let (port, root) = (server.port(), files.path("authority.crt"));
    let all = format!("postgres://secured:s%40cret@localhost:{port}");
    for (user, mode, way) in [
        ("plain", "disable".to_owned(), "plain"),
        // Each of the two that try: what they try first is not let in.
        ("plain", "prefer".to_owned(), "plain"),
        ("secured", "allow".to_owned(), "TLS"),
        ("secured", "prefer".to_owned(), "TLS"),
        ("secured", "require".to_owned(), "TLS"),
        ("secured", format!("require&sslrootcert={root}"), "TLS"),
        ("secured", format!("verify-ca&sslrootcert={root}"), "TLS"),
        ("secured", format!("verify-full&sslrootcert={root}&channel_binding=require"), "TLS"),
    ] {
        server.create("it", user, "s@cret").await;
        let url = format!("{}/it?sslmode={mode}", all.replace("secured", user));
        let project = one_table(&url);
        project.run("migrate").await.must_exit(0);
        project.run("db-backup").await.must_exit(0);
        let sessions = server.sessions(user);
        assert!(sessions.iter().any(|session| session.starts_with("rehearsal/migrate ")), "{mode}: {sessions:?}");
        assert!(sessions.iter().any(|session| session.starts_with("rehearsal/pg_dump-")), "{mode}: {sessions:?}");
        assert!(sessions.iter().all(|session| session.ends_with(way)), "{mode}: {sessions:?}");
        rehearsal_tests::database::execute(&server.database("postgres"), "DROP DATABASE it").await;
        rehearsal_tests::database::execute(&server.database("postgres"), &format!("DROP ROLE {user}")).await;
    }
}

/// A pg_dump out of an image has the certificates and the socket of this machine, and no more of it.
#[tokio::test]
async fn programs_out_of_an_image_are_lent_the_certificates() {
    const TEST: &str = "programs_out_of_an_image_are_lent_the_certificates";
    if !docker::is_usable(TEST).await {
        return;
    }
    let Some(programs) = listening::programs(TEST) else { return };
    let (server, files) = server(&programs, false).await;
    server.create("it", "certified", "none").await;
    let [certificate, key, root] = ["certified.crt", "certified.key", "authority.crt"].map(|name| files.path(name));
    let place = format!("postgres://certified@localhost:{}/it", server.port());
    let given = format!("?sslmode=verify-full&sslrootcert={root}&sslcert={certificate}&sslkey={key}");
    let socket = format!("?host={}", server.socket().display());
    let tools = Tools::Image {
        image: rehearsal::providers::docker::official_image(DEFAULT_MAJOR),
        version: Version { major: DEFAULT_MAJOR, minor: 0 },
    };
    let cancel = CancellationToken::new();
    for (parameters, way) in [(given, "TLS"), (socket, "plain")] {
        let target = Target::on_machine("it", Some(&format!("{place}{parameters}")), &Libpq::default()).expect("reads");
        let invocation = Invocation {
            program: "pg_dump",
            arguments: &["--schema-only".to_owned()],
            target: &target,
            purpose: way,
            folder: None,
            list: None,
        };
        let dump = tools.run(&invocation, &cancel).await.unwrap_or_else(|error| panic!("{way}: {error}"));
        assert!(String::from_utf8_lossy(&dump).contains("PostgreSQL database dump complete"), "{way}");
        let sessions = server.sessions("certified");
        assert!(sessions.contains(&format!("rehearsal/{way} {way}")), "{sessions:?}");
    }
}

/// The two lines, without what differs from run to run.
fn told(project: &Project, words: &[(&str, &str)], command: &str, ended: &rehearsal_tests::Ended) -> String {
    let (error, hint) = ended.error();
    let folder = project.folder().display().to_string();
    let text = words.iter().fold(format!("{error}\n{hint}\n"), |text, (from, to)| text.replace(from, to));
    format!("{command}\n{}", text.replace(&folder, "[PROJECT]"))
}

#[tokio::test]
async fn what_does_not_fit_is_told_with_the_way_out() {
    let Some(programs) = listening::programs("tls") else { return };
    let (server, files) = server(&programs, false).await;
    server.create("it", "secured", "secret").await;
    server.create("certified", "certified", "secret").await;
    let (root, stranger) = (files.path("authority.crt"), files.path("stranger.crt"));
    let open_key = files.path("open.key");
    std::fs::copy(files.path("certified.key"), &open_key).expect("it can be copied");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&open_key, mode).expect("its mode can be set");
    let (port, folder) = (server.port().to_string(), files.path(""));
    let mut all = String::new();
    for (place, parameters) in [
        ("secured:secret@127.0.0.1", format!("sslmode=verify-full&sslrootcert={root}")),
        ("secured:secret@localhost", format!("sslmode=verify-full&sslrootcert={stranger}")),
        ("secured:secret@localhost", format!("sslmode=verify-ca&sslrootcert={stranger}")),
        // libpq compares here as well, and sqlx by itself would not.
        ("secured:secret@localhost", format!("sslmode=require&sslrootcert={stranger}")),
        ("secured:secret@localhost", "sslmode=verify-full&sslrootcert=/nowhere.crt".into()),
        ("secured:secret@localhost", "sslmode=require&sslrootcert=system".into()),
        ("secured:secret@localhost", "sslmode=disable".into()),
        ("secured:secret@localhost", "sslmode=require&channel_binding=require".into()),
        ("secured:secret@localhost", "sslmode=require&require_auth=scram-sha-256".into()),
        ("secured:secret@localhost", "sslmode=verify-full&hostaddr=127.0.0.1".into()),
        ("certified@localhost", "sslmode=require".into()),
        ("certified@localhost", format!("sslmode=require&sslcert={}", files.path("certified.crt"))),
        ("certified@localhost", format!("sslmode=require&sslcert={}&sslkey={open_key}", files.path("certified.crt"))),
    ] {
        let project = one_table(&format!("postgres://{place}:{port}/it?{parameters}"));
        let ended = project.run("migrate").await;
        ended.must_exit(2);
        let words = [(folder.as_str(), "[FILES]/"), (&port, "[PORT]")];
        let command = format!("{place} {}", parameters.replace(&folder, "[FILES]/"));
        all.push_str(&told(&project, &words, &command, &ended));
        all.push('\n');
    }
    assert_snapshot!("tls_refused", all);
}

#[tokio::test]
async fn a_certificate_that_has_expired_and_a_server_without_tls() {
    let Some(programs) = listening::programs("tls") else { return };
    let (expired, files) = server(&programs, true).await;
    let none = Listening::start(&programs, Wanted::default()).await;
    let root = files.path("authority.crt");
    for (server, hint) in [(&expired, "have it renewed"), (&none, "ssl = on")] {
        let url = format!("postgres://me:secret@localhost:{}/it?sslmode=verify-full&sslrootcert={root}", server.port());
        let ended = one_table(&url).run("status").await;
        assert!(ended.must_exit(2).error().1.contains(hint), "{}", ended.text());
    }
    // As everywhere, a socket of this machine needs none.
    none.create("it", "me", "secret").await;
    let url = format!("postgres://me@localhost:{}/it?host={}&sslmode=require", none.port(), none.socket().display());
    let project = one_table(&url);
    project.run("migrate").await.must_exit(0);
    project.run("db-backup").await.must_exit(0);
    project.run("sqlx migrate info --target dev").await.must_exit(0);
}

#[tokio::test]
async fn certificates_of_clients_and_the_users_own_files() {
    let Some(programs) = listening::programs("tls") else { return };
    let (server, files) = server(&programs, false).await;
    server.create("it", "certified", "none").await;
    let place = format!("postgres://certified@localhost:{}/it", server.port());
    let [certificate, key, root] = ["certified.crt", "certified.key", "authority.crt"].map(|name| files.path(name));
    let given =
        one_table(&format!("{place}?sslmode=verify-full&sslrootcert={root}&sslcert={certificate}&sslkey={key}"));
    // Where libpq looks by itself.
    let own = one_table(&format!("{place}?sslmode=verify-full"));
    for (from, to) in [(&certificate, "postgresql.crt"), (&key, "postgresql.key"), (&root, "root.crt")] {
        std::fs::create_dir_all(own.path("home/.postgresql")).expect("a folder");
        std::fs::copy(from, own.path("home/.postgresql").join(to)).expect("it can be copied");
    }
    let system = one_table(&format!("{place}?sslrootcert=system"));
    let variables = [("SSL_CERT_FILE", &root), ("PGSSLCERT", &certificate), ("PGSSLKEY", &key)];
    let system = variables.iter().fold(system, |project, (name, value)| project.variable(name, value));
    for project in [given, own, system] {
        project.run("migrate").await.must_exit(0);
        project.run("db-backup").await.must_exit(0);
        project.run("rehearse --target dev").await.must_exit(0);
        project.run("sqlx migrate info --target dev").await.must_exit(0);
        project.run("rollback --to 0").await.must_exit(0);
    }
    assert!(server.sessions("certified").iter().all(|session| session.ends_with("TLS")));
}
