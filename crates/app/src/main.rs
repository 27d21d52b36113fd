//! The service's process: settings, schema, socket, and a clean end on SIGINT or SIGTERM.

use std::{
    future::Future,
    io::{self, IsTerminal},
};

use anyhow::Context;
use app::Config;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stdout().is_terminal()).init();

    let config = Config::from_env()?;
    // Before the socket opens: a load balancer must not send anybody to a service whose tables
    // are not there yet.
    app::migrate(&config).await?;

    let listener =
        TcpListener::bind(config.address).await.with_context(|| format!("failed to listen on {}", config.address))?;
    app::serve(config, listener, shutdown_signal()?).await
}

fn shutdown_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("shutting down: requests under way are still answered");
    })
}
