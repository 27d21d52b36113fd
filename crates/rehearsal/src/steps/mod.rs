//! What a run is made of: one file a step, and the ordered lists.

pub mod as_before;
pub mod audit;
pub mod backup;
pub mod baseline;
pub mod checking;
pub mod copy;
pub mod lists;
pub mod migrate;
pub mod observe;
pub mod preflight;
pub mod restore;
pub mod rollback;
pub mod step;
pub mod up_to_date;
pub mod verify;

pub use step::{Step, StepReport};
