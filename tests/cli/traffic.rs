//! What clients go through while a release is rehearsed, and which locks its migrations hold.

use rehearsal_tests::Project;
use serde_json::Value;

use crate::project;

const PEOPLE: &str = "CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL);
    INSERT INTO people SELECT g, 'name ' || g FROM generate_series(1, 500) g;";

const OLD_CODE: &str = "
-- traffic: look-somebody-up
-- code: old
-- since: 1
SELECT name FROM people WHERE id = (random() * 500)::int;

-- traffic: come-and-go
-- code: old
-- since: 1
UPDATE people SET name = name WHERE id = 7;
";

/// Somebody's table, and a release that changes it.
fn release(up: &str, down: &str) -> Project {
    project()
        .migration("1_people", PEOPLE, "DROP TABLE people;")
        .migration("2_release", up, down)
        .write("migrations/traffic/people.sql", OLD_CODE)
}

fn rename(from: &str, to: &str) -> String {
    format!("ALTER TABLE people RENAME COLUMN {from} TO {to};")
}

fn step<'a>(record: &'a Value, name: &str) -> &'a Value {
    let steps = record["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}: {record:#}"))
}

#[tokio::test]
async fn clients_are_served_all_the_while() {
    let project = release("ALTER TABLE people ADD COLUMN age int;", "ALTER TABLE people DROP COLUMN age;");
    let ended = project.run("rehearse --traffic").await;
    ended.must_exit(0).must_say("meanwhile clients ran");
    let record = ended.record();
    let traffic = step(&record, "traffic")["traffic"].as_array().expect("what clients ran").clone();
    assert_eq!(traffic.len(), 2);
    for done in traffic {
        assert!(done["runs"].as_u64() > Some(0) && done["errors"] == 0, "{done}");
        assert!(done["median_us"].as_u64() <= done["longest_us"].as_u64(), "{done}");
    }
    // There and back without clients, there and back with them, and there.
    let steps: Vec<String> = ended.steps().into_iter().skip(4).collect();
    assert_eq!(
        steps,
        [
            "migrate done",
            "verify done",
            "rollback done",
            "as-before done",
            "reset done",
            "traffic done",
            "verify done",
            "traffic done",
            "migrate done",
            "verify done"
        ]
    );
}

/// No rollback gives back what a sequence gave: with clients, it begins where it began without them.
#[tokio::test]
async fn a_further_pass_begins_where_the_first_one_began() {
    let project = release("DO $$ BEGIN RAISE NOTICE 'got %', nextval('tickets'); END $$;", "SELECT 1;").migration(
        "1_people",
        &format!("CREATE SEQUENCE tickets; {PEOPLE}"),
        "DROP TABLE people; DROP SEQUENCE tickets;",
    );
    let ended = project.run("rehearse --traffic").await;
    ended.must_exit(0);
    let record = ended.record();
    for name in ["migrate", "traffic"] {
        assert_eq!(step(&record, name)["notices"][0]["text"], "got 1", "{name}: {}", step(&record, name));
    }
}

#[tokio::test]
async fn the_way_back_serves_clients_as_well() {
    let back = "ALTER TABLE people DROP COLUMN age;\nSELECT pg_sleep(1.2);";
    let project = release("ALTER TABLE people ADD COLUMN age int;", back);
    project.run("rehearse").await.must_exit(0);
    let ended = project.run("rehearse --traffic").await;
    ended.must_exit(3).must_say("was held for 1.");
    let record = ended.record();
    let steps = record["steps"].as_array().expect("steps");
    let last = steps.last().expect("a step");
    assert_eq!((&last["name"], &last["locks"][0]["direction"]), (&"traffic".into(), &"down".into()));
}

