//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rehearsal::anonymise::sample;
use rehearsal::apply::Unsure;
use rehearsal::backup::ProofLevel;
use rehearsal::backup::repository::check::Share;
use rehearsal::backup::rows::Format;
use rehearsal::providers::Choice;

use crate::examples;

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
    #[command(flatten, next_help_heading = "Options of every command")]
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
    /// At a terminal, unless NO_COLOR, CLICOLOR=0 or TERM=dumb says otherwise; CLICOLOR_FORCE: everywhere.
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

/// What `doctor` looks at.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// What has to work: a command, or what `needed_by` of a variable names. What it needs is then a must
    #[arg(long = "for", value_name = "NEED")]
    pub purpose: Option<String>,
    /// The program that ships, to be looked through for the migrations; by default the one that [app] starts
    #[arg(long, value_name = "PATH")]
    pub artefact: Option<PathBuf>,
    /// Where throwaway servers would come from: auto, docker, local or embedded
    #[arg(long, env = "REHEARSAL_PROVIDER")]
    pub provider: Option<Choice>,
    /// An image instead of the official postgres:<major>
    #[arg(long, env = "REHEARSAL_IMAGE")]
    pub image: Option<String>,
}

/// How a release is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WayBack {
    /// By the down files: what was written since stays
    Down,
    /// By a backup of the version before, put in the database's place: what was written since stays beside
    Restore,
    /// By a migration that mends it: writes nothing, and says which
    Forward,
}

impl WayBack {
    /// As `--way` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Restore => "restore",
            Self::Forward => "forward",
        }
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

/// `--proof`
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ProofArg {
    /// Restored; schema, rows and contents compared
    Full,
    /// Restored; schema and numbers of rows compared
    Counts,
    /// Not restored: nothing before a change accepts it
    None,
}

