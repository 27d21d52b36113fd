//! Who has a transaction open, told so that a person can find it and end it.

use sqlx::Row;
use sqlx::postgres::PgRow;
use squawk_syntax::ast::AstNode;
use squawk_syntax::{SourceFile, SyntaxKind};

use super::identifier::literal;
use super::query::Stopped;
use super::session::Session;

/// How much of a query is shown.
const SHOWN_CHARACTERS: usize = 200;

/// How many are named; whoever is behind them waits for them as well.
const NAMED: i64 = 3;

/// What is asked of a session of the server. Without the right to see it, the server gives less.
const SESSION: &str = "a.pid, coalesce(nullif(a.application_name, ''), 'unnamed'), coalesce(a.usename::text, 'unknown'), \
     coalesce(a.state, 'unknown'), \
     coalesce(justify_interval(date_trunc('second', clock_timestamp() - a.xact_start))::text, 'an unknown time'), \
     coalesce(a.query, '')";

/// What is asked of a prepared transaction.
const PREPARED: &str = "x.gid, x.owner::text, \
     justify_interval(date_trunc('second', clock_timestamp() - x.prepared))::text";

/// A transaction that others wait for. It reads as one line: who it is, what it does, how to end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transaction {
    /// Of a session of the server.
    Open {
        /// Its backend.
        pid: i32,
        /// `application_name`.
        application: String,
        /// Its role.
        user: String,
        /// As the server calls it: active, idle in transaction …
        state: String,
        /// How long it has been open.
        age: String,
        /// What it ran last, without its constants.
        query: String,
    },
    /// Prepared for a commit in two phases: it has no session any more.
    Prepared {
        /// Its name.
        gid: String,
        /// Its role.
        user: String,
        /// How long ago it was prepared.
        age: String,
    },
}

impl Transaction {
    /// What tells it from others, whatever it does next.
    #[must_use]
    pub fn who(&self) -> String {
        match self {
            Self::Open { pid, .. } => format!("pid {pid}"),
            Self::Prepared { gid, .. } => format!("prepared {gid}"),
        }
    }

    fn of(row: &PgRow) -> Self {
        Self::Open {
            pid: row.get(0),
            application: row.get(1),
            user: row.get(2),
            state: row.get(3),
            age: row.get(4),
            query: without_constants(row.get(5), SHOWN_CHARACTERS),
        }
    }

    fn prepared(row: &PgRow) -> Self {
        Self::Prepared { gid: row.get(0), user: row.get(1), age: row.get(2) }
    }
}

impl std::fmt::Display for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { pid, application, user, state, age, query } => write!(
                f,
                "pid {pid} ({application}, user {user}, {state}, in its transaction for {age}): {query} \
                 [to end it: SELECT pg_terminate_backend({pid})]"
            ),
            Self::Prepared { gid, user, age } => write!(
                f,
                "the prepared transaction {gid} (user {user}, prepared {age} ago) \
                 [to end it: COMMIT PREPARED {0} or ROLLBACK PREPARED {0}]",
                literal(gid)
            ),
        }
    }
}

