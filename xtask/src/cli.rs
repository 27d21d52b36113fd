//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rehearsal::apply::Unsure;
use rehearsal::backup::rows::Format;
use rehearsal::providers::Choice;

/// Rehearse a database migration on a copy, prove the way back, then run the very same steps for real.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
#[command(after_help = "Examples:
  cargo xtask rehearse                        the newest release on generated data
  cargo xtask rehearse --target staging       the same on a copy of staging, which is only read
  cargo xtask db-backup --target staging      a backup that counts only once it was restored
  cargo xtask migrate --target staging        apply what is pending
  cargo xtask verify --target staging         run the checks
  cargo xtask rollback --target staging       undo the newest release

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused by a check or gate,
4 busy or unreachable (try again), 5 stopped half-way (run it again), 130 interrupted")]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The database: a name of rehearsal.toml. By default its `default_target`, which is `dev`
    #[arg(long, global = true, value_name = "NAME", env = "REHEARSAL_TARGET")]
    pub target: Option<String>,
    /// Another configuration than rehearsal.toml
    #[arg(long, global = true, value_name = "PATH", env = "REHEARSAL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Events as JSON lines on stdout; all else goes to stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Only errors and the last line
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Every statement and every check
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Confirm without being asked. What [[questions]] ask is answered by --answer alone
    #[arg(long, global = true, env = "REHEARSAL_YES")]
    pub yes: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// No moving line, even at a terminal
    #[arg(long, global = true)]
    pub no_progress: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// At a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Flags of commands that may start a throwaway server.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Where throwaway servers come from: auto, docker, local or embedded
    #[arg(long, env = "REHEARSAL_PROVIDER")]
    pub provider: Option<Choice>,
    /// An image instead of the official postgres:<major>
    #[arg(long, env = "REHEARSAL_IMAGE")]
    pub image: Option<String>,
    /// Leave the throwaway server running, and say how to connect
    #[arg(long)]
    pub keep: bool,
}

/// Flags of a rehearsal that tries the service out.
#[derive(Debug, Clone, Args)]
pub struct SmokeArgs {
    /// Start the service on copies of the sandbox's database, and send it the smoke tests
    #[arg(long)]
    pub smoke: bool,
    /// The service: an executable or a git revision, instead of this workspace as it stands
    #[arg(long, value_name = "PATH|REV", requires = "smoke")]
    pub app: Option<String>,
    /// The service of the release before, which must work before the release and with its expand part
    #[arg(long, value_name = "PATH|REV", requires = "smoke")]
    pub app_before: Option<String>,
}

/// How far a migration goes.
#[derive(Debug, Clone, Args)]
pub struct GoalArgs {
    /// The newest version to apply
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["release", "expand"])]
    pub to: Option<i64>,
    /// Up to the end of this release of rehearsal.toml
    #[arg(long, value_name = "NAME")]
    pub release: Option<String>,
    /// Only as far as the code of the release before still works; of the pending release, or of --release
    #[arg(long)]
    pub expand: bool,
}

/// What a plan is about, and how it is shown.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// What `rollback` would do instead; --to is then the newest version that stays
    #[arg(long, conflicts_with_all = ["release", "expand"])]
    pub rollback: bool,
    /// How many versions would be undone
    #[arg(long, value_name = "N", requires = "rollback", conflicts_with = "to")]
    pub steps: Option<usize>,
    /// A script for psql, with the history rows that would be written
    #[arg(long, conflicts_with = "json")]
    pub sql: bool,
}

/// What people answer before a target is changed.
#[derive(Debug, Clone, Args)]
pub struct AnswerArgs {
    /// Answer a question of rehearsal.toml: ID=yes or ID=no
    #[arg(long = "answer", value_name = "ID=ANSWER", value_parser = answer)]
    pub answers: Vec<(String, bool)>,
    /// Who answers; by default the user of this machine
    #[arg(long, value_name = "NAME", env = "REHEARSAL_BY")]
    pub by: Option<String>,
}

fn answer(text: &str) -> Result<(String, bool), String> {
    match text.split_once('=') {
        Some((id, "yes")) => Ok((id.into(), true)),
        Some((id, "no")) => Ok((id.into(), false)),
        _ => Err("it must be ID=yes or ID=no".into()),
    }
}

/// `--format` of tables.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum TableFormat {
    /// JSON lines: an object a row
    Jsonl,
    /// CSV with the columns' names
    Csv,
}

