//! What `plan` shows of statements before they run, and that it is so.

use std::path::PathBuf;

use rehearsal_tests::{Database, Ended, Project, docker, words};
use serde_json::Value;
use sqlx::{Connection, Executor, Row};
use tokio::process::Command;

use crate::settings::{seen, told};
use crate::{all_releases, project, this_workspace};

/// What is rehearsed is a release.
const RELEASE: &str = "[[releases]]\nname = 'R'\nafter = 1\nto = 3\n";

/// A table that is worth a word, and statements of which there is something to know.
fn notable() -> Project {
    project()
        .write("rehearsal.toml", &format!("[targets.dev]\nurl_env = 'DATABASE_URL'\n{RELEASE}"))
        .migration(
            "1_items",
            "CREATE TABLE items (id bigint PRIMARY KEY, code varchar(10) NOT NULL, n integer);\n\
             INSERT INTO items SELECT g, 'item ' || g, 1 FROM generate_series(1, 20000) g;\n\
             ANALYZE items;\n",
            "DROP TABLE items;\n",
        )
        .migration(
            "2_widen",
            "ALTER TABLE items ALTER COLUMN code TYPE varchar(20);\n\
             ALTER TABLE items ALTER COLUMN n TYPE bigint;\n\
             ALTER TABLE items\n    ADD CONSTRAINT items_n CHECK (n > 0);\n\
             CREATE INDEX items_code ON items (code);\n",
            "DROP INDEX items_code;\n\
             ALTER TABLE items DROP CONSTRAINT items_n;\n\
             ALTER TABLE items ALTER COLUMN n TYPE integer;\n\
             ALTER TABLE items ALTER COLUMN code TYPE varchar(10);\n",
        )
        .migration(
            "3_label",
            "ALTER TABLE items ADD COLUMN label text;\nCREATE VIEW labels AS SELECT label FROM items;\n",
            "DROP VIEW labels;\nALTER TABLE items DROP COLUMN label;\n",
        )
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn in_words_with_what_was_rehearsed() {
    let database = Database::create().await;
    let project = notable().on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let before = database.everything().await;
    let unrehearsed = project.run("plan").await;
    unrehearsed.must_exit(0).must_say("not rehearsed as it is now: 2 files");
    assert_eq!(project.names_in(".rehearsal/records").len(), 2, "a plan is no run, and leaves no record");
    project.run("rehearse").await.must_exit(0);
    let rehearsed = project.run("plan").await;
    let verbose = project.run("plan -v --to 2").await;
    assert_eq!(database.everything().await, before, "to plan is to read");
    insta::with_settings!({filters => words::filters()}, {
        insta::assert_snapshot!("unrehearsed", unrehearsed.stdout);
    });
    // Of the two types one is only widened, as the catalog tells.
    assert_eq!(unrehearsed.stdout.matches("writes every row anew of items: about 20,000 rows").count(), 1);
    rehearsed
        .must_say("on generated data")
        .must_say("writes every row anew of items")
        .must_say("; the rehearsal saw it");
    verbose.must_say("|     ADD CONSTRAINT items_n CHECK (n > 0);").must_say("held ACCESS EXCLUSIVE on public.items");
    for line in rehearsed.stdout.lines().chain(unrehearsed.stdout.lines()).skip(1) {
        assert!(line.chars().count() <= 120, "{line}");
    }

    let edited = "ALTER TABLE items ADD COLUMN label varchar;\nCREATE VIEW labels AS SELECT label FROM items;\n";
    project.change("migrations/3_label.up.sql", edited);
    project.run("plan").await.must_exit(0).must_say("not rehearsed as it is now: 1 file;");
}

#[tokio::test]
async fn for_programs() {
    let database = Database::create().await;
    let project = notable().on(&database);
    let config = std::fs::read_to_string(project.path("rehearsal.toml")).expect("the configuration");
    let around = "[[hooks]]\nname = 'tell'\nwhen = 'before'\nrun = ['true']\n\
                  [[questions]]\nid = 'sure'\nask = 'Are you sure?'\n";
    let project = project.write("rehearsal.toml", &format!("{config}{around}"));
    project.run("migrate --to 1 --answer sure=yes").await.must_exit(0);
    project.run("rehearse").await.must_exit(0);
    let plan = json(&project.run("plan --json").await.must_exit(0).stdout);
    assert_eq!(plan["format"], 1);
    assert_eq!((&plan["now"], &plan["after"]), (&1.into(), &3.into()));
    assert_eq!(plan["hooks"][0]["name"], "tell");
    assert_eq!(plan["questions"][0]["id"], "sure");
    let file = &plan["files"][0];
    assert_eq!(file["rehearsed"]["copy_of"], Value::Null);
    assert_eq!(file["rehearsed"]["rewritten"][0], "public.items");
    assert_eq!(file["rehearsed"]["statements"].as_array().map(Vec::len), Some(4));
    let index = &file["statements"][3];
    assert_eq!(index["sql"], "CREATE INDEX items_code ON items (code);");
    assert_eq!(index["locks"][0]["mode"], "share");
    assert_eq!(index["locks"][0]["blocks"], "writes");
    assert_eq!(index["efforts"][0]["kind"], "reads");
    assert_eq!(index["efforts"][0]["rows"], 20_000);
    assert_eq!(index["findings"][0]["rule"], "require-concurrent-index-creation");
    assert_eq!(index["findings"][0]["line"], 5);
}

#[tokio::test]
async fn the_linter_speaks_where_it_knows_better() {
    let database = Database::create().await;
    let up = "CREATE TABLE IF NOT EXISTS fresh (id int);\nCREATE INDEX fresh_id ON fresh (id);\nDROP TABLE fresh;\n\
              ALTER TABLE items ADD CONSTRAINT positive CHECK (id > 0);\nALTER TABLE items DROP COLUMN n;\n";
    let project = project().items(1).write("migrations/4_more.up.sql", up).on(&database);
    project.run("migrate --to 3").await.must_exit(0);
    let config = std::fs::read_to_string(project.path("rehearsal.toml")).expect("the configuration");
    let found = async || -> Vec<String> {
        let plan = json(&project.run("plan --json").await.must_exit(0).stdout);
        let statements = plan["files"][0]["statements"].as_array().expect("statements").clone();
        let findings = statements.iter().flat_map(|statement| statement["findings"].as_array().expect("findings"));
        findings.map(|finding| format!("{}:{}", finding["line"], finding["rule"].as_str().expect("a rule"))).collect()
    };
    // What the file makes itself is nobody's, and what is about another way to run migrations is silent.
    assert_eq!(found().await, ["4:constraint-missing-not-valid", "5:ban-drop-column"]);
    project.run("plan").await.must_say("  migrations/4_more.up.sql:5  ban-drop-column");

    // Behind the expand part of a release, nobody is left whom a missing column would break.
    let release = "[[releases]]\nname = 'R'\nafter = 0\nexpand = 3\nto = 4\n";
    project.change("rehearsal.toml", &format!("{config}{release}"));
    assert_eq!(found().await, ["4:constraint-missing-not-valid"]);
    project.change(
        "rehearsal.toml",
        &format!("{config}[lint]\noff = ['ban-drop-column']\non = ['require-table-schema']\n"),
    );
    let rules = found().await;
    assert!(rules.iter().any(|rule| rule.ends_with(":require-table-schema")), "{rules:?}");
    assert!(!rules.iter().any(|rule| rule.ends_with(":ban-drop-column")), "{rules:?}");

    project.change("rehearsal.toml", &config);
    let ignored = up.replace("ALTER TABLE items DROP", "-- squawk-ignore ban-drop-column\nALTER TABLE items DROP");
    project.change("migrations/4_more.up.sql", &ignored);
    assert_eq!(found().await, ["4:constraint-missing-not-valid"]);

    project.change("rehearsal.toml", &format!("{config}[lint]\noff = ['ban-everything']\n"));
    let refused = project.run("plan").await;
    let (message, hint) = refused.must_exit(2).error();
    assert!(message.contains("there is no rule `ban-everything`; the linter knows: "), "{message}");
    assert!(message.contains("ban-drop-column"), "{message}");
    assert!(hint.contains("mend that line"), "{hint}");
}

#[tokio::test]
async fn a_files_own_is_what_it_has_made_before() {
    let database = Database::create().await;
    database.execute("CREATE TABLE items (id int, n int)").await;
    // Enough of them that looking at all that is before each would take very long.
    let own: String = (0..800)
        .map(|n| format!("CREATE TABLE own_{n} (id int, n int);\nALTER TABLE own_{n} DROP COLUMN n;\n"))
        .collect();
    let up = format!(
        "ALTER TABLE items DROP COLUMN n;\nDROP TABLE items;\nCREATE TABLE items (id int, n int);\n\
         ALTER TABLE items DROP COLUMN n;\nALTER TABLE own_0 DROP COLUMN n;\n{own}"
    );
    let project = project().write("migrations/1_own.up.sql", &up).on(&database);
    let plan = json(&project.run("plan --json").await.must_exit(0).stdout);
    let statements = plan["files"][0]["statements"].as_array().expect("statements").clone();
    let findings = statements.iter().flat_map(|statement| statement["findings"].as_array().expect("findings"));
    let found: Vec<String> =
        findings.map(|finding| format!("{}:{}", finding["line"], finding["rule"].as_str().expect("a rule"))).collect();
    assert_eq!(found, ["1:ban-drop-column", "2:ban-drop-table", "5:ban-drop-column"]);
}

/// What is foreseen of rewrites, against what the server does with the table's file.
#[tokio::test]
async fn a_rewrite_is_foreseen() {
    let statements = [
        "ALTER TABLE t ADD COLUMN x int DEFAULT 1",
        "ALTER TABLE t ADD COLUMN x timestamptz NOT NULL DEFAULT now()",
        "ALTER TABLE t ADD COLUMN x uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE t ADD COLUMN x bigserial",
        "ALTER TABLE t ADD COLUMN x bigint GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE t ADD COLUMN x int GENERATED ALWAYS AS (i + 1) STORED",
        "ALTER TABLE t ALTER v1 TYPE varchar(20)",
        "ALTER TABLE t ALTER v2 TYPE text",
        "ALTER TABLE t ALTER v3 TYPE varchar(5)",
        "ALTER TABLE t ALTER s1 TYPE varchar",
        "ALTER TABLE t ALTER s2 TYPE varchar(20)",
        "ALTER TABLE t ALTER i1 TYPE int4",
        "ALTER TABLE t ALTER i2 TYPE bigint",
        "ALTER TABLE t ALTER i3 TYPE text",
        "ALTER TABLE t ALTER d1 TYPE numeric(12, 2)",
        "ALTER TABLE t ALTER d2 TYPE numeric(12, 3)",
        "ALTER TABLE t ALTER d3 TYPE numeric",
        "ALTER TABLE t ALTER i SET NOT NULL",
        "ALTER TABLE t ADD CHECK (i > 0)",
        "ALTER TABLE t DROP COLUMN i",
        "ALTER TABLE t SET UNLOGGED",
        "CLUSTER t USING t_pkey",
    ];
    let database = Database::create().await;
    // A column of its own for each: what the plan changes is not what the catalog says.
    let table = "CREATE TABLE t (id bigint PRIMARY KEY, i int, v1 varchar(10), v2 varchar(10), v3 varchar(10), s1 text, s2 text, \
                 i1 int, i2 int, i3 int, d1 numeric(10, 2), d2 numeric(10, 2), d3 numeric(10, 2))";
    database.execute(&format!("{table}; INSERT INTO t (id, i) VALUES (1, 1)")).await;
    let mut project = project().on(&database);
    for (index, statement) in statements.iter().enumerate() {
        project = project.write(&format!("migrations/{}_m.up.sql", index + 1), statement);
    }
    let plan = json(&project.run("plan --json").await.must_exit(0).stdout);
    for (index, sql) in statements.iter().enumerate() {
        let efforts = plan["files"][index]["statements"][0]["efforts"].as_array().expect("efforts").clone();
        let foreseen = efforts.iter().any(|effort| effort["kind"] == "rewrites");
        assert!(
            efforts.iter().all(|effort| effort["kind"] == "reads" || effort["unless"].is_null()),
            "{sql}: {efforts:?}"
        );
        let file = "SELECT pg_relation_filenode('t')::bigint";
        let mut connection = database.connect().await;
        let mut is: Vec<i64> = Vec::new();
        for step in ["BEGIN", sql, "ROLLBACK"] {
            is.push(sqlx::query(file).fetch_one(&mut connection).await.expect("its file").get(0));
            connection.execute(step).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        }
        let _ = connection.close().await;
        assert_eq!(is[1] != is[2], foreseen, "{sql}");
    }
}

#[tokio::test]
async fn the_way_back_shows_now_and_after() {
    let database = Database::create().await;
    let project = notable().on(&database);
    project.run("migrate").await.must_exit(0);
    database.execute("UPDATE items SET label = 'x' WHERE id <= 12").await;
    let before = database.everything().await;
    let plan = project.run("plan --rollback --to 1").await;
    insta::with_settings!({filters => words::filters()}, {
        insta::assert_snapshot!("rollback", plan.must_exit(0).stdout);
    });
    let plan = json(&project.run("plan --rollback --steps 1 --json").await.must_exit(0).stdout);
    assert_eq!((&plan["now"], &plan["after"]), (&3.into(), &2.into()));
    assert_eq!(plan["changes"][0]["now"], "view labels");
    assert_eq!(plan["changes"][0]["after"], Value::Null);
    assert_eq!(plan["losses"][0]["amount"], "12 values");
    assert_eq!(database.everything().await, before, "to plan is to read");
    project.run("plan --steps 1").await.must_exit(2);
    // What `rollback` shows before it does it.
    let undone = project.run("rollback --steps 1").await;
    undone.must_exit(0).must_say("version 3 now, 2 after").must_say("12 values");
}

/// This machine's client programs; none where the servers are in containers only.
fn programs() -> Option<PathBuf> {
    let path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let installed = rehearsal::postgres::programs::find(&[], &path).into_iter().next()?;
    Some(installed.folder.clone()).filter(|folder| folder.join("psql").is_file())
}

/// Runs a client program, and gives what it wrote.
async fn client(program: PathBuf, arguments: &[&str]) -> String {
    let ended = Command::new(&program).args(arguments).output().await.expect("it is started");
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{}: {text}{}", program.display(), String::from_utf8_lossy(&ended.stderr));
    text
}

async fn schema(folder: &std::path::Path, database: &Database) -> Vec<String> {
    let url = format!("--dbname={}", database.url());
    let arguments = ["--schema-only", "--exclude-schema=rehearsal", url.as_str()];
    let dumped = client(folder.join("pg_dump"), &arguments).await;
    // Newer minor versions guard a dump with a word that is another one each time.
    dumped
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_script_makes_what_migrate_makes() {
    let Some(folder) = programs() else {
        docker::skipped("the_script_makes_what_migrate_makes", "there is no psql here");
        return;
    };
    let (by_tool, by_hand) = (Database::create().await, Database::create().await);
    let tool = all_releases().on(&by_tool);
    let hand = all_releases().on(&by_hand);
    let run = async |words: &str| by_script(&folder, &hand, &by_hand, words).await;
    tool.run("migrate --to 19").await.must_exit(0);
    run("plan --sql --to 19").await;
    assert_eq!(by_hand.history().await, by_tool.history().await);
    assert_eq!(schema(&folder, &by_hand).await, schema(&folder, &by_tool).await);
    tool.run("migrate").await.must_exit(0);
    run("plan --sql").await;
    assert_eq!(by_hand.history().await, by_tool.history().await);
    assert_eq!(schema(&folder, &by_hand).await, schema(&folder, &by_tool).await);
    // Whoever comes after it finds nothing to do, and undoes what it did.
    hand.run("migrate").await.must_exit(0).must_say("nothing to do");
    tool.run("rollback --to 6").await.must_exit(0);
    run("plan --rollback --to 6 --sql").await;
    assert_eq!(by_hand.history().await, by_tool.history().await);
    assert_eq!(schema(&folder, &by_hand).await, schema(&folder, &by_tool).await);
    hand.run("rollback --to 1").await.must_exit(0);
}

/// Gives the text of `plan` with those words to psql.
async fn by_script(folder: &std::path::Path, project: &Project, database: &Database, words: &str) {
    let script = project.run(words).await;
    project.change("script.sql", &script.must_exit(0).stdout);
    let file = project.path("script.sql").display().to_string();
    client(folder.join("psql"), &["--no-psqlrc", "--quiet", "--file", &file, &database.url()]).await;
}

#[tokio::test]
async fn what_a_file_sets_ends_with_it_in_the_script_as_well() {
    let Some(folder) = programs() else {
        docker::skipped("what_a_file_sets_ends_with_it_in_the_script_as_well", "there is no psql here");
        return;
    };
    for mode in ["", "-- no-transaction\n"] {
        let (by_tool, by_hand) = (Database::create().await, Database::create().await);
        let role = format!("other_{}", by_tool.name());
        by_tool.role(&role, "secret").await;
        // Only one transaction has a place for another role.
        let as_role = if mode.is_empty() { format!("SET ROLE {role};\n") } else { String::new() };
        let up = format!(
            "{mode}CREATE SCHEMA aside;\nSET search_path = aside;\nSET lock_timeout = 0;\n\
             DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); END $$;\n{}CREATE TABLE z (id int);\n{as_role}",
            seen("within")
        );
        let down = "SET search_path = aside;\nSET lock_timeout = 0;\nDROP TABLE z;\nDROP TABLE public.within;\n\
                    DROP SCHEMA aside;\n";
        let written = || {
            project()
                .migration("1_before", &seen("before"), "DROP TABLE before;")
                .migration("2_sets", &up, &format!("{mode}{down}"))
                .migration("3_after", &seen("after"), "DROP TABLE after;")
        };
        let (tool, hand) = (written().on(&by_tool), written().on(&by_hand));
        tool.run("migrate").await.must_exit(0);
        by_script(&folder, &hand, &by_hand, "plan --sql").await;
        for name in ["before", "within", "after"] {
            assert_eq!(told(&by_hand, name).await, told(&by_tool, name).await, "{mode}{name}");
        }
        assert_eq!(by_hand.history().await, by_tool.history().await, "{mode}");
        assert_eq!(schema(&folder, &by_hand).await, schema(&folder, &by_tool).await, "{mode}");
        by_script(&folder, &hand, &by_hand, "plan --rollback --to 0 --sql").await;
        assert!(by_hand.applied().await.is_empty(), "{mode}");
    }
}

#[tokio::test]
async fn the_script_limits_what_others_would_queue_behind() {
    let database = Database::create().await;
    let up = "-- no-transaction\nCREATE TABLE t (id int);\nCREATE INDEX CONCURRENTLY t_id ON t (id);\n\
              VACUUM FULL t;\nREINDEX SCHEMA public;\nREINDEX TABLE CONCURRENTLY t;\nCLUSTER;\nCALL p();\n";
    let project = project().migration("1_t", up, "DROP TABLE t;\n").on(&database);
    let script = project.run("plan --sql").await;
    // What the projects of these tests let it rise to.
    for (statement, limit) in [
        ("CREATE INDEX CONCURRENTLY t_id ON t (id)", 0),
        ("VACUUM FULL t", 100),
        ("REINDEX SCHEMA public", 100),
        ("REINDEX TABLE CONCURRENTLY t", 0),
        ("CLUSTER", 100),
        ("CALL p()", 100),
    ] {
        let limited = format!("SET lock_timeout = {limit};\nSET statement_timeout = 21600000;\n{statement};\n");
        assert!(script.must_exit(0).stdout.contains(&limited), "{statement}: {}", script.stdout);
    }
}

#[tokio::test]
async fn the_script_says_what_it_is() {
    let database = Database::create().await;
    let project = this_workspace().on(&database);
    project.run("migrate --to 2").await.must_exit(0);
    let script = project.run("plan --sql --to 4").await;
    let mut filters = words::filters();
    filters.push((r"planned \S+", "planned [TIME]"));
    filters.push(("'[0-9a-f]{96}'", "'[CHECKSUM]'"));
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!("script", script.must_exit(0).stdout);
    });
}

