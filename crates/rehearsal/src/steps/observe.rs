//! What a database looks like, to be compared with later.

use crate::context::{Context, Observation};
use crate::error::Result;
use crate::postgres::schema::Schema;
use crate::postgres::session::Session;
use crate::postgres::{catalog, contents, sequences};

/// Reads the schema; and what the tables hold, when nobody else writes meanwhile.
pub(super) async fn read(cx: &Context, session: &mut Session) -> Result<Observation> {
    // By its whole name: whoever reads in a sandbox has another search path.
    let table = &catalog::whole_name(session, &cx.workspace.config.history_table).await?;
    let invalid_indexes = catalog::invalid_indexes(session).await?;
    let mut observation = Observation { invalid_indexes, ..Observation::default() };
    if cx.settings.alone {
        let mut reader = cx.connect_to_read("observe").await?;
        let session = &mut reader;
        observation.schema = Some(schema(cx, session, table).await?);
        observation.columns = contents::tables(session, table).await?;
        observation.contents = Some(contents::read_all(session, &observation.columns).await?);
        let ours = session.target().journal().schema.clone();
        observation.sequences = Some(sequences::read(session, Some(&ours)).await?);
        reader.close().await;
    }
    Ok(observation)
}

/// Reads the schema. `table` is the history's, by its whole name: it is left out.
pub(super) async fn schema(cx: &Context, reader: &Session, table: &str) -> Result<Schema> {
    let tools = cx.tools(reader.version()).await?;
    Schema::read(&tools, reader.target(), table, &cx.cancel).await
}
