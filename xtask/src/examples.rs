//! What stands at the end of each command's help: lines to copy. A test reads them as a user's.

pub const REHEARSE: &str = "Examples:
  cargo xtask rehearse                               the newest release on generated data
  cargo xtask rehearse --target staging              on a copy of staging, which is only read
  cargo xtask rehearse --release R2 --rows 1000000   a release by its name, with a million rows
  cargo xtask rehearse --all --provider local        all releases in one go, on a local PostgreSQL
  cargo xtask rehearse --traffic                     once more while clients read and write
  cargo xtask rehearse --smoke --app-before v1.4     and with the service, old and new";

pub const SMOKE: &str = "Examples:
  cargo xtask smoke --url http://127.0.0.1:8080                  a service at a desk
  cargo xtask smoke --url https://app.example.com --release R2   one that runs release R2";

pub const DB_BACKUP: &str = "Examples:
  cargo xtask db-backup --target production                 restored and compared before it counts
  cargo xtask db-backup list --target production            what there is, and what of it counts
  cargo xtask db-backup check --restore                     the newest one, proven once more
  cargo xtask db-backup prune --dry-run                     what no rule keeps
  cargo xtask db-backup --tables users,tasks --format csv   single tables for other programs";

pub const LIST: &str = "Examples:
  cargo xtask db-backup list --target production
  cargo xtask db-backup list --json                for programs";

pub const SHOW: &str = "Examples:
  cargo xtask db-backup show 20260102T030405678Z-shop
  cargo xtask db-backup show backups/production/20260102T030405678Z-shop";

pub const CHECK: &str = "Examples:
  cargo xtask db-backup check                      every byte of the newest one
  cargo xtask db-backup check --all --subset 1/7   on Mondays, and 2/7 on Tuesdays
  cargo xtask db-backup check --restore            restored and compared again";

pub const PRUNE: &str = "Examples:
  cargo xtask db-backup prune --dry-run   shows what would go
  cargo xtask db-backup prune --yes       asks nobody";

pub const UPLOAD: &str = "Examples:
  cargo xtask db-backup upload --target production";

pub const ANONYMISE: &str = "Examples:
  cargo xtask anonymise --target production                       a copy of the newest backup
  cargo xtask anonymise --target production --fresh --sample 5%   of a new one, a share of it
  cargo xtask anonymise --random-key                              with other pseudonyms each time";

pub const RESTORE: &str = "Examples:
  cargo xtask restore                           the newest one, into a new database
  cargo xtask restore --target staging --swap   in its place; what was there stays beside
  cargo xtask restore BACKUP --into shop_look   a certain one, under a name
  cargo xtask restore --tables users,orders     only these tables
  cargo xtask restore --clean                   in the database itself";

pub const MIGRATE: &str = "Examples:
  cargo xtask migrate                             all that is pending, on `dev`
  cargo xtask migrate --target staging --expand   as far as the old code still works
  cargo xtask migrate --to 7                      no further than version 7
  cargo xtask migrate --answer team-told=yes      what [[questions]] ask, answered";

pub const VERIFY: &str = "Examples:
  cargo xtask verify --target staging
  cargo xtask verify --contract         whether the code's queries still fit";

pub const WATCH: &str = "Examples:
  cargo xtask watch --target production     every 30 seconds, for 5 minutes
  cargo xtask watch --for 1h --every 1min";

pub const ROLLBACK: &str = "Examples:
  cargo xtask rollback --target staging   the newest release, by its down files
  cargo xtask rollback --to 6             until version 6 is the newest one
  cargo xtask rollback --way restore      by the newest backup of the version before
  cargo xtask rollback --way forward      which migration would mend it; writes nothing";

pub const MARK_APPLIED: &str = "Examples:
  cargo xtask mark-applied 7                                   once all of it is proven to be there
  cargo xtask mark-applied 7 --force --reason 'made by hand'";

pub const REPAIR: &str = "Examples:
  cargo xtask repair                                    where history and files disagree
  cargo xtask repair 7 --reason 'a comment was added'";

pub const STATUS: &str = "Examples:
  cargo xtask status --target production
  cargo xtask status --json                for programs";

pub const DOCTOR: &str = "Examples:
  cargo xtask doctor                                     this machine, and the target `dev`
  cargo xtask doctor --target production --for migrate   what keeps `migrate` from working there
  cargo xtask doctor --artefact dist/app                 whether what ships has every migration";

pub const PLAN: &str = "Examples:
  cargo xtask plan --target production   what `migrate` would do, and what it would lock
  cargo xtask plan --rollback            what `rollback` would do, and what it would lose
  cargo xtask plan --release R2 --sql    a script for psql, for those who run it by hand";

pub const REPORT: &str = "Examples:
  cargo xtask report -o report.html                  the newest run
  cargo xtask report --format markdown RUN           another one, by its name
  cargo xtask report path/to/record.json -o r.html   a record from elsewhere";

pub const COMPLETIONS: &str = "Examples:
  cargo xtask completions bash   the guide says where it goes (Completions)
  cargo xtask completions zsh";

pub const SCHEMA: &str = "Examples:
  cargo xtask schema record
  cargo xtask schema config";

pub const LINT: &str = "Examples:
  cargo xtask lint";

pub const SETUP: &str = "Examples:
  cargo xtask setup";

pub const TEST: &str = "Examples:
  cargo xtask test                                all of it, over every provider of this machine
  cargo xtask test --provider local -- backup::   those with that name, over one";

pub const BENCH: &str = "Examples:
  cargo xtask bench                                 all figures
  cargo xtask bench --rows 300000 --only backfill   those with that name, with fewer rows";

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory, Parser};

    use crate::cli::Cli;

    /// sqlx's help is sqlx's.
    const OTHERS: [&str; 2] = ["help", "sqlx"];

    fn read(command: &Command, path: &str, found: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples =
            help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with("cargo "));
        let before = found.len();
        // `max_term_width` would break a longer one.
        assert!(help.lines().all(|line| line.chars().count() <= 100), "`{path}`: a line is too long");
        // What an example is for stands behind several blanks.
        found.extend(examples.map(|line| line.split("  ").next().unwrap_or_default().to_owned()));
        assert!(found.len() > before, "`{path}` has no example");
        let below = command.get_subcommands().filter(|command| !OTHERS.contains(&command.get_name()));
        below.for_each(|command| read(command, &format!("{path} {}", command.get_name()), found));
    }

    #[test]
    fn every_command_has_some_that_can_be_run() {
        let mut found = Vec::new();
        read(&Cli::command(), "cargo xtask", &mut found);
        for line in found {
            let words = shlex::split(&line).unwrap_or_else(|| panic!("{line}: its quotes do not close"));
            // The program's own name, as cargo gives it.
            let read = Cli::try_parse_from(&words[1..]);
            assert!(read.is_ok(), "{line}: {}", read.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }
}
