//! One dedicated connection that can be interrupted.
//!
//! Its limits are part of its start, not statements. So a session of the server has them from its first
//! moment; and a transaction pooler, behind which settings would stay in sessions that others get next,
//! shows itself by refusing or forgetting them. Through one of those everything that is said is a
//! read-only transaction of its own, rolled back: nothing is left there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgArguments, PgColumn, PgConnectOptions, PgConnection, PgQueryResult, PgRow, PgSslMode};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Executor, Postgres, Row, SqlSafeStr, Statement, TypeInfo,
    ValueRef,
};
use tokio_util::sync::CancellationToken;

use super::connect::ConnectError;
use super::journal;
use super::notices::{Ears, Heard};
use super::query::Stopped;
use super::version::Version;
use crate::error::{Error, Result};
use crate::target::{Role, Target};

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
    reading: bool,
    /// There is no journal, and there need not be one.
    without_journal: bool,
    ears: Option<Ears>,
}

/// What is needed to cancel a session from outside.
struct Stop {
    target: Arc<Target>,
    /// How the connection was had, if that was up to us.
    tls: Option<PgSslMode>,
    pid: i32,
    pooled: bool,
    cancel: CancellationToken,
}

impl Session {
    /// Opens a connection for `purpose`, which is what `application_name` shows after `rehearsal/`. Of
    /// several places, the first that answers and is what the target asks for stays the target's place.
    ///
    /// # Errors
    /// [`ConnectError`], or [`Error::Interrupted`].
    pub async fn connect(target: &Target, purpose: &str, cancel: &CancellationToken) -> Result<Self> {
        let role = target.role();
        // Those who prefer a standby are looked for one everywhere before they take what there is.
        let roles = if role == Role::PreferStandby { vec![Role::Standby, Role::Any] } else { vec![role] };
        let mut failed = Vec::new();
        for role in roles {
            for (index, place) in target.each_place() {
                // Apart: it is big, and whoever may have to connect would be as big all of the time.
                match Box::pin(Self::connect_there(&place, role, purpose, cancel)).await {
                    Ok(session) => {
                        target.choose(index);
                        return Ok(session);
                    }
                    Err(Error::Connect(error)) if error.is_about_the_place() => failed.push(error),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(ConnectError::nowhere(target.address(), failed).into())
    }

    async fn connect_there(target: &Target, role: Role, purpose: &str, cancel: &CancellationToken) -> Result<Self> {
        let options = target.connect_options(&format!("rehearsal/{purpose}")).disable_statement_logging();
        let address = target.address();
        let limited = options.clone().options(start_settings());
        let ((mut connection, tls), mut pooled) = match open(limited, target, cancel).await {
            Err(Error::Connect(ConnectError::StartParameter { .. })) => (open(options, target, cancel).await?, true),
            opened => (opened?, false),
        };
        let about = connection.fetch_one(sqlx::raw_sql(ABOUT)).await;
        let row = about.map_err(|error| ConnectError::from_sqlx(address.clone(), &error))?;
        let text = |index| text_value(&row, index).unwrap_or_default();
        let (in_recovery, read_only) = (text(2) == "t", text(5) == "on");
        let is_wanted = match role {
            Role::Any | Role::PreferStandby => true,
            Role::ReadWrite => !read_only,
            Role::ReadOnly => read_only,
            Role::Primary => !in_recovery,
            Role::Standby => in_recovery,
        };
        if !is_wanted {
            let found = match (in_recovery, read_only) {
                (true, _) => "a standby",
                (false, true) => "a primary whose transactions are read-only",
                (false, false) => "a primary that can be written",
            };
            return Err(ConnectError::AnotherRole { address, found, wanted: role.as_str() }.into());
        }
        pooled |= [text(3), text(4)] != limits().map(|(_, value)| value);
        let mut session = Self {
            connection,
            stop: Stop {
                target: Arc::new(target.clone()),
                tls,
                pid: text(0).parse().unwrap_or_default(),
                pooled,
                cancel: cancel.clone(),
            },
            version: Version::from_number(text(1).parse().unwrap_or_default()),
            in_recovery,
            reading: false,
            without_journal: false,
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

    /// Goes back to the settings and the role that the session began with, whatever a file has made of them.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn restore(&mut self) -> Result<(), Stopped> {
        // Another user takes the role along, so that goes first.
        self.execute("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL").await?;
        if self.ears.is_some() { self.listen().await } else { Ok(()) }
    }

    /// From now on, what the server says while it runs a statement is kept until [`Session::heard`].
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn listen(&mut self) -> Result<(), Stopped> {
        // A role or a database may have been told to be silent.
        self.execute("SET client_min_messages = notice").await?;
        self.ears.get_or_insert_default();
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

    /// Something stands in between that does not keep a session's settings. It can only be read.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.stop.pooled
    }

    /// Writes nothing from now on, whatever it is told.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn go_read_only(&mut self) -> Result<(), Stopped> {
        if self.stop.pooled {
            return Ok(());
        }
        self.execute("SET default_transaction_read_only = on").await.map(drop)
    }

    /// Begins a read-only transaction whose statements may take as long as this.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn begin_reading(&mut self, limit: Duration) -> Result<(), Stopped> {
        let begin = format!("{BEGIN_READING}; SET LOCAL statement_timeout = {}", limit.as_millis());
        self.reading = true;
        self.execute(&begin).await.map(drop)
    }

    /// Ends it, also after an error.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn end_reading(&mut self) -> Result<(), Stopped> {
        let ended = self.execute("ROLLBACK").await.map(drop);
        self.reading = false;
        ended
    }

    /// Goes on without a journal: what would be written to it is not.
    pub(super) fn do_without_journal(&mut self) {
        self.without_journal = true;
    }

    /// The journal's table as SQL writes it, unless there is to be none.
    pub(super) fn journal(&self) -> Option<String> {
        (!self.without_journal).then(|| self.target().journal().table(journal::TABLE))
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

    /// The same, for whoever outlives a look at it.
    pub(crate) fn shared_target(&self) -> Arc<Target> {
        Arc::clone(&self.stop.target)
    }

    /// Runs SQL text by the simple protocol, and gives up on it when the user interrupts.
    ///
    /// # Errors
    /// [`Stopped`]: the server's error, or the interruption, after the backend has stopped.
    pub async fn execute(&mut self, sql: &str) -> Result<PgQueryResult, Stopped> {
        let alone = self.is_alone();
        let text = if alone { alone_text(sql) } else { sql.to_owned() };
        let work = self.connection.execute(sqlx::raw_sql(AssertSqlSafe(text)));
        let outcome = self.stop.guard(heard_by(self.ears.as_ref(), work)).await;
        self.settle(alone, outcome).await
    }

    /// Runs SQL text of several statements, and adds to `rows` how many each of them touched as it is done.
    ///
    /// # Errors
    /// As [`Session::execute`]; `rows` then says how many were done before.
    pub async fn execute_each(&mut self, sql: &str, rows: &mut Vec<u64>) -> Result<(), Stopped> {
        let mut results = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute_many(&mut self.connection);
        let work = async {
            while let Some(done) = results.next().await {
                rows.push(done?.rows_affected());
            }
            Ok(())
        };
        self.stop.guard(heard_by(self.ears.as_ref(), work)).await
    }

    /// Whether the next statement must be a transaction of its own.
    fn is_alone(&self) -> bool {
        self.stop.pooled && !self.reading
    }

    /// What failed in a transaction of its own has left it open.
    async fn settle<T>(&mut self, alone: bool, outcome: Result<T, Stopped>) -> Result<T, Stopped> {
        if alone && outcome.is_err() {
            // Where even this fails, the pooler ends the session together with our connection.
            let _ = self.connection.execute(sqlx::raw_sql("ROLLBACK")).await;
        }
        outcome
    }

    /// Bound values need messages of their own, which a pooler keeps together only in a transaction.
    async fn enter(&mut self) -> Result<bool, Stopped> {
        let alone = self.is_alone();
        if alone {
            self.begin_reading(QUERY_TIMEOUT).await?;
        }
        Ok(alone)
    }

    async fn leave(&mut self, alone: bool) -> Result<(), Stopped> {
        if alone { self.end_reading().await } else { Ok(()) }
    }

    /// Runs one prepared statement with bound values.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn execute_bound(
        &mut self,
        query: sqlx::query::Query<'_, Postgres, PgArguments>,
    ) -> Result<PgQueryResult, Stopped> {
        let alone = self.enter().await?;
        // A statement with a name stays in the session, where a pooler's next client would meet it.
        let query = query.persistent(!self.stop.pooled);
        let work = query.execute(&mut self.connection);
        let outcome = self.stop.guard(heard_by(self.ears.as_ref(), work)).await;
        self.leave(alone).await?;
        outcome
    }

    /// The rows of one prepared statement with bound values.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn fetch_bound(
        &mut self,
        query: sqlx::query::Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, Stopped> {
        let alone = self.enter().await?;
        let query = query.persistent(!self.stop.pooled);
        let outcome = self.stop.guard(query.fetch_all(&mut self.connection)).await;
        self.leave(alone).await?;
        outcome
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
        let alone = self.is_alone();
        let text = if alone { alone_text(sql) } else { sql.to_owned() };
        let connection = &mut self.connection;
        let work = async {
            let mut rows = TextRows::default();
            let mut stream = connection.fetch(sqlx::raw_sql(AssertSqlSafe(text)));
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
        let outcome = self.stop.guard(work).await;
        self.settle(alone, outcome).await
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

    /// Streams `COPY … TO STDOUT` into `each`, chunk by chunk, until it has no use for more.
    ///
    /// # Errors
    /// As [`Session::execute`], and those of `each`; after one of them the session is of no more use.
    pub async fn copy_out(
        &mut self,
        copy: &str,
        mut each: impl FnMut(&[u8]) -> std::io::Result<()> + Send,
    ) -> Result<(), Stopped> {
        let connection = &mut self.connection;
        let work = async {
            let mut stream: BoxStream<'_, _> = connection.copy_out_raw(copy).await?;
            while let Some(chunk) = stream.next().await {
                each(&chunk?).map_err(sqlx::Error::Io)?;
            }
            Ok(())
        };
        self.stop.guard(work).await
    }

    /// Sends rows to `COPY … FROM STDIN`, as `next` puts them into the buffer, until it puts none.
    ///
    /// # Errors
    /// As [`Session::execute`], and those of `next`: then the server has taken none of them.
    pub async fn copy_in(
        &mut self,
        copy: &str,
        mut next: impl FnMut(&mut Vec<u8>) -> std::io::Result<()> + Send,
    ) -> Result<(), Stopped> {
        let connection = &mut self.connection;
        let work = async {
            let mut rows = connection.copy_in_raw(copy).await?;
            let mut buffer = Vec::new();
            loop {
                buffer.clear();
                if let Err(error) = next(&mut buffer) {
                    rows.abort(error.to_string()).await?;
                    return Err(sqlx::Error::Io(error));
                }
                if buffer.is_empty() {
                    return rows.finish().await.map(drop);
                }
                rows.send(buffer.as_slice()).await?;
            }
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

/// How a session reads, without holding anything that it has read afterwards.
const BEGIN_READING: &str = "BEGIN READ ONLY";

/// Who answers, and whether it has taken the limits.
const ABOUT: &str = "SELECT pg_backend_pid(), current_setting('server_version_num'), pg_is_in_recovery(), \
     (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint, \
     (extract(epoch FROM current_setting('lock_timeout')::interval) * 1000)::bigint, \
     current_setting('transaction_read_only')";

fn limits() -> [(&'static str, String); 2] {
    [
        ("statement_timeout", QUERY_TIMEOUT.as_millis().to_string()),
        ("lock_timeout", QUERY_LOCK_TIMEOUT.as_millis().to_string()),
    ]
}

/// What a session begins with: limits, so that nothing hangs, and what makes it last.
fn start_settings() -> impl Iterator<Item = (&'static str, String)> {
    let others = [("idle_in_transaction_session_timeout", "0"), ("plan_cache_mode", "force_custom_plan")];
    limits().into_iter().chain(others.map(|(name, value)| (name, value.to_owned())))
}

async fn heard_by<T>(ears: Option<&Ears>, work: impl Future<Output = T>) -> T {
    match ears {
        Some(ears) => ears.during(work).await,
        None => work.await,
    }
}

fn default_limits() -> String {
    limits().map(|(name, value)| format!("SET {name} = {value}")).join("; ")
}

/// The statement as a transaction that leaves nothing. All in one message: a pooler sees no part of it.
fn alone_text(sql: &str) -> String {
    let limits = limits().map(|(name, value)| format!("SET LOCAL {name} = {value}")).join("; ");
    // A line of its own: the text may end in a comment.
    format!("{BEGIN_READING}; {limits}; {}\n; ROLLBACK", sql.trim_end().trim_end_matches(';'))
}

/// Opens a connection, by the first mode of TLS that leads to one.
async fn open(
    options: PgConnectOptions,
    target: &Target,
    cancel: &CancellationToken,
) -> Result<(PgConnection, Option<PgSslMode>)> {
    let mut first = None;
    for mode in target.tls_modes() {
        match open_once(options.clone().ssl_mode(*mode), target, cancel).await {
            Ok(connection) => return Ok((connection, Some(*mode))),
            Err(Error::Connect(error)) if error.is_about_tls() => first = first.or(Some(error)),
            Err(error) => return Err(first.map_or(error, Error::from)),
        }
    }
    match first {
        Some(error) => Err(error.into()),
        None => Ok((open_once(options, target, cancel).await?, None)),
    }
}

async fn open_once(options: PgConnectOptions, target: &Target, cancel: &CancellationToken) -> Result<PgConnection> {
    let address = target.address();
    let limit = target.connect_timeout();
    let opened = tokio::select! {
        opened = tokio::time::timeout(limit, options.connect()) => opened,
        () = cancel.cancelled() => return Err(Error::Interrupted),
    };
    match opened {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            let mut error = ConnectError::from_sqlx(address, &error);
            if let (ConnectError::NotAllowed { reason, .. }, Some(path)) = (&mut error, target.passfile_left_alone()) {
                let path = path.display();
                reason.push_str(&format!("; {path} was left alone, as others may read it (chmod 600 {path})"));
            }
            Err(error.into())
        }
        Err(_) => {
            let reason = format!("no answer within {} s", limit.as_secs());
            Err(ConnectError::Unreachable { address, reason }.into())
        }
    }
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
        if self.pooled {
            // Its backend may be somebody else's by now. The statement only reads, and has a time limit.
            return Err(Stopped::Interrupted);
        }
        // The statement goes on in the server until it is told to stop; only then may we leave.
        for function in ["pg_cancel_backend", "pg_terminate_backend"] {
            // Apart: it is big, and this is part of every statement.
            Box::pin(self.signal(function)).await;
            if tokio::time::timeout(CANCEL_GRACE, &mut work).await.is_ok() {
                break;
            }
        }
        Err(Stopped::Interrupted)
    }

    /// Calls one of the server's signalling functions for our backend from a second connection.
    /// When even that cannot be had, closing our connection is all that is left to do.
    async fn signal(&self, function: &str) {
        let mut options = self.target.connect_options("rehearsal/cancel");
        if let Some(tls) = self.tls {
            options = options.ssl_mode(tls);
        }
        let cancel = async {
            let mut connection = options.connect().await?;
            let sql = format!("SELECT {function}({})", self.pid);
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
            connection.close().await
        };
        let _: Result<Result<(), sqlx::Error>, _> = tokio::time::timeout(CANCEL_GRACE, cancel).await;
    }
}
