//! What is known of a backup: proven, wrong, or neither; and what a dump meets meanwhile.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rehearsal_tests::{Database, Project, database, docker, until};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::Executor;

use crate::backup::{awkward, only_backup, while_it_dumps, with_pg_dump};
use crate::{filled, project};

fn manifest(project: &Project) -> Value {
    let text = std::fs::read(only_backup(project).join("manifest.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("JSON")
}

#[tokio::test]
async fn what_was_proven_is_in_the_manifest() {
    for (level, outcome, code) in [("full", "proven", 0), ("counts", "proven", 0), ("none", "not-proven", 0)] {
        let (database, project) = awkward().await;
        let ended = project.run(&format!("db-backup --proof {level}")).await;
        ended.must_exit(code);
        let manifest = manifest(&project);
        assert_eq!(manifest["proof"]["outcome"], outcome, "{level}");
        assert_eq!(manifest["proof"]["level"], level);
        assert_eq!(ended.record()["steps"][0]["backup"]["proof"]["outcome"], outcome);
        // What the dump's own bytes tell is there at every level.
        assert_eq!(manifest["large_objects"]["count"], 2);
        assert_eq!(manifest["large_objects"]["bytes"], 13_000);
        assert!(manifest["schema"]["objects"].as_u64() > Some(15), "{}", manifest["schema"]);
        assert_eq!(manifest["applied"], serde_json::json!([1]));
        assert_eq!(
            manifest["origin"]["database_oid"],
            database.value::<i64>("SELECT oid::bigint FROM pg_database WHERE datname = current_database()").await
        );
        let system: String = database.value("SELECT system_identifier::text FROM pg_control_system()").await;
        assert_eq!(manifest["origin"]["system_identifier"], system);
        let collate: String =
            database.value("SELECT datcollate::text FROM pg_database WHERE datname = current_database()").await;
        assert_eq!(manifest["locale"]["collate"], collate);
        let copied = manifest["tables"].as_array().expect("tables").iter().find(|table| table["name"] == "no_rows");
        assert_eq!(copied.expect("the table")["bytes"], 0);
        if level == "none" {
            ended.must_say("not proven, it counts for no change");
            let ended = project.run("restore").await;
            ended.must_exit(3);
            assert!(ended.error().0.contains("is not proven: no proof was asked for"), "{}", ended.text());
            // Whoever names it gets it, and hears what it is.
            let restored = format!("{}_restored", database.name());
            let ended = project.run(&format!("restore --into {restored} {}", only_backup(&project).display())).await;
            ended.must_exit(0).must_say("this backup is not proven");
            drop(database::of(&restored));
        }
    }
}

/// A change needs a proven one, whatever the file says.
#[tokio::test]
async fn no_change_relies_on_a_backup_without_a_proof() {
    let (_database, project) = awkward().await;
    let project =
        project.write("rehearsal.toml", "[targets.dev]\nurl_env = 'DATABASE_URL'\n[backup]\nproof = 'none'\n");
    project.run("rollback --yes").await.must_exit(0);
    assert_eq!(manifest(&project)["proof"]["outcome"], "proven");
    assert_eq!(manifest(&project)["proof"]["level"], "full");
}

#[tokio::test]
async fn a_manifest_of_format_1_is_still_read() {
    let (database, project) = awkward().await;
    project.run("db-backup").await.must_exit(0);
    let path = only_backup(&project).join("manifest.json");
    let mut old = manifest(&project);
    let fields = old.as_object_mut().expect("an object");
    fields.insert("format".into(), 1.into());
    for newer in [
        "id",
        "origin",
        "snapshot",
        "lsn",
        "locale",
        "applied",
        "unfinished",
        "large_objects",
        "schema",
        "left_out",
        "seal",
    ] {
        assert!(fields.remove(newer).is_some(), "{newer}");
    }
    let proof = fields["proof"].as_object_mut().expect("an object");
    for newer in ["outcome", "level"] {
        assert!(proof.remove(newer).is_some(), "{newer}");
    }
    std::fs::write(&path, old.to_string()).expect("it can be written");
    let restored = format!("{}_restored", database.name());
    project.run(&format!("restore --into {restored}")).await.must_exit(0);
    drop(database::of(&restored));
}

/// It dumps without a complaint, and nobody could ever restore it.
#[tokio::test]
async fn a_database_that_cannot_be_restored_is_wrong() {
    let cases = [
        (
            "CREATE FUNCTION pg_catalog.stray_one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; \
             CREATE TABLE t (id int, g int GENERATED ALWAYS AS (stray_one(id)) STORED)",
            "TABLE public.t cannot be restored: function stray_one(integer) does not exist; the function stray_one(integer) was \
             created in pg_catalog, which no dump holds: create it in a schema of your own",
        ),
        (
            "CREATE FUNCTION inner_one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; \
             CREATE FUNCTION outer_one(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN inner_one($1); END'; \
             CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE INDEX t_outer ON t (outer_one(id))",
            "INDEX t_outer ON public.t cannot be restored: function inner_one(integer) does not exist",
        ),
    ];
    for (sql, words) in cases {
        let database = Database::create().await;
        database.execute(sql).await;
        let project = project().on(&database);
        let ended = project.run("db-backup").await;
        ended.must_exit(3);
        assert!(ended.error().0.contains(words), "{}", ended.text());
        let manifest = manifest(&project);
        assert_eq!(manifest["proof"]["outcome"], "wrong");
        assert_eq!(ended.record()["steps"][0]["backup"]["proof"]["outcome"], "wrong");
        let id = only_backup(&project).file_name().and_then(|name| name.to_str().map(str::to_owned)).expect("a name");
        project.run("db-backup list").await.must_exit(0).must_say(&format!("{id}  wrong"));
        project.run(&format!("db-backup check {id}")).await.must_exit(3).must_say("is wrong: ");
        // It is there for an emergency, and no backup for anybody else.
        project.run("restore").await.must_exit(3).must_say("is wrong: ");
        project.run(&format!("restore {}", only_backup(&project).display())).await.must_exit(3).must_say("is wrong: ");
    }
}

#[tokio::test]
async fn a_search_path_that_is_needed_is_named() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE FUNCTION inner_one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; \
             CREATE FUNCTION outer_one(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN inner_one($1); END'; \
             CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE INDEX t_outer ON t (outer_one(id))",
        )
        .await;
    let ended = project().on(&database).run("db-backup").await;
    ended.must_exit(3);
    assert!(ended.error().0.contains("only a search_path finds it, and a restore has none"), "{}", ended.text());
    assert!(ended.error().0.contains("(in PL/pgSQL function public.outer_one(integer)"), "{}", ended.text());
}

/// Not being able to look is not a pass; the dump is kept all the same.
#[tokio::test]
async fn without_a_sandbox_the_dump_is_kept_as_not_proven() {
    let (_database, project) = awkward().await;
    let Some(project) = with_pg_dump(project, ":") else {
        docker::skipped("without_a_sandbox_the_dump_is_kept_as_not_proven", "there is no pg_dump here");
        return;
    };
    let project = project.variable("DOCKER_HOST", "tcp://127.0.0.1:1");
    let ended = project.run("db-backup --provider docker").await;
    ended.must_exit(1);
    assert!(ended.error().0.starts_with("the backup could not be proven: "), "{}", ended.text());
    assert!(ended.error().1.starts_with("the dump is kept as not proven ("), "{}", ended.text());
    let manifest = manifest(&project);
    assert_eq!(manifest["proof"]["outcome"], "not-proven");
    assert_eq!(manifest["proof"]["level"], "full");
    assert!(manifest["files"].as_array().is_some_and(|files| files.len() > 5));
    project.run("restore").await.must_exit(3).must_say("is not proven: ");
    assert_eq!(ended.record()["steps"][0]["backup"]["proof"]["outcome"], "not-proven");
}

/// A pg_restore that restores a backup's proof and then does this to the copy.
fn with_pg_restore(project: Project, after: &str) -> Option<Project> {
    let path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let installed = rehearsal::postgres::programs::find(&[], &path).into_iter().next()?;
    let real = installed.folder.display();
    let project = with_pg_dump(project, ":")?;
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *exit-on-error*) {before} ;; *) exec {real}/pg_restore \"$@\" ;; esac\n",
        before = after
            .replace("RESTORE", &format!("{real}/pg_restore \"$@\""))
            .replace("psql", &format!("{real}/psql -qX -d rehearsal_proof"))
    );
    // A link to the real one until now.
    project.remove("programs/pg_restore");
    let project = project.write("programs/pg_restore", &script);
    std::fs::set_permissions(project.path("programs/pg_restore"), std::fs::Permissions::from_mode(0o755))
        .expect("the mode can be set");
    Some(project)
}