#[tokio::test]
async fn a_run_is_told_beside_its_rehearsal() {
    let database = Database::create().await;
    let project = project().items(500).on(&database);
    let planned = |ended: &Ended, step: &str| {
        let record = ended.record();
        let steps = record["run"]["steps"].as_array().expect("steps").clone();
        steps.into_iter().find(|one| one["name"] == step).expect("the step")["planned_ms"].as_u64()
    };
    let ended = project.run("migrate --to 1").await;
    ended.must_exit(0);
    assert_eq!((planned(&ended, "migrate"), ended.text().contains("rehearsed")), (None, false), "{}", ended.text());
    let rehearsal = project.run("rehearse --target dev").await;
    rehearsal.must_exit(0);
    let ended = project.run("migrate").await;
    ended.must_exit(0).must_say("time   rehearsed  figure");
    let record = rehearsal.record();
    let step = record["steps"].as_array().expect("steps").iter().find(|step| step["name"] == "migrate");
    let statements = step.expect("the step")["statements"].as_array().expect("statements").clone();
    let took = statements.iter().map(|statement| statement["duration_ms"].as_u64().expect("a time")).sum::<u64>();
    assert_eq!(planned(&ended, "migrate"), Some(took));
    assert!(planned(&ended, "audit").is_some());
    assert!(ended.summary().contains("| step | outcome | time | rehearsed | figure |"), "{}", ended.summary());
    // Another file than the one that was rehearsed.
    project.change("migrations/3_index.down.sql", "-- changed\nDROP INDEX items_n;\n");
    let ended = project.run("rollback --to 1").await;
    assert_eq!(planned(&ended, "rollback"), None);
}
