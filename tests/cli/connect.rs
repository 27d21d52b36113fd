//! What stands in a database URL, or beside it in the environment, and where it leads to.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use rehearsal_tests::listening::{self, Wanted};
use rehearsal_tests::{Database, Listening, Project, server};

use crate::project;

fn with(url: &str, parameters: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{parameters}")
}

fn one_table() -> Project {
    project().migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n")
}

/// A tenant of a schema each: a setting that got lost would migrate somebody else's.
#[tokio::test]
async fn settings_of_the_url_reach_sessions_programs_and_the_copy() {
    for spelling in
        ["options=-c%20search_path%3Dtenant1", "options=--search-path%3Dtenant1", "options[search_path]=tenant1"]
    {
        let database = Database::create().await;
        database.execute("CREATE SCHEMA tenant1").await;
        // Divides by zero in any other schema, so that the copy cannot be one either.
        let up = "CREATE TABLE a AS SELECT 1 / (current_schema() = 'tenant1')::int AS id;\n";
        let project = project().migration("1_a", up, "DROP TABLE a;\n");
        let project = project.variable("DATABASE_URL", &with(&database.url(), spelling));
        let rehearsal = project.run("rehearse --target dev").await;
        rehearsal.must_exit(0);
        project.run("migrate").await.must_exit(0);
        let places = "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = 'a'";
        assert_eq!(database.list(places).await, ["tenant1"], "{spelling}");
    }
}

/// A database, the URL of a role with the password `secret`, and the role that it has to take on before it may read.
async fn read_by_another_role() -> (Database, String, String) {
    let database = Database::create().await;
    let (login, reader) = (format!("login_{}", database.name()), format!("reader_{}", database.name()));
    let url = database.role(&login, "secret").await;
    database
        .execute(&format!(
            "CREATE TABLE a (id int); CREATE ROLE {reader}; GRANT pg_read_all_data TO {reader}; \
             ALTER ROLE {login} NOINHERIT; GRANT {reader} TO {login}"
        ))
        .await;
    (database, url, reader)
}

/// pg_dump must take it on as well.
#[tokio::test]
async fn pg_dump_begins_with_the_settings_of_the_url() {
    let (_database, url, reader) = read_by_another_role().await;
    let project = one_table();
    let project = project.variable("DATABASE_URL", &with(&url, &format!("options=-c%20role%3D{reader}")));
    project.run("db-backup").await.must_exit(0);
}

#[tokio::test]
async fn known_parameters_are_taken_and_unknown_ones_refused() {
    let database = Database::create().await;
    let harmless = "statement-cache-capacity=10&ssl-mode=disable&connect_timeout=7&keepalives_idle=30&\
                    gssencmode=disable&target_session_attrs=any&sslcompression=0&application_name=mine";
    let project = one_table().variable("DATABASE_URL", &with(&database.url(), harmless));
    project.run("migrate").await.must_exit(0);
    project.run("db-backup").await.must_exit(0);
    let before = database.everything().await;
    for parameter in [
        "service=hunter2",
        "sslpassword=hunter2",
        "options=-d%20hunter2",
        "ssl-mode=hunter2",
        "target_session_attrs=hunter2",
        "port=1,2",
        // Only libpq could do these, and they are there for safety.
        "requirepeer=hunter2",
        "gssencmode=require",
        "require_auth=hunter2",
        "channel_binding=require",
    ] {
        let project = one_table().variable("DATABASE_URL", &with(&database.url(), parameter));
        let ended = project.run("rollback --to 0").await;
        ended.must_exit(2);
        let key = parameter.split('=').next().expect("a key").replace("ssl-mode", "sslmode");
        assert!(ended.error().0.contains(&key), "{}", ended.text());
        assert!(!ended.text().contains("hunter2"), "{}", ended.text());
    }
    // Behind an unencoded `&` of a password, the rest of it looks like a parameter.
    let (unknown, no_value) = ("holds a parameter that libpq does not know", "has no `=` (a `&` that is part of");
    for (parameter, told) in [
        ("schema=hunter2", unknown),
        ("password=s3c&hunter2=1", "does not know, right behind the password"),
        ("password=s3c&hunter2=", "does not know, right behind the password"),
        ("password=s3c&hunter2=1&sslpassword=x", unknown),
        ("password=s3c&hunter2", no_value),
        ("password=hunter2&", no_value),
    ] {
        let project = one_table().variable("DATABASE_URL", &with(&database.url(), parameter));
        let ended = project.run("rollback --to 0").await;
        let (message, hint) = ended.must_exit(2).error();
        assert!(message.contains(told), "{parameter}: {message}");
        assert!(format!("{message} {hint}").contains("%26"), "{hint}");
        assert!(!ended.text().contains("hunter2"), "{}", ended.text());
    }
    assert_eq!(database.everything().await, before);
}