/// Several of them in one line.
#[must_use]
pub fn named(transactions: &[Transaction]) -> String {
    transactions.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Whoever holds a lock that the backend `pid` waits for, oldest first.
///
/// # Errors
/// The server's.
pub async fn blocking(session: &mut Session, pid: i32) -> Result<Vec<Transaction>, Stopped> {
    let sql = format!(
        "SELECT {SESSION} FROM unnest(pg_blocking_pids($1)) AS b(pid) JOIN pg_stat_activity a USING (pid) \
         ORDER BY a.xact_start LIMIT {NAMED}"
    );
    let rows = session.fetch_bound(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(pid)).await?;
    let mut found: Vec<Transaction> = rows.iter().map(Transaction::of).collect();
    // The server gives 0 for who has no session.
    let prepared = format!(
        "SELECT {PREPARED} FROM pg_prepared_xacts x \
         WHERE x.database = current_database() AND 0 = ANY (pg_blocking_pids($1)) ORDER BY x.prepared LIMIT {NAMED}"
    );
    let rows = session.fetch_bound(sqlx::query(sqlx::AssertSqlSafe(prepared)).bind(pid)).await?;
    found.extend(rows.iter().map(Transaction::prepared));
    Ok(found)
}

/// Transactions of this database that have been open for longer than `seconds`, oldest first, without
/// ours; those that were prepared come last, whose sessions may be long gone. At most `most`.
///
/// # Errors
/// The server's.
pub async fn open_for(session: &mut Session, seconds: u32, most: u32) -> Result<Vec<Transaction>, Stopped> {
    let sql = format!(
        "SELECT {SESSION} FROM pg_stat_activity a \
         WHERE a.xact_start < clock_timestamp() - make_interval(secs => $1) AND a.pid <> pg_backend_pid() \
           AND a.datname = current_database() AND a.backend_type = 'client backend' \
         ORDER BY a.xact_start LIMIT $2"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(f64::from(seconds)).bind(i64::from(most));
    let rows = session.fetch_bound(query).await?;
    let mut found: Vec<Transaction> = rows.iter().map(Transaction::of).collect();
    let prepared = format!(
        "SELECT {PREPARED} FROM pg_prepared_xacts x WHERE x.database = current_database() \
           AND x.prepared < clock_timestamp() - make_interval(secs => $1) ORDER BY x.prepared LIMIT $2"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(prepared)).bind(f64::from(seconds)).bind(i64::from(most));
    found.extend(session.fetch_bound(query).await?.iter().map(Transaction::prepared));
    found.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(found)
}

/// A query as one line without what its constants and comments say: they may hold anything. At most
/// `most` characters.
fn without_constants(sql: &str, most: usize) -> String {
    let parsed = SourceFile::parse(sql);
    let mut line = String::new();
    for token in parsed.tree().syntax().descendants_with_tokens().filter_map(|element| element.into_token()) {
        match token.kind() {
            SyntaxKind::WHITESPACE | SyntaxKind::COMMENT => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            SyntaxKind::INT_NUMBER | SyntaxKind::NUMERIC_NUMBER => line.push('…'),
            SyntaxKind::STRING
            | SyntaxKind::ESC_STRING
            | SyntaxKind::UNICODE_ESC_STRING
            | SyntaxKind::NATIONAL_STRING
            | SyntaxKind::DOLLAR_QUOTED_STRING
            | SyntaxKind::BIT_STRING
            | SyntaxKind::BYTE_STRING
            | SyntaxKind::ERROR => line.push_str("'…'"),
            _ => line.push_str(token.text()),
        }
    }
    let line = line.trim();
    if line.chars().count() <= most {
        return line.to_owned();
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn constants_are_hidden_in_every_notation() {
        for (sql, shown) in [
            ("SELECT  a\n FROM t WHERE b = 'it''s' AND c = 12.5e3", "SELECT a FROM t WHERE b = '…' AND c = …"),
            (r"SELECT E'a\'b', U&'\0061', B'01', x'ff'", "SELECT '…', '…', '…', '…'"),
            ("SELECT $$secret$$, $q$ '$$ $q$, $1", "SELECT '…', '…', $1"),
            ("/* secret */ SELECT 1 -- secret\n, \"Name 1\"", "SELECT … , \"Name 1\""),
            ("ALTER ROLE r PASSWORD 'secret'", "ALTER ROLE r PASSWORD '…'"),
            ("<insufficient privilege>", "<insufficient privilege>"),
        ] {
            assert_eq!(without_constants(sql, 200), shown);
        }
    }

    #[test]
    fn a_query_that_the_server_has_cut_off_hides_its_last_constant() {
        for cut in ["SELECT 'secret", "SELECT E'secret\\", "SELECT $$secret", "SELECT $q$secret", "SELECT /* secret"] {
            let shown = without_constants(cut, 200);
            assert!(shown.starts_with("SELECT") && !shown.contains("secret"), "{cut}: {shown}");
        }
        assert_eq!(without_constants("SELECT a, b", 9), "SELECT a…");
    }

    proptest! {
        #[test]
        fn nothing_of_a_constant_is_shown(
            quoted in prop::sample::select(vec![("'", "'"), ("E'", "'"), ("$$", "$$"), ("$a$", "$a$"), ("N'", "'")]),
            secret in "[qz]{3,9}",
            before in "[a-c ,=(]{0,9}",
        ) {
            let sql = format!("SELECT {before} {}{secret}{} FROM t", quoted.0, quoted.1);
            prop_assert!(!without_constants(&sql, 200).contains(&secret), "{sql}");
        }
    }
}
