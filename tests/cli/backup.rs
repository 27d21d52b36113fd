//! `db-backup` and `restore`: a backup is all there and proven, or it is none.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use rehearsal_tests::{Database, Project, database, docker, server, until, words};
use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::Executor;

use crate::{filled, project};

/// What COPY has to escape, what a dump could get wrong, and names that need quotes.
const AWKWARD: &str = r#"
CREATE TABLE plain (id bigint PRIMARY KEY, t text, b bytea, f double precision, j jsonb, at timestamptz);
INSERT INTO plain SELECT g, 'row ' || g, decode(lpad(to_hex(g), 4, '0'), 'hex'), 1.0 / g, jsonb_build_object('g', g),
    timestamptz '2024-03-31 00:30:00+00' + g * interval '17 minutes' FROM generate_series(1, 500) g;
INSERT INTO plain VALUES (0, E'tab\there\nnewline \\ backslash \r \\.', '\x00ff', 'NaN', NULL, 'infinity'), (-1, '', '', '-Infinity', '[]', NULL);
CREATE SCHEMA "Other Schema";
CREATE TABLE "Other Schema"."A table.with ""quotes""" ("Column, one" text, generated int GENERATED ALWAYS AS (1) STORED);
INSERT INTO "Other Schema"."A table.with ""quotes""" VALUES ('äöü €'), (NULL), ('\N');
CREATE TABLE empty ();
CREATE TABLE no_rows (id int);
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (20);
INSERT INTO parted SELECT generate_series(0, 19);
CREATE TABLE child () INHERITS (plain);
INSERT INTO child (id, t) VALUES (7, 'child');
CREATE VIEW v AS SELECT count(*) FROM plain;
CREATE MATERIALIZED VIEW mv AS SELECT count(*) AS rows FROM plain;
CREATE SEQUENCE s; SELECT nextval('s'), nextval('s');
CREATE DOMAIN small AS int CHECK (value < 10);
CREATE TYPE mood AS ENUM ('sad', 'happy');
SELECT lo_from_bytea(0, convert_to(repeat('large object ', 1000), 'UTF8')), lo_create(0);
CREATE FUNCTION f() RETURNS small LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2::small; END;
"#;

/// What a restored copy must have as well.
const TABLES: [&str; 10] = [
    "plain",
    "\"Other Schema\".\"A table.with \"\"quotes\"\"\"",
    "empty",
    "no_rows",
    "parted",
    "parted_low",
    "child",
    "v",
    "mv",
    "_sqlx_migrations",
];

pub(crate) async fn awkward() -> (Database, Project) {
    filled(AWKWARD).await
}

/// Writes a manifest with a seal that fits, as somebody might who means harm: its seal is no signature.
fn write_sealed(path: &Path, mut manifest: Value) {
    let open = "0".repeat(64);
    manifest["seal"] = open.clone().into();
    let text = manifest.to_string();
    let seal: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(path, text.replacen(&open, &seal, 1)).expect("it can be written");
}