/// What a shell that is used for psql has set: none of it may lead a child program elsewhere.
#[tokio::test]
async fn variables_of_libpq_do_not_redirect_child_programs() {
    let database = Database::create().await;
    let project = one_table().on(&database);
    project.run("migrate").await.must_exit(0);
    let project = [
        ("PGHOSTADDR", "127.0.0.1"),
        ("PGSERVICE", "elsewhere"),
        ("PGSERVICEFILE", "/nowhere"),
        ("PGDATABASE", "elsewhere"),
        ("PGTARGETSESSIONATTRS", "read-only"),
        // A server's programs read these as well, and do not start with a style that there is not.
        ("PGDATESTYLE", "nonsense"),
        ("PGTZ", "Nowhere/Nothing"),
    ]
    .iter()
    .fold(project, |project, (name, value)| project.variable(name, value));
    project.run("db-backup").await.must_exit(0);
    // The target of this test is a throwaway server as well, but named in a URL: what it says of TLS
    // and passwords goes for it, and for nothing that we start ourselves.
    let project = project.variable("PGREQUIREAUTH", "none").variable("PGPASSFILE", "/nowhere");
    project.run("rehearse").await.must_exit(0);
}

/// A target that is named for good (`REHEARSAL_TARGET`) has no say in what only writes files.
#[tokio::test]
async fn sqlx_writes_new_migrations_whatever_target_is_named() {
    let project = one_table()
        .write("Cargo.toml", "[package]\nname = 'a'\n")
        .variable("REHEARSAL_TARGET", "dev")
        .variable("DATABASE_URL", "postgres://me@localhost/db");
    project.run("sqlx migrate add -r another").await.must_exit(0);
    assert!(project.names_in("migrations").iter().any(|name| name.ends_with("_another.down.sql")));
    project.run("sqlx --no-dotenv migrate build-script").await.must_exit(0);
    assert!(project.path("build.rs").is_file());
}

/// What says where a database is, by libpq's keywords.
fn place(database: &Database) -> BTreeMap<&'static str, String> {
    let environment: BTreeMap<String, String> =
        server().database(database.name()).libpq_environment("test").into_iter().collect();
    let keywords = [("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER"), ("password", "PGPASSWORD")];
    let given = keywords.iter().filter_map(|(keyword, name)| Some((*keyword, environment.get(*name)?.clone())));
    given.chain([("dbname", database.name().to_owned())]).collect()
}

fn lines(place: &BTreeMap<&str, String>, separator: &str) -> String {
    place.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect::<Vec<_>>().join(separator)
}

/// There and back, by sqlx and by pg_dump.
async fn works(project: &Project, what: &str) {
    for words in ["migrate", "sqlx migrate info --target dev", "db-backup", "rollback --to 0", "status"] {
        let ended = project.run(words).await;
        assert_eq!(ended.code, Some(0), "{what}: {words}: {}", ended.text());
    }
}

#[tokio::test]
async fn every_way_to_say_where_it_is() {
    let database = Database::create().await;
    let place = place(&database);
    let (words, section) = (lines(&place, " "), format!("[other]\nhost=/nowhere\n\n[it]\n{}\n", lines(&place, "\n")));
    let (host, port, user) = (&place["host"], &place["port"], &place["user"]);
    let encoded = host.replace('/', "%2F");
    let password = place.get("password").map_or_else(String::new, |password| format!(":{password}"));
    let url = |hosts: String| format!("postgres://{user}{password}@{hosts}/{}", database.name());
    for (what, variable, value) in [
        ("words", "DATABASE_URL", words.as_str()),
        ("words in quotes", "DATABASE_URL", &format!("{words} sslmode = 'prefer' application_name=''")),
        ("a line break behind it", "DATABASE_URL", &format!("{}\n", url(format!("{encoded}:{port}")))),
        ("a list of hosts", "DATABASE_URL", &url(format!("127.0.0.1:1,[::1]:1,{encoded}:{port}"))),
        ("a list of hosts in words", "DATABASE_URL", &words.replace("host=", "host=/nowhere,")),
        ("a service in a URL", "DATABASE_URL", "postgres://?service=it"),
        ("a service in words", "DATABASE_URL", "service=it"),
        ("a service that is added to", "DATABASE_URL", &format!("postgres:///{}?service=it", database.name())),
        ("a service alone", "PGSERVICE", "it"),
    ] {
        let project = one_table().write("home/.pg_service.conf", &section);
        let home = project.path("home").display().to_string();
        works(&project.variable("HOME", &home).variable(variable, value), what).await;
    }
    let names = [
        ("PGHOST", "host"),
        ("PGPORT", "port"),
        ("PGUSER", "user"),
        ("PGDATABASE", "dbname"),
        ("PGPASSWORD", "password"),
    ];
    let set = names.iter().filter_map(|(name, keyword)| Some((*name, place.get(keyword)?)));
    let project = set.fold(one_table(), |project, (name, value)| project.variable(name, value));
    works(&project, "variables alone").await;
}

