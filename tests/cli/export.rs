//! `db-backup --tables`: tables as files for other programs, all of them or none.

use std::path::PathBuf;

use rehearsal_tests::{Database, Project};
use serde_json::Value;

use crate::filled;

/// What the two formats have to escape, and names that need quotes.
const AWKWARD: &str = r#"
CREATE TABLE plain (id bigint PRIMARY KEY, t text, b bytea, f double precision, j json, jb jsonb, a text[],
    doubled bigint GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO plain SELECT g, 'row ' || g, decode(lpad(to_hex(g), 4, '0'), 'hex'), 1.0 / g, json_build_object('g', g), '{}', '{}'
    FROM generate_series(1, 300) g;
INSERT INTO plain VALUES
    (0, E'tab\there\nnewline \\ backslash \r \\n "quoted", \u2028 äöü €', '\x00ff', 'NaN', E'{"a":\n\t[1,\r\n "x\\ny"]}', '"\\\\"', '{NULL,"a,b"}'),
    (-1, '', '', '-Infinity', NULL, NULL, NULL), (-2, NULL, NULL, NULL, 'null', 'null', '{}');
CREATE SCHEMA "Other Schema";
CREATE TABLE "Other Schema"."a/b.c" ("Column, ""one""" text);
INSERT INTO "Other Schema"."a/b.c" VALUES ('\.'), (NULL);
CREATE TABLE child () INHERITS (plain);
INSERT INTO child (id) VALUES (7);
CREATE TABLE no_rows (id int);
"#;

async fn awkward() -> (Database, Project) {
    filled(AWKWARD).await
}

/// The folders beside the target's backups.
fn folders(project: &Project) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project.path("backups/dev")).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    entries.into_iter().map(|entry| entry.expect("an entry").path()).collect()
}

fn exported(project: &Project) -> (PathBuf, Value) {
    let [folder] = <[PathBuf; 1]>::try_from(folders(project)).expect("one folder");
    let manifest = std::fs::read(folder.join("export.json")).expect("a manifest");
    (folder, serde_json::from_slice(&manifest).expect("JSON"))
}

#[tokio::test]
async fn json_lines_hold_what_the_tables_hold() {
    let (database, project) = awkward().await;
    let ended = project.run("db-backup --tables *").await;
    ended.must_exit(0).must_say("306 rows in 5 tables").must_say("as jsonl");
    let (folder, manifest) = exported(&project);
    let tables = manifest["tables"].as_array().expect("tables");
    let names: Vec<&str> = tables.iter().map(|table| table["file"]["path"].as_str().expect("a path")).collect();
    assert_eq!(
        names,
        [
            "Other Schema.a%2Fb%2Ec.jsonl",
            "public.a.jsonl",
            "public.child.jsonl",
            "public.no_rows.jsonl",
            "public.plain.jsonl"
        ]
    );
    for table in tables {
        let file = std::fs::read_to_string(folder.join(table["file"]["path"].as_str().expect("a path"))).expect("text");
        let mut lines: Vec<Value> = file
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        assert_eq!(table["rows"], lines.len());
        let (schema, name) = (table["schema"].as_str().expect("a schema"), table["name"].as_str().expect("a name"));
        let held = database.list(&format!("SELECT row_to_json(t.*)::text FROM ONLY \"{schema}\".\"{name}\" t")).await;
        let mut held: Vec<Value> = held.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect();
        lines.sort_by_key(Value::to_string);
        held.sort_by_key(Value::to_string);
        assert_eq!(lines, held, "{schema}.{name}");
    }
    assert_eq!(manifest["migration"], 1);
    project.must_be_clean_after(&ended).await;
}

#[tokio::test]
async fn csv_can_be_read_back() {
    let (database, project) = awkward().await;
    project.run("db-backup --tables public.plain,c* --format csv").await.must_exit(0).must_say("304 rows in 2 tables");
    let (folder, _) = exported(&project);
    database.execute("CREATE TABLE again (LIKE plain)").await;
    let csv = std::fs::read(folder.join("public.plain.csv")).expect("the file");
    assert!(csv.starts_with(b"id,t,b,f,j,jb,a,doubled\n"));
    let mut connection = database.connect().await;
    let mut copy = connection.copy_in_raw("COPY again FROM STDIN (FORMAT csv, HEADER)").await.expect("it begins");
    copy.send(csv).await.expect("it is sent");
    assert_eq!(copy.finish().await.expect("it is read"), 303);
    let difference =
        "SELECT count(*) FROM (SELECT (t.*)::text FROM again t EXCEPT ALL SELECT (t.*)::text FROM ONLY plain t) d";
    assert_eq!(database.value::<i64>(difference).await, 0);
}

/// A table that is not there, and a folder that is no backup: neither passes for one.
#[tokio::test]
async fn what_is_not_there_is_told() {
    let (database, project) = awkward().await;
    let before = database.everything().await;
    let ended = project.run("db-backup --tables plain,plane").await;
    ended.must_exit(2);
    let (error, hint) = ended.error();
    assert_eq!(error, "no table is called `plane`");
    assert!(hint.starts_with("name tables as the catalog writes them"), "{hint}");
    assert!(folders(&project).is_empty());
    project.run("db-backup --format csv").await.must_exit(2);
    project.run("db-backup --tables plain").await.must_exit(0);
    project.run("restore").await.must_exit(2).must_say("there is no backup of `dev`");
    let (folder, _) = exported(&project);
    project.run(&format!("restore {}", folder.display())).await.must_exit(3).must_say("not a complete backup");
    assert_eq!(database.everything().await, before);
}

/// Rows that row-level security hides from the role would be missing without a word.
#[tokio::test]
async fn rows_that_are_hidden_are_an_error() {
    let (database, project) = awkward().await;
    let url = database.role("hidden_rows", "word").await;
    database
        .execute(
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO hidden_rows; \
             ALTER TABLE plain ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY high_ids ON plain TO hidden_rows USING (id > 100)",
        )
        .await;
    let ended = project.start_on(&url, "db-backup --tables plain").end().await;
    ended.must_exit(3).must_say("row-level security");
    assert!(folders(&project).is_empty());
}

/// Its digests are there to be compared.
#[tokio::test]
async fn what_was_exported_can_be_checked() {
    let (_database, project) = awkward().await;
    project.run("db-backup --tables * --format csv").await.must_exit(0);
    let (folder, _) = exported(&project);
    let id = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    project
        .run(&format!("db-backup show {id}"))
        .await
        .must_exit(0)
        .must_say("public.plain")
        .must_say("exported tables");
    let check = format!("db-backup check {id}");
    project.run(&check).await.must_exit(0).must_say("5 files read");
    let file = folder.join("public.plain.csv");
    let mut text = std::fs::read(&file).expect("it is there");
    text[3] ^= 1;
    std::fs::write(&file, text).expect("it is written");
    for command in [check.as_str(), "db-backup check --all"] {
        project.run(command).await.must_exit(3).must_say("public.plain.csv has another digest");
    }
    project.run("db-backup list").await.must_exit(0).must_say(&format!("{id}  wrong"));
}
