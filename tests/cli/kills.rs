//! Runs that are stopped at their round trips: whatever stops them, and wherever, the run after it ends
//! in the state of an undisturbed one.
//!
//! A run has too many round trips for stopping at each in every suite: some are taken, evenly, with the
//! ways to stop in turn. `REHEARSAL_TEST_KILLS=all` stops at each of them in each way, which takes an hour.

use rehearsal_tests::gate::{Gate, Moment};
use rehearsal_tests::{Database, Ended, Project, Running, server, state, until};
use rustix::process::Signal;
use sqlx::Executor;

use crate::stopped::{
    BATCHES, Case, INDEXES, MADE_ANEW, ONE_TRANSACTION, RELEASES, before, before_on, crash, items, partitioned,
    terminate, terminate_those, with_file,
};

/// With this a run begins that writes: what comes before only reads.
const FROM: &str = "pg_try_advisory_lock";

/// In how many places a run is stopped, unless it is in all.
const PLACES: usize = 12;

/// What stops a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// The network.
    Cut,
    /// SIGKILL to the command.
    Kill,
    /// `pg_terminate_backend`.
    Terminate,
    /// A backend dies, and with it all of the server, which then recovers from its log.
    Crash,
}

const BLOWS: &[(Blow, Moment)] = &[
    (Blow::Cut, Moment::After),
    (Blow::Kill, Moment::During),
    (Blow::Terminate, Moment::Before),
    (Blow::Kill, Moment::After),
    (Blow::Cut, Moment::Before),
    (Blow::Terminate, Moment::During),
];

const CRASHES: &[(Blow, Moment)] = &[(Blow::Crash, Moment::After), (Blow::Crash, Moment::During)];

impl Case {
    /// Stops it in some of its places, in one way after the other.
    async fn stopped_everywhere(&self, blows: &[(Blow, Moment)], most: usize) {
        let first = self.base.copy().await;
        let gate = Gate::open(first.target(), FROM).await;
        self.project.start_on(&gate.url(first.target()), &self.command).end().await.must_exit(0);
        let seen = gate.seen();
        let chance = self.chance(&first).await;
        let expected = state::of(&first, &chance).await;
        for (place, (blow, moment)) in places(seen.len(), blows, most) {
            let at = format!("{} {blow:?} {moment:?} round trip {place} of {}", self.command, seen.len());
            let database = self.base.copy().await;
            let stopped = self.stopped(&database, place, blow, moment).await;
            let words = seen.get(place - 1).map_or("", String::as_str);
            assert!(
                matches!(stopped.code, None | Some(0 | 1 | 4 | 5)),
                "{at}: {words}\n{:?} {}",
                stopped.code,
                stopped.text()
            );
            let next = self.gone_on(&database).await;
            assert_eq!(next.code, Some(0), "{at}: {words}\n--- stopped\n{}\n--- next\n{}", stopped.text(), next.text());
            let found = state::of(&database, &chance).await;
            let differ: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
            assert!(
                found == expected,
                "{at}: {words}\n{differ:#?}\n--- stopped\n{}\n--- next\n{}",
                stopped.text(),
                next.text()
            );
            until("no lock is left", async || (database.advisory_locks().await == 0).then_some(())).await;
        }
    }

    /// A run that is stopped there, if it gets as far.
    async fn stopped(&self, database: &Database, place: usize, blow: Blow, moment: Moment) -> Ended {
        let gate = Gate::shut_at(database.target(), FROM, place, moment).await;
        let mut running: Running = self.project.start_on(&gate.url(database.target()), &self.command);
        let has_shut = tokio::select! {
            () = gate.has_shut() => true,
            () = until("it ends", async || running.has_ended().then_some(())) => false,
        };
        if has_shut {
            match blow {
                Blow::Cut => drop(gate),
                Blow::Kill => {
                    running.signal(Signal::KILL);
                    let ended = running.end().await;
                    drop(gate);
                    return ended;
                }
                Blow::Terminate => {
                    terminate(database).await;
                    gate.open_again();
                    return running.end().await;
                }
                Blow::Crash => {
                    crash(database).await;
                    gate.open_again();
                    return running.end().await;
                }
            }
        }
        running.end().await
    }
}

/// Which round trips, and how each of them is stopped.
fn places(
    count: usize,
    blows: &[(Blow, Moment)],
    most: usize,
) -> impl Iterator<Item = (usize, (Blow, Moment))> + use<'_> {
    let all = std::env::var("REHEARSAL_TEST_KILLS").is_ok_and(|value| value == "all");
    let last = count.saturating_sub(1);
    let taken = if all { count } else { most.min(count) };
    // Evenly, both ends included.
    let some = (0..taken).map(move |index| 1 + index * last / taken.saturating_sub(1).max(1));
    some.enumerate().flat_map(move |(index, place)| {
        let ways = if all { blows.to_vec() } else { vec![blows[index % blows.len()]] };
        ways.into_iter().map(move |way| (place, way))
    })
}

