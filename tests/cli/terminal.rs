//! What somebody at a terminal sees.

use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::project;

/// Nobody looks at an empty screen until a server that does not answer is given up.
#[tokio::test]
async fn who_is_waited_for_is_shown_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let project = project().variable("DATABASE_URL", &format!("postgres://me:geheim@{address}/shop"));
    for words in ["status", "plan", "migrate"] {
        let mut running = project.start_at_terminal(words);
        let (_connection, _) = silent.accept().await.expect("it connects");
        running.has_written(&format!("connecting to dev (me@{address}/shop)")).await;
        running.signal(Signal::TERM);
        let ended = running.end().await;
        assert!(!ended.stdout.contains("geheim"), "{words}: {}", ended.stdout);
    }
    // Nothing moves where nobody sees it.
    let running = project.start("status");
    let (_connection, _) = silent.accept().await.expect("it connects");
    running.signal(Signal::INT);
    let ended = running.end().await;
    assert_eq!(ended.code, Some(130), "{}", ended.text());
    assert!(!ended.text().contains("connecting to"), "{}", ended.text());
}
