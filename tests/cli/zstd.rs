//! What a client of 16 and newer packs a backup with.

use std::time::Duration;

use rehearsal::event::Emitter;
use rehearsal::providers::{self, Choice, Request, docker::official_image};
use rehearsal_tests::{Database, docker, server};
use tokio_util::sync::CancellationToken;

use crate::backup::only_backup;
use crate::project;

/// Its pg_dump knows zstd, if it was built with it; Debian's and the official image's are.
const MAJOR: u32 = 17;

#[tokio::test]
async fn a_newer_client_packs_with_zstd() {
    let test = "a_newer_client_packs_with_zstd";
    let there = match docker::engine().await {
        Ok(engine) => engine.inspect_image(&official_image(MAJOR)).await.is_ok(),
        Err(_) => false,
    };
    if !there {
        docker::skipped(test, &format!("there is no image {}", official_image(MAJOR)));
        return;
    }
    let request = Request {
        major: Some(MAJOR),
        preferred: None,
        image: None,
        start_limit: Duration::from_secs(60),
        expected_bytes: 64 << 20,
    };
    let (events, cancel) = (Emitter::default(), CancellationToken::new());
    let sandbox =
        providers::start(Choice::Docker, &request, &server::environment(), &events, &cancel).await.expect("a server");
    let source = Database::create_on(&sandbox.database("postgres")).await;
    source.execute("CREATE TABLE a AS SELECT g, 'row ' || g AS t FROM generate_series(1, 50000) g").await;
    let project = project().on(&source);
    project.run("db-backup --provider docker").await.must_exit(0).must_say("restored into a docker sandbox and equal");
    let backup = only_backup(&project);
    let files = project.names_in(&format!("backups/dev/{}/dump", backup.file_name().expect("its id").display()));
    assert!(files.iter().any(|name| name.ends_with(".dat.zst")), "{files:?}");
    assert!(files.iter().all(|name| name == "toc.dat" || name.ends_with(".dat.zst")), "{files:?}");
    let restored = format!("{}_restored", source.name());
    project.run(&format!("restore --into {restored}")).await.must_exit(0);
    drop(source);
    sandbox.remove().await;
}