pub(crate) fn only_backup(project: &Project) -> PathBuf {
    let names = project.names_in("backups/dev");
    let [name] = &names[..] else { panic!("one backup, and nothing else: {names:?}") };
    project.path(&format!("backups/dev/{name}"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

#[tokio::test]
async fn the_manifest_tells_the_truth() {
    let (database, project) = awkward().await;
    let ended = project.run("db-backup").await;
    ended.must_exit(0);
    let backup = only_backup(&project);
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(backup.join("manifest.json")).expect("a manifest")).expect("JSON");
    assert_eq!(manifest["format"], 2);
    assert_eq!(manifest["id"], backup.file_name().and_then(|name| name.to_str()).expect("a name"));
    assert_eq!(manifest["target"], "dev");
    assert_eq!(manifest["database"], database.name());
    assert_eq!(manifest["migration"], 1);
    assert_eq!(manifest["encoding"], "UTF8");
    let version: String = database.value("SHOW server_version").await;
    let server_version = manifest["server"].as_str().expect("a version");
    assert!(version.starts_with(server_version), "{version}");
    assert_eq!(manifest["proof"]["restored_into"], server_version);
    assert_eq!(manifest["proof"]["provider"], server().provider());
    // Every file, by our own count and digest.
    let files = manifest["files"].as_array().expect("files");
    let there: Vec<PathBuf> =
        files_below(&backup).into_iter().filter(|path| !path.ends_with("manifest.json")).collect();
    assert_eq!(files.len(), there.len());
    assert!(files.len() > 5);
    for file in files {
        let bytes = std::fs::read(backup.join(file["path"].as_str().expect("a path"))).expect("the file is there");
        assert_eq!(file["bytes"], bytes.len());
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(file["sha256"], digest);
    }
    // Every table that has rows of its own, by the server's count.
    let mut counted = 0;
    for table in manifest["tables"].as_array().expect("tables") {
        let (schema, name) = (table["schema"].as_str().expect("a schema"), table["name"].as_str().expect("a name"));
        let quoted = rehearsal::postgres::identifier::qualified(schema, name);
        let rows: i64 = database.value(&format!("SELECT count(*) FROM ONLY {quoted}")).await;
        assert_eq!(table["rows"], rows, "{quoted}");
        counted += 1;
    }
    let tables: i64 = database
        .value("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'")
        .await;
    assert_eq!(counted, tables);
    let record = ended.record();
    assert_eq!(record["steps"][0]["backup"]["tables"], tables);
}

#[tokio::test]
async fn a_restore_equals_the_source() {
    let (source, project) = awkward().await;
    project.run("db-backup").await.must_exit(0);
    let name = format!("{}_restored", source.name());
    let ended = project.run(&format!("restore --into {name}")).await;
    ended.must_exit(0);
    let restored = database::of(&name);
    for table in TABLES {
        let rows = format!("SELECT t::text FROM {table} t ORDER BY 1");
        assert_eq!(source.list(&rows).await, restored.list(&rows).await, "{table}");
    }
    let next = "SELECT nextval('s')";
    assert_eq!(source.value::<i64>(next).await, restored.value::<i64>(next).await);
    assert_eq!(restored.value::<i32>("SELECT f()::int").await, 2);
    // The copy goes on as a target of its own.
    let copy = project.variable("DATABASE_URL", &restored.url());
    copy.run("status").await.must_exit(0).must_say("1 migration applied, 0 pending");
    // A second time the name is taken, and nothing is overwritten.
    let backup = copy.names_in("backups/dev").pop().expect("a backup");
    let ended = copy.run(&format!("restore {backup} --into {name}")).await;
    ended.must_exit(2);
    insta::with_settings!({filters => words::filters()}, { assert_snapshot!("restore_occupied", ended.error().0) });
}

#[tokio::test]
async fn a_backup_of_an_empty_database() {
    let source = Database::create().await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    let name = format!("{}_restored", source.name());
    project.run(&format!("restore --into {name}")).await.must_exit(0);
    assert!(database::of(&name).everything().await.iter().all(|line| line.starts_with("schema ")));
}

#[tokio::test]
async fn two_backups_at_once_are_two() {
    let (_database, project) = awkward().await;
    let (one, two) = (project.start("db-backup"), project.start("db-backup"));
    one.end().await.must_exit(0);
    two.end().await.must_exit(0);
    let names = project.names_in("backups/dev");
    assert_eq!(names.len(), 2, "{names:?}");
}

/// Every way in which a backup's files may no longer be what was written.
#[tokio::test]
async fn damage_is_found_before_anything_is_restored() {
    let (database, project) = awkward().await;
    project.run("db-backup").await.must_exit(0);
    let backup = only_backup(&project);
    let files = files_below(&backup);
    let largest = files
        .iter()
        .filter(|path| path.to_string_lossy().ends_with(".dat.gz"))
        .max_by_key(|path| path.metadata().expect("its size").len());
    let largest = largest.expect("data");
    let toc = backup.join("dump/toc.dat");
    let named = |start: &str| {
        let is = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
        files.iter().find(is).unwrap_or_else(|| panic!("{start} in {files:?}"))
    };
    let (large_object, list_of_large_objects) = (named("blob_"), named("blobs"));
    let databases = "SELECT datname FROM pg_database ORDER BY 1";
    let restored = format!("{}_restored", database.name());
    let restore = format!("restore --into {restored}");

    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).expect("it can be read");
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        std::fs::write(path, bytes).expect("it can be written");
    };
    type Damage<'a> = (&'a str, &'a Path, Box<dyn Fn(&Path) + 'a>);
    let damages: Vec<Damage<'_>> = vec![
        ("flipped_byte", largest, Box::new(|path| flip(path, 40))),
        ("flipped_last_byte", largest, Box::new(|path| flip(path, usize::MAX))),
        ("flipped_byte_in_the_contents", &toc, Box::new(|path| flip(path, 200))),
        ("flipped_byte_in_a_large_object", large_object, Box::new(|path| flip(path, 12))),
        ("flipped_byte_in_their_list", list_of_large_objects, Box::new(|path| flip(path, 1))),
        (
            "truncated",
            largest,
            Box::new(|path| {
                let bytes = std::fs::read(path).expect("it can be read");
                std::fs::write(path, &bytes[..bytes.len() / 2]).expect("it can be written");
            }),
        ),
        ("emptied", largest, Box::new(|path| std::fs::write(path, "").expect("it can be written"))),
        ("missing", largest, Box::new(|path| std::fs::remove_file(path).expect("it can be removed"))),
    ];
    for (name, path, damage) in damages {
        let kept = std::fs::read(path).expect("it can be read");
        damage(path);
        let ended = project.run(&restore).await;
        ended.must_exit(3);
        assert!(
            ended.error().0.contains(path.file_name().and_then(|name| name.to_str()).expect("a name")),
            "{name}: {}",
            ended.text()
        );
        let exists = format!("SELECT count(*) FROM pg_database WHERE datname = '{restored}'");
        assert_eq!(database.value::<i64>(&exists).await, 0, "{name}: nothing is created");
        std::fs::write(path, kept).expect("it can be written");
    }
    let added = backup.join("dump/9999.dat");
    std::fs::write(&added, "x").expect("it can be written");
    let ended = project.run(&restore).await;
    ended.must_exit(3).must_say("dump/9999.dat does not belong to it");
    std::fs::remove_file(&added).expect("it can be removed");
    let link = backup.join("dump/link");
    symlink("/etc/passwd", &link).expect("a link");
    project.run(&restore).await.must_exit(3);
    std::fs::remove_file(&link).expect("it can be removed");
    // The manifest itself.
    let manifest = backup.join("manifest.json");
    let kept = std::fs::read(&manifest).expect("it can be read");
    for text in ["", "{", "{\"format\": 1}"] {
        std::fs::write(&manifest, text).expect("it can be written");
        project.run(&restore).await.must_exit(3).must_say("the manifest of ");
    }
    let newer = String::from_utf8_lossy(&kept).replacen("\"format\": 2", "\"format\": 3", 1);
    std::fs::write(&manifest, newer).expect("it can be written");
    project.run(&restore).await.must_exit(3).must_say("its format is 3, and this version knows 1 to 2");
    // Edited by hand: a number of rows, and a word that changes nothing.
    let text = String::from_utf8_lossy(&kept);
    for (old, new) in [("\"rows\": 502", "\"rows\": 501"), ("\"target\": \"dev\"", "\"target\":  \"dev\"")] {
        assert!(text.contains(old), "{old} in {text}");
        std::fs::write(&manifest, text.replacen(old, new, 1)).expect("it can be written");
        project.run(&restore).await.must_exit(3).must_say("its seal is broken");
    }
    std::fs::remove_file(&manifest).expect("it can be removed");
    project.run(&format!("{restore} {}", backup.display())).await.must_exit(3).must_say("it has no manifest");
    let ended = project.run(&restore).await;
    ended.must_exit(2);
    assert_snapshot!("restore_nothing", ended.error().0);
    assert!(!database.list(databases).await.contains(&restored));
    // As it was, it is a backup again.
    std::fs::write(&manifest, kept).expect("it can be written");
    project.run(&restore).await.must_exit(0);
    drop(database::of(&restored));
}

