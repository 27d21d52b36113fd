//! The published JSON Schemas: of records and events, which programs read, and of `rehearsal.toml`, which editors check.

use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use rehearsal_tests::{Database, Ended};
use serde_json::{Value, json};

use crate::project;

/// What `schema` prints of each, and where it is published.
const PUBLISHED: [(&str, &str); 3] =
    [("record", "record-1.json"), ("event", "event-1.json"), ("config", "config.json")];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root").join("docs/schema")
}

/// A published schema, ready to be held against values.
struct Published {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Published {
    fn of(file: &str) -> Self {
        let text = std::fs::read_to_string(folder().join(file)).expect("it is published");
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        let place = "https://schema.example/schema.json";
        compiler.add_resource(place, serde_json::from_str(&text).expect("JSON")).expect("a resource");
        let index =
            compiler.compile(place, &mut schemas).unwrap_or_else(|error| panic!("{file} is no schema: {error}"));
        Self { schemas, index }
    }

    #[track_caller]
    fn must_fit(&self, value: &Value, what: &str) {
        if let Err(error) = self.schemas.validate(value, self.index) {
            panic!("{what} does not fit: {error:#}\n{value:#}");
        }
    }

    fn fits(&self, value: &Value) -> bool {
        self.schemas.validate(value, self.index).is_ok()
    }
}

#[tokio::test]
async fn what_is_published_is_what_the_types_give() {
    // A configuration that cannot be read is what one looks its schema up for.
    let project = project().write("rehearsal.toml", "[[[");
    for (name, file) in PUBLISHED {
        let ended = project.run(&format!("schema {name}")).await;
        ended.must_exit(0);
        let published = std::fs::read_to_string(folder().join(file)).unwrap_or_default();
        assert!(
            published == ended.stdout,
            "docs/schema/{file} is of other types than these: cargo xtask schema {name} > docs/schema/{file}"
        );
    }
}

/// Records and events of runs that went well, failed, were refused, and found nothing to do.
#[tokio::test]
async fn real_records_and_events_fit() {
    let (records, events) = (Published::of("record-1.json"), Published::of("event-1.json"));
    let database = Database::create().await;
    let config = "[[releases]]\nname = 'R'\nafter = 1\nexpand = 2\nto = 4\n[[hooks]]\nname = 'told'\nwhen = 'before'\nrun = ['true']\n\
                  [[questions]]\nid = 'sure'\nask = 'Sure?'\ntargets = ['dev']\n[targets.dev]\nurl_env = 'DATABASE_URL'\n";
    let checks = "-- check: items-there\n-- expect: rows\n-- since: 1\nSELECT id FROM items\n;\n\
                  -- check: items-figure\n-- expect: report\n-- since: 1\nSELECT count(*) FROM items\n;\n\
                  -- check: items-by-key\n-- expect: uses index items_pkey\n-- since: 1\nSELECT id FROM items WHERE id = 7\n;\n\
                  -- check: items-named\n-- expect: value 50\n-- since: 1\nSELECT count(name) FROM items\n;\n";
    let traffic = "-- traffic: look\n-- code: old\n-- since: 1\nSELECT count(*) FROM items\n;\n";
    let project = project()
        .items(50)
        // Held for many times as long as from one look at the locks to the next.
        .migration(
            "4_column",
            "ALTER TABLE items ADD COLUMN m int;\nSELECT pg_sleep(0.3);\n",
            "ALTER TABLE items DROP COLUMN m;\n",
        )
        .write("rehearsal.toml", config)
        .write("migrations/checks/items.sql", checks)
        .write("migrations/traffic/items.sql", traffic)
        .on(&database);
    let fit = |ended: &Ended| {
        let record = ended.record();
        records.must_fit(&record, &ended.words);
        let told = ended.events();
        assert!(told.len() > 2, "{}", ended.text());
        told.iter().for_each(|event| events.must_fit(event, &ended.words));
        record
    };
    let mut seen = Vec::new();
    for (words, code) in [
        ("rehearse --json --release R --rows 10 --traffic", 0),
        ("migrate --json --to 1 --answer sure=yes", 0),
        ("migrate --json --answer sure=yes", 0),
        ("db-backup --json", 0),
        ("db-backup --json --proof none", 0),
        ("verify --json", 0),
        ("rollback --json --to 2 --answer sure=yes", 0),
    ] {
        let ended = project.run(words).await;
        ended.must_exit(code);
        seen.push(fit(&ended));
    }
    project.change("migrations/3_index.up.sql", "DO $$ BEGIN RAISE NOTICE 'here'; END $$;\nSELECT nonsense;\n");
    let ended = project.run("migrate --json --answer sure=yes").await;
    ended.must_exit(1);
    seen.push(fit(&ended));
    project.change("migrations/checks/items.sql", &checks.replace("value 50", "value 51"));
    let ended = project.run("verify --json").await;
    ended.must_exit(3);
    seen.push(fit(&ended));
    // What is in them at all: an empty list fits any schema.
    let all = Value::Array(seen.clone()).to_string();
    for part in [
        "statements",
        "notices",
        "checks",
        "hook",
        "answers",
        "backup",
        "traffic",
        "locks",
        "figures",
        "course",
        "excerpt",
    ] {
        assert!(all.contains(&format!("\"{part}\":")), "no record has {part}");
    }
    // And that it says something.
    for (pointer, value) in [
        ("/format", json!(2)),
        ("/run/run_id", Value::Null),
        ("/steps/0/outcome", json!("fine")),
        ("/started_at", json!(1)),
        ("/steps", json!({})),
    ] {
        let mut other = seen[0].clone();
        *other.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
        assert!(!records.fits(&other), "{pointer} may be anything");
    }
    assert!(!events.fits(&json!({ "format": 1, "at": "2026-01-01T00:00:00Z", "event": "no-such-event" })));
}

fn parsed(text: &str) -> Value {
    let table: toml::Table = text.parse().expect("TOML");
    serde_json::to_value(table).expect("JSON")
}

#[test]
fn this_workspaces_configuration_fits() {
    let text = std::fs::read_to_string(folder().join("../../rehearsal.toml")).expect("rehearsal.toml");
    let schema =
        text.lines().next().and_then(|line| line.strip_prefix("#:schema ./")).expect("editors find the schema");
    assert!(folder().join("../..").join(schema).is_file(), "{schema}");
    Published::of("config.json").must_fit(&parsed(&text), "rehearsal.toml");
}

/// What the command takes the schema takes, and what the one refuses the other refuses.
#[tokio::test]
async fn schema_and_command_agree() {
    let schema = Published::of("config.json");
    let database = Database::create().await;
    let project = project().items(1).on(&database);
    for (good, text) in [
        (true, ""),
        (
            true,
            "[targets.dev]\nout_of_order = [4]\n[targets.dev.limits]\nlock_timeout = '1s 500ms'\nbatch_window = '22:00-06:00'\n",
        ),
        (true, "[history]\nout_of_order = 'allow'\nmissing_files = [1]\n"),
        (true, "[app]\nrun = 'a b'\nbuild = ['c', 'd']\nport_env = 'PORT'\n"),
        (true, "[backup]\nto = 's3://bucket/prefix'\n[backup.keep]\ndaily = 7\n"),
        (
            true,
            "[anonymise.columns]\n'a.b' = 'keep'\n'a.c' = { fake = 'name' }\n'a.d' = { json = { '/x' = 'null' }, others = 'keep' }\n'a.e' = { mask = { last = 4 } }\n",
        ),
        (
            true,
            "[[smoke]]\nname = 'a'\npath = '/'\nexpect = { '/a' = 1, '/b' = { there = true }, '/c' = { is = { d = 1 } } }\n",
        ),
        (true, "[[variables]]\nname = 'A'\nform = 'number'\nmax = 3\n"),
        (true, "[watch]\nred_flags = ['^a']\n"),
        (false, "migration = 'x'\n"),
        (false, "[targets.dev]\nurl = 'postgres://x'\n"),
        (false, "[targets.dev]\nprotected = 'yes'\n"),
        (false, "[limits]\nlock_timeout = 5\n"),
        (false, "[limits]\nlock_timeout = 'soon'\n"),
        (false, "[limits]\nlock_tries = -1\n"),
        (false, "[[releases]]\nname = 'R'\n"),
        (false, "[sandbox]\nprovider = 'cloud'\n"),
        (false, "[history]\nout_of_order = 'always'\n"),
        (false, "[anonymise.columns]\n'a.b' = 'hide'\n"),
        (false, "[anonymise.columns]\n'a.b' = { fake = 'name', const = 'x' }\n"),
        (false, "[[smoke]]\nname = 'a'\npath = '/'\nexpect = { '/a' = { b = 1 } }\n"),
        (false, "[[variables]]\nname = 'A'\nform = 'date'\n"),
        (false, "[[hooks]]\nname = 'a'\nwhen = 'later'\nrun = ['x']\n"),
    ] {
        project.change("rehearsal.toml", text);
        let ended = project.run("status").await;
        assert_eq!(ended.code == Some(0), good, "the command on\n{text}\n{}", ended.text());
        assert_eq!(schema.fits(&parsed(text)), good, "the schema on\n{text}");
    }
}
