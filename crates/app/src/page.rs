//! Long lists are read in pages: by id, so that the thousandth page costs what the first did.

use serde::Deserialize;
use utoipa::IntoParams;

/// How many entries a page has.
pub const PAGE_SIZE: i64 = 100;

/// Which page of a list is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The id of the last entry of the page before; nothing asks for the first page.
    #[serde(default)]
    pub after: i64,
}
