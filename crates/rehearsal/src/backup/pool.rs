//! Threads that work off what they are given, in the order in which it comes.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

type Work<'scope> = Box<dyn FnOnce() + Send + 'scope>;

/// See the module. They end when it is dropped and nothing is left to do.
pub(super) struct Pool<'scope> {
    work: Sender<Work<'scope>>,
}

/// What comes of a piece of work, once it is done.
pub(super) struct Pending<T>(Receiver<T>);

impl<'scope> Pool<'scope> {
    pub(super) fn start(scope: &'scope Scope<'scope, '_>, threads: usize) -> Self {
        let (work, queue) = mpsc::channel::<Work<'scope>>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match next {
                        Ok(work) => work(),
                        Err(_) => return,
                    }
                }
            });
        }
        Self { work }
    }

    pub(super) fn give<T: Send + 'scope>(&self, work: impl FnOnce() -> T + Send + 'scope) -> Pending<T> {
        let (done, pending) = mpsc::sync_channel(1);
        // Nobody waits any more where the receiver is gone, and nobody works where the threads are.
        let _ = self.work.send(Box::new(move || drop(done.send(work()))));
        Pending(pending)
    }
}

impl<T> Pending<T> {
    /// Waits for it. Nothing where its thread has panicked.
    pub(super) fn wait(self) -> Option<T> {
        self.0.recv().ok()
    }
}