/// What PGOPTIONS says reaches pg_dump as it reaches sqlx, which reads it by itself.
#[tokio::test]
async fn variables_beside_a_url_go_for_both() {
    let (_database, url, reader) = read_by_another_role().await;
    let project = one_table().variable("DATABASE_URL", &url.replace(":secret", ""));
    let project = project.variable("PGPASSWORD", "secret").variable("PGOPTIONS", &format!("-c role={reader}"));
    project.run("db-backup").await.must_exit(0);
    project.variable("PGOPTIONS", "-d 5").run("db-backup").await.must_exit(2);
}

#[tokio::test]
async fn any_password_may_stand_in_a_url() {
    let database = Database::create().await;
    let role = format!("nasty_{}", database.name());
    let _ = database.role(&role, "none").await;
    database.execute(&format!("ALTER DATABASE {} OWNER TO {role}", database.name())).await;
    for password in
        ["@:/?#[]%&=+,; ", "100%25", "äöü € 日本", r#"'single' "double" \back\slash"#, "$(id) `id` *~!{}<>|^"]
    {
        database.execute(&format!("ALTER ROLE {role} PASSWORD '{}'", password.replace('\'', "''"))).await;
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let project = one_table().variable("DATABASE_URL", &database.url_of(&role, &encoded));
        works(&project, password).await;
    }
    let project = one_table().variable("DATABASE_URL", &database.url_of(&role, "a%0Ab").replace("%0A", "\n"));
    let (error, _) = project.run("status").await.must_exit(2).error();
    assert!(error.contains("line break"), "{error}");
}

/// Over TCP, where a password is asked for: IPv6, `user@server`, and password files.
#[tokio::test]
async fn password_files_and_addresses() {
    let Some(programs) = listening::programs("password files") else { return };
    let server = Listening::start(&programs, Wanted::default()).await;
    let port = server.port();
    server.create("it", "asked@server", r"a:b\c").await;
    let line = |host: &str| format!("# ours\n{host}:{port}:*:asked@server:a\\:b\\\\c\n");
    let hosts = [("[::1]", r"\:\:1"), ("127.0.0.1", "*"), ("localhost", "localhost")];
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    for (host, in_file) in hosts.into_iter().filter(|(host, _)| has_ipv6 || !host.starts_with('[')) {
        let url = format!("postgres://asked%40server@{host}:{port}/it");
        for (file, variable) in [("home/.pgpass", None), ("pass", Some("PGPASSFILE")), ("other", None)] {
            let project = one_table().write(file, &line(in_file)).write("home/empty", "");
            let home = project.path("home").display().to_string();
            let path = project.path(file);
            let set_mode =
                |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
            set_mode(0o600);
            let by_url = if file == "other" { format!("{url}?passfile={}", path.display()) } else { url.clone() };
            let project = project.variable("HOME", &home).variable("DATABASE_URL", &by_url);
            let project =
                variable.into_iter().fold(project, |project, name| project.variable(name, &path.display().to_string()));
            works(&project, &format!("{host} {file}")).await;
            set_mode(0o640);
            let (error, _) = project.run("status").await.must_exit(2).error();
            assert!(error.contains("was left alone, as others may read it (chmod 600 "), "{error}");
        }
    }
}

/// A standby is never taken for what can be written, and of several hosts the right one is.
#[tokio::test]
async fn a_standby_is_read_and_not_written() {
    let Some(programs) = listening::programs("a standby") else { return };
    let standby = Listening::start(&programs, Wanted { standby: true, ..Wanted::default() }).await;
    let primary = Listening::start(&programs, Wanted::default()).await;
    let on = |places: &[&Listening], attributes: &str| {
        let places: Vec<String> = places.iter().map(|server| format!("localhost:{}", server.port())).collect();
        let url = format!("postgres://postgres@{}/postgres?target_session_attrs={attributes}", places.join(","));
        one_table().variable("DATABASE_URL", &url)
    };
    on(&[&standby], "any").run("status").await.must_exit(0);
    on(&[&standby], "prefer-standby").run("plan").await.must_exit(0);
    for words in ["migrate", "mark-applied 1 --force --reason x"] {
        let (error, hint) = on(&[&standby], "any").run(words).await.must_exit(3).error();
        assert!(format!("{error} {hint}").contains("standby") && hint.contains("primary server"), "{error} {hint}");
    }
    for attributes in ["read-write", "primary"] {
        let (error, hint) = on(&[&standby], attributes).run("migrate").await.must_exit(3).error();
        assert!(
            error.contains(&format!("is a standby, and its URL asks for target_session_attrs={attributes}")),
            "{error}"
        );
        assert!(hint.contains("host=a,b"), "{hint}");
        works(&on(&[&standby, &primary], attributes), attributes).await;
    }
    for attributes in ["standby", "read-only", "prefer-standby"] {
        let ended = on(&[&primary, &standby], attributes).run("status --json").await;
        ended.must_exit(0);
        let ended = on(&[&primary, &standby], attributes).run("migrate").await;
        assert!(ended.must_exit(3).error().0.contains("standby"), "{}", ended.text());
    }
    let (error, _) = on(&[&primary], "standby").run("status").await.must_exit(3).error();
    assert!(error.contains("is a primary that can be written"), "{error}");
}
