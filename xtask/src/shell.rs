//! What commands share: the workspace, the target, reporters, the interruption, and a run.

use std::io::{BufRead, IsTerminal, Stdout, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rehearsal::apply::Unsure;
use rehearsal::config::Config;
use rehearsal::context::{Context, Environment, Keep, Settings, Workspace};
use rehearsal::event::{Emitter, Reporter};
use rehearsal::plan::Refusal;
use rehearsal::postgres::history::History;
use rehearsal::postgres::{Session, direct};
use rehearsal::report::file::RecordFile;
use rehearsal::report::json::Json;
use rehearsal::report::terminal::{Style, Terminal, Verbosity};
use rehearsal::report::waiting::Waiting;
use rehearsal::run::{self, Command};
use rehearsal::source::MigrationSet;
use rehearsal::target::{Target, TargetError};
use tokio_util::sync::CancellationToken;

use crate::cli::{Color, Common, SandboxArgs};
use crate::exit::{self, Told};
use crate::github;
use crate::machine;
use crate::out::{self, Pipe};
use crate::outlook;

/// How many rows fixtures make where no fixtures are asked for.
const NO_ROWS: u64 = 0;

/// A command's surroundings.
pub struct Shell {
    pub common: Common,
    pub config: Config,
    pub environment: Environment,
    pub cancel: CancellationToken,
}

impl Shell {
    /// Goes to the workspace's root and reads its configuration.
    pub fn open(mut common: Common) -> anyhow::Result<Self> {
        if let Some(config) = &common.config {
            common.config = Some(absolute(config)?);
        }
        let root = machine::workspace_root();
        // From here on, paths in messages are as short as in rehearsal.toml.
        std::env::set_current_dir(&root).map_err(|error| {
            exit::usage(
                format!("cannot go to {}: {error}", root.display()),
                "run the command in a folder that is there",
            )
        })?;
        let mut config =
            Config::load(std::path::Path::new("."), common.config.as_deref()).map_err(rehearsal::Error::from)?;
        if let Some(place) = machine::backup_place()? {
            config.backup.to = place;
        }
        // Of the target that is meant; a rehearsal of a target has its limits and its history.
        let meant = common.target.as_deref().unwrap_or(&config.default_target);
        (config.limits, config.history) = (config.limits_of(meant), config.tolerance(meant));
        if github::is_there() {
            github::mask(&config)?;
        }
        let environment = machine::environment(&config);
        let cancel = CancellationToken::new();
        cancel_on_signal(cancel.clone());
        Ok(Self { common, config, environment, cancel })
    }

    /// Takes over what the user knows of a statement that a killed run left unclear.
    pub fn unsure(mut self, unsure: Option<Unsure>) -> Self {
        self.config.limits.unsure = unsure.unwrap_or_default();
        self
    }

    /// The name of the target that the command line or the configuration means.
    pub fn target_name(&self) -> &str {
        self.common.target.as_deref().unwrap_or(&self.config.default_target)
    }

    /// The target that the command line or the configuration names.
    pub async fn target(&self) -> Result<Target, rehearsal::Error> {
        self.target_named(self.target_name()).await
    }

    /// A target by its name. Its URLs come from the environment; of two, the direct one is taken.
    pub async fn target_named(&self, name: &str) -> Result<Target, rehearsal::Error> {
        let (variable, settings) = self.config.target(name)?;
        let is_default = name == self.config.default_target;
        let libpq = machine::libpq();
        let read = |url: Option<&str>| -> Result<Target, rehearsal::Error> {
            let target = Target::on_machine(name, url, &libpq)?.keeping_journal(self.config.journal.clone());
            Ok(target.protected(settings.protected).pinned(settings.identity.clone()))
        };
        let direct = settings.direct_url_env.as_deref().and_then(machine::url);
        let direct = direct.map(|url| read(Some(&url))).transpose()?;
        match (machine::url(&variable), direct) {
            (None, Some(direct)) => Ok(direct),
            (Some(url), Some(direct)) => direct::choose(&read(Some(&url))?, direct, &self.cancel).await,
            (Some(url), None) => read(Some(&url)),
            // libpq's own variables, for the target that is meant when none is named.
            (None, None) if is_default && libpq.names_a_place() => read(None),
            (None, None) => Err(TargetError::NoUrl { name: name.into(), variable }.into()),
        }
    }

    /// A connection for a command that only looks.
    pub async fn connect(&self, target: &Target, purpose: &str) -> Result<Session, rehearsal::Error> {
        let moves = !self.common.quiet && !self.common.no_progress;
        let _shown = moves.then(|| Waiting::show(&format!("connecting to {target}")));
        Session::connect(target, purpose, &self.cancel).await
    }

    /// Where a command may write that is not told by events.
    pub fn out(&self) -> Pipe<Stdout> {
        out::stdout()
    }

    /// Reads the migrations alone.
    pub fn migrations(&self) -> Result<MigrationSet, rehearsal::Error> {
        let migrations = MigrationSet::from_folder(&self.config.migrations)?;
        Ok(migrations.recorded_in(&self.config.history_table, self.config.history.clone()))
    }

    /// Reads migrations and checks.
    pub fn workspace(&self) -> Result<Workspace, rehearsal::Error> {
        Workspace::load(self.config.clone(), None)
    }

    /// What a run on a target begins with: migrations and checks are read while the database is asked
    /// for its history.
    pub async fn workspace_and_history(
        &self,
        target: &Target,
        purpose: &str,
    ) -> Result<(Workspace, History), rehearsal::Error> {
        let look = async {
            let mut session = self.connect(target, purpose).await?;
            let history = History::look(&mut session, &self.config.history_table).await;
            session.close().await;
            history
        };
        let (history, workspace) = tokio::join!(look, async { self.workspace() });
        // What is wrong with the files can be mended without the database: it is told first.
        Ok((workspace?, history?))
    }

    /// The settings of a run on a target.
    pub fn settings(&self, sandbox: Option<&SandboxArgs>) -> Settings {
        let keep = match sandbox {
            Some(arguments) if arguments.keep => Keep::Always,
            _ => Keep::Never,
        };
        Settings {
            provider: sandbox.and_then(|arguments| arguments.provider).unwrap_or(self.config.sandbox.provider),
            image: sandbox.and_then(|arguments| arguments.image.clone()),
            keep,
            rows: NO_ROWS,
            watch_locks: false,
            lint: false,
            alone: false,
        }
    }

    /// Runs a command's steps, with all reporters. What went wrong has been told when this returns.
    pub async fn run(
        self,
        command: Command,
        mut workspace: Workspace,
        settings: Settings,
        target: Option<Target>,
        prepare: impl FnOnce(&mut Context),
    ) -> anyhow::Result<()> {
        // Of what was done, it says by which files. Where nothing is to be done, nobody waits until git
        // has looked at all of them.
        if !command.is_nothing() {
            workspace.commit = machine::commit();
        }
        let run_id = run::run_id(command.name);
        let records = workspace.config.records.to.clone();
        let record = records.join(format!("{run_id}.json"));
        let events = Emitter::new(reporters(&self.common, records));
        let mut cx =
            Context::new(run_id, Arc::new(workspace), self.environment, settings, events.clone(), self.cancel, target);
        prepare(&mut cx);
        let outcome = run::run(&command, &mut cx).await;
        for failure in events.failures() {
            writeln!(out::stderr(), "warning: {failure}")?;
        }
        if !self.common.quiet && record.is_file() {
            writeln!(out::stderr(), "record: {}", record.display())?;
        }
        if github::is_there() && record.is_file() {
            github::output("record", &record.display().to_string())?;
        }
        outcome.map_err(|error| Told(error.kind().exit_code()).into())
    }

    /// Asks before something is undone on a protected target: its name is to be typed.
    pub fn confirm(&self, what: &str, target: &Target) -> anyhow::Result<()> {
        if !target.is_protected() {
            return Ok(());
        }
        let refused = Refusal::Unconfirmed { what: what.into(), target: target.name().into() };
        self.confirm_as(&format!("{what} on {target}"), target.name(), rehearsal::Error::from(refused).into())
    }

    /// Asks before something is removed, whatever the target is: what is gone is gone.
    pub fn confirm_removal(&self, what: &str, target: &str) -> anyhow::Result<()> {
        let refused = exit::refused(
            format!("to remove {what} of `{target}` needs a confirmation"),
            format!("at a terminal type the name `{target}` when asked; elsewhere add --yes"),
        );
        self.confirm_as(&format!("remove {what} of {target}"), target, refused)
    }

    fn confirm_as(&self, what: &str, name: &str, refused: anyhow::Error) -> anyhow::Result<()> {
        if self.common.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(refused);
        }
        let mut stderr = out::stderr();
        write!(stderr, "{what}. Type the target's name to go on: ")?;
        stderr.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() == name { Ok(()) } else { Err(refused) }
    }
}

