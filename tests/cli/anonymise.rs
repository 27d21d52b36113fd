//! `anonymise`: nothing of anybody is in the copy, and nothing is copied by oversight.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rehearsal_tests::{Database, Project, database};
use rustix::process::Signal;
use serde_json::Value;

use crate::{all_releases, project};

const KEY: &str = "a key that is long enough, and is nowhere to be found";

const TARGETS: &str = "[targets.dev]\nurl_env = 'DATABASE_URL'\n[targets.laptop]\n[targets.vault]\nprotected = true\n";

/// A workspace with these rules, its target `dev`, and another database as `laptop` and as `vault`.
fn with_rules(rules: &str, source: &Database, other: &Database) -> Project {
    project()
        .write("rehearsal.toml", &format!("{TARGETS}\n{rules}"))
        .variable("REHEARSAL_ANONYMISE_KEY", KEY)
        .variable("LAPTOP_DATABASE_URL", &other.url())
        .variable("VAULT_DATABASE_URL", &other.url())
        .on(source)
}

fn copies(project: &Project) -> Vec<PathBuf> {
    let folder = "backups/dev-anonymised";
    project.names_in(folder).iter().map(|name| project.path(&format!("{folder}/{name}"))).collect()
}

fn manifest(copy: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(copy.join("manifest.json")).expect("a manifest")).expect("JSON")
}

/// Makes a copy, and restores it as a user of a laptop would.
async fn copied(project: &Project, words: &str, into: &str) -> Database {
    let ended = project.run(&format!("anonymise {words}")).await;
    ended.must_exit(0);
    let copy = copies(project).pop().expect("a copy");
    project.run(&format!("restore {} --target laptop --into {into}", copy.display())).await.must_exit(0);
    database::of(into)
}

/// All kinds of columns and all that may stand in the way.
const ALL_KINDS: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN mail AS text CHECK (value ~ '@');
CREATE TABLE "<script>" (
    "ID" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "e.mail ""x""" mail NOT NULL UNIQUE,
    shout text GENERATED ALWAYS AS (upper("e.mail ""x""")) STORED,
    name text, phone varchar(20), card text NOT NULL, notes text, number integer UNIQUE, ref uuid, born date,
    seen timestamptz, doc jsonb, other json, file bytea, ip inet, price numeric(8, 2), mood mood, tags text[], plan text);
INSERT INTO "<script>" ("e.mail ""x""", name, phone, card, notes, number, ref, born, seen, doc, other, file, ip, price, mood, tags, plan)
SELECT 'person' || g || '@real.example', 'Real Person ' || g, '+49 30 ' || 1000 + g, '4929 0000 0000 ' || 1000 + g, 'note ' || g, g,
    gen_random_uuid(), date '1980-01-01' + g, timestamptz '2024-01-01 12:00Z' + g * interval '1 hour',
    jsonb_build_object('mail', 'person' || g || '@real.example', 'deep', jsonb_build_object('n', g, 'name', 'Real ' || g), 'rest', 'x' || g),
    json_build_object('secret', 'json ' || g), decode('00ff', 'hex'), ('192.0.2.' || g % 250)::inet, g + 0.25, 'happy', '{a}', 'gold'
FROM generate_series(1, 300) g;
CREATE TABLE parted (k integer NOT NULL, mail text REFERENCES "<script>" ("e.mail ""x""") ON UPDATE CASCADE, word text) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted SELECT 1 + g % 2, 'person' || g || '@real.example', 'word number ' || g FROM generate_series(1, 100) g;
CREATE TABLE hidden (word text); INSERT INTO hidden VALUES ('hidden secret word');
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
CREATE TABLE countries (name text); INSERT INTO countries VALUES ('Norway');
CREATE TABLE changes (what text);
CREATE FUNCTION log_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.changes VALUES (OLD::text); RETURN NULL; END $$;
CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON "<script>" FOR EACH ROW EXECUTE FUNCTION log_change();
ALTER TABLE "<script>" ENABLE ALWAYS TRIGGER log_change;
CREATE MATERIALIZED VIEW seen_mails AS SELECT "e.mail ""x""" AS mail FROM "<script>";
"#;

