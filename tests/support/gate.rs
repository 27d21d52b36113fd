//! A TCP port in front of a server that stops the conversation at a chosen round trip.
//!
//! Whatever a client does to a database, it does in round trips. Who stops at each of them in turn has
//! stopped at every statement, batch and commit, and has not hoped to meet any of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rehearsal::target::Target;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::forward::{Address, Stream};

/// Where a round trip is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server never gets it.
    Before,
    /// The server has just got it, and may be anywhere in it.
    During,
    /// The server is done with it; its answer is held back.
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Shut,
    Opened,
}

/// A port on 127.0.0.1; dropping it cuts every connection.
pub struct Gate {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    server: Address,
    state: watch::Sender<State>,
    seen: Mutex<Vec<String>>,
    from: &'static str,
    stop: usize,
    moment: Moment,
}

impl Gate {
    /// A gate that stops nothing. It counts round trips over all connections, beginning with the first one
    /// whose SQL has `from` in it.
    pub async fn open(server: &Target, from: &'static str) -> Self {
        Self::shut_at(server, from, usize::MAX, Moment::Before).await
    }

    /// A gate that shuts at the round trip with that number, from 1.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn shut_at(server: &Target, from: &'static str, stop: usize, moment: Moment) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            server: Address::of(server),
            state: watch::Sender::new(State::Open),
            seen: Mutex::default(),
            from,
            stop,
            moment,
        });
        let accepting = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            // Its connections end with it.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                // Small messages, each of which is waited for.
                client.set_nodelay(true).expect("a TCP connection");
                let shared = Arc::clone(&accepting);
                connections.spawn(async move { shared.serve(Box::new(client)).await });
            }
        });
        Self { port, shared, task }
    }

    /// The URL of a database of that server through this port.
    ///
    /// # Panics
    /// When the target's URL is none.
    #[must_use]
    pub fn url(&self, target: &Target) -> String {
        let url = target.sandbox_url();
        let (user, _) = url.strip_prefix("postgres://").and_then(|url| url.split_once('@')).expect("a URL with a user");
        format!("postgres://{user}@127.0.0.1:{}/{}?sslmode=disable", self.port, target.database())
    }

    /// Waits until it has shut.
    ///
    /// # Panics
    /// Never: the sender lives as long as this.
    pub async fn has_shut(&self) {
        let mut state = self.shared.state.subscribe();
        state.wait_for(|state| *state == State::Shut).await.expect("the gate is there");
    }

    /// What was held back goes on its way, and everything behind it.
    pub fn open_again(&self) {
        self.shared.state.send_replace(State::Opened);
    }

    /// The round trips that were counted so far: their SQL, or what they are.
    ///
    /// # Panics
    /// When a connection has panicked.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().expect("no connection has panicked").clone()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Half<T> = (T, Arc<AtomicBool>);

impl Shared {
    async fn serve(&self, client: Box<dyn Stream>) {
        let Ok(server) = self.server.clone().connect().await else { return };
        let (client_reads, client_writes) = split(client);
        let (server_reads, server_writes) = split(server);
        // Set while the answer is awaited at whose end the gate shuts.
        let awaited = Arc::new(AtomicBool::new(false));
        // Either side may hang up whenever it likes; the other one then hears of it.
        tokio::select! {
            _ = self.requests(client_reads, (server_writes, Arc::clone(&awaited))) => {}
            _ = self.answers((server_reads, awaited), client_writes) => {}
        }
    }

    /// Waits while the gate is shut.
    async fn pass(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| *state != State::Shut).await;
    }

    /// The number of a round trip; 0 for those that do not count yet.
    fn count(&self, words: String) -> usize {
        let mut seen = self.seen.lock().expect("no connection has panicked");
        if !seen.is_empty() || words.contains(self.from) {
            seen.push(words);
        }
        seen.len()
    }

    fn shut(&self) {
        self.state.send_replace(State::Shut);
    }

    async fn requests(
        &self,
        mut client: ReadHalf<Box<dyn Stream>>,
        (mut server, awaited): Half<WriteHalf<Box<dyn Stream>>>,
    ) -> std::io::Result<()> {
        // The first message has no type.
        let mut round_trip = message(&mut client, None).await?;
        let mut words = "connect".to_owned();
        loop {
            self.pass().await;
            if self.count(std::mem::take(&mut words)) == self.stop {
                match self.moment {
                    Moment::Before => {
                        self.shut();
                        self.pass().await;
                    }
                    Moment::During => {
                        server.write_all(&std::mem::take(&mut round_trip)).await?;
                        self.shut();
                    }
                    Moment::After => awaited.store(true, Ordering::SeqCst),
                }
            }
            server.write_all(&std::mem::take(&mut round_trip)).await?;
            // Up to the next message that asks for an answer: a simple query, or a Sync.
            loop {
                let kind = client.read_u8().await?;
                let rest = message(&mut client, Some(kind)).await?;
                match kind {
                    b'Q' => words = text(&rest[5..]),
                    // Parse: the statement's name, then its text.
                    b'P' => words = rest[5..].splitn(2, |byte| *byte == 0).nth(1).map(text).unwrap_or_default(),
                    _ => {}
                }
                round_trip.extend(rest);
                match kind {
                    b'Q' | b'S' => break,
                    b'P' | b'B' | b'D' | b'E' | b'C' => {}
                    // Passwords and good-byes wait for nothing.
                    _ => {
                        self.pass().await;
                        server.write_all(&std::mem::take(&mut round_trip)).await?;
                    }
                }
            }
        }
    }

    async fn answers(
        &self,
        (mut server, awaited): Half<ReadHalf<Box<dyn Stream>>>,
        mut client: WriteHalf<Box<dyn Stream>>,
    ) -> std::io::Result<()> {
        let mut held = Vec::new();
        while let Ok(kind) = server.read_u8().await {
            held.extend(message(&mut server, Some(kind)).await?);
            // ReadyForQuery ends an answer.
            if awaited.load(Ordering::SeqCst) {
                if kind != b'Z' {
                    continue;
                }
                awaited.store(false, Ordering::SeqCst);
                self.shut();
            }
            self.pass().await;
            client.write_all(&std::mem::take(&mut held)).await?;
        }
        self.pass().await;
        client.write_all(&held).await
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// One message of the protocol, its type, if it has one, and its length included.
async fn message(from: &mut (impl AsyncRead + Unpin), kind: Option<u8>) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut whole: Vec<u8> = kind.into_iter().chain(length.to_be_bytes()).collect();
    let start = whole.len();
    whole.resize(start + usize::try_from(length).expect("a length").saturating_sub(4), 0);
    from.read_exact(&mut whole[start..]).await?;
    Ok(whole)
}
