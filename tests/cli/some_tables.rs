//! `restore --tables`: some tables of a backup, with what belongs to them and what they need, beside the rest.

use rehearsal_tests::{Database, Project, database};

use crate::project;

/// Tables that need types, functions, sequences, an extension's type and each other.
const SHOP: &str = "\
    CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('calm', 'busy'); CREATE EXTENSION citext SCHEMA app; \
    CREATE FUNCTION app.code() RETURNS text LANGUAGE sql AS $$ SELECT 'made here'::text $$; \
    CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note = 'stamped'; RETURN NEW; END $$; \
    CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE); \
    CREATE TABLE app.orders (id serial PRIMARY KEY, user_id bigint REFERENCES users, code text DEFAULT app.code(), \
        mood app.mood, label app.citext, note text, parent int CONSTRAINT of_parent REFERENCES app.orders); \
    CREATE INDEX orders_mood ON app.orders (mood); COMMENT ON TABLE app.orders IS 'what was bought'; \
    CREATE TRIGGER stamp BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.stamp(); \
    CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); \
    CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'); \
    CREATE TABLE \"odd name\" (id int); CREATE TABLE \"odd\" (id int); \
    CREATE VIEW busy AS SELECT * FROM app.orders WHERE mood = 'busy'; \
    INSERT INTO users (name) SELECT 'user ' || g FROM generate_series(1, 50) g; \
    INSERT INTO app.orders (user_id, mood, label, parent) SELECT g, 'calm', 'Label ' || g, CASE WHEN g > 1 THEN 1 END FROM generate_series(1, 40) g; \
    INSERT INTO events SELECT g, '2025-06-01' FROM generate_series(1, 30) g; \
    INSERT INTO \"odd name\" SELECT generate_series(1, 7); ";

async fn shop() -> (Database, Project) {
    let source = Database::create().await;
    source.execute(SHOP).await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    (source, project)
}

const RELATIONS: &str = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname IN ('public', 'app') AND relkind IN ('r', 'p', 'v', 'S') ORDER BY 1";

#[tokio::test]
async fn old_rows_of_one_table() {
    let (source, project) = shop().await;
    source.execute("DELETE FROM app.orders WHERE id > 5").await;
    let name = format!("{}_restored", source.name());
    let ended = project.run(&format!("restore --tables app.orders --into {name}")).await;
    ended
        .must_exit(0)
        .must_say("40 rows in 1 table are in database")
        .must_say("foreign key orders_user_id_fkey of app.orders")
        .must_say("COPY (SELECT * FROM app.orders WHERE …) TO STDOUT");
    assert!(!ended.text().contains("of_parent"), "{}", ended.text());
    let copy = database::of(&name);
    assert_eq!(copy.list(RELATIONS).await, ["app.orders", "app.orders_id_seq"]);
    assert_eq!(
        copy.value::<i64>("SELECT count(*) FROM app.orders WHERE mood = 'calm' AND label OPERATOR(app.=) 'LABEL 7'")
            .await,
        1
    );
    let belongs = "SELECT conname::text FROM pg_constraint WHERE conrelid = 'app.orders'::regclass UNION \
                   SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'app.orders'::regclass UNION \
                   SELECT tgname::text FROM pg_trigger WHERE tgrelid = 'app.orders'::regclass AND NOT tgisinternal ORDER BY 1";
    assert_eq!(copy.list(belongs).await, ["app.orders_mood", "app.orders_pkey", "of_parent", "orders_pkey", "stamp"]);
    copy.execute("INSERT INTO app.orders (mood) VALUES ('busy')").await;
    let new = "SELECT concat_ws(' ', id, code, note, obj_description('app.orders'::regclass)) FROM app.orders WHERE mood = 'busy'";
    assert_eq!(copy.value::<String>(new).await, "41 made here stamped what was bought");
}

/// A partitioned table is all of its partitions, and one partition is itself, below a table without rows.
#[tokio::test]
async fn partitions_and_names_with_blanks() {
    let (source, project) = shop().await;
    let name = format!("{}_restored", source.name());
    project
        .run(&format!("restore --tables events,users --into {name}"))
        .await
        .must_exit(0)
        .must_say("80 rows in 2 tables");
    let copy = database::of(&name);
    assert_eq!(
        copy.list(RELATIONS).await,
        ["public.events", "public.events_2025", "public.users", "public.users_id_seq"]
    );
    assert_eq!(copy.value::<i64>("SELECT count(*) FROM events").await, 30);
    assert_eq!(copy.value::<i64>("SELECT nextval('users_id_seq')").await, 51);
    drop(copy);
    let ended = project.run(&format!("restore --tables public.events_* --into {name}")).await;
    ended.must_exit(0).must_say("30 rows in 1 table").must_say("table public.events came along without its rows");
    let copy = database::of(&name);
    assert_eq!(copy.value::<i64>("SELECT count(*) FROM events").await, 30);
    drop(copy);
    // Into a database that is there and empty, as for all of a backup; `odd` is not `odd name`.
    let there = Database::create().await;
    project.run(&format!("restore --tables odd?name --into {}", there.name())).await.must_exit(2);
    project
        .run(&format!("restore --tables odd*name --into {}", there.name()))
        .await
        .must_exit(0)
        .must_say("7 rows in 1 table");
    assert_eq!(there.list(RELATIONS).await, ["public.odd name"]);
}

/// Nothing is made where one of them is not there, and nothing takes the place of all.
#[tokio::test]
async fn refused_before_anything_is_made() {
    let (source, project) = shop().await;
    let ended = project.run("restore --tables users,gone,app.users").await;
    ended.must_exit(2);
    assert!(ended.error().0.contains("gone, app.users"), "{:?}", ended.error());
    for place in ["--swap", "--clean"] {
        project.run(&format!("restore --tables users {place}")).await.must_exit(2).must_say("cannot be used with");
    }
    let beside = format!("SELECT datname FROM pg_database WHERE datname LIKE '{}\\_%'", source.name());
    assert_eq!(source.list(&beside).await, Vec::<String>::new());
}