/// Digests that fit a manifest that was changed together with the files: the contents tell.
#[tokio::test]
async fn contents_that_are_not_what_the_manifest_says_are_not_left_behind() {
    let (database, project) = awkward().await;
    project.run("db-backup").await.must_exit(0);
    let manifest = only_backup(&project).join("manifest.json");
    let mut changed: Value = serde_json::from_slice(&std::fs::read(&manifest).expect("it can be read")).expect("JSON");
    let tables = changed["tables"].as_array_mut().expect("tables");
    let plain = tables.iter_mut().find(|table| table["name"] == "plain").expect("the table");
    plain["fingerprint"] = "0".repeat(32).into();
    write_sealed(&manifest, changed);
    let restored = format!("{}_restored", database.name());
    let ended = project.run(&format!("restore --into {restored}")).await;
    ended.must_exit(3).must_say("public.plain: 502 rows, but not with the same contents");
    assert_eq!(
        database.value::<i64>(&format!("SELECT count(*) FROM pg_database WHERE datname = '{restored}'")).await,
        0
    );
}

/// pg_dump waits for a lock here, so that it is hit while it runs.
pub(crate) async fn while_it_dumps(
    database: &Database,
    project: &Project,
) -> (rehearsal_tests::Running, sqlx::PgConnection) {
    let mut holder = database.connect().await;
    holder.execute("BEGIN; LOCK TABLE plain").await.expect("the lock");
    let running = project.start("db-backup");
    until("pg_dump waits", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE 'LOCK TABLE%'";
        (database.value::<i64>(waiting).await > 0).then_some(())
    })
    .await;
    (running, holder)
}

