//! What stops a backup or a copy where nobody can clean up: SIGKILL in each of its phases, and a disk that is full.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rehearsal_tests::s3::BUCKET;
use rehearsal_tests::{Database, Ended, Fault, Project, S3, docker, until};
use rustix::process::Signal;

use crate::backup::{SmallDisk, only_backup};
use crate::project;

const RULES: &str = "[targets.dev]\nurl_env = 'DATABASE_URL'\n[anonymise]\nkeys = 'keep'\n[anonymise.columns]\n'a.mail' = { pseudonym = 'email' }\n";

/// About 20 MB, and as much again in the log of the server that it is restored into.
const LARGE: &str =
    "CREATE TABLE large AS SELECT md5(g::text) AS m, md5((-g)::text) AS n FROM generate_series(1, 200000) g";

/// Room for the sandbox itself and not for that, in kB; and for the original of a copy, but not for the copy.
const TIGHT: u32 = 50_000;
const LESS_TIGHT: u32 = 115_000;

/// In every row, and in no copy.
const REAL: &str = "@real.example";

async fn people() -> (Database, Project) {
    let database = Database::create().await;
    database
        .execute(&format!(
            "CREATE TABLE a (id int PRIMARY KEY, mail text NOT NULL UNIQUE); \
             INSERT INTO a SELECT g, 'person' || g || '{REAL}' FROM generate_series(1, 200) g"
        ))
        .await;
    let project = project()
        .write("rehearsal.toml", RULES)
        .variable("REHEARSAL_ANONYMISE_KEY", "a key that is long enough for this")
        .on(&database);
    // A template of the wrapped programs is nobody else's.
    let cache = project.path("cache").display().to_string();
    (database, project.variable("XDG_CACHE_HOME", &cache))
}

/// Programs that note each of their runs, and stop at one of them until they are killed.
struct Halting<'a>(&'a Project);

impl<'a> Halting<'a> {
    fn install(project: &'a Project, config: &str) -> Option<Self> {
        let path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
        let installed = rehearsal::postgres::programs::find(&[], &path).into_iter().find(|found| found.has_server)?;
        let [folder, runs, at, halted, fifo] =
            ["programs", "runs", "halt-at", "halted", "fifo"].map(|name| project.path(name).display().to_string());
        rustix::fs::mknodat(
            rustix::fs::CWD,
            project.path("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .expect("a pipe");
        // A sandbox's own programs, all of them, so that its server is taken from here.
        std::fs::create_dir_all(project.path("programs")).expect("a folder");
        for program in std::fs::read_dir(&installed.folder).expect("its folder").filter_map(Result::ok) {
            let at = project.path("programs").join(program.file_name());
            std::os::unix::fs::symlink(program.path(), at).expect("a link");
        }
        for name in ["pg_dump", "pg_restore"] {
            let real = installed.folder.join(name);
            project.remove(&format!("programs/{name}"));
            // Nobody ever writes into the pipe: it stands there until it is killed. Two that are run side by side may
            // both count two of them.
            let script = format!(
                "#!/bin/sh\ncase \"$*\" in --version) ;; *) echo \"{name} $*\" >> {runs}\n\
                 if [ \"$(cat {at})\" -gt 0 ] && [ \"$(wc -l < {runs})\" -ge \"$(cat {at})\" ]; then : > {halted}; : < {fifo}; fi ;; \
                 esac\n\
                 exec {} \"$@\"\n",
                real.display()
            );
            project.change(&format!("programs/{name}"), &script);
            std::fs::set_permissions(project.path(&format!("programs/{name}")), PermissionsExt::from_mode(0o755))
                .expect("the mode can be set");
        }
        project.change("rehearsal.toml", &format!("{config}[postgres]\nprograms = ['{folder}']\n"));
        let halting = Self(project);
        halting.at(0);
        Some(halting)
    }

    fn at(&self, run: usize) {
        self.0.change("halt-at", &run.to_string());
        self.0.change("runs", "");
        let _ = std::fs::remove_file(self.0.path("halted"));
    }

    /// What was run since.
    fn runs(&self) -> Vec<String> {
        let runs = std::fs::read_to_string(self.0.path("runs")).expect("they are noted");
        runs.lines().map(str::to_owned).collect()
    }

    /// Kills a command in that run of a program.
    async fn killed(&self, words: &str, run: usize) -> Ended {
        self.at(run);
        let running = self.0.start(words);
        until("it halts", async || self.0.path("halted").exists().then_some(())).await;
        running.signal(Signal::KILL);
        let killed = running.end().await;
        assert_eq!(killed.code, None, "{}", killed.text());
        self.at(0);
        killed
    }
}

/// Files with a real value in them, other than the backups', which are packed.
fn with_real_values(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("it can be read").path();
        let kind = path.symlink_metadata().expect("it is there").file_type();
        if kind.is_dir() {
            found.extend(with_real_values(&path));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).expect("it can be read");
            found.extend(bytes.windows(REAL.len()).any(|window| window == REAL.as_bytes()).then_some(path));
        }
    }
    found
}

