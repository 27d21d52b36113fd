//! What the library is told of this machine: it reads no environment itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rehearsal::anonymise::key;
use rehearsal::backup::repository::Location;
use rehearsal::backup::repository::options::StoreOptions;
use rehearsal::config::{Config, FILE_NAME};
use rehearsal::context::Environment;
use rehearsal::postgres::libpq::Libpq;

use crate::exit;

/// What a program that is started may see of our environment: where programs and its home are, how it
/// speaks and logs. No URL and no password of anything real.
const INHERITED: &[&str] =
    &["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "RUST_LOG", "RUST_BACKTRACE"];

/// The variables that a program that is started may see, with their values.
pub fn inherited() -> Vec<(String, String)> {
    let variable = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok()?));
    INHERITED.iter().filter_map(variable).collect()
}

/// Who is at work: the name, or the number that the system knows the user by.
pub fn user() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    set("USER").or_else(|| set("LOGNAME")).unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// The URL that an environment variable holds, if it holds one.
pub fn url(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|url| !url.trim().is_empty())
}

/// Settings of sessions, for libpq and for sqlx.
const PGOPTIONS: &str = "PGOPTIONS";

static OPTIONS: OnceLock<Option<String>> = OnceLock::new();

static ANONYMISE_KEY: OnceLock<Option<String>> = OnceLock::new();

/// Takes `PGOPTIONS` and the key for pseudonyms out of the environment, before there are other threads. sqlx
/// would add the former to every session, those of throwaway servers included, and nobody could take it back; a
/// target has it by [`libpq`]. The latter would be seen by every program that is started.
pub fn take_variables() {
    OPTIONS.get_or_init(|| take(PGOPTIONS));
    ANONYMISE_KEY.get_or_init(|| take(key::VARIABLE));
}

#[expect(unsafe_code, reason = "nothing else keeps sqlx and children from reading it")]
fn take(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok()?;
    // SAFETY: called at the start of `main`, when this is the only thread.
    unsafe { std::env::remove_var(variable) };
    Some(value)
}

/// The user's own key for pseudonyms.
pub fn anonymise_key() -> Option<&'static str> {
    ANONYMISE_KEY.get()?.as_deref().filter(|key| !key.trim().is_empty())
}

/// A variable of the environment that this program was started with.
pub fn variable(name: &str) -> Option<OsString> {
    match name {
        PGOPTIONS => OPTIONS.get().cloned().flatten().map(Into::into),
        key::VARIABLE => ANONYMISE_KEY.get().cloned().flatten().map(Into::into),
        _ => std::env::var_os(name),
    }
}

/// What libpq would find here beside a URL.
pub fn libpq() -> Libpq {
    let set =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let its_own = |name: &str| name.starts_with("PG") || name == "SSL_CERT_FILE";
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty());
    let options = OPTIONS.get().cloned().flatten().map(|options| (PGOPTIONS.to_owned(), options));
    Libpq {
        variables: set.chain(options).filter(|(name, value)| its_own(name) && !value.is_empty()).collect(),
        home: std::env::home_dir(),
        user: user.or_else(|| Some("postgres".into())),
    }
}

/// Names the place of backups, instead of `[backup] to`: a workflow has it from its own variables.
const BACKUP_TO: &str = "REHEARSAL_BACKUP_TO";

/// Where backups are kept, if the environment says so.
pub fn backup_place() -> anyhow::Result<Option<Location>> {
    let Ok(place) = std::env::var(BACKUP_TO) else { return Ok(None) };
    if place.trim().is_empty() {
        // A workflow whose variable was never set: its backups would go with the runner's disk.
        return Err(exit::usage(
            format!("{BACKUP_TO} is set, and empty"),
            "name a place in it (on GitHub: the variable BACKUP_TO of the repository), or do not set it",
        ));
    }
    let place = place.trim().parse();
    place.map(Some).map_err(|complaint: String| {
        exit::usage(format!("{BACKUP_TO}: {complaint}"), "give it as `to` stands under [backup] of rehearsal.toml")
    })
}

/// Names the file with the keys to read encrypted backups with.
const IDENTITIES: &str = "REHEARSAL_AGE_IDENTITY_FILE";

/// The folders that programs are looked for in, the cache, and the temporary folder.
pub fn environment(config: &Config) -> Environment {
    let path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    Environment {
        path,
        program_folders: config.postgres.programs.clone(),
        cache: cache_folder(),
        temporary: std::env::temp_dir(),
        docker_host: std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()),
        object_stores: StoreOptions::of(std::env::vars_os().filter_map(|(name, value)| {
            // What is not text is none of theirs.
            Some((name.into_string().ok()?, value.into_string().ok()?))
        })),
        age_identities: std::env::var_os(IDENTITIES).filter(|path| !path.is_empty()).map(PathBuf::from),
    }
}

fn cache_folder() -> PathBuf {
    let set = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set("REHEARSAL_CACHE").unwrap_or_else(|| {
        let base = set("XDG_CACHE_HOME").or_else(|| {
            let home = std::env::home_dir()?;
            Some(if cfg!(target_os = "macos") { home.join("Library/Caches") } else { home.join(".cache") })
        });
        base.unwrap_or_else(std::env::temp_dir).join("rehearsal")
    })
}

/// The workspace: the nearest folder upwards with a `rehearsal.toml`, else with a `Cargo.lock`.
pub fn workspace_root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| ".".into());
    let with = |name: &str| here.ancestors().find(|folder| folder.join(name).is_file()).map(Path::to_owned);
    with(FILE_NAME).or_else(|| with("Cargo.lock")).unwrap_or(here)
}

/// The commit, with `-dirty` when tracked files have changed; nothing where there is no git.
pub fn commit() -> Option<String> {
    let shell = xshell::Shell::new().ok()?;
    // One process for both: a tag's name would be no commit, so none is looked for.
    let described = xshell::cmd!(shell, "git describe --always --dirty --abbrev=12 --exclude=*");
    described.env("GIT_OPTIONAL_LOCKS", "0").quiet().ignore_stderr().read().ok()
}

/// What `cargo xtask` has set for this program. A cargo that we start would take it for its own, and build
/// again what was built without it: build scripts ask to be run again when such a variable changes.
pub fn variables_of_cargo_run() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}