/// Rights, comments and policies; and what a server writes anew on each way through a dump.
const GUARDED: &str = "
CREATE TABLE guarded (id int PRIMARY KEY, kind varchar(9) CHECK (kind IN ('a', 'b')), n int);
INSERT INTO guarded VALUES (1, 'a', 1), (2, 'b', 2);
CREATE INDEX guarded_kind ON guarded (n) WHERE kind IN ('a', 'b');
CREATE VIEW shown AS SELECT id, kind FROM guarded WHERE kind IN ('a', 'b');
ALTER TABLE guarded RENAME COLUMN kind TO sort;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON guarded USING (id < 10);
CREATE POLICY many ON guarded USING (sort IN ('a', 'b'));
COMMENT ON TABLE guarded IS 'what it is for';
COMMENT ON COLUMN guarded.n IS 'how many';
CREATE SEQUENCE counted; SELECT nextval('counted'), nextval('counted');
";

async fn guarded() -> (Database, Project, [String; 2]) {
    let (database, project) = awkward().await;
    let [owner, reader] = ["owner", "reader"].map(|role| format!("{role}_{}", database.name()));
    database.execute(GUARDED).await;
    database
        .execute(&format!(
            "CREATE ROLE {owner}; CREATE ROLE {reader}; ALTER TABLE guarded OWNER TO {owner}; \
             GRANT SELECT, UPDATE ON guarded TO {reader}; GRANT SELECT (n) ON guarded TO PUBLIC; \
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {reader}"
        ))
        .await;
    (database, project, [owner, reader])
}

