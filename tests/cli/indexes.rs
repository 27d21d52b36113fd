//! CREATE INDEX CONCURRENTLY where something is there already, or stands in its way.

use rehearsal_tests::{Database, Project, until};
use sqlx::Executor;

use crate::project;

fn people(index: &str) -> Project {
    project()
        .migration(
            "1_people",
            "CREATE TABLE people (id bigint PRIMARY KEY, name text, n integer);\n\
             INSERT INTO people VALUES (1, 'Ann', 1), (2, 'ann', 2), (3, 'ANN', 3), (4, 'bob', 4), (5, 'Bob', 5), \
             (6, 'eve', 6), (7, NULL, 7), (8, NULL, 8), (9, 'gone', -1), (10, 'gone', -1);\n",
            "DROP TABLE people;\n",
        )
        .migration("2_index", &format!("-- no-transaction\n{index}\n"), "SELECT 1;\n")
}

async fn on_people(index: &str) -> (Project, Database) {
    let database = Database::create().await;
    let project = people(index).on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    (project, database)
}

async fn indexes(database: &Database) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', indexrelid::regclass, indisvalid) FROM pg_index WHERE indrelid = 'people'::regclass ORDER BY 1";
    database.list(sql).await
}

#[tokio::test]
async fn duplicates_are_listed_and_nothing_is_left() {
    for name in ["people_name_key", "IF NOT EXISTS people_name_key", ""] {
        let (project, database) =
            on_people(&format!("CREATE UNIQUE INDEX CONCURRENTLY {name} ON people (lower(name)) WHERE n > 0;")).await;
        for _ in 0..2 {
            let ended = project.run("migrate").await;
            ended.must_exit(5);
            let (error, hint) = ended.error();
            assert!(error.starts_with("migrations/2_index.up.sql:2:1: could not create unique index"), "{error}");
            let listed = "there are duplicates: (lower(name)) = (ann) 3 times, (bob) 2 times; ";
            assert!(hint.starts_with(listed), "{hint}");
            assert_eq!(indexes(&database).await, ["people_pkey t"], "no INVALID index is left");
        }
        database.execute("DELETE FROM people WHERE id IN (2, 3, 5)").await;
        project.run("migrate").await.must_exit(0);
        assert_eq!(indexes(&database).await.len(), 2);
        assert_eq!(database.applied().await, ["1", "2"]);
    }
}

#[tokio::test]
async fn the_same_index_by_another_hand_is_taken_as_done() {
    for (by_hand, index) in [
        (
            "CREATE INDEX people_n ON public.people USING btree (n ASC, lower(name)) INCLUDE (id) WHERE (n > 3)",
            "CREATE INDEX CONCURRENTLY people_n ON people (n, lower(name)) INCLUDE (id) WHERE n > 3;",
        ),
        (
            "CREATE UNIQUE INDEX \"People n\" ON people (id DESC) WITH (fillfactor = 70)",
            "create unique index concurrently if not exists \"People n\" on only people (id desc) with (fillfactor=70) -- ;\n;",
        ),
    ] {
        let (project, database) = on_people(index).await;
        database.execute(by_hand).await;
        let before = database.everything().await;
        project.run("migrate").await.must_exit(0).must_say("is there already as it is meant; taken as done");
        let built: Vec<_> = before.iter().filter(|line| line.contains("eople")).collect();
        let after = database.everything().await;
        assert!(built.iter().all(|line| after.contains(line)), "nothing was built again");
        assert_eq!(database.applied().await, ["1", "2"]);
    }
}

