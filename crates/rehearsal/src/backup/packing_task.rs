//! The packing of a dump beside pg_dump: each of them ends when the other one has failed.

use std::path::Path;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::codec::Codec;
use super::failure::BackupError;
use super::pack::{Data, Packing};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{EventKind, Progress};

/// See the module.
pub(super) struct PackingTask {
    /// To be told when pg_dump has ended well.
    pub(super) dumped: CancellationToken,
    /// Told when either has failed, or the user wishes to stop.
    pub(super) stop: CancellationToken,
    task: JoinHandle<Result<Data>>,
    /// Whoever gives up waiting for it ends it.
    _guard: DropGuard,
}

impl PackingTask {
    /// Starts it on the folder of a backup whose dump is about to be made.
    pub(super) fn start(cx: &Context, folder: &Path, codec: Codec) -> Self {
        let jobs = cx.workspace.config.backup.jobs.max(1);
        let (dumped, stop) = (CancellationToken::new(), cx.cancel.child_token());
        let (folder, events) = (folder.to_owned(), cx.events.clone());
        let (of_task, stop_of_task) = (dumped.clone(), stop.clone());
        let task = tokio::task::spawn_blocking(move || {
            let told = |done, total| {
                events.emit(EventKind::Progress(Progress {
                    unit: "bytes".into(),
                    done,
                    total: Some(total),
                    what: "read and pack".into(),
                    per_second: None,
                    left_ms: None,
                }));
            };
            let packing =
                Packing { folder: &folder, codec, jobs, dumped: &of_task, cancel: &stop_of_task, told: &told };
            packing.run().inspect_err(|_| stop_of_task.cancel())
        });
        Self { dumped, _guard: stop.clone().drop_guard(), stop, task }
    }

    /// Waits for it, unless what was done beside it has failed. The first failure is the one to tell: the other
    /// is only that it was stopped.
    ///
    /// # Errors
    /// Those of either.
    pub(super) async fn end<T>(self, beside: Result<T>) -> Result<(T, Data)> {
        if beside.is_err() {
            self.stop.cancel();
        }
        let packed = match self.task.await {
            Ok(packed) => packed,
            Err(error) => Err(BackupError::Unreadable { reason: error.to_string() }.into()),
        };
        match (beside, packed) {
            (Ok(beside), Ok(packed)) => Ok((beside, packed)),
            (Err(Error::Interrupted) | Ok(_), Err(error)) | (Err(error), _) => Err(error),
        }
    }
}