const RULES: &str = r#"
[anonymise]
keys = "keep"
public = ["countries"]
[anonymise.columns]
'"<script>"."e.mail ""x"""' = { pseudonym = "email" }
"<script>.name" = { fake = "name" }
"<script>.phone" = "keep-format"
"<script>.card" = { mask = { first = 4, last = 2 } }
"<script>.notes" = "null"
"<script>.number" = "pseudonym"
"<script>.ref" = "pseudonym"
"<script>.born" = { shift = "30days" }
"<script>.seen" = { shift = "30days" }
"<script>.doc" = { json = { "/mail" = { pseudonym = "email" }, "/deep/name" = { fake = "first-name" }, "/deep/n" = "keep" } }
"<script>.other" = { const = '{"nothing": true}' }
"<script>.file" = "pseudonym"
"<script>.ip" = "pseudonym"
"<script>.price" = "keep-format"
"<script>.mood" = "keep"
"<script>.tags" = "null"
"<script>.plan" = "keep"
"parted.k" = "keep"
"*.word" = "pseudonym"
"changes.*" = "keep"
"#;

#[tokio::test]
async fn every_rule_does_what_it_says() {
    let (source, other) = (Database::create().await, Database::create().await);
    source.execute(ALL_KINDS).await;
    let before = source.everything().await;
    let project = with_rules(RULES, &source, &other);
    let ended = project.run("anonymise --fresh").await;
    ended.must_exit(0).must_say("columns under a rule").must_say("definitions are copied as they are written");
    assert_eq!(ended.steps(), ["backup done", "anonymise done"], "{}", ended.text());
    assert_eq!(source.everything().await, before);
    let copy = copies(&project).pop().expect("a copy");
    project
        .run(&format!("restore {} --target laptop --into {}_copy", copy.display(), source.name()))
        .await
        .must_exit(0);
    let copy = database::of(&format!("{}_copy", source.name()));
    let all = |condition: &str| format!("SELECT count(*) FILTER (WHERE {condition}) FROM \"<script>\"");
    for condition in [
        r#""e.mail ""x""" ~ '^p[0-9a-f]{20}@example[.]com$'"#,
        r#"shout = upper("e.mail ""x""")"#,
        "name ~ '^[A-Z][a-z]+ [A-Z][a-z]+$'",
        "phone ~ '^[+][0-9]{2} [0-9]{2} [0-9]{4}$'",
        "card ~ '^4929[*]{13}[0-9]{2}$'",
        "notes IS NULL AND tags IS NULL",
        "number > 0",
        "ref::text ~ '^.{14}4.{4}[89ab]'",
        "abs(born - (date '1980-01-01' + \"ID\"::int)) BETWEEN 1 AND 30",
        "seen <> timestamptz '2024-01-01 12:00Z' + \"ID\" * interval '1 hour'",
        "doc - 'deep' = jsonb_build_object('mail', \"e.mail \"\"x\"\"\") AND doc -> 'deep' ->> 'n' = \"ID\"::text",
        "doc -> 'deep' ->> 'name' !~ 'Real'",
        "other::text = '{\"nothing\": true}'",
        "length(file) = 32 AND ip << '10.0.0.0/8' AND price <> \"ID\" + 0.25",
        "mood = 'happy' AND plan = 'gold'",
    ] {
        assert_eq!(copy.value::<i64>(&all(condition)).await, 300, "{condition}");
    }
    assert_eq!(copy.value::<i64>("SELECT count(DISTINCT number) FROM \"<script>\"").await, 300);
    let joined = "SELECT count(*) FROM parted JOIN \"<script>\" s ON s.\"e.mail \"\"x\"\"\" = parted.mail AND s.\"ID\"::int % 2 = k - 1";
    assert_eq!(copy.value::<i64>(joined).await, 100);
    assert_eq!(copy.value::<i64>("SELECT count(*) FROM seen_mails WHERE mail ~ 'real'").await, 0);
    assert_eq!(copy.list("SELECT * FROM changes UNION ALL SELECT name FROM countries").await, ["Norway"]);
    assert_eq!(copy.value::<i64>("SELECT count(*) FROM hidden WHERE word ~ '^[0-9a-f]{20}$'").await, 1);
    let enabled = "SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'log_change'";
    assert_eq!(copy.value::<String>(enabled).await, "A");
    assert_eq!(copy.value::<i64>("SELECT count(*) FROM pg_namespace WHERE nspname = 'rehearsal_anonymise'").await, 0);
}