async fn sessions_of_pg_dump(database: &Database) -> i64 {
    let named = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'rehearsal/pg_dump-%'";
    database.value(named).await
}

#[tokio::test]
async fn an_interrupted_backup_is_none() {
    let (database, project) = awkward().await;
    for signal in [Signal::INT, Signal::TERM] {
        let (running, holder) = while_it_dumps(&database, &project).await;
        assert!(sessions_of_pg_dump(&database).await > 0, "pg_dump's own sessions are told from ours");
        running.signal(signal);
        let ended = running.end().await;
        ended.must_exit(130);
        project.must_be_clean_after(&ended).await;
        assert!(project.names_in("backups/dev").is_empty(), "{:?}", project.names_in("backups/dev"));
        // Seen gone, and not by and by: the run does not end before them.
        assert_eq!(sessions_of_pg_dump(&database).await, 0);
        drop(holder);
    }
}

#[tokio::test]
async fn a_killed_backup_is_none_and_is_swept_by_the_next() {
    let (database, project) = awkward().await;
    let (running, holder) = while_it_dumps(&database, &project).await;
    let began = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rehearsal/backup'";
    assert!(database.value::<i64>(began).await > 0);
    assert!(sessions_of_pg_dump(&database).await > 0, "pg_dump's own sessions are told from ours");
    running.signal(Signal::KILL);
    let killed = running.end().await;
    assert_eq!(killed.code, None);
    let left = project.names_in("backups/dev");
    assert!(!left.is_empty(), "a killed run cannot clean up");
    // Nobody takes it for a backup.
    assert!(left.iter().all(|name| name.contains(".partial")), "{left:?}");
    project.run("restore").await.must_exit(2).must_say("there is no backup of `dev`");
    // They end although nobody lets them have what they wait for: their pg_dump has died with us.
    until("pg_dump's sessions end", async || (sessions_of_pg_dump(&database).await == 0).then_some(())).await;
    drop(holder);
    project.run("db-backup").await.must_exit(0);
    let _ = only_backup(&project);
    project.must_be_clean_after(&killed).await;
}

/// Backups may stand on a shared disk: a pid of another machine says nothing here.
#[tokio::test]
async fn only_what_is_surely_abandoned_is_swept() {
    let database = Database::create().await;
    let project = project().on(&database);
    let ours = rehearsal::process::identity();
    let words: Vec<&str> = ours.split(' ').collect();
    let [_, _, boot, namespace, host] = words[..] else { panic!("five words: {ours}") };
    let owners = [
        ("another_machine", format!("4194305 1 another-boot {namespace} elsewhere"), true),
        ("another_container", format!("4194305 1 {boot} pid:[1] {host}"), true),
        ("unknown", "4194305 1".into(), true),
        ("before_the_last_boot", format!("1 1 another-boot {namespace} {host}"), false),
        ("ended", format!("4194305 1 {boot} {namespace} {host}"), false),
    ];
    for (name, owner, _) in &owners {
        project.change(&format!("backups/dev/{name}.partial/dump/toc.dat"), "x");
        project.change(&format!("backups/dev/{name}.partial.owner"), owner);
    }
    project.run("db-backup").await.must_exit(0);
    for (name, _, stays) in owners {
        assert_eq!(project.path(&format!("backups/dev/{name}.partial/dump/toc.dat")).exists(), stays, "{name}");
    }
}

