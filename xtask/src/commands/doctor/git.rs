//! The repository: which commit a record would name, and migrations that are in none.

use std::path::Path;
use std::process::{Output, Stdio};

use rehearsal::doctor::{Area, Finding};
use rehearsal::report::format::plural;
use tokio::process::Command;

/// How many files are named.
const NAMED: usize = 5;

/// Nothing of git is needed: without it, records name no commit.
pub async fn look(migrations: &Path) -> Vec<Finding> {
    let warning = |what: String, remedy: &str| vec![Finding::warning(Area::Git, what, remedy)];
    let inside = match git(&["rev-parse", "--is-inside-work-tree"]).await {
        Ok(inside) => inside,
        Err(error) => {
            let what = format!("git cannot be run ({error}): records will name no commit");
            return warning(what, "install git, or look at what PATH leads to");
        }
    };
    if !inside.status.success() {
        let words = String::from_utf8_lossy(&inside.stderr);
        let words = words.lines().find_map(|line| line.strip_prefix("fatal: ")).unwrap_or("git fails here").to_owned();
        return warning(format!("{words}: records will name no commit"), "run it in a git repository that is yours");
    }
    let Some(commit) = text(&["rev-parse", "--verify", "--quiet", "--short=12", "HEAD"]).await else {
        return warning("there is no commit yet: records will name none".into(), "git commit");
    };
    let folder = migrations.to_string_lossy();
    let (Some(changed), Some(of_migrations)) =
        (status(&[]).await, status(&["--ignored=traditional", "--", &folder]).await)
    else {
        return warning(format!("commit {commit}; git does not say what differs from it"), "run git status");
    };
    let mut findings = vec![if changed.is_empty() {
        Finding::ok(Area::Git, format!("commit {commit}, and nothing differs from it"))
    } else {
        let what = format!("{} from commit {commit}", differ(changed.len() as u64));
        Finding::warning(Area::Git, what, format!("commit them: until then, records name {commit}-dirty"))
    }];
    let (ignored, uncommitted): (Vec<&Entry>, Vec<&Entry>) = of_migrations.iter().partition(|entry| entry.ignored);
    if !uncommitted.is_empty() {
        let what = format!("in no commit as they are: {}", named(&uncommitted));
        findings.push(Finding::warning(Area::Git, what, "commit migrations and checks before they go to a target"));
    }
    if !ignored.is_empty() {
        let what =
            format!("git ignores {}: nobody else gets it, and no image that is built elsewhere", named(&ignored));
        findings.push(Finding::warning(
            Area::Git,
            what,
            "see which line of .gitignore it is: git check-ignore -v FILE",
        ));
    }
    findings
}

fn differ(files: u64) -> String {
    if files == 1 { "1 file differs".into() } else { format!("{} differ", plural(files, "file")) }
}

/// A line of `git status`.
struct Entry {
    name: String,
    ignored: bool,
}

/// What differs from the commit, the old names of renamed files left out.
async fn status(more: &[&str]) -> Option<Vec<Entry>> {
    let words = ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"];
    let text = text(&[&words[..], more].concat()).await?;
    let entry = |line: &str| Some(Entry { name: line.get(3..)?.to_owned(), ignored: line.starts_with("!!") });
    Some(text.split('\0').filter_map(entry).collect())
}

fn named(entries: &[&Entry]) -> String {
    let shown = entries.iter().take(NAMED).map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ");
    match entries.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

async fn text(words: &[&str]) -> Option<String> {
    let output = git(words).await.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
}

async fn git(words: &[&str]) -> std::io::Result<Output> {
    // Its own words, not those of another language; and no lock that somebody else would wait for.
    let settings = [("LC_ALL", "C"), ("GIT_OPTIONAL_LOCKS", "0")];
    Command::new("git").args(words).envs(settings).stdin(Stdio::null()).kill_on_drop(true).output().await
}