#[tokio::test]
async fn a_column_without_a_rule_ends_the_run() {
    let (source, other) = (Database::create().await, Database::create().await);
    source.execute("CREATE TABLE \"a.b\" (id int PRIMARY KEY, mail text); INSERT INTO \"a.b\" VALUES (1, 'x')").await;
    let project = with_rules("", &source, &other);
    project.run("db-backup").await.must_exit(0);
    let ended = project.run("anonymise").await;
    ended
        .must_exit(3)
        .must_say("columns without a rule: 2")
        .must_say("\"pseudonym\" # text")
        .must_say("\"?\" # integer, key, unique");
    assert!(copies(&project).is_empty());
    // What was printed is put into the file, and the mark that is no rule is told.
    let printed = ended.record()["error"]["excerpt"].as_str().expect("an excerpt").to_owned();
    project.change("rehearsal.toml", &format!("{TARGETS}\n{printed}\n"));
    project.run("anonymise").await.must_exit(2).must_say("no rule is written \"?\"");
    project.change("rehearsal.toml", &format!("{TARGETS}\n{}\n", printed.replace("\"?\"", "\"keep\"")));
    project.run("anonymise").await.must_exit(0);
    // A later migration adds a column: the next copy asks for it.
    source.execute("ALTER TABLE \"a.b\" ADD COLUMN birthday date").await;
    project
        .run("anonymise --fresh")
        .await
        .must_exit(3)
        .must_say("columns without a rule: 1")
        .must_say("{ shift = \"30days\" }");
    assert_eq!(copies(&project).len(), 1);
}