async fn nasty(up: &str) {
    Case::new(with_file(up), 1).await.stopped_everywhere(BLOWS, PLACES).await;
}

#[tokio::test]
async fn a_file_of_one_transaction() {
    nasty(ONE_TRANSACTION).await;
}

#[tokio::test]
async fn several_indexes_in_one_file() {
    nasty(INDEXES).await;
}

#[tokio::test]
async fn batches_an_index_and_a_block() {
    nasty(BATCHES).await;
}

/// A statement that adds must not add twice; nor the rows without a key.
#[tokio::test]
async fn rows_that_are_copied_in_batches() {
    let project = items()
        .migration(
            "2_some_keys",
            "UPDATE items SET at_least = id WHERE id > 60; CREATE INDEX items_at_least ON items (at_least);",
            "SELECT 1;",
        )
        .migration(
            "3_copy",
            "INSERT INTO log (item, what) SELECT id, name FROM items WHERE /* batch: items.id */ TRUE;\n\
             INSERT INTO log (item, what) SELECT id, 'again' FROM items WHERE /* batch: items.at_least */ TRUE;\n",
            "SELECT 1;",
        );
    Case::new(project, 2).await.stopped_everywhere(BLOWS, PLACES).await;
}

#[tokio::test]
async fn indexes_that_go_and_are_made_anew() {
    nasty(MADE_ANEW).await;
}

#[tokio::test]
async fn labels_and_constraints() {
    let project = items()
        .migration(
            "2_state",
            "CREATE TYPE state AS ENUM ('new');\nALTER TABLE items ADD COLUMN state state DEFAULT 'new',\n\
             ADD CONSTRAINT small CHECK (n < 1000) NOT VALID;\n",
            "SELECT 1;",
        )
        .migration(
            "3_nasty",
            "-- no-transaction\nALTER TYPE state ADD VALUE 'old';\nALTER TYPE state ADD VALUE 'dead';\n\
             UPDATE items SET state = 'old', n = n + 1 WHERE id < 100;\nALTER TABLE items VALIDATE CONSTRAINT small;\n",
            "SELECT 1;",
        );
    Case::new(project, 2).await.stopped_everywhere(BLOWS, PLACES).await;
}

#[tokio::test]
async fn a_partition_that_is_detached() {
    Case::new(partitioned(), 2).await.stopped_everywhere(BLOWS, PLACES).await;
}

/// Statements of several transactions, stopped in between. `hold` keeps a transaction open for which the
/// statement waits in the middle; what it leaves then is told by `left`, which is true.
async fn stopped_in_between(project: Project, base: i64, hold: &str, left: &str, says: &[&str]) {
    let case = Case::new(project, base).await;
    let first = case.base.copy().await;
    case.project.start_on(&first.url(), &case.command).end().await.must_exit(0);
    let chance = case.chance(&first).await;
    let expected = state::of(&first, &chance).await;
    for blow in [Blow::Terminate, Blow::Kill] {
        let database = case.base.copy().await;
        let mut holder = database.connect().await;
        holder
            .execute(sqlx::AssertSqlSafe(format!("BEGIN ISOLATION LEVEL REPEATABLE READ; {hold}")))
            .await
            .expect("it holds");
        let mut running = case.project.start_on(&database.url(), &case.command);
        until("the statement waits in the middle", async || database.value::<bool>(left).await.then_some(())).await;
        until("it waits", async || {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            (database.value::<i64>(waiting).await > 0).then_some(())
        })
        .await;
        if blow == Blow::Kill {
            // Its backend goes on by itself, and ends when there is nobody to answer.
            running.signal(Signal::KILL);
        } else {
            running.has_written("waits for pid ").await;
            terminate_those(&database, "rehearsal/%").await;
        }
        let ended = running.end().await;
        assert!(matches!(ended.code, None | Some(5)), "{}", ended.text());
        if blow == Blow::Terminate {
            assert!(database.value::<bool>(left).await, "something is left");
        }
        holder.execute("ROLLBACK").await.expect("the transaction ends");
        drop(holder);
        let next = case.project.start_on(&database.url(), &case.command).end().await;
        next.must_exit(0).must_say("stopped half-way: ");
        if blow == Blow::Terminate {
            for words in says {
                next.must_say(words);
            }
        }
        assert_eq!(state::of(&database, &chance).await, expected, "{blow:?}\n{}", next.text());
    }
}

/// There is an index that is not valid, of that name.
fn invalid(name: &str) -> String {
    format!(
        "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT indisvalid AND relname LIKE '{name}')"
    )
}

const WRITES: &str = "UPDATE items SET name = name WHERE id = 3; SELECT 1";

