//! What every request may use.

use std::{str::FromStr, sync::Arc, time::Duration};

use anyhow::Context;
use sqlx::{
    Executor, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{Config, password::Passwords};

/// The services that handlers share; cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState {
    pub(crate) pool: PgPool,
    pub(crate) passwords: Passwords,
    pub(crate) config: Arc<Config>,
}

impl AppState {
    /// Opens the connection pool.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn connect(config: Config) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(config.database_url.expose())
            .context("failed to read the database URL")?
            // The name by which whoever looks at pg_stat_activity knows us.
            .application_name("app");
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::from_secs(3))
            // A SET after connecting, because poolers refuse it as a start-up parameter. A request
            // that died in a transaction must not hold its locks for longer than it could have lived.
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection
                        .execute("SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '15s'")
                        .await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await
            .context("failed to connect to the database")?;
        Ok(Self {
            pool,
            passwords: Passwords::new().context("failed to set up password hashing")?,
            config: Arc::new(config),
        })
    }
}