#[tokio::test]
async fn the_same_key_gives_the_same_pseudonyms_and_is_nowhere() {
    let (source, other) = (Database::create().await, Database::create().await);
    source
        .execute(
            "CREATE TABLE a (id int PRIMARY KEY, mail text); CREATE TABLE b (mail text, n bigint); \
             INSERT INTO a SELECT g, 'p' || g || '@real.example' FROM generate_series(1, 50) g; INSERT INTO b SELECT mail, id FROM a",
        )
        .await;
    let rules =
        "[anonymise]\nkeys = 'keep'\n[anonymise.columns]\n'*.mail' = { pseudonym = 'email' }\n'b.n' = 'pseudonym'";
    // Tests that run meanwhile have another one.
    let key = format!("{KEY} {}", source.name());
    let project = with_rules(rules, &source, &other).variable("REHEARSAL_ANONYMISE_KEY", &key);
    let mut running = project.start("anonymise --fresh");
    let mut seen = Vec::new();
    while !running.has_ended() {
        seen.extend(processes_with(&key, running.pid()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = running.end().await;
    ended.must_exit(0);
    assert!(seen.is_empty(), "{seen:?}");
    assert!(!ended.text().contains(&key));
    for file in files_below(project.folder()) {
        let bytes = std::fs::read(&file).expect("it can be read");
        assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "{}", file.display());
    }
    let name = source.name();
    let one = copied(&project, "", &format!("{name}_one")).await;
    let two = copied(&project, "", &format!("{name}_two")).await;
    let mails = "SELECT mail FROM a ORDER BY id";
    assert_eq!(one.list(mails).await, two.list(mails).await);
    assert_eq!(one.value::<i64>("SELECT count(*) FROM a JOIN b USING (mail) WHERE a.mail !~ 'real'").await, 50);
    let three = copied(&project, "--random-key", &format!("{name}_three")).await;
    assert_ne!(one.list(mails).await, three.list(mails).await);
    let kinds: Vec<Value> = copies(&project).iter().map(|copy| manifest(copy)["anonymised"]["key"].clone()).collect();
    assert_eq!(kinds, ["own", "own", "own", "random"]);
    let without = with_rules(rules, &source, &other).variable("REHEARSAL_ANONYMISE_KEY", "");
    without.run("anonymise --fresh").await.must_exit(2).must_say("there is no key").must_say("--random-key");
    let short = without.variable("REHEARSAL_ANONYMISE_KEY", "too short");
    short.run("anonymise --fresh").await.must_exit(2).must_say("could be guessed");
}

/// Processes other than that one with the text in their arguments or their environment.
fn processes_with(text: &str, but: u32) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let program = |pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    // A child that is about to become another program has the memory of its parent still.
    let ours = program(but);
    let numbers = numbers.filter(|pid| ours.is_none() || program(*pid) != ours);
    numbers
        .filter(|pid| *pid != but && *pid != std::process::id())
        .flat_map(|pid| ["cmdline", "environ"].map(|file| format!("/proc/{pid}/{file}")))
        .filter(|path| {
            std::fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
        })
        .collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// A cycle, a table that refers to itself, a public table, partitions, references that may be missing.
const FAMILIES: &str = "
CREATE TABLE kinds (id int PRIMARY KEY); INSERT INTO kinds SELECT generate_series(1, 7);
CREATE TABLE people (id int PRIMARY KEY, boss int REFERENCES people, kind int REFERENCES kinds, mail text);
INSERT INTO people SELECT g, nullif(g / 10, 0), 1 + g % 7, 'm' || g || '@real.example' FROM generate_series(1, 1000) g;
CREATE TABLE goods (id int PRIMARY KEY); INSERT INTO goods SELECT generate_series(1, 1000);
CREATE TABLE orders (id int, person int NOT NULL REFERENCES people ON DELETE CASCADE, good int REFERENCES goods, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE orders_low PARTITION OF orders FOR VALUES FROM (0) TO (2000);
CREATE TABLE orders_high PARTITION OF orders FOR VALUES FROM (2000) TO (9000);
INSERT INTO orders SELECT g, 1 + g % 1000, CASE WHEN g % 3 = 0 THEN 1 + g % 1000 END FROM generate_series(1, 5000) g;
CREATE TABLE hens (id int PRIMARY KEY, egg int); CREATE TABLE eggs (id int PRIMARY KEY, hen int REFERENCES hens);
INSERT INTO hens SELECT g, g FROM generate_series(1, 500) g; INSERT INTO eggs SELECT g, g FROM generate_series(1, 500) g;
ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs;
CREATE TABLE nothing (id int PRIMARY KEY);
";

#[tokio::test]
async fn a_sample_keeps_references_whole() {
    let (source, other) = (Database::create().await, Database::create().await);
    source.execute(FAMILIES).await;
    let rules =
        "[anonymise]\nkeys = 'keep'\npublic = ['kinds']\n[anonymise.columns]\n'people.mail' = { pseudonym = 'email' }";
    let project = with_rules(rules, &source, &other);
    project.run("db-backup").await.must_exit(0);
    let ended = project.run("anonymise --sample 5%").await;
    ended.must_exit(0).must_say("a sample of 5%: it proves nothing about how long anything takes");
    let folder = copies(&project).pop().expect("a copy");
    assert_eq!(manifest(&folder)["anonymised"]["sample"], "5%");
    let into = format!("{}_sample", source.name());
    // Its foreign keys are made anew: one that leads nowhere would fail here.
    project.run(&format!("restore {} --target laptop --into {into}", folder.display())).await.must_exit(0);
    let copy = database::of(&into);
    let valid = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated AND conparentid = 0";
    assert_eq!(copy.value::<i64>(valid).await, source.value::<i64>(valid).await);
    for (table, least, most) in [
        ("kinds", 7, 7),
        ("people", 50, 120),
        ("orders", 250, 250),
        ("goods", 50, 200),
        ("hens", 25, 50),
        ("eggs", 25, 50),
        ("nothing", 0, 0),
    ] {
        let rows: i64 = copy.value(&format!("SELECT count(*) FROM {table}")).await;
        assert!((least..=most).contains(&rows), "{table}: {rows}");
    }
    // Whoever was chosen has come with all orders.
    let whole = "SELECT count(*) FROM (SELECT person, count(*) FROM orders GROUP BY 1 HAVING count(*) = 5) families";
    assert!(copy.value::<i64>(whole).await >= 50);
    for wrong in ["5", "0%", "100%"] {
        project.run(&format!("anonymise --sample {wrong}")).await.must_exit(2);
    }
}

/// Neither a backup of its target nor welcome there.
#[tokio::test]
async fn a_copy_is_never_taken_for_a_backup() {
    let (source, other) = (Database::create().await, Database::create().await);
    source.execute("CREATE TABLE a (mail text); INSERT INTO a VALUES ('one@real.example')").await;
    let project = with_rules("[anonymise.columns]\n'a.mail' = 'pseudonym'", &source, &other);
    project.run("anonymise").await.must_exit(2).must_say("there is no backup of `dev`");
    project.run("anonymise --fresh").await.must_exit(0);
    let backup = project.names_in("backups/dev");
    assert_eq!(backup.len(), 1);
    project.remove(&format!("backups/dev/{}/manifest.json", backup[0]));
    project.run("restore").await.must_exit(2).must_say("there is no backup of `dev`");
    let copy = copies(&project).pop().expect("a copy").display().to_string();
    let into = format!("{}_x", source.name());
    let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{into}'");
    for (target, why) in [("dev", "where it came from"), ("vault", "`vault` is protected")] {
        project.run(&format!("restore {copy} --target {target} --into {into}")).await.must_exit(3).must_say(why);
        assert_eq!(source.value::<i64>(&there).await, 0);
    }
    // By another way to the same database, below another name.
    let elsewhere = project.path("elsewhere.toml").display().to_string();
    project.change("elsewhere.toml", "[targets.lap]\nurl_env = 'LAP_URL'\n");
    let project = project.variable("LAP_URL", &source.url_by_another_way());
    let words = format!("restore {copy} --config {elsewhere} --target lap --into {into}");
    project.run(&words).await.must_exit(3).must_say("where it came from");
    project.run(&format!("restore {copy} --anonymised --into {into}")).await.must_exit(0);
    drop(database::of(&into));
    project.run(&format!("anonymise {copy}")).await.must_exit(2).must_say("is an anonymised copy already");
    // Without the URL of its target: the copy is made of files alone.
    let elsewhere = with_rules("[anonymise.columns]\n'a.mail' = 'null'", &source, &other);
    elsewhere.run("db-backup").await.must_exit(0);
    elsewhere.variable("DATABASE_URL", "").run("anonymise").await.must_exit(0);
}

#[tokio::test]
async fn a_value_that_is_left_is_found() {
    let (source, other) = (Database::create().await, Database::create().await);
    source
        .execute(
            "CREATE TABLE a (mail text, log text, memo text); \
             INSERT INTO a SELECT m, 'seen: ' || m, 'met ' || m FROM (SELECT 'person' || g || '@real.example' FROM generate_series(1, 30) g) x(m); \
             COMMENT ON TABLE a IS 'ask person10@real.example'",
        )
        .await;
    let rules = |log: &str| {
        format!(
            "{TARGETS}\n[anonymise.columns]\n'a.mail' = {{ pseudonym = 'email' }}\n'a.memo' = 'keep'\n'a.log' = {log}\n"
        )
    };
    let project = with_rules("", &source, &other);
    project.run("db-backup").await.must_exit(0);
    // Whatever a mask leaves of the log is the address.
    project.change("rehearsal.toml", &rules("{ mask = { first = 99, last = 0 } }"));
    project.run("anonymise").await.must_exit(0);
    project.change("rehearsal.toml", &rules("{ mask = { last = 21 } }"));
    let ended = project.run("anonymise").await;
    ended.must_exit(3).must_say("the copy holds what it must not: values of public.a.mail are in public.a.log");
    assert!(!ended.text().contains("@real"), "{}", ended.text());
    assert_eq!(copies(&project).len(), 1);
    // Where it is meant to stay it is told, and stays.
    project.change("rehearsal.toml", &rules("'null'"));
    let ended = project.run("anonymise").await;
    ended.must_exit(0).must_say("values of public.a.mail are in public.a.memo, which is meant to stay");
    ended.must_say("values of public.a.mail are in a definition");
    assert_eq!(ended.steps(), ["anonymise warned"]);
}

#[tokio::test]
async fn rules_that_do_not_fit_are_told_before_or_by_name() {
    let (source, other) = (Database::create().await, Database::create().await);
    source
        .execute(
            "CREATE TABLE a (id int PRIMARY KEY, code text UNIQUE, mail varchar(20) NOT NULL, state text CHECK (state IN ('on', 'off')), tags text[]); \
             CREATE TABLE b (a int REFERENCES a, state text); \
             INSERT INTO a SELECT g, g, 'm' || g, 'on', NULL FROM generate_series(0, 99) g",
        )
        .await;
    let project = with_rules("", &source, &other);
    project.run("db-backup").await.must_exit(0);
    let good =
        [("a.id", "'keep'"), ("a.code", "'keep'"), ("a.mail", "'keep'"), ("a.tags", "'keep'"), ("*.state", "'keep'")];
    for (column, rule, code, words) in [
        ("a.code", "{ fake = 'name' }", 2, "a.code: fake name does not fit: its values must differ"),
        ("a.mail", "{ pseudonym = 'email' }", 2, "has room for 20 characters, and 33 are needed"),
        ("a.mail", "'null'", 2, "it must not be NULL"),
        ("a.tags", "'pseudonym'", 2, "text[] takes null, const or keep"),
        ("b.a", "'pseudonym'", 2, "b.a refers to a.id and must have its rule"),
        ("a.code", "'keep-format'", 3, "the unique index `a_code_key`"),
        ("a.state", "'pseudonym'", 3, "the check constraint `a_state_check`"),
    ] {
        let rules: String = good
            .iter()
            .filter(|(name, _)| *name != column)
            .chain([&(column, rule)])
            .map(|(name, rule)| format!("'{name}' = {rule}\n"))
            .collect();
        project.change("rehearsal.toml", &format!("{TARGETS}\n[anonymise.columns]\n{rules}"));
        project.run("anonymise").await.must_exit(code).must_say(words);
    }
    assert!(copies(&project).is_empty());
    // A reference without a rule of its own takes over that of what it refers to.
    project.change(
        "rehearsal.toml",
        &format!("{TARGETS}\n[anonymise.columns]\n'a.id' = 'pseudonym'\n'a.code' = 'null'\n'a.mail' = 'mask'\n'*.state' = 'keep'\n'a.tags' = 'keep'\n'gone.*' = 'keep'\n"),
    );
    project.run("anonymise").await.must_exit(0).must_say("nothing in the database is called `gone.*`");
}

/// Ctrl-C with the rules at work: neither a copy nor a part of one, and nothing else.
#[tokio::test]
async fn an_interrupt_leaves_nothing() {
    let (source, other) = (Database::create().await, Database::create().await);
    source.execute("CREATE TABLE a (word text); INSERT INTO a SELECT g FROM generate_series(1, 1000) g").await;
    let project = with_rules("[anonymise.columns]\n'a.word' = 'pseudonym'", &source, &other);
    project.run("db-backup").await.must_exit(0);
    let mut running = project.start("anonymise --json");
    running.has_written("\"event\":\"figure\"").await;
    running.signal(Signal::INT);
    let ended = running.end().await;
    ended.must_exit(130);
    project.must_be_clean_after(&ended).await;
    assert!(project.names_in("backups/dev-anonymised").is_empty());
    project.run("anonymise").await.must_exit(0);
}

/// What a dump holds beside rows: passwords go, large objects need a word.
#[tokio::test]
async fn what_is_no_row_is_thought_of_as_well() {
    let (source, other) = (Database::create().await, Database::create().await);
    source
        .execute(
            "CREATE TABLE a (word text); CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; \
             CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'mapped-secret'); SELECT lo_from_bytea(0, 'large secret'); \
             CREATE SUBSCRIPTION s CONNECTION 'host=nowhere.example password=subscribed-secret' PUBLICATION p WITH (connect = false)",
        )
        .await;
    let project = with_rules("[anonymise.columns]\n'a.word' = 'mask'", &source, &other);
    project.run("db-backup").await.must_exit(0);
    source.execute("ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s").await;
    project
        .run("anonymise")
        .await
        .must_exit(3)
        .must_say("there are large objects (1)")
        .must_say("large_objects = \"drop\"");
    let rules = format!("{TARGETS}\n[anonymise]\nlarge_objects = 'drop'\n[anonymise.columns]\n'a.word' = 'mask'\n");
    project.change("rehearsal.toml", &rules);
    project.run("anonymise").await.must_exit(0).must_say("the user mapping of public for server s was left out");
    let copy = copies(&project).pop().expect("a copy");
    for file in files_below(&copy) {
        let bytes = std::fs::read(&file).expect("it can be read");
        for secret in ["mapped-secret", "subscribed-secret"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", file.display());
        }
    }
    let names: Vec<String> = files_below(&copy).iter().map(|file| file.display().to_string()).collect();
    assert!(names.iter().all(|name| !name.contains("blob")), "{names:?}");
}

/// Any text: as long as before, digits for digits, letters for letters, the rest untouched, never the same.
#[tokio::test]
async fn keep_format_keeps_the_format() {
    let (source, other) = (Database::create().await, Database::create().await);
    let alphabet: Vec<char> = "abzAZ019 -.,+()@_/\\'\"\täÖßé日本€".chars().collect();
    let mut random = fastrand::Rng::with_seed(7);
    let texts: Vec<String> = (0..400)
        .map(|_| (0..random.usize(0..60)).map(|_| alphabet[random.usize(..alphabet.len())]).collect())
        .collect();
    source.execute("CREATE TABLE a (id int PRIMARY KEY, t text)").await;
    for (id, text) in texts.iter().enumerate() {
        source
            .execute(&format!("INSERT INTO a VALUES ({id}, {})", rehearsal::postgres::identifier::literal(text)))
            .await;
    }
    let project = with_rules("[anonymise]\nkeys = 'keep'\n[anonymise.columns]\n'a.t' = 'keep-format'", &source, &other);
    let copy = copied(&project, "--fresh", &format!("{}_copy", source.name())).await;
    let made = copy.list("SELECT t FROM a ORDER BY id").await;
    for (before, after) in texts.iter().zip(&made) {
        assert_eq!(before.chars().count(), after.chars().count(), "{before:?} {after:?}");
        for (was, is) in before.chars().zip(after.chars()) {
            let fits = match was {
                '0'..='9' => is.is_ascii_digit(),
                'a'..='z' => is.is_ascii_lowercase(),
                'A'..='Z' => is.is_ascii_uppercase(),
                _ if was.is_ascii() => is == was,
                _ => is.is_ascii_alphabetic(),
            };
            assert!(fits, "{was:?} {is:?} in {before:?} {after:?}");
        }
        let changes = before.chars().any(|c| c.is_ascii_alphanumeric() || !c.is_ascii());
        assert_eq!(before != after, changes, "{before:?} {after:?}");
    }
}

/// This workspace's own rules cover its own schema, and its service's code could work with the copy.
#[tokio::test]
async fn this_workspaces_schema_is_covered() {
    let (source, other) = (Database::create().await, Database::create().await);
    let project = all_releases()
        .variable("REHEARSAL_ANONYMISE_KEY", KEY)
        .variable("STAGING_DATABASE_URL", &other.url())
        .on(&source);
    project.run("migrate").await.must_exit(0);
    source
        .execute(
            "INSERT INTO \"user\" (email, name, hashed_password, username) \
             SELECT 'person' || g || '@real.example', 'Real ' || g, '$argon2id$' || g, 'person-' || g FROM generate_series(1, 20) g; \
             INSERT INTO tenants (owner_id, name) SELECT id, username FROM \"user\" WHERE id < 5; \
             INSERT INTO tasks (user_id, title, description) SELECT id, 'Call the real doctor', 'private' FROM \"user\"; \
             INSERT INTO teacher_applications (user_id, motivation) SELECT id, 'I love teaching' FROM \"user\"",
        )
        .await;
    let ended = project.run("anonymise --fresh").await;
    ended.must_exit(0);
    let copy = copies(&project).pop().expect("a copy");
    let into = format!("{}_copy", source.name());
    project.run(&format!("restore {} --target staging --into {into}", copy.display())).await.must_exit(0);
    let copy = database::of(&into);
    assert_eq!(
        copy.value::<i64>(
            "SELECT count(*) FROM \"user\" JOIN tenants ON username = tenants.name AND owner_id = \"user\".id"
        )
        .await,
        4
    );
    assert_eq!(
        copy.value::<i64>(
            "SELECT count(*) FROM \"user\" WHERE concat(email, name, hashed_password, username) ~* 'real|person|argon'"
        )
        .await,
        0
    );
    assert_eq!(
        copy.value::<i64>("SELECT count(*) FROM tasks WHERE title ~ 'doctor' OR description IS NOT NULL").await,
        0
    );
    assert_eq!(
        copy.value::<i64>("SELECT count(*) FROM reserved_usernames").await,
        source.value::<i64>("SELECT count(*) FROM reserved_usernames").await
    );
    assert_eq!(copy.applied().await, source.applied().await);
}

/// Elements of arrays have no rule: nothing of them comes through, wherever they stand.
#[tokio::test]
async fn an_array_in_a_document_hides_nothing() {
    let (source, other) = (Database::create().await, Database::create().await);
    source
        .execute(
            "CREATE TABLE a (id int PRIMARY KEY, doc jsonb); INSERT INTO a VALUES \
             (1, '{\"mail\": [\"one@real.example\"], \"items\": [{\"mail\": \"two@real.example\"}], \"theme\": \"dark\"}'), \
             (2, '[{\"mail\": \"three@real.example\"}]'), (3, '{\"mail\": {\"at\": [\"four@real.example\"]}}')",
        )
        .await;
    let rules = "[anonymise]\nkeys = 'keep'\n[anonymise.columns]\n\
                 'a.doc' = { json = { '/mail' = { pseudonym = 'email' }, '/theme' = 'keep' } }";
    let project = with_rules(rules, &source, &other);
    let copy = copied(&project, "--fresh", &format!("{}_copy", source.name())).await;
    assert_eq!(
        copy.list("SELECT doc::text FROM a ORDER BY id").await,
        ["{\"mail\": null, \"theme\": \"dark\"}", "{}", "{\"mail\": null}"]
    );
    // A rule for one element, or for all of them, is refused and not taken for a name.
    for path in ["/items/0/mail", "/items/*/mail"] {
        project.change(
            "rehearsal.toml",
            &format!("{TARGETS}\n[anonymise]\nkeys = 'keep'\n[anonymise.columns]\n'a.doc' = {{ json = {{ '{path}' = 'mask' }} }}\n"),
        );
        project.run("anonymise").await.must_exit(2).must_say("elements of arrays have no rule of their own");
    }
}

/// The journal's keys are rows' values, a user's table beside it is a user's, and roles may be called as people are.
#[tokio::test]
async fn our_own_tables_and_the_roles_tell_nothing() {
    let (source, other) = (Database::create().await, Database::create().await);
    let [person, reader] = ["person", "reader"].map(|role| format!("{role}1000@{}.example", source.name()));
    let rules = |more: &str| {
        format!("[anonymise.columns]\n'users.email' = {{ pseudonym = 'email' }}\n'users.n' = 'keep'\n{more}")
    };
    let project = with_rules(&rules(""), &source, &other)
        .migration(
            "1_users",
            "CREATE TABLE users (email text PRIMARY KEY, n int);\n\
             INSERT INTO users SELECT 'person' || g || '@real.example', g FROM generate_series(1, 50) g;",
            "DROP TABLE users;",
        )
        .migration("2_more", "UPDATE users SET n = n + 1 WHERE /* batch: users.email */ TRUE;", "SELECT 1;");
    project.run("migrate").await.must_exit(0);
    let held = "SELECT count(*) FROM rehearsal.journal WHERE concat(checkpoint, upper_bound) ~ '@real'";
    assert!(source.value::<i64>(held).await > 0, "the batches leave a key");
    source
        .execute(&format!(
            "CREATE TABLE rehearsal.overrides (at timestamptz, version bigint, command text, reason text, run_id text, role text); \
             INSERT INTO rehearsal.overrides VALUES (now(), 1, 'mark-applied', 'person1@real.example asked', 'r', 'person1@real.example'); \
             CREATE TABLE rehearsal.mine (email text); INSERT INTO rehearsal.mine VALUES ('person1@real.example'); \
             CREATE ROLE \"{person}\"; CREATE ROLE \"{reader}\" IN ROLE \"{person}\"; GRANT SELECT ON users TO \"{reader}\""
        ))
        .await;
    let ended = project.run("anonymise --fresh").await;
    ended.must_exit(3).must_say("columns without a rule: 1").must_say("\"rehearsal.mine.email\"");
    let rules = format!("{TARGETS}\n{}", rules("'rehearsal.mine.email' = { pseudonym = 'email' }\n"));
    project.change("rehearsal.toml", &rules);
    let copy = copied(&project, "", &format!("{}_copy", source.name())).await;
    let all = "SELECT concat(j.*) FROM rehearsal.journal j UNION ALL SELECT concat(o.*) FROM rehearsal.overrides o \
               UNION ALL SELECT email FROM rehearsal.mine";
    let told = copy.list(all).await;
    assert!(told.len() > 2 && told.iter().all(|row| !row.contains("@real")), "{told:?}");
    assert_eq!(copy.list("SELECT DISTINCT state FROM rehearsal.journal").await, ["done"]);
    let kept = manifest(&copies(&project).pop().expect("a copy"));
    let roles: Vec<&str> =
        kept["roles"].as_array().expect("roles").iter().filter_map(|role| role["name"].as_str()).collect();
    assert!(roles.contains(&&*reader) && !kept.to_string().contains(&person), "{roles:?}");
    let folder = project.path("backups/dev-anonymised");
    for path in [copies(&project), files_below(&folder)].concat() {
        let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().expect("it is there")) & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    // In the middle of the batches their key cannot be left out.
    source.execute("UPDATE rehearsal.journal SET state = 'started' WHERE checkpoint IS NOT NULL").await;
    project.run("anonymise --fresh").await.must_exit(3).must_say("migration 2 stopped between two batches");
    assert_eq!(copies(&project).len(), 1);
    drop(copy);
    source.execute(&format!("DROP OWNED BY \"{reader}\"; DROP ROLE \"{reader}\"; DROP ROLE \"{person}\"")).await;
}

/// A published table without a key, an event trigger that forbids all, and numbers that are none.
#[tokio::test]
async fn what_forbids_changes_is_no_hindrance() {
    let (source, other) = (Database::create().await, Database::create().await);
    source
        .execute(
            "CREATE TABLE a (word text, price numeric); \
             INSERT INTO a SELECT 'word ' || g, CASE WHEN g % 2 = 0 THEN 'NaN' ELSE g + 0.25 END FROM generate_series(1, 40) g; \
             CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'update, delete'); \
             CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not here'; END $$; \
             CREATE EVENT TRIGGER never ON ddl_command_start EXECUTE FUNCTION forbid(); \
             ALTER EVENT TRIGGER never ENABLE ALWAYS",
        )
        .await;
    let rules = "[anonymise.columns]\n'a.word' = 'pseudonym'\n'a.price' = 'keep-format'";
    let project = with_rules(rules, &source, &other);
    let copy = copied(&project, "--fresh", &format!("{}_copy", source.name())).await;
    assert_eq!(copy.value::<i64>("SELECT count(*) FROM a WHERE price = 'NaN' AND word !~ 'word'").await, 20);
    assert_eq!(copy.value::<i64>("SELECT count(*) FROM a WHERE price <> 'NaN' AND price::text ~ '[.]'").await, 20);
    let published = "SELECT concat(pubinsert, pubupdate, pubdelete, pubtruncate, puballtables) FROM pg_publication";
    assert_eq!(copy.list(published).await, ["fttft"]);
    assert_eq!(copy.list("SELECT evtenabled FROM pg_event_trigger").await, ["A"]);
}
