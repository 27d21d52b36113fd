//! Where commands write.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// Stdout or stderr whose reader may go before the end (`| head`). That is no failure of the command: it goes on
/// to its own end, and its exit code says how that was.
pub struct Pipe<W>(W);

/// What others read.
pub fn stdout() -> Pipe<io::Stdout> {
    Pipe(io::stdout())
}

/// What people read.
pub fn stderr() -> Pipe<io::Stderr> {
    Pipe(io::stderr())
}

impl<W: AsFd> AsFd for Pipe<W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            done => done,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}
