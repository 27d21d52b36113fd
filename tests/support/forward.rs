//! A TCP port in front of the tests' server: an address as production has one, which can also go
//! away in the middle.

use std::path::PathBuf;

use rehearsal::target::{Host, Target};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::database::Database;
use crate::server::server;

/// A port on 127.0.0.1; dropping it cuts every connection.
pub struct Forward {
    port: u16,
    task: JoinHandle<()>,
}

impl Forward {
    /// Opens a port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Address::of(&server().database("postgres"));
        let task = tokio::spawn(async move {
            // Its connections end with it.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, server.clone()));
            }
        });
        Self { port, task }
    }

    /// The URL of a database through this port.
    #[must_use]
    pub fn url(&self, user: &str, password: &str, database: &Database) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{}?sslmode=disable", self.port, database.name())
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Both directions of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a server listens.
#[derive(Clone)]
pub(crate) enum Address {
    Socket(PathBuf),
    Tcp(String, u16),
}

impl Address {
    pub(crate) fn of(server: &Target) -> Self {
        match server.host() {
            Host::Socket(folder) => Self::Socket(folder.join(".s.PGSQL.5432")),
            Host::Tcp(host) => {
                let url = server.sandbox_url();
                let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
                Self::Tcp(host.clone(), port.expect("the URL has a port"))
            }
        }
    }

    pub(crate) async fn connect(self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(host, port) => {
                let stream = TcpStream::connect((host, port)).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

async fn forward(mut client: TcpStream, address: Address) {
    let mut server = address.connect().await.expect("the server listens");
    // Either side may hang up whenever it likes.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