/// Behind the contract step the new code alone is at work; from the expand step down the old one is.
#[tokio::test]
async fn the_way_back_goes_in_the_parts_of_the_release() {
    let new_code = "-- traffic: ages\n-- code: new\n-- since: 2\nSELECT age FROM people WHERE id = 7;\n\n\
         -- traffic: names\n-- code: old\n-- since: 1\n-- until: 3\nSELECT name FROM people WHERE id = 7;\n";
    let project = project()
        .migration("1_people", PEOPLE, "DROP TABLE people;")
        .migration("2_expand", "ALTER TABLE people ADD COLUMN age int;", "ALTER TABLE people DROP COLUMN age;")
        .migration("3_contract", &rename("name", "full_name"), &rename("full_name", "name"))
        .write("migrations/traffic/people.sql", new_code)
        .write("rehearsal.toml", "[[releases]]\nname = 'A'\nafter = 1\nexpand = 2\nto = 3\n");
    let ended = project.run("rehearse --release A --traffic").await;
    let record = ended.record();
    let steps = record["steps"].as_array().expect("steps");
    let served: Vec<String> = steps
        .iter()
        .filter(|step| step["name"] == "traffic")
        .flat_map(|step| {
            let direction = step["statements"][0]["direction"].as_str().expect("a direction").to_owned();
            let traffic = step["traffic"].as_array().expect("what clients ran").clone();
            traffic.into_iter().map(move |done| format!("{direction} {}", done["name"].as_str().expect("a name")))
        })
        .collect();
    assert_eq!(served, ["up names", "up ages", "down ages", "down names"], "{}", ended.text());
}

#[tokio::test]
async fn what_breaks_the_code_of_before_is_found() {
    let project = release(&rename("name", "full_name"), &rename("full_name", "name"));
    project.run("rehearse").await.must_exit(0);
    let ended = project.run("rehearse --traffic").await;
    ended.must_exit(3).must_say("clients were not served while the migrations ran");
    let (error, hint) = ended.error();
    assert!(error.contains("`look-somebody-up` (migrations/traffic/people.sql:2) failed"), "{error}");
    assert!(error.contains("column \"name\" does not exist (42703)"), "{error}");
    assert!(hint.contains("both versions of the code"), "{hint}");
    project.must_be_clean_after(&ended).await;

    // Said to end with the release, it is not run over it.
    project.change("migrations/traffic/people.sql", &OLD_CODE.replace("since: 1", "since: 1\n-- until: 2"));
    let ended = project.run("rehearse --traffic").await;
    ended.must_exit(0).must_say("no traffic file has a statement that works from version 1 to 2");
}

#[tokio::test]
async fn a_lock_that_holds_clients_is_measured() {
    let rewrite = "ALTER TABLE people ALTER COLUMN id TYPE numeric;\nSELECT pg_sleep(1.2);";
    let project = release(rewrite, "ALTER TABLE people ALTER COLUMN id TYPE bigint;");
    let ended = project.run("rehearse --traffic").await;
    ended.must_exit(3).must_say("was held for 1.").must_say("version 2 wrote every row of public.people anew");
    let record = ended.record();
    for (name, waited) in [("migrate", false), ("traffic", true)] {
        let locks = &step(&record, name)["locks"][0];
        let lock = &locks["locks"][0];
        assert_eq!((&lock["relation"], &lock["mode"]), (&"public.people".into(), &"AccessExclusiveLock".into()));
        assert!((1_200..10_000).contains(&lock["longest_ms"].as_u64().expect("a time")), "{lock}");
        assert_eq!(lock["waiting"].as_u64() > Some(0), waited, "{lock}");
        assert_eq!(locks["rewritten"], serde_json::json!(["public.people"]));
    }
}

/// A lock that is taken and given back within a few milliseconds is seen as well; one on what the file
/// itself has made is nobody's business.
#[tokio::test]
async fn a_short_lock_is_seen_too() {
    let up = "CREATE TABLE other (id int);\nALTER TABLE people ADD COLUMN age int;";
    let project = release(up, "ALTER TABLE people DROP COLUMN age;\nDROP TABLE other;");
    let ended = project.run("rehearse -v").await;
    ended.must_exit(0).must_say("version 2 held AccessExclusiveLock on public.people for");
    let record = ended.record();
    let locks = step(&record, "migrate")["locks"][0]["locks"].as_array().expect("locks").clone();
    assert_eq!(locks.iter().map(|lock| lock["relation"].clone()).collect::<Vec<_>>(), ["public.people"]);
    assert_eq!(step(&record, "rollback")["locks"][0]["direction"], "down");
}

#[tokio::test]
async fn a_malformed_traffic_file_is_told_with_its_line() {
    let project = release("SELECT 1;", "SELECT 1;");
    project.change("migrations/traffic/people.sql", "-- traffic: a\n-- code: mine\nSELECT 1;\n");
    let ended = project.run("rehearse --traffic").await;
    ended.must_exit(2).must_say("migrations/traffic/people.sql:2: `mine` is not old or new");
}
