//! One dedicated connection that can be interrupted.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgArguments, PgColumn, PgConnection, PgQueryResult, PgRow};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Executor, Postgres, Row, SqlSafeStr, Statement, TypeInfo,
    ValueRef,
};
use tokio_util::sync::CancellationToken;

use super::connect::{CONNECT_TIMEOUT, ConnectError};
use super::notices::{Ears, Heard};
use super::query::Stopped;
use super::version::Version;
use crate::error::{Error, Result};
use crate::target::Target;

/// How long a query of our own may take. They read catalogs; what needs longer asks for it.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a query of our own waits for a lock before it gives up.
const QUERY_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a cancelled statement is given to end before its session is terminated.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// A row as the simple protocol gives it: every value as text, NULL as `None`.
pub type TextRow = Vec<Option<String>>;

/// A connection with its backend's pid, time limits, and a way to stop it.
pub struct Session {
    connection: PgConnection,
    stop: Stop,
    version: Version,
    in_recovery: bool,
    ears: Option<Ears>,
}

/// What is needed to cancel a session from outside.
struct Stop {
    target: Target,
    pid: i32,
    cancel: CancellationToken,
}

impl Session {
    /// Opens a connection for `purpose`, which is what `application_name` shows after `rehearsal/`.
    ///
    /// # Errors
    /// [`ConnectError`], or [`Error::Interrupted`].
    pub async fn connect(target: &Target, purpose: &str, cancel: &CancellationToken) -> Result<Self> {
        let options = target.connect_options(&format!("rehearsal/{purpose}")).disable_statement_logging();
        let address = target.address();
        let opened = tokio::select! {
            opened = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()) => opened,
            () = cancel.cancelled() => return Err(Error::Interrupted),
        };
        let mut connection = match opened {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(ConnectError::from_sqlx(address, &error).into()),
            Err(_) => {
                let reason = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
                return Err(ConnectError::Unreachable { address, reason }.into());
            }
        };
        // One round trip: limits first, so that even this cannot hang, then who we talk to.
        let set_up = format!(
            "{}; SET idle_in_transaction_session_timeout = 0; SET plan_cache_mode = force_custom_plan; \
             SELECT pg_backend_pid(), current_setting('server_version_num'), pg_is_in_recovery()",
            default_limits()
        );
        let row = connection
            .fetch_one(sqlx::raw_sql(AssertSqlSafe(set_up)))
            .await
            .map_err(|error| ConnectError::from_sqlx(address, &error))?;
        let text = |index| text_value(&row, index).unwrap_or_default();
        let mut session = Self {
            connection,
            stop: Stop { target: target.clone(), pid: text(0).parse().unwrap_or_default(), cancel: cancel.clone() },
            version: Version::from_number(text(1).parse().unwrap_or_default()),
            in_recovery: text(2) == "t",
            ears: None,
        };
        if let Some(identity) = target.identity() {
            identity.check(&mut session).await?;
        }
        Ok(session)
    }

    /// Goes back to the limits that a session begins with.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn reset_limits(&mut self) -> Result<(), Stopped> {
        self.execute(&default_limits()).await.map(drop)
    }

    /// From now on, what the server says while it runs a statement is kept until [`Session::heard`].
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn listen(&mut self) -> Result<(), Stopped> {
        // A role or a database may have been told to be silent.
        self.execute("SET client_min_messages = notice").await?;
        self.ears = Some(Ears::default());
        Ok(())
    }

    /// What the server has said since this was last asked for; nothing where nobody listens.
    pub fn heard(&mut self) -> Heard {
        self.ears.as_ref().map(Ears::take).unwrap_or_default()
    }

    /// The server's version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The server is a standby: it can only be read.
    #[must_use]
    pub fn is_in_recovery(&self) -> bool {
        self.in_recovery
    }

    /// Its backend's pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.stop.pid
    }

    /// The target it is connected to.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.stop.target
    }

    /// Runs SQL text by the simple protocol, and gives up on it when the user interrupts.
    ///
    /// # Errors
    /// [`Stopped`]: the server's error, or the interruption, after the backend has stopped.
    pub async fn execute(&mut self, sql: &str) -> Result<PgQueryResult, Stopped> {
        let work = self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())));
        self.stop.guard(heard_by(self.ears.as_ref(), work)).await
    }

    /// Runs one prepared statement with bound values.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn execute_bound(
        &mut self,
        query: sqlx::query::Query<'_, Postgres, PgArguments>,
    ) -> Result<PgQueryResult, Stopped> {
        let work = query.execute(&mut self.connection);
        self.stop.guard(heard_by(self.ears.as_ref(), work)).await
    }

    /// The rows of one prepared statement with bound values.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn fetch_bound(
        &mut self,
        query: sqlx::query::Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, Stopped> {
        self.stop.guard(query.fetch_all(&mut self.connection)).await
    }

    /// The rows of SQL text, every value as text; at most `most` rows are kept.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn fetch_text(&mut self, sql: &str, most: usize) -> Result<TextRows, Stopped> {
        self.fetch_text_each(sql, most, |_| {}).await
    }

    /// The same, and `each` sees every row, also those that are not kept.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn fetch_text_each(
        &mut self,
        sql: &str,
        most: usize,
        mut each: impl FnMut(&TextRow) + Send,
    ) -> Result<TextRows, Stopped> {
        let connection = &mut self.connection;
        let work = async {
            let mut rows = TextRows::default();
            let mut stream = connection.fetch(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())));
            while let Some(row) = stream.next().await {
                let row = row?;
                if rows.columns.is_empty() {
                    rows.columns = row.columns().iter().map(column_name).collect();
                }
                rows.total += 1;
                let row: TextRow = (0..row.len()).map(|index| text_value(&row, index)).collect();
                each(&row);
                if rows.rows.len() < most {
                    rows.rows.push(row);
                }
            }
            Ok(rows)
        };
        self.stop.guard(work).await
    }

    /// Has the server parse a query, and gives names and types of the columns that it would give.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn prepare(&mut self, sql: &str) -> Result<Vec<(String, String)>, Stopped> {
        let work = async {
            // Not kept: each query is prepared once.
            let statement = self.connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await?;
            let column = |column: &PgColumn| (column.name().to_owned(), column.type_info().name().to_owned());
            Ok(statement.columns().iter().map(column).collect())
        };
        self.stop.guard(work).await
    }

    /// Streams `COPY … TO STDOUT` into `each`, chunk by chunk.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn copy_out(&mut self, copy: &str, mut each: impl FnMut(&[u8]) + Send) -> Result<(), Stopped> {
        let connection = &mut self.connection;
        let work = async {
            let mut stream: BoxStream<'_, _> = connection.copy_out_raw(copy).await?;
            while let Some(chunk) = stream.next().await {
                each(&chunk?);
            }
            Ok(())
        };
        self.stop.guard(work).await
    }

    /// The connection itself, for sqlx's own `Migrate` calls.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// The interruption that this session obeys.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.stop.cancel
    }

    /// Ends the session politely; what it holds is released by the server in any case.
    pub async fn close(self) {
        let _ = tokio::time::timeout(CANCEL_GRACE, self.connection.close()).await;
    }
}