async fn drop_roles(database: &Database, roles: &[String]) {
    for role in roles {
        database.execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
    }
}

#[tokio::test]
async fn owners_grants_comments_and_policies_are_compared() {
    let (database, project, roles) = guarded().await;
    let [owner, reader] = &roles;
    project.run("db-backup").await.must_exit(0);
    let after = format!(
        "RESTORE && psql -c 'REVOKE UPDATE ON guarded FROM {reader}' -c 'DROP POLICY few ON guarded' \
         -c 'ALTER TABLE guarded DISABLE ROW LEVEL SECURITY' -c \"COMMENT ON COLUMN guarded.n IS NULL\" \
         -c 'ALTER VIEW shown OWNER TO {owner}' -c 'DROP INDEX guarded_kind' \
         -c 'ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM {reader}' \
         -c \"SELECT setval('counted', 9)\" -c 'UPDATE guarded SET n = 3 WHERE id = 1' -c 'DELETE FROM plain WHERE id = 1' \
         -c \"SELECT lo_put((SELECT max(loid) FROM pg_largeobject), 0, 'x')\" -c 'CREATE TABLE added ()' > /dev/null"
    );
    let Some(project) = with_pg_restore(project, &after) else {
        docker::skipped(
            "owners_grants_comments_and_policies_are_compared",
            "there is no pg_restore here to be wrapped",
        );
        return;
    };
    std::fs::remove_dir_all(project.path("backups")).expect("the first one goes");
    let ended = project.run("db-backup").await;
    ended.must_exit(3);
    let said = ended.error().0;
    let superuser: String = database.value("SELECT current_user::text").await;
    for words in [
        "public.plain: 502 rows dumped, 501 restored",
        "public.guarded: 2 rows, but not with the same contents",
        "the sequence public.counted stands at 9 instead of 2",
        "2 large objects, but not with the same contents",
        "POLICY public.guarded few is not in the restored copy",
        "ROW SECURITY public.guarded is not in the restored copy",
        "COMMENT public.COLUMN guarded.n is not in the restored copy",
        &format!("VIEW public.shown belongs to {owner} instead of {superuser}"),
        "INDEX public.guarded_kind is not in the restored copy",
        "DEFAULT ACL public.DEFAULT PRIVILEGES FOR TABLES is not in the restored copy",
        "ACL public.TABLE guarded is not the same in the restored copy: ",
        "TABLE public.added is only in the restored copy",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    // With counts, contents are not looked at, and all else is.
    std::fs::remove_dir_all(project.path("backups")).expect("the second one goes");
    let ended = project.run("db-backup --proof counts").await;
    ended.must_exit(3);
    let said = ended.error().0;
    assert!(said.contains("502 rows dumped") && said.contains("ROW SECURITY"), "{said}");
    assert!(!said.contains("the same contents"), "{said}");
    drop_roles(&database, &roles).await;
}

#[tokio::test]
async fn what_no_dump_holds_is_said() {
    let (database, project) = awkward().await;
    database.execute("CREATE TABLE twice (id int); INSERT INTO twice VALUES (1), (1)").await;
    let mut connection = database.connect().await;
    let built = connection.execute("CREATE UNIQUE INDEX CONCURRENTLY twice_id ON twice (id)").await;
    assert!(built.is_err(), "two rows are equal");
    let ended = project.run("db-backup").await;
    ended.must_exit(0).must_say("the INVALID index twice_id is in no dump");
    assert_eq!(manifest(&project)["left_out"], serde_json::json!(["the INVALID index twice_id"]));
}

/// A wrapped pg_dump does something to the database when all has been listed.
#[tokio::test]
async fn tables_that_change_while_the_dump_begins() {
    for (meanwhile, words) in [
        ("DROP TABLE no_rows", "does not exist"),
        ("TRUNCATE plain CASCADE", "so that its snapshot does not see their rows: public.plain, public.child"),
        ("ALTER TABLE parted_low ALTER id TYPE bigint", ""),
        (
            "ALTER TABLE child ADD added float DEFAULT random()",
            "so that its snapshot does not see their rows: public.child",
        ),
    ] {
        let (_database, project) = awkward().await;
        let Some(project) = with_pg_dump(project, &format!("psql -qc '{meanwhile}' 2> /dev/null || true")) else {
            docker::skipped("tables_that_change_while_the_dump_begins", "there is no pg_dump here to be wrapped");
            return;
        };
        let ended = project.run("db-backup").await;
        if words.is_empty() {
            // Refused by the server itself: a partition keeps its parent's types.
            ended.must_exit(0);
            continue;
        }
        ended.must_exit(4);
        assert!(ended.error().0.contains(words), "{meanwhile}: {}", ended.text());
        assert!(project.names_in("backups/dev").is_empty(), "{meanwhile}: {:?}", project.names_in("backups/dev"));
    }
}

#[tokio::test]
async fn the_source_dies_during_the_dump() {
    let (database, project) = awkward().await;
    let (running, holder) = while_it_dumps(&database, &project).await;
    database
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name LIKE 'rehearsal/%'",
        )
        .await;
    let ended = running.end().await;
    ended.must_exit(4);
    assert!(ended.error().1.starts_with("the connection was lost"), "{}", ended.text());
    assert!(project.names_in("backups/dev").is_empty());
    project.must_be_clean_after(&ended).await;
    drop(holder);
    project.run("db-backup").await.must_exit(0);
}