impl From<ProofArg> for ProofLevel {
    fn from(level: ProofArg) -> Self {
        match level {
            ProofArg::Full => Self::Full,
            ProofArg::Counts => Self::Counts,
            ProofArg::None => Self::None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole release on a throwaway server: there, back, and there again
    #[command(after_help = examples::REHEARSE)]
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
    #[command(after_help = examples::SMOKE)]
    Smoke {
        /// Where it is: http://host:port
        #[arg(long, value_name = "URL", env = "REHEARSAL_URL")]
        url: String,
        /// The release that it is of; by default what --target has, or the newest migration
        #[arg(long, value_name = "NAME")]
        release: Option<String>,
    },
    /// Make a backup; it counts only after it was restored and compared
    #[command(args_conflicts_with_subcommands = true)]
    #[command(after_help = examples::DB_BACKUP)]
    DbBackup {
        #[command(subcommand)]
        about: Option<BackupCommand>,
        /// No backup but single tables, as files for other programs: names with commas between, with
        /// their schema or without; `*` stands for anything
        #[arg(long, value_name = "TABLE", value_delimiter = ',')]
        tables: Vec<String>,
        /// How tables are written
        #[arg(long, value_name = "FORMAT", requires = "tables", default_value = "jsonl")]
        format: TableFormat,
        /// How much of it is proven before it counts; by default what `[backup] proof` says, or all
        #[arg(long, value_name = "LEVEL", conflicts_with = "tables")]
        proof: Option<ProofArg>,
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
    /// Make a copy of a backup for laptops and CI: every column under a rule of rehearsal.toml
    #[command(after_help = examples::ANONYMISE)]
    Anonymise {
        /// Its id, its folder, or its URL in an object store; the newest proven one of the target by default
        #[arg(conflicts_with = "fresh")]
        backup: Option<String>,
        /// Make a backup first, and take that one
        #[arg(long)]
        fresh: bool,
        /// Only a share of the rows, like 5%, with all that they refer to
        #[arg(long, value_name = "SHARE")]
        sample: Option<sample::Share>,
        /// Without a key of your own: pseudonyms are others in every run
        #[arg(long)]
        random_key: bool,
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
    /// Restore a backup into a new database beside the old one, or in its place
    #[command(group = clap::ArgGroup::new("place").args(["swap", "clean"]))]
    #[command(after_help = examples::RESTORE)]
    Restore {
        /// Its id, its folder, or its URL in an object store; the newest proven one of the target by default
        backup: Option<String>,
        /// Also where an anonymised copy must not go otherwise: the target it came from, a protected one
        #[arg(long)]
        anonymised: bool,
        /// The new database; by default the old name with `_restored_` and the time
        #[arg(long, value_name = "DATABASE")]
        into: Option<String>,
        /// Only these tables, with what belongs to them and what they need: names with commas between, with
        /// their schema or without; `*` stands for anything
        #[arg(long, value_name = "TABLE", value_delimiter = ',', conflicts_with = "place")]
        tables: Vec<String>,
        /// In the place of the target's database, which stays under another name
        #[arg(long, conflicts_with = "into")]
        swap: bool,
        /// In the target's database, where --swap may not be: a backup of what is there is made before
        #[arg(long, conflicts_with = "into")]
        clean: bool,
    },
    /// Apply the pending migrations
    #[command(after_help = examples::MIGRATE)]
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
    #[command(after_help = examples::VERIFY)]
    Verify {
        /// Also prepare the code's queries (.sqlx), without running them
        #[arg(long)]
        contract: bool,
    },
    /// Run the checks and read the logs again and again for a while; the first bad news ends it
    #[command(after_help = examples::WATCH)]
    Watch {
        /// How long
        #[arg(long = "for", default_value = "5min", value_name = "TIME", value_parser = humantime::parse_duration)]
        lasts: Duration,
        /// How long from one look to the next
        #[arg(long, default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration)]
        every: Duration,
    },
    /// Undo migrations, newest first; a backup is made before
    #[command(after_help = examples::ROLLBACK)]
    Rollback {
        /// The newest version that stays; 0 keeps none
        #[arg(long, value_name = "VERSION", conflicts_with = "steps")]
        to: Option<i64>,
        /// How many versions to undo
        #[arg(long, value_name = "N")]
        steps: Option<usize>,
        /// How it is undone; by the down files unless it is said, or unless a rehearsal of them failed
        #[arg(long, value_name = "WAY")]
        way: Option<WayBack>,
        /// Whether the statement that a killed run left unclear is done: done or not-done
        #[arg(long, value_name = "STATE")]
        unsure: Option<Unsure>,
        #[command(flatten)]
        answers: AnswerArgs,
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
    /// Record a version as applied without running it, once the target is proven to have what it makes
    #[command(after_help = examples::MARK_APPLIED)]
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
    #[command(after_help = examples::REPAIR)]
    Repair {
        /// The version whose file was edited; without one, nothing is written
        #[arg(requires = "reason")]
        version: Option<i64>,
        /// Why it was edited; it is kept in the record and in the database
        #[arg(long, value_name = "TEXT", requires = "version")]
        reason: Option<String>,
    },
    /// Show what is applied, what is pending, and what restores left beside; writes nothing
    #[command(after_help = examples::STATUS)]
    Status,
    /// Look whether everything is there that commands need, and say what to do about what is not; writes nothing
    #[command(after_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Show what `migrate` or `rollback` would do, statement by statement; writes nothing
    #[command(after_help = examples::PLAN)]
    Plan {
        #[command(flatten)]
        goal: GoalArgs,
        #[command(flatten)]
        shown: PlanArgs,
    },
    /// Make a run's report again, from its record alone
    #[command(after_help = examples::REPORT)]
    Report {
        /// A record's file, or the run's name; the newest by default
        record: Option<String>,
        /// As what
        #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
        format: ReportFormat,
        /// Into this file instead of stdout
        #[arg(short, long, value_name = "PATH")]
        output: Option<PathBuf>,
    },
    /// Print a script that completes command lines
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// For which shell
        shell: CompletionShell,
    },
    /// Print a JSON Schema
    #[command(after_help = examples::SCHEMA)]
    Schema {
        /// Of what
        of: SchemaOf,
    },
    /// The real sqlx-cli, linked in: `cargo xtask sqlx migrate info`
    #[command(disable_help_flag = true)]
    Sqlx {
        /// What sqlx is to be told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the format, and let clippy look at all of the code
    #[command(after_help = examples::LINT)]
    Lint,
    /// Install what the test suite needs and this machine lacks (Debian and Ubuntu), and the checkers of workflows
    #[command(after_help = examples::SETUP)]
    Setup,
    /// Run the test suite, over every provider that this machine has
    #[command(after_help = examples::TEST)]
    Test {
        /// Only this provider: local or docker
        #[arg(long)]
        provider: Option<Choice>,
        /// What `cargo test` is to be told
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure speed as ratios against the tools that a user would use otherwise
    #[command(after_help = examples::BENCH)]
    Bench {
        /// How many users the big table has
        #[arg(long, default_value_t = 1_000_000, value_name = "N")]
        rows: u64,
        /// Only figures whose name contains this
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
}

/// A shell that completes command lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum CompletionShell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
    /// PowerShell
    PowerShell,
}

/// What there is a JSON Schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The record of a run
    Record,
    /// An event, as `--json` writes one a line
    Event,
    /// rehearsal.toml
    Config,
}

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One file with everything in it.
    Html,
    /// For pull requests and job summaries.
    Markdown,
    /// The record itself.
    Json,
}

/// What can be done with backups that are there.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Show what there is, and what of it counts; writes nothing
    #[command(after_help = examples::LIST)]
    List,
    /// Show one backup with its tables; writes nothing
    #[command(after_help = examples::SHOW)]
    Show {
        /// Its id, its folder, or its URL in an object store
        backup: String,
    },
    /// Read backups again and compare every byte: as they should be (0), wrong (3), or not checked (1, 4)
    #[command(after_help = examples::CHECK)]
    Check {
        /// The backup; the newest by default
        backup: Option<String>,
        /// All backups
        #[arg(long, conflicts_with = "backup")]
        all: bool,
        /// Only this share of the files: after 1/7 to 7/7, all were read
        #[arg(long, value_name = "N/M", conflicts_with = "restore")]
        subset: Option<Share>,
        /// Also restore it into a throwaway server, and compare again
        #[arg(long)]
        restore: bool,
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
    /// Remove the backups that no rule of [backup.keep] keeps; never the newest proven one
    #[command(after_help = examples::PRUNE)]
    Prune {
        /// Only show what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Send the backups that wait on this machine, since an upload did not end
    #[command(after_help = examples::UPLOAD)]
    Upload,
}