#[tokio::test]
async fn sequences_are_in_a_backup_and_restored() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE SEQUENCE up; SELECT setval('up', 41); CREATE SEQUENCE fresh START 7; CREATE SEQUENCE down INCREMENT -1; \
             SELECT setval('down', -9); CREATE SCHEMA \"It's\"; CREATE SEQUENCE \"It's\".\"a \"\"b\"\"\"; SELECT setval('\"It''s\".\"a \"\"b\"\"\"', 3); \
             CREATE TABLE keyed (id int GENERATED ALWAYS AS IDENTITY); INSERT INTO keyed SELECT FROM generate_series(1, 5)",
        )
        .await;
    let project = project().on(&database);
    project.run("db-backup").await.must_exit(0);
    let path = only_backup(&project).join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).expect("it can be read")).expect("JSON");
    let found: Vec<String> = manifest["sequences"]
        .as_array()
        .expect("sequences")
        .iter()
        .map(|entry| {
            format!("{} {} {}", entry["name"].as_str().unwrap_or("?"), entry["last_value"], entry["is_called"])
        })
        .collect();
    assert_eq!(found, ["a \"b\" 3 true", "down -9 true", "fresh 7 false", "keyed_id_seq 5 true", "up 41 true"]);
    let name = format!("{}_restored", database.name());
    project.run(&format!("restore --into {name}")).await.must_exit(0);
    assert_eq!(database::of(&name).value::<i64>("SELECT nextval('keyed_id_seq')").await, 6);
    // One that comes out of the dump at another place is found.
    manifest["sequences"][4]["last_value"] = 42.into();
    write_sealed(&path, manifest);
    let ended = project.run(&format!("restore --into {}_other", database.name())).await;
    ended.must_exit(3).must_say("the sequence public.up stands at 41 instead of 42");
}

/// A pg_dump that notes its arguments, and before a backup runs this.
pub(crate) fn with_pg_dump(project: Project, before: &str) -> Option<Project> {
    let path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let installed = rehearsal::postgres::programs::find(&[], &path).into_iter().next()?;
    let real = installed.folder.display();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\ncase \"$*\" in *format=directory*) {before} ;; esac\nexec {real}/pg_dump \"$@\"\n",
        project.path("pg_dump.log").display()
    );
    let project = project.write("programs/pg_dump", &script.replace("psql", &format!("{real}/psql")));
    symlink(installed.folder.join("pg_restore"), project.path("programs/pg_restore")).expect("a link");
    std::fs::set_permissions(project.path("programs/pg_dump"), std::fs::Permissions::from_mode(0o755))
        .expect("the mode can be set");
    let programs = format!("[postgres]\nprograms = ['{}']\n", project.path("programs").display());
    Some(project.write("rehearsal.toml", &format!("[targets.dev]\nurl_env = 'DATABASE_URL'\n{programs}")))
}

