//! Backups for whoever has the key.

use age::secrecy::ExposeSecret;
use rehearsal_tests::{Database, Project, S3, database};

use crate::project;

/// What must be seen in no file.
const CANARY: &str = "canary-in-the-rows";

/// A key pair, the secret one in a file of the project.
fn key(project: &Project, name: &str) -> String {
    let identity = age::x25519::Identity::generate();
    project.change(name, &format!("# a comment\n{}\n", identity.to_string().expose_secret()));
    identity.to_public().to_string()
}

async fn encrypting(project: Project, to: &str) -> (Database, Project) {
    let database = Database::create().await;
    database.execute(&format!("CREATE TABLE a AS SELECT g, '{CANARY}' AS t FROM generate_series(1, 50) g")).await;
    // What a setting of one's own holds may be a key.
    database.execute(&format!("ALTER DATABASE {} SET app.secret = '{CANARY}'", database.name())).await;
    let (mine, spare) = (key(&project, "mine.txt"), key(&project, "spare.txt"));
    key(&project, "other.txt");
    let config = format!(
        "[targets.dev]\nurl_env = 'DATABASE_URL'\n[backup]\nto = '{to}'\npatience = '1s'\nrecipients = ['{mine}', '{spare}']\n"
    );
    let project = project.write("rehearsal.toml", &config).on(&database);
    (database, project)
}

async fn only_with_a_key(project: Project, source: &Database, stored: Vec<String>) {
    assert!(stored.iter().all(|name| name.ends_with(".age") || name.ends_with("manifest.json")), "{stored:?}");
    assert!(stored.len() > 2, "{stored:?}");
    assert_eq!(project.names_in(".rehearsal/staging/dev"), Vec::<String>::new());
    project.run("db-backup list").await.must_exit(0).must_say("encrypted");
    // Its bytes can be compared without a key.
    project.run("db-backup check").await.must_exit(0).must_say("not decrypted");
    let name = format!("{}_restored", source.name());
    let restore = format!("restore --into {name}");
    let ended = project.run(&restore).await;
    ended.must_exit(2);
    assert!(ended.error().1.contains("REHEARSAL_AGE_IDENTITY_FILE"), "{:?}", ended.error());
    let with = |project: Project, key: &str| project.variable("REHEARSAL_AGE_IDENTITY_FILE", key);
    let project = with(project, "other.txt");
    for command in [restore.as_str(), "db-backup check"] {
        let ended = project.run(command).await;
        // It says nothing of the backup.
        ended.must_exit(2);
        assert!(ended.error().0.contains("for another key"), "{:?}", ended.error());
    }
    let there: bool = source.value(&format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')")).await;
    assert!(!there, "nothing is restored with a wrong key");
    let project = with(project, "rehearsal.toml");
    project.run(&restore).await.must_exit(2).must_say("line 1");
    let project = with(project, "spare.txt");
    project.run(&restore).await.must_exit(0);
    let restored = database::of(&name);
    assert_eq!(restored.value::<i64>("SELECT count(*) FROM a").await, 50);
    assert_eq!(restored.value::<String>("SELECT current_setting('app.secret')").await, CANARY);
    drop(restored);
    project.run("db-backup check --restore").await.must_exit(0).must_say("restored and equal");
}

#[tokio::test]
async fn in_a_folder() {
    let (source, project) = encrypting(project(), "backups").await;
    project.run("db-backup").await.must_exit(0);
    let names = project.names_in("backups/dev");
    let [id] = &names[..] else { panic!("one backup: {names:?}") };
    let mut stored: Vec<String> = project.names_in(&format!("backups/dev/{id}/dump"));
    stored.extend(project.names_in(&format!("backups/dev/{id}")).into_iter().filter(|name| name != "dump"));
    for name in project.names_in(&format!("backups/dev/{id}/dump")) {
        let bytes = std::fs::read(project.path(&format!("backups/dev/{id}/dump/{name}"))).expect("read");
        assert!(bytes.starts_with(b"age-encryption.org/v1"), "{name}");
    }
    let manifest = std::fs::read_to_string(project.path(&format!("backups/dev/{id}/manifest.json"))).expect("read");
    assert!(!manifest.contains(CANARY), "{manifest}");
    only_with_a_key(project, &source, stored).await;
}

#[tokio::test]
async fn in_an_object_store() {
    let s3 = S3::start().await;
    let (source, project) = encrypting(s3.serves(project()), "s3://bucket").await;
    project.run("db-backup").await.must_exit(0);
    only_with_a_key(project, &source, s3.objects()).await;
}

#[tokio::test]
async fn a_secret_key_in_the_configuration_is_not_repeated() {
    let identity = age::x25519::Identity::generate();
    let secret = identity.to_string();
    let config =
        format!("[targets.dev]\nurl_env = 'DATABASE_URL'\n[backup]\nrecipients = ['{}']\n", secret.expose_secret());
    let project = project().write("rehearsal.toml", &config);
    let ended = project.run("db-backup list").await;
    ended.must_exit(2).must_say("no public key");
    assert!(!ended.text().contains(secret.expose_secret()), "{}", ended.text());
}