async fn heard_by<T>(ears: Option<&Ears>, work: impl Future<Output = T>) -> T {
    match ears {
        Some(ears) => ears.during(work).await,
        None => work.await,
    }
}

fn default_limits() -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}",
        QUERY_TIMEOUT.as_millis(),
        QUERY_LOCK_TIMEOUT.as_millis()
    )
}

/// Rows as text, with their columns' names and how many there were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextRows {
    /// The columns' names; empty when no row came.
    pub columns: Vec<String>,
    /// The first rows.
    pub rows: Vec<TextRow>,
    /// How many came in all.
    pub total: usize,
}

fn column_name(column: &PgColumn) -> String {
    column.name().to_owned()
}

/// A value's text, by whichever protocol it came.
fn text_value(row: &PgRow, index: usize) -> Option<String> {
    let value = row.try_get_raw(index).ok()?;
    if value.is_null() {
        return None;
    }
    value.as_str().ok().map(str::to_owned)
}

impl Stop {
    async fn guard<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Stopped> {
        if self.cancel.is_cancelled() {
            return Err(Stopped::Interrupted);
        }
        let mut work = std::pin::pin!(work);
        tokio::select! {
            result = &mut work => return result.map_err(Stopped::Failed),
            () = self.cancel.cancelled() => {}
        }
        // The statement goes on in the server until it is told to stop; only then may we leave.
        for function in ["pg_cancel_backend", "pg_terminate_backend"] {
            self.signal(function).await;
            if tokio::time::timeout(CANCEL_GRACE, &mut work).await.is_ok() {
                break;
            }
        }
        Err(Stopped::Interrupted)
    }

    /// Calls one of the server's signalling functions for our backend from a second connection.
    /// When even that cannot be had, closing our connection is all that is left to do.
    async fn signal(&self, function: &str) {
        let options = self.target.connect_options("rehearsal/cancel");
        let cancel = async {
            let mut connection = options.connect().await?;
            let sql = format!("SELECT {function}({})", self.pid);
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
            connection.close().await
        };
        let _: Result<Result<(), sqlx::Error>, _> = tokio::time::timeout(CANCEL_GRACE, cancel).await;
    }
}
