//! Prepares every query of the code against the schema as it is: what would fail when somebody asks is
//! found before.

use std::path::PathBuf;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::context::Context;
use crate::contract::{self, ContractError};
use crate::error::Result;
use crate::postgres::pooler;
use crate::postgres::query::{Stopped, is_connection_lost, server_words};
use crate::report::format::shortened;
use crate::statement::summary;

/// How much of a query is shown.
const SHOWN: usize = 120;

/// See the module.
pub struct Contract {
    /// The folder of the code's queries.
    pub folder: PathBuf,
}

#[async_trait]
impl Step for Contract {
    fn name(&self) -> &'static str {
        "contract"
    }

    fn title(&self) -> &'static str {
        "prepare the code's queries against the schema"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let queries = contract::from_folder(&self.folder)?;
        let mut session = cx.connect_and_tell("contract").await?;
        // What is prepared has a name, and would meet the pooler's next client.
        pooler::refuse_known(&session)?;
        session.go_read_only().await.map_err(Stopped::doing("go read-only"))?;
        let mut broken = Vec::new();
        for query in &queries {
            let difference = match session.prepare(&query.sql).await {
                Ok(columns) => query.difference(&columns),
                Err(Stopped::Failed(error)) if !is_connection_lost(&error) => Some(server_words(&error)),
                Err(stopped) => return Err(Stopped::doing("prepare the code's queries")(stopped)),
            };
            if let Some(difference) = difference {
                broken.push(format!("`{}`: {}", summary(&query.sql, SHOWN), shortened(&difference, SHOWN)));
            }
        }
        session.close().await;
        if !broken.is_empty() {
            return Err(ContractError::Broken { broken, total: queries.len() }.into());
        }
        Ok(StepReport::done(format!(
            "the code's queries fit the schema, with the columns and types it expects: {}",
            queries.len()
        )))
    }
}