#[tokio::test]
async fn a_dump_and_a_migration_wait_for_each_other() {
    let (database, project) = awkward().await;
    let project = project
        .migration("2_b", "ALTER TABLE plain ADD b2 int;", "ALTER TABLE plain DROP b2;")
        .write("rehearsal.toml", "[targets.dev]\nurl_env = 'DATABASE_URL'\n[limits]\nrun_lock_patience = '300ms'\n");
    let (running, holder) = while_it_dumps(&database, &project).await;
    let ended = project.run("migrate").await;
    ended.must_exit(4);
    assert!(ended.error().0.contains("another run is at work on dev"), "{}", ended.text());
    assert!(ended.error().0.contains("rehearsal/backup"), "{}", ended.text());
    drop(holder);
    running.end().await.must_exit(0);
    // The other way round: a run that writes has it for itself alone.
    let mut connection = database.connect().await;
    connection.execute("SELECT pg_advisory_lock(x'7265686561727361'::bigint)").await.expect("the lock");
    let ended = project.run("db-backup").await;
    ended.must_exit(4);
    assert!(ended.error().0.contains("another run is at work on dev"), "{}", ended.text());
    drop(connection);
    project.run("migrate").await.must_exit(0);
}

/// Whatever stops it in the middle of a proof, there is no backup, and the next one goes on.
#[tokio::test]
async fn a_proof_that_is_stopped_leaves_no_backup() {
    let (_database, project) = awkward().await;
    let reached = project.path("reached");
    let Some(project) = with_pg_restore(project, &format!("touch {}; RESTORE; sleep 60", reached.display())) else {
        docker::skipped("a_proof_that_is_stopped_leaves_no_backup", "there is no pg_restore here to be wrapped");
        return;
    };
    for (signal, code) in [(Signal::KILL, None), (Signal::INT, Some(130)), (Signal::TERM, Some(130))] {
        let running = project.start("db-backup");
        until("the proof has begun", async || reached.exists().then_some(())).await;
        std::fs::remove_file(&reached).expect("it is there");
        running.signal(signal);
        let ended = running.end().await;
        assert_eq!(ended.code, code, "{}", ended.text());
        let left = project.names_in("backups/dev");
        assert!(left.iter().all(|name| name.contains(".partial")), "{left:?}");
        assert!(code.is_none() || left.is_empty(), "{left:?}");
        project.run("restore").await.must_exit(2).must_say("there is no backup of `dev`");
    }
    let project = project.write("rehearsal.toml", "[targets.dev]\nurl_env = 'DATABASE_URL'\n");
    project.run("db-backup").await.must_exit(0);
    let _ = only_backup(&project);
}