/// What was listed and what is dumped are one state, whatever happens between.
#[tokio::test]
async fn a_backup_is_of_one_moment() {
    let (database, project) = awkward().await;
    let meanwhile = "psql -qc 'CREATE TABLE late (id int); DELETE FROM no_rows; INSERT INTO no_rows VALUES (1)' \
                     -c 'UPDATE _sqlx_migrations SET version = 2'";
    let Some(project) = with_pg_dump(project, meanwhile) else {
        docker::skipped("a_backup_is_of_one_moment", "there is no pg_dump here to be wrapped");
        return;
    };
    project.run("db-backup").await.must_exit(0);
    assert!(database.value::<bool>("SELECT to_regclass('late') IS NOT NULL").await, "somebody writes meanwhile");
    let restored = format!("{}_restored", database.name());
    project.run(&format!("restore --into {restored}")).await.must_exit(0);
    let restored = database::of(&restored);
    assert!(
        restored.value::<bool>("SELECT to_regclass('late') IS NULL").await,
        "the dump knows a table that the manifest does not"
    );
    assert_eq!(restored.value::<i64>("SELECT count(*) FROM no_rows").await, 0);
    assert_eq!(restored.applied().await, ["1"]);
    let arguments = std::fs::read_to_string(project.path("pg_dump.log")).expect("pg_dump ran");
    let dump = arguments.lines().find(|line| line.contains("--format=directory")).expect("a dump");
    assert!(dump.contains("--snapshot="), "{dump}");
    // No session stays behind that would hold the snapshot, and with it what VACUUM could remove.
    until("no session is left", async || database.sessions().await.is_empty().then_some(())).await;
}

/// A file system that is too small, of this test's own.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(at: PathBuf, kilobytes: u32) -> Option<Self> {
        std::fs::create_dir_all(&at).expect("a folder");
        let size = format!("size={kilobytes}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output().ok()?;
        mounted.status.success().then_some(Self(at))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "{} is unmounted",
            self.0.display()
        );
    }
}

#[tokio::test]
async fn a_full_disk() {
    let (database, project) = awkward().await;
    // Random digits: they do not get smaller than half by compression.
    database.execute("CREATE TABLE large AS SELECT md5(random()::text) AS m, md5(random()::text) AS n FROM generate_series(1, 60000) g").await;
    for (name, kilobytes) in [("before_it_begins", 1_000), ("while_it_dumps", 0)] {
        // Half of the database is asked for at the start: a little more than that gets past it, and
        // what is on the disk already takes the room.
        let size: i64 = database.value("SELECT pg_database_size(current_database())").await;
        let kilobytes =
            if kilobytes > 0 { kilobytes } else { u32::try_from(size / 2_000 + 1_000).expect("a small size") };
        let Some(disk) = SmallDisk::mount(project.path("backups"), kilobytes) else {
            docker::skipped("a_full_disk", "a small file system can only be mounted as root");
            return;
        };
        if name == "while_it_dumps" {
            // Somebody else fills the disk meanwhile.
            let (running, holder) = while_it_dumps(&database, &project).await;
            let room = usize::try_from(kilobytes).expect("a size") * 1_000 - 900_000;
            std::fs::write(project.path("backups/filler"), vec![1; room]).expect("it fits");
            drop(holder);
            let ended = running.end().await;
            ended.must_exit(1);
            assert!(ended.error().0.contains("No space left on device"), "{}", ended.text());
            assert!(ended.error().1.starts_with("free some disk space"), "{}", ended.text());
        } else {
            let ended = project.run("db-backup").await;
            ended.must_exit(1);
            assert!(ended.error().0.contains(" MB free, and the backup may need "), "{}", ended.text());
        }
        assert!(project.names_in("backups/dev").is_empty(), "{name}: {:?}", project.names_in("backups/dev"));
        drop(disk);
    }
}

/// Without rights to read a table there is no backup, and not one without that table.
#[tokio::test]
async fn a_backup_that_cannot_read_everything_is_none() {
    let (database, project) = awkward().await;
    let role = format!("reader_{}", database.name());
    let url = database.role(&role, "reader").await;
    database
        .execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; REVOKE SELECT ON plain FROM {role}"))
        .await;
    let project = project.variable("DATABASE_URL", &url);
    let ended = project.run("db-backup").await;
    assert_ne!(ended.code, Some(0));
    assert!(ended.error().0.contains("permission denied"), "{}", ended.text());
    assert!(project.names_in("backups/dev").is_empty());
    // Rows that are hidden from the role must not be missed in silence either.
    database
        .execute(&format!(
            "GRANT pg_read_all_data TO {role}; ALTER TABLE plain ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY few ON plain USING (id < 10)"
        ))
        .await;
    let ended = project.run("db-backup").await;
    assert_ne!(ended.code, Some(0), "{}", ended.text());
    assert!(project.names_in("backups/dev").is_empty());
    database.execute(&format!("DROP OWNED BY {role}")).await;
}