impl From<TableFormat> for Format {
    fn from(format: TableFormat) -> Self {
        match format {
            TableFormat::Jsonl => Self::Jsonl,
            TableFormat::Csv => Self::Csv,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole release on a throwaway server: there, back, and there again
    Rehearse {
        /// The release of rehearsal.toml; the newest by default
        #[arg(long, value_name = "NAME")]
        release: Option<String>,
        /// All releases of rehearsal.toml, from before the oldest one, in one go
        #[arg(long, conflicts_with = "release")]
        all: bool,
        /// How many rows the fixtures make
        #[arg(long, default_value_t = 10_000, value_name = "N")]
        rows: u64,
        /// Once more while clients read and write, as the files in migrations/traffic say
        #[arg(long)]
        traffic: bool,
        #[command(flatten)]
        smoke: SmokeArgs,
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
    /// Send the smoke tests to a service that runs
    Smoke {
        /// Where it is: http://host:port
        #[arg(long, value_name = "URL", env = "REHEARSAL_URL")]
        url: String,
        /// The release that it is of; by default what --target has, or the newest migration
        #[arg(long, value_name = "NAME")]
        release: Option<String>,
    },
    /// Make a backup; it counts only after it was restored and compared
    DbBackup {
        /// No backup but single tables, as files for other programs: names with commas between, with
        /// their schema or without; `*` stands for anything
        #[arg(long, value_name = "TABLE", value_delimiter = ',')]
        tables: Vec<String>,
        /// How tables are written
        #[arg(long, value_name = "FORMAT", requires = "tables", default_value = "jsonl")]
        format: TableFormat,
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
    /// Restore a backup into a new database beside the old one
    Restore {
        /// The backup's folder; the newest of the target by default
        backup: Option<PathBuf>,
        /// The new database; by default the old name with `_restored_` and the time
        #[arg(long, value_name = "DATABASE")]
        into: Option<String>,
    },
    /// Apply the pending migrations
    Migrate {
        #[command(flatten)]
        goal: GoalArgs,
        /// Whether the statement that a killed run left unclear is done: done or not-done
        #[arg(long, value_name = "STATE")]
        unsure: Option<Unsure>,
        #[command(flatten)]
        answers: AnswerArgs,
    },
    /// Run the checks, and compare with what the last migration saw before it began
    Verify {
        /// Also prepare the code's queries (.sqlx), without running them
        #[arg(long)]
        contract: bool,
    },
    /// Run the checks and read the logs again and again for a while; the first bad news ends it
    Watch {
        /// How long
        #[arg(long = "for", default_value = "5min", value_name = "TIME", value_parser = humantime::parse_duration)]
        lasts: Duration,
        /// How long from one look to the next
        #[arg(long, default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration)]
        every: Duration,
    },
    /// Undo migrations, newest first; a backup is made before
    Rollback {
        /// The newest version that stays; 0 keeps none
        #[arg(long, value_name = "VERSION", conflicts_with = "steps")]
        to: Option<i64>,
        /// How many versions to undo
        #[arg(long, value_name = "N")]
        steps: Option<usize>,
        /// Whether the statement that a killed run left unclear is done: done or not-done
        #[arg(long, value_name = "STATE")]
        unsure: Option<Unsure>,
        #[command(flatten)]
        answers: AnswerArgs,
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
    /// Record a version as applied without running it, once the target is proven to have what it makes
    MarkApplied {
        /// The version
        version: i64,
        /// Also when it cannot be proven
        #[arg(long, requires = "reason")]
        force: bool,
        /// Why; it is kept in the record and in the database
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
    /// Show where history and files disagree; with a version, record its edited file as it is now
    Repair {
        /// The version whose file was edited; without one, nothing is written
        #[arg(requires = "reason")]
        version: Option<i64>,
        /// Why it was edited; it is kept in the record and in the database
        #[arg(long, value_name = "TEXT", requires = "version")]
        reason: Option<String>,
    },
    /// Show what is applied and what is pending; writes nothing
    Status,
    /// Show what `migrate` or `rollback` would do, statement by statement; writes nothing
    Plan {
        #[command(flatten)]
        goal: GoalArgs,
        #[command(flatten)]
        shown: PlanArgs,
    },
    /// The real sqlx-cli, linked in: `cargo xtask sqlx migrate info`
    #[command(disable_help_flag = true)]
    Sqlx {
        /// What sqlx is to be told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the test suite, over every provider that this machine has
    Test {
        /// Only this provider: local or docker
        #[arg(long)]
        provider: Option<Choice>,
        /// What `cargo test` is to be told
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure speed as ratios against the tools that a user would use otherwise
    Bench {
        /// How many users the big table has
        #[arg(long, default_value_t = 1_000_000, value_name = "N")]
        rows: u64,
        /// Only figures whose name contains this
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
}