#[tokio::test]
async fn an_anonymised_copy_that_is_killed_anywhere_is_none() {
    let (_database, project) = people().await;
    project.run("db-backup").await.must_exit(0);
    // A container would bring programs of its own.
    let project = project.variable("REHEARSAL_PROVIDER", "local");
    let Some(halting) = Halting::install(&project, RULES) else {
        docker::skipped("an_anonymised_copy_that_is_killed_anywhere_is_none", "there are no programs to be wrapped");
        return;
    };
    project.run("anonymise").await.must_exit(0);
    let runs = halting.runs();
    assert!(runs.len() > 5, "rules, original, trial, copy, and its proof: {runs:#?}");
    std::fs::remove_dir_all(project.path("backups/dev-anonymised")).expect("the first copy goes");
    let mut all_killed = Vec::new();
    for run in 1..=runs.len() {
        let killed = halting.killed("anonymise", run).await;
        let left = project.names_in("backups/dev-anonymised");
        assert!(left.iter().all(|name| name.contains(".partial")), "{}: {left:?}", runs[run - 1]);
        all_killed.push(killed);
    }
    project.run("anonymise").await.must_exit(0);
    assert_eq!(project.names_in("backups/dev-anonymised").len(), 1);
    assert_eq!(project.names_in("backups/dev").len(), 1);
    for killed in &all_killed {
        project.must_be_clean_after(killed).await;
    }
    assert_eq!(with_real_values(project.folder()), Vec::<PathBuf>::new());
}

/// pg_dump has ended, its files are packed, and nobody has heard of it yet.
#[tokio::test]
async fn a_backup_that_is_killed_when_it_is_packed_is_none() {
    let (_database, project) = people().await;
    let Some(halting) = Halting::install(&project, RULES) else {
        docker::skipped("a_backup_that_is_killed_when_it_is_packed_is_none", "there are no programs to be wrapped");
        return;
    };
    project.run("db-backup").await.must_exit(0);
    let runs = halting.runs();
    if runs.is_empty() {
        docker::skipped("a_backup_that_is_killed_when_it_is_packed_is_none", "the programs here do not fit the server");
        return;
    }
    std::fs::remove_dir_all(project.path("backups")).expect("the first one goes");
    let dump = 1 + runs.iter().position(|run| run.contains("--format=directory")).expect("a dump");
    let mut all_killed = Vec::new();
    for run in dump + 1..=runs.len() {
        all_killed.push(halting.killed("db-backup", run).await);
        let left = project.names_in("backups/dev");
        assert!(left.iter().all(|name| name.contains(".partial")), "{}: {left:?}", runs[run - 1]);
        let partial = left.iter().find(|name| name.ends_with(".partial")).expect("its folder");
        let files = project.names_in(&format!("backups/dev/{partial}/dump"));
        assert!(files.iter().any(|name| name.ends_with(".dat.gz")), "it is packed while pg_dump works: {files:?}");
        project.run("restore").await.must_exit(2).must_say("there is no backup of `dev`");
    }
    project.run("db-backup").await.must_exit(0);
    let _ = only_backup(&project);
    for killed in &all_killed {
        project.must_be_clean_after(killed).await;
    }
}