/// A path of the command line, before the folder is changed.
pub fn absolute(path: &std::path::Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| exit::usage(format!("{}: {error}", path.display()), "name a path that is there"))
}

/// Whether colours are used where that is a terminal, or not.
pub fn color(common: &Common, at_terminal: bool) -> bool {
    match common.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => by_convention(at_terminal),
    }
}

fn reporters(common: &Common, records: PathBuf) -> Vec<Box<dyn Reporter>> {
    let verbosity = match (common.quiet, common.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let at_terminal = if common.json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    let color = color(common, at_terminal);
    let progress = std::io::stderr().is_terminal() && !common.no_progress && verbosity > Verbosity::Quiet;
    let columns = || if common.json { outlook::width(std::io::stderr()) } else { outlook::width(std::io::stdout()) };
    let width = at_terminal.then(columns);
    let style = Style { verbosity, color, progress, width };
    // The evidence first: what is shown may fail without it.
    let mut reporters: Vec<Box<dyn Reporter>> = vec![Box::new(RecordFile::new(records.clone()))];
    if common.json {
        reporters.push(Box::new(Json(out::stdout())));
        reporters.push(Box::new(Terminal::new(out::stderr(), style)));
    } else {
        reporters.push(Box::new(Terminal::new(out::stdout(), style)));
    }
    if github::is_there() {
        reporters.extend(github::reporters(records));
    }
    reporters
}

/// What NO_COLOR, CLICOLOR_FORCE, CLICOLOR and TERM ask for, in this order (no-color.org, bixense.com/clicolors).
fn by_convention(at_terminal: bool) -> bool {
    if anstyle_query::no_color() {
        return false;
    }
    anstyle_query::clicolor_force()
        || (at_terminal && anstyle_query::clicolor().unwrap_or(true) && anstyle_query::term_supports_ansi_color())
}

/// The first signal asks the run to stop, which cancels what is running and cleans up; the second
/// one does not wait for that.
fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).ok();
    // Before anything else is done: the task may have to wait for its turn.
    let (Some(mut interrupt), Some(mut terminate), Some(mut hang_up)) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()), listen(SignalKind::hangup()))
    else {
        return;
    };
    tokio::spawn(async move {
        for repeated in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                // The terminal was closed, or the connection to it.
                _ = hang_up.recv() => {}
            }
            if repeated {
                std::process::exit(rehearsal::Kind::Interrupted.exit_code().into());
            }
            cancel.cancel();
        }
    });
}

/// For what cannot be moved to another thread.
pub fn on_this_thread(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}