/// Rows that a restore puts into other partitions, names that a listing cannot tell apart, and a setting that changes
/// how the server writes definitions.
const HARD_TO_PROVE: &str = r#"
CREATE TYPE mood AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
CREATE TABLE moods (n int, m mood) PARTITION BY HASH (m);
CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE moods_2 PARTITION OF moods FOR VALUES WITH (MODULUS 4, REMAINDER 2) PARTITION BY HASH (m);
CREATE TABLE moods_2_all PARTITION OF moods_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE moods_3 PARTITION OF moods FOR VALUES WITH (MODULUS 4, REMAINDER 3);
INSERT INTO moods SELECT g, (enum_range(NULL::mood))[1 + g % 8] FROM generate_series(0, 79) g;
CREATE TABLE U&"two\000Alines" (t text); INSERT INTO U&"two\000Alines" VALUES ('x');
CREATE SCHEMA a; CREATE SCHEMA "a b"; CREATE TABLE a."b c" (n int); CREATE TABLE "a b".c (n int);
INSERT INTO a."b c" VALUES (1); INSERT INTO "a b".c VALUES (2), (3);
CREATE VIEW shown AS SELECT n + 1 AS more FROM moods WHERE n > 0;
CREATE INDEX moods_half ON moods ((n / 2)) WHERE n > 0;
"#;

#[tokio::test]
async fn what_is_legal_can_be_proven() {
    let (database, project) = filled(HARD_TO_PROVE).await;
    database.execute(&format!("ALTER DATABASE {} SET quote_all_identifiers = on", database.name())).await;
    project.run("db-backup").await.must_exit(0);
    let backup = manifest(&project);
    assert_eq!(backup["proof"]["outcome"], "proven");
    let rows = |schema: &str, name: &str| {
        let tables = backup["tables"].as_array().expect("tables").iter();
        let found: Vec<_> = tables.filter(|table| table["schema"] == schema && table["name"] == name).collect();
        found.first().map(|table| table["rows"].as_u64().expect("a number"))
    };
    for (schema, name, expected) in [
        ("public", "moods", Some(80)),
        ("public", "moods_0", None),
        ("public", "moods_2", None),
        ("public", "two\nlines", Some(1)),
        ("a", "b c", Some(1)),
        ("a b", "c", Some(2)),
    ] {
        assert_eq!(rows(schema, name), expected, "{schema} {name}");
    }
    let restored = format!("{}_restored", database.name());
    project.run(&format!("restore --into {restored}")).await.must_exit(0);
    let restored = database::of(&restored);
    assert_eq!(restored.value::<i64>("SELECT count(*) FROM moods").await, 80);
    drop(restored);
    let after = "RESTORE && psql -c 'UPDATE moods SET n = -1 WHERE n = 7' -c 'DELETE FROM a.\"b c\"' > /dev/null";
    let Some(project) = with_pg_restore(project, after) else {
        docker::skipped("what_is_legal_can_be_proven", "there is no pg_restore here to be wrapped");
        return;
    };
    std::fs::remove_dir_all(project.path("backups")).expect("the first one goes");
    let ended = project.run("db-backup").await;
    ended.must_exit(3);
    for words in ["public.moods: 80 rows, but not with the same contents", "a.b c: 1 rows dumped, 0 restored"] {
        assert!(ended.error().0.contains(words), "{words} in {}", ended.text());
    }
}