/// The copy is proven: it is not made again, but sent.
#[tokio::test]
async fn a_copy_that_could_not_be_sent_is_sent_by_the_next_run() {
    let s3 = S3::start().await;
    let (_database, project) = people().await;
    let project = s3.serves(project);
    project.change("rehearsal.toml", &format!("{RULES}[backup]\nto = 's3://{BUCKET}/x'\npatience = '1s'\n"));
    let copies =
        || s3.objects().iter().filter(|key| key.contains("dev-anonymised/") && key.ends_with("manifest.json")).count();
    for (again, expected) in [("db-backup upload", 1), ("anonymise", 3)] {
        s3.breaks("PUT", "dev-anonymised", usize::MAX, Fault::SlowDown);
        let ended = project.run("anonymise --fresh").await;
        ended.must_exit(4);
        assert!(ended.error().1.contains("db-backup upload"), "{:?}", ended.error());
        assert_eq!(project.names_in(".rehearsal/staging/dev-anonymised").len(), 2, "the copy, and what was sent of it");
        s3.mends();
        project.run(again).await.must_exit(0);
        assert_eq!(copies(), expected, "after {again}");
        assert!(project.names_in(".rehearsal/staging/dev-anonymised").is_empty());
    }
    project.run("db-backup upload").await.must_exit(0).must_say("nothing waits");
}

/// A project with that much room for its sandboxes, and as much as ever for all else: without room in memory they go
/// to the temporary folder, which is small.
fn cramped(beside: &Project, database: &Database, kilobytes: u32) -> Option<(Project, SmallDisk)> {
    // The tests' own server has its socket in memory, and stays.
    let (kept, server) = (beside.path("memory").display().to_string(), database.url());
    let rest = server.split_once("rehearsal-sandbox-")?.1;
    let socket: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    let socket = format!("/dev/shm/rehearsal-sandbox-{socket}");
    std::fs::create_dir_all(&kept).expect("a folder");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {socket} {kept} && \
         mount -t tmpfs -o size=64k tmpfs /dev/shm && mkdir {socket} && mount --bind {kept} {socket} && \
         exec \"$0\" \"$@\"' {} \"$@\"\n",
        env!("CARGO_BIN_EXE_xtask")
    );
    beside.change("cramped", &script);
    std::fs::set_permissions(beside.path("cramped"), PermissionsExt::from_mode(0o755)).expect("the mode can be set");
    let may = std::process::Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status();
    if !may.is_ok_and(|status| status.success()) {
        return None;
    }
    let project = Project::new(beside.path("cramped").to_str().expect("a path"));
    let disk = SmallDisk::mount(project.path("tmp"), kilobytes)?;
    Some((project, disk))
}

/// Not proven, and not wrong: the disk says nothing about the backup.
#[tokio::test]
async fn a_sandbox_without_room_proves_nothing() {
    let (database, roomy) = people().await;
    database.execute(LARGE).await;
    roomy.run("db-backup").await.must_exit(0);
    let config = format!("{RULES}'large.*' = 'mask'\n[backup]\nto = '{}'\n", roomy.path("backups").display());
    for (kilobytes, command, words) in [
        (TIGHT, "db-backup", "the backup could not be proven: "),
        (TIGHT, "anonymise", "pg_restore failed: "),
        (LESS_TIGHT, "anonymise", "public.large"),
    ] {
        let Some((project, disk)) = cramped(&roomy, &database, kilobytes) else {
            docker::skipped(
                "a_sandbox_without_room_proves_nothing",
                "only root can make a file system that is too small",
            );
            return;
        };
        let project = project
            .write("rehearsal.toml", &config)
            .variable("REHEARSAL_ANONYMISE_KEY", "a key that is long enough for this")
            .on(&database);
        let ended = project.run(command).await;
        let (error, hint) = ended.error();
        // A server whose write-ahead log has no room left goes down: nobody can say more than that it has gone.
        let went_down = command == "anonymise" && error.contains("server closed the connection");
        if went_down {
            ended.must_exit(4);
            assert!(roomy.names_in("backups/dev-anonymised").is_empty());
            drop(disk);
            continue;
        }
        ended.must_exit(1);
        assert!(error.starts_with(words) || error.contains(words), "{error}");
        let no_room = ["No space left on device", "could not extend file", "no room", "server closed the connection"];
        assert!(no_room.iter().any(|words| error.contains(words)), "{error}");
        if command == "db-backup" {
            assert!(hint.starts_with("the dump is kept as not proven ("), "{hint}");
            assert_eq!(ended.record()["steps"][0]["backup"]["proof"]["outcome"], "not-proven");
        } else {
            assert!(roomy.names_in("backups/dev-anonymised").is_empty());
        }
        drop(disk);
    }
    assert_eq!(roomy.names_in("backups/dev").len(), 2);
}