#[tokio::test]
async fn another_index_of_the_same_name_is_refused() {
    for (by_hand, index) in [
        ("CREATE INDEX people_n ON people (n DESC)", "CREATE INDEX CONCURRENTLY people_n ON people (n);"),
        (
            "CREATE INDEX people_n ON people (n)",
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS people_n ON people (n);",
        ),
        (
            "CREATE TABLE other (n integer); CREATE INDEX people_n ON other (n)",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS people_n ON people (n);",
        ),
    ] {
        let (project, database) = on_people(index).await;
        database.execute(by_hand).await;
        let before = indexes(&database).await;
        let ended = project.run("migrate").await;
        ended.must_exit(5);
        let (error, hint) = ended.error();
        assert!(
            error.contains("another index people_n is there already: `CREATE INDEX people_n ON public."),
            "{error}"
        );
        assert!(error.contains("this one would be on people: ") && error.contains("USING btree (n)"), "{error}");
        assert!(hint.starts_with("give this one another name, or drop the other one"), "{hint}");
        assert_eq!(indexes(&database).await, before);
        database.execute("DROP INDEX people_n; DELETE FROM people WHERE n < 0").await;
        project.run("migrate").await.must_exit(0);
        assert_eq!(indexes(&database).await, ["people_n t", "people_pkey t"]);
    }
}

/// Which `IF NOT EXISTS` alone would pass over, with success.
#[tokio::test]
async fn an_invalid_index_is_not_passed_over() {
    let (project, database) =
        on_people("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS people_name_key ON people (lower(name));").await;
    let mut connection = database.connect().await;
    let built = connection.execute("CREATE UNIQUE INDEX CONCURRENTLY people_name_key ON people (lower(name))").await;
    assert!(built.is_err(), "there are duplicates");
    assert_eq!(indexes(&database).await, ["people_name_key f", "people_pkey t"]);
    database.execute("DELETE FROM people WHERE id IN (2, 3, 5, 10)").await;
    project.run("migrate").await.must_exit(0).must_say("an INVALID index people_name_key was left by an earlier try");
    assert_eq!(indexes(&database).await, ["people_name_key t", "people_pkey t"]);
}

/// Who is waited for is told before and meanwhile, without what the query holds, and how to end it.
#[tokio::test]
async fn who_is_waited_for_is_named() {
    let (project, database) = on_people("CREATE INDEX CONCURRENTLY people_n ON people (n);").await;
    let mut holder = database.connect().await;
    holder
        .execute("BEGIN; UPDATE people SET name = E'it\\'s secret' || $$secret$$ WHERE id = 4711 OR id = 1 -- secret")
        .await
        .expect("a transaction");
    until("it is old enough", async || {
        let old = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' \
                   AND datname = current_database() AND xact_start < clock_timestamp() - interval '1.1 s')";
        database.value::<bool>(old).await.then_some(())
    })
    .await;
    let mut running = project.start("migrate --json");
    running.has_written("migrations/2_index.up.sql:2: waits for pid ").await;
    running.has_written("migrations/2_index.up.sql:2 waiting for writers before build").await;
    holder.execute("COMMIT").await.expect("the transaction ends");
    let ended = running.end().await;
    ended
        .must_exit(0)
        .must_say("migrations/2_index.up.sql:2: may have to wait for transactions that are open already: pid ");
    let pid = database_pid(&ended.text());
    ended.must_say(&format!("[to end it: SELECT pg_terminate_backend({pid})]"));
    ended.must_say("(test, user rehearsal_sandbox, idle in transaction, in its transaction for ");
    ended.must_say("UPDATE people SET name = '…' || '…' WHERE id = … OR id = …");
    assert!(!ended.text().contains("secret") && !ended.text().contains("4711"), "{}", ended.text());
}

fn database_pid(text: &str) -> String {
    let (_, behind) = text.split_once("waits for pid ").expect("it is named");
    behind.chars().take_while(char::is_ascii_digit).collect()
}

/// Names are of a schema and not of a table: what is another table's is not ours to drop.
#[tokio::test]
async fn an_invalid_index_of_another_table_stays() {
    let (project, database) = on_people("CREATE INDEX CONCURRENTLY spoilt ON people (n);").await;
    database.execute("CREATE TABLE other (id int); INSERT INTO other VALUES (1), (1)").await;
    let mut connection = database.connect().await;
    let built = connection.execute("CREATE UNIQUE INDEX CONCURRENTLY spoilt ON other (id)").await;
    built.expect_err("there are duplicates");
    let ended = project.run("migrate").await;
    ended.must_exit(5).must_say("an INVALID index spoilt of another table is there already");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM pg_index WHERE indrelid = 'other'::regclass").await, 1);
}
