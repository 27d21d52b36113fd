//! README and the guide: each command that they show is run, in the order of its page, and prints what they say.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use rehearsal_tests::guide::{self, Line, Part};
use rehearsal_tests::{Database, Pooler, Project, S3, pooler};

use crate::{all_releases, project, this_workspace};

/// Set, the generated page is written instead of compared.
const REWRITE: &str = "REHEARSAL_REWRITE";

/// How many rows a `fill` makes.
const ROWS: u32 = 1100;

/// The page that is made from `--help`.
const COMMANDS: &str = "docs/src/reference/commands.md";

macro_rules! followed {
    ($($name:ident: $page:literal),* $(,)?) => {
        /// The pages that show commands.
        const FOLLOWED: &[&str] = &[$($page),*];

        $(
            #[tokio::test]
            async fn $name() {
                follow($page).await;
            }
        )*
    };
}

followed! {
    readme: "README.md",
    first_rehearsal: "docs/src/tutorial/first-rehearsal.md",
    own_workspace: "docs/src/tutorial/own-workspace.md",
    staging_to_production: "docs/src/how-to/staging-to-production.md",
    big_backfill: "docs/src/how-to/big-backfill.md",
    concurrent_index: "docs/src/how-to/concurrent-index.md",
    rollback: "docs/src/how-to/rollback.md",
    through_a_pooler: "docs/src/how-to/pooler.md",
    backup_to_s3: "docs/src/how-to/backup-to-s3.md",
    github: "docs/src/how-to/github.md",
    copies_for_laptops: "docs/src/how-to/copies.md",
    untidy_history: "docs/src/how-to/untidy-history.md",
    code_and_schema: "docs/src/how-to/code-and-schema.md",
}

/// What a page has around it.
struct Reader {
    project: Project,
    /// By the variable that leads to it.
    databases: BTreeMap<String, Database>,
    /// Held until the page is done with.
    poolers: Vec<Pooler>,
    stores: Vec<S3>,
    /// What the page has exported.
    exports: Vec<String>,
}

impl Reader {
    async fn sets(mut self, variable: &str) -> Self {
        let database = Database::create().await;
        self.project = self.project.variable(variable, &database.url());
        self.databases.insert(variable.to_owned(), database);
        self
    }

    /// Runs a line, after what was exported before it. A URL that is exported leads to a database of the test's own.
    async fn runs(mut self, page: &str, line: &Line) -> Self {
        if let Some((variable, value)) = line.line.strip_prefix("export ").and_then(|rest| rest.split_once('=')) {
            if value.contains("postgres://") {
                return self.sets(variable).await;
            }
            self.exports.push(line.line.clone());
            return self;
        }
        let whole = self.exports.iter().chain([&line.line]).map(String::as_str).collect::<Vec<_>>().join("\n");
        let ended = self.project.run_line(&whole).await;
        ended.must_exit(line.exit);
        if let Some(difference) = guide::difference(&line.shown, &ended.stdout) {
            panic!("{page}: `{}`: {difference}\n--- it printed\n{}", line.line, ended.stdout);
        }
        self
    }

    async fn fills(&self, variable: &str, fixture: &str) {
        let sql = std::fs::read_to_string(self.project.path(fixture)).expect("the fixture is read");
        let rows = format!("SELECT set_config('rehearsal.rows', '{ROWS}', false);\n");
        self.databases[variable].execute(&(rows + &sql)).await;
    }

    fn writes(&self, path: &str, lines: &[String], behind: bool) {
        let before = if behind {
            std::fs::read_to_string(self.project.path(path)).expect("the file is read")
        } else {
            String::new()
        };
        self.project.change(path, &format!("{before}{}\n", lines.join("\n")));
    }
}

async fn follow(page: &str) {
    let (_, text) = guide::pages().into_iter().find(|(path, _)| path == page).expect("the page is there");
    let parts = guide::parts(&text);
    let kind = parts.iter().find_map(|part| match part {
        Part::Note(word, kind) if word == "workspace" => Some(kind.as_str()),
        _ => None,
    });
    let project = match kind {
        Some("empty") => {
            let project = project();
            project.remove("rehearsal.toml");
            project
        }
        Some("R2") => this_workspace(),
        Some("all") => all_releases(),
        other => panic!("{page}: a workspace must be named, and not {other:?}"),
    };
    let reader =
        Reader { project, databases: BTreeMap::new(), poolers: Vec::new(), stores: Vec::new(), exports: Vec::new() };
    let mut reader = reader.sets("DATABASE_URL").await;
    let mut note = None;
    for part in parts {
        match part {
            Part::Note(word, rest) => match word.as_str() {
                "run" => reader = reader.runs(page, &Line { line: rest, exit: 0, shown: Vec::new() }).await,
                "fill" => {
                    let (variable, fixture) = rest.split_once(' ').expect("a variable and a fixture");
                    reader.fills(variable, fixture).await;
                }
                "pooler" => {
                    let Some(program) = pooler::program(page) else { return };
                    let (variable, behind) = rest.split_once(' ').expect("two variables");
                    let pooler = Pooler::start(&program, "extra_float_digits").await;
                    let url = pooler.url(&reader.databases[behind]);
                    reader.project = reader.project.variable(variable, &url);
                    reader.poolers.push(pooler);
                }
                "s3" => {
                    let store = S3::start().await;
                    reader.project = store.serves(reader.project);
                    reader.stores.push(store);
                }
                "file" | "append" | "not run" => note = Some((word, rest)),
                "workspace" => {}
                _ => panic!("{page}: nobody knows what `{word}` means"),
            },
            Part::Block(language, lines) => match note.take() {
                Some((word, path)) if word != "not run" => reader.writes(&path, &lines, word == "append"),
                Some(_) => {}
                None if language == "console" => {
                    for line in guide::lines(&lines) {
                        reader = reader.runs(page, &line).await;
                    }
                }
                None => {}
            },
        }
    }
}

