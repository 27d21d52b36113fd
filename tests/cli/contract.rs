//! The code's queries against the schema: `verify --contract`, and in a rehearsal of the newest release.

use rehearsal_tests::{Database, Project};
use serde_json::json;

use crate::project;
use crate::release::two_releases;

/// A query for numbers and names, as `sqlx prepare` writes it down.
fn offline(sql: &str) -> String {
    let query = json!({
        "db_name": "PostgreSQL",
        "query": sql,
        "describe": {
            "columns": [
                { "ordinal": 0, "name": "id", "type_info": "Int8" },
                { "ordinal": 1, "name": "name!", "type_info": "Text" },
            ],
            "parameters": { "Left": ["Int8"] },
            "nullable": [false, null],
        },
        "hash": "0",
    });
    query.to_string()
}

/// A workspace whose code asks that.
fn with_code(sql: &str) -> Project {
    project()
        .migration("1_people", "CREATE TABLE people (id bigint PRIMARY KEY, name text);", "DROP TABLE people;")
        .write(".sqlx/query-0.json", &offline(sql))
}

const QUERY: &str = "SELECT id, name AS \"name!\" FROM people WHERE id > $1";

#[tokio::test]
async fn queries_that_fit_and_queries_that_do_not() {
    let database = Database::create().await;
    let project = with_code(QUERY).on(&database);
    project.run("migrate").await.must_exit(0);
    let before = database.everything().await;
    project.run("verify --contract").await.must_exit(0).must_say("the code's queries fit the schema");
    assert_eq!(database.everything().await, before);

    // A model and a migration that disagree: the table is there, under another name.
    database.execute("ALTER TABLE people RENAME TO \"user\"").await;
    let ended = project.run("verify --contract").await;
    let (error, _) = ended.must_exit(3).error();
    assert!(error.contains("relation \"people\" does not exist (42P01)"), "{error}");
    project.run("verify").await.must_exit(0);

    database.execute("ALTER TABLE \"user\" RENAME TO people; ALTER TABLE people ALTER name TYPE varchar(9)").await;
    let ended = project.run("verify --contract").await;
    ended.must_exit(3).must_say("name! is VARCHAR instead of Text");
}

#[tokio::test]
async fn a_rehearsal_of_the_newest_release_asks_the_code_as_well() {
    let project = with_code(QUERY);
    let ended = project.run("rehearse").await;
    ended.must_exit(0);
    assert!(ended.steps().contains(&"contract done".to_owned()), "{:?}", ended.steps());

    let project = project.migration("2_rename", "ALTER TABLE people RENAME name TO nick;", "SELECT 1;");
    let ended = project.run("rehearse").await;
    ended.must_exit(3).must_say("column \"name\" does not exist (42703)");
}

#[tokio::test]
async fn of_several_releases_the_code_is_asked_where_it_works() {
    let code = offline("SELECT age::bigint AS id, name AS \"name!\" FROM persons WHERE age > $1");
    let project = two_releases().write(".sqlx/query-0.json", &code);
    let ended = project.run("rehearse --all").await;
    ended.must_exit(0);
    let asked = ended.steps().iter().filter(|step| *step == "contract done").count();
    assert_eq!(asked, 2, "behind the expand part and at the end of the newest release: {:?}", ended.steps());
}

#[tokio::test]
async fn without_queries_there_is_nothing_to_verify() {
    let database = Database::create().await;
    let project = project().migration("1_t", "CREATE TABLE t ();", "DROP TABLE t;").on(&database);
    project.run("migrate").await.must_exit(0);
    let (_, hint) = project.run("verify --contract").await.must_exit(2).error();
    assert!(hint.contains("cargo xtask sqlx prepare"), "{hint}");
}