#[tokio::test]
async fn other_encodings_and_none_can_be_proven() {
    for (encoding, sql, told) in [
        (
            "LATIN1",
            "CREATE TABLE \"größe\" (t text DEFAULT 'ü' CHECK (t <> 'ß')); INSERT INTO \"größe\" VALUES ('é'); \
             COMMENT ON TABLE \"größe\" IS 'Größe'; CREATE VIEW bytes AS SELECT convert_to(t, 'LATIN1') AS b FROM \"größe\"",
            "e9",
        ),
        (
            "SQL_ASCII",
            "CREATE TABLE t (t text DEFAULT E'\\xfc'); INSERT INTO t VALUES (E'\\xe9'); COMMENT ON TABLE t IS E'\\xe9'; \
             CREATE VIEW bytes AS SELECT convert_to(t, 'SQL_ASCII') AS b FROM t",
            "e9",
        ),
    ] {
        let beside = Database::create().await;
        let name = format!("{}_{}", beside.name(), encoding.to_lowercase());
        beside.execute(&format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")).await;
        let database = database::of(&name);
        database.execute(sql).await;
        let project = project().on(&database);
        project.run("db-backup").await.must_exit(0);
        assert_eq!(manifest(&project)["proof"]["outcome"], "proven", "{encoding}");
        project.run(&format!("restore --into {name}_restored")).await.must_exit(0);
        let restored = database::of(&format!("{name}_restored"));
        assert_eq!(restored.value::<String>("SELECT encode(b, 'hex') FROM bytes").await, told, "{encoding}");
    }
}

/// Tables that a dump leaves out are told, and those that it holds for an extension are compared.
#[tokio::test]
async fn tables_of_extensions_are_thought_of() {
    let registered = "CREATE TABLE registered (k text); INSERT INTO registered VALUES ('of the extension')";
    let register = "ALTER EXTENSION hstore ADD TABLE registered; UPDATE pg_extension SET \
        extconfig = ARRAY['registered'::regclass::oid], extcondition = ARRAY[$$WHERE k <> 'of the extension'$$] \
        WHERE extname = 'hstore'";
    let (_database, project) = filled(&format!(
        "CREATE EXTENSION hstore; CREATE TABLE conf (k text); INSERT INTO conf VALUES ('v'); ALTER EXTENSION hstore ADD TABLE conf; \
         CREATE TABLE information_schema.mine (n int); {registered}; {register}; INSERT INTO registered VALUES ('mine')"
    ))
    .await;
    // No extension that is here has such a table: the sandbox's is made as the extension's script would make it.
    let file = |project: &Project, name: &str, sql: &str| std::fs::write(project.path(name), sql).expect("written");
    let Some(project) = with_pg_restore(project, "psql -f BEFORE && RESTORE && psql -f AFTER") else {
        docker::skipped("tables_of_extensions_are_thought_of", "there is no pg_restore here to be wrapped");
        return;
    };
    file(&project, "before.sql", registered);
    let script = std::fs::read_to_string(project.path("programs/pg_restore")).expect("the script");
    let script = script
        .replace("BEFORE", &project.path("before.sql").display().to_string())
        .replace("AFTER", &project.path("after.sql").display().to_string());
    project.change("programs/pg_restore", &script);
    for (damage, words) in [
        ("", None),
        (
            "UPDATE registered SET k = 'other' WHERE k = 'mine'",
            Some("public.registered: 1 rows, but not with the same"),
        ),
        ("DELETE FROM registered WHERE k = 'mine'", Some("public.registered: 1 rows dumped, 0 restored")),
    ] {
        file(&project, "after.sql", &format!("{register}; {damage}"));
        let ended = project.run("db-backup").await;
        let Some(words) = words else {
            ended.must_exit(0).must_say("the relation mine in information_schema is in no dump");
            assert_eq!(
                manifest(&project)["left_out"],
                serde_json::json!([
                    "the relation mine in information_schema",
                    "the table conf of extension hstore (not registered by pg_extension_config_dump)"
                ])
            );
            continue;
        };
        ended.must_exit(3);
        assert!(ended.error().0.contains(words), "{words} in {}", ended.text());
    }
}

/// Whoever may not read the database may not read it in files either.
#[tokio::test]
async fn files_with_rows_are_their_owners_alone() {
    let (_database, project) = awkward().await;
    project.run("db-backup").await.must_exit(0);
    project.run("db-backup --tables * --format csv").await.must_exit(0);
    let mut open: Vec<PathBuf> =
        project.names_in("backups/dev").iter().map(|name| project.path(&format!("backups/dev/{name}"))).collect();
    assert_eq!(open.len(), 2, "a backup and an export");
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let mode = path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