fn has_commands(text: &str) -> bool {
    guide::parts(text).iter().any(|part| matches!(part, Part::Block(language, _) if language == "console"))
}

#[test]
fn every_page_with_commands_is_followed() {
    let with_commands: Vec<String> =
        guide::pages().into_iter().filter(|(_, text)| has_commands(text)).map(|(path, _)| path).collect();
    let mut followed = FOLLOWED.to_vec();
    followed.sort_unstable();
    assert_eq!(with_commands, followed);
}

/// Each with its reason: a block that could be run must not hide among them.
#[test]
fn what_is_not_run_is_known() {
    let mut found = Vec::new();
    for (path, text) in guide::pages() {
        let mut reason = None;
        for part in guide::parts(&text) {
            match part {
                Part::Note(word, why) if word == "not run" => reason = Some(why),
                Part::Note(..) => reason = None,
                Part::Block(_, lines) => {
                    let first = lines.first().map_or("", String::as_str);
                    found.extend(reason.take().map(|why| format!("{path}: {first} — {why}")));
                }
            }
        }
    }
    assert_snapshot!("not_run", format!("{} blocks are not run\n{}", found.len(), found.join("\n")));
}

/// The reference of the commands is what `--help` says, a section a command.
#[tokio::test]
async fn the_reference_is_what_help_says() {
    let project = project();
    let whole = help(&project, "").await;
    let common = options(&whole).0;
    let mut page = format!(
        "# Commands\n\nEach is `cargo xtask COMMAND`. This page is made from what `--help` says; \
         `{REWRITE}=1 cargo xtask test -- guide`\nwrites it anew.\n\n## Options of every command\n\n```text\n{}\n```\n",
        common.concat().trim_end()
    );
    let mut left = subcommands(&whole, "");
    left.reverse();
    while let Some(command) = left.pop() {
        let said = help(&project, &command).await;
        let (own, rest) = options(&said);
        let own: Vec<String> = own.into_iter().filter(|option| !common.contains(option)).collect();
        let (about, usage) = rest.split_once("\n\n").expect("what it is for, then how it is used");
        let mut text = usage.trim_end().trim_end_matches("Options:").trim_end().to_owned();
        if !own.is_empty() {
            text = format!("{text}\n\nOptions:\n{}", own.concat().trim_end());
        }
        page.push_str(&format!("\n## {command}\n\n{}.\n\n```text\n{text}\n```\n", one_line(about)));
        let mut below = subcommands(&said, &command);
        below.reverse();
        left.extend(below);
    }
    let path = guide::root().join(COMMANDS);
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, &page).expect("the page is written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "{COMMANDS} is not what --help says: run the test again with {REWRITE}=1");
}

async fn help(project: &Project, command: &str) -> String {
    let ended = project.run(&format!("help {command}")).await;
    ended.must_exit(0);
    // What the variables hold here is nobody's business.
    ended
        .stdout
        .lines()
        .map(|line| match line.split_once("[env: ") {
            Some((before, variable)) => format!("{before}[env: {}]\n", variable.split('=').next().unwrap_or_default()),
            None => format!("{}\n", line.trim_end()),
        })
        .collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('<', "&lt;")
}

/// Opens the list of those options in each help.
const COMMON: &str = "Options of every command:";

/// The options, each with its lines, and the help without them. What stands behind them (examples) is part of the rest.
fn options(help: &str) -> (Vec<String>, String) {
    let (mut found, mut rest, mut inside) = (Vec::<String>::new(), String::new(), false);
    for line in help.lines() {
        inside = match line {
            "Options:" | COMMON => true,
            _ => inside && (line.is_empty() || line.starts_with(' ')),
        };
        let begins = line.trim_start().starts_with('-') && line.len() - line.trim_start().len() <= 6;
        match found.last_mut() {
            _ if line == COMMON => {}
            _ if !inside || line == "Options:" => rest.push_str(&format!("{line}\n")),
            _ if begins => found.push(format!("{line}\n")),
            Some(option) => option.push_str(&format!("{line}\n")),
            None => {}
        }
    }
    // The last of a list has no empty line below it.
    let ended = |option: String| format!("{}\n\n", option.trim_end());
    (found.into_iter().map(ended).collect(), rest)
}

fn subcommands(help: &str, of: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(|name| format!("{of} {name}").trim().to_owned())
        .collect()
}