/// A snapshot is waited for at the very end, when the index is ready but not valid.
const READS: &str = "SELECT count(*) FROM items; SELECT count(*) FROM pg_class";

#[tokio::test]
async fn an_index_without_a_name_in_between() {
    for hold in [WRITES, READS] {
        let project = items().migration(
            "2_nasty",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY ON items (at_least DESC, lower(name)) WHERE n > 0;\n",
            "SELECT 1;",
        );
        stopped_in_between(
            project,
            1,
            hold,
            &invalid("items_at_least%"),
            &["an INVALID index items_at_least_lower_idx was left by an earlier try; dropping it"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_reindex_in_between() {
    for hold in [WRITES, READS] {
        for what in ["INDEX CONCURRENTLY items_name", "TABLE CONCURRENTLY items"] {
            let project = items().migration("2_nasty", &format!("-- no-transaction\nREINDEX {what};\n"), "SELECT 1;");
            let says = "an INVALID index items_name_ccnew was left by a REINDEX that was stopped";
            stopped_in_between(project, 1, hold, &invalid("items_name_ccnew"), &[says]).await;
        }
    }
}

#[tokio::test]
async fn a_detachment_in_between() {
    let pending = "SELECT EXISTS (SELECT FROM pg_inherits i WHERE (to_jsonb(i) ->> 'inhdetachpending')::boolean)";
    let says = "the detachment of parts_1 was stopped in between; finishing it";
    stopped_in_between(partitioned(), 2, "SELECT count(*) FROM parts", pending, &[says]).await;
}

/// What nobody can tell from outside is asked, and done once.
#[tokio::test]
async fn a_procedure_that_commits() {
    let project = items()
        .migration(
            "2_procedure",
            "CREATE PROCEDURE note() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (what) VALUES ('once'); COMMIT; END $$;",
            "SELECT 1;",
        )
        .migration("3_nasty", "-- no-transaction\nUPDATE items SET n = n + 1;\nCALL note();\nUPDATE items SET n = n + 1;\n", "SELECT 1;");
    let case = Case { was_done: Some("SELECT EXISTS (SELECT FROM log)"), ..Case::new(project, 2).await };
    case.stopped_everywhere(BLOWS, PLACES).await;
}

/// The way back, statement by statement.
#[tokio::test]
async fn a_rollback() {
    let project = items()
        .migration(
            "2_raise",
            "UPDATE items SET n = n + 10 WHERE /* batch: items.id */ TRUE;",
            "UPDATE items SET n = n - 10 WHERE /* batch: items.id */ TRUE;",
        )
        .migration(
            "3_index",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY items_n ON items (n);\n",
            "-- no-transaction\nDROP INDEX CONCURRENTLY items_n;\n",
        );
    let case = Case { command: "rollback --to 1".into(), ..Case::new(project, 3).await };
    case.stopped_everywhere(BLOWS, PLACES / 2).await;
}

/// The server itself goes down, with all that it had in memory.
#[tokio::test]
async fn with_the_server() {
    let own = server::another().await;
    let project = items()
        .migration("2_raise", "UPDATE items SET n = n + 10 WHERE /* batch: items.id */ TRUE;", "SELECT 1;")
        .migration(
            "3_indexes",
            "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY items_unique ON items (name);\nREINDEX INDEX CONCURRENTLY items_name;\n",
            "SELECT 1;",
        )
        .migration("4_one", "ALTER TABLE items ADD COLUMN c integer;\nUPDATE items SET c = n, n = n + 1;\n", "SELECT 1;");
    Case::on(&own.database("postgres"), project, 1).await.stopped_everywhere(CRASHES, PLACES).await;
    own.remove().await;
}

#[tokio::test]
async fn releases_with_the_server() {
    let own = server::another().await;
    for (after, to) in RELEASES {
        before_on(&own.database("postgres"), after, to).await.stopped_everywhere(CRASHES, 4).await;
    }
    own.remove().await;
}

#[tokio::test]
async fn releases_on_the_way_back() {
    for (after, to) in RELEASES {
        let case = before(to, to).await;
        let case = Case { command: format!("rollback --to {after}"), ..case };
        case.stopped_everywhere(BLOWS, 3).await;
    }
}

#[tokio::test]
async fn release_1() {
    before(6, 11).await.stopped_everywhere(BLOWS, PLACES).await;
}

#[tokio::test]
async fn release_2() {
    before(1, 6).await.stopped_everywhere(BLOWS, PLACES).await;
}

#[tokio::test]
async fn release_3() {
    before(11, 13).await.stopped_everywhere(BLOWS, PLACES).await;
}

#[tokio::test]
async fn release_4() {
    before(13, 19).await.stopped_everywhere(BLOWS, PLACES).await;
}

#[tokio::test]
async fn release_5() {
    before(19, 23).await.stopped_everywhere(BLOWS, PLACES).await;
}
