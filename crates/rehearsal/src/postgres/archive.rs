//! What is in a dump, as pg_restore itself would write it down: all of it, or some of its entries.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::tools::{Invocation, Tools, dbname};
use crate::error::Result;
use crate::target::Target;

/// How the statements begin that name roles; pg_dump writes each on a line of its own.
const STATEMENTS: &[&str] =
    &["ALTER ", "GRANT ", "REVOKE ", "CREATE POLICY ", "CREATE USER MAPPING ", "SET SESSION AUTHORIZATION "];

/// The words behind which such a statement has its roles.
const BEFORE_ROLES: &[&str] = &["TO", "FROM", "FOR", "ROLE", "AUTHORIZATION"];

/// What belongs to the server, or to another one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// Owners, grantees and others. A few words that are no role are among them: what matters is which of the
    /// known roles are, and which are not.
    pub roles: BTreeSet<String>,
    /// Tablespaces, but for the default one.
    pub tablespaces: BTreeSet<String>,
    /// Subscriptions, which no restore of ours makes.
    pub subscriptions: BTreeSet<String>,
}

/// A dump folder, and how it is read.
#[derive(Debug, Clone)]
pub struct Archive<'a> {
    /// The programs.
    pub tools: &'a Tools,
    /// The folder.
    pub dump: &'a Path,
    /// A file with the entries that count, as [`Archive::list`] gives them; all by default.
    pub entries: Option<PathBuf>,
}

impl Archive<'_> {
    /// Its table of contents: a line for each entry, and below it `; depends on:` with the numbers of others.
    ///
    /// # Errors
    /// pg_restore's complaint.
    pub async fn list(&self, target: &Target, cancel: &CancellationToken) -> Result<String> {
        self.write(&["--list", "--verbose"], target, cancel).await
    }

    /// The SQL that restores it, as far as the arguments ask for it.
    ///
    /// # Errors
    /// pg_restore's complaint.
    pub async fn script(&self, arguments: &[&str], target: &Target, cancel: &CancellationToken) -> Result<String> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--file=-"]).collect();
        self.write(&arguments, target, cancel).await
    }

    /// Restores it into a database. The first error ends it.
    ///
    /// # Errors
    /// pg_restore's complaint.
    pub async fn restore(&self, how: &[&str], into: &Target, cancel: &CancellationToken) -> Result<()> {
        let place = dbname(into);
        // A second subscription with the original's slot would take away what the original waits for.
        let always = ["--exit-on-error", "--no-password", "--no-subscriptions", &place];
        let arguments: Vec<&str> = always.iter().chain(how).copied().collect();
        self.run(&arguments, into, cancel).await.map(drop)
    }

    /// What a restore of it is going to name that no dump holds.
    ///
    /// # Errors
    /// pg_restore's complaint.
    pub async fn named(&self, target: &Target, cancel: &CancellationToken) -> Result<Named> {
        // All but the rows: large objects have owners as well, and count as data for --schema-only.
        let sql = self.script(&["--section=pre-data", "--section=post-data"], target, cancel).await?;
        Ok(Named {
            roles: roles_in(&sql),
            tablespaces: after_in(&sql, "SET default_tablespace = ", ";"),
            subscriptions: after_in(&sql, "CREATE SUBSCRIPTION ", " CONNECTION "),
        })
    }

    async fn write(&self, arguments: &[&str], target: &Target, cancel: &CancellationToken) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.run(arguments, target, cancel).await?).into_owned())
    }

    async fn run(&self, arguments: &[&str], target: &Target, cancel: &CancellationToken) -> Result<Vec<u8>> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        let entries = self.entries.iter().map(|list| format!("--use-list={}", list.display()));
        let arguments: Vec<String> = arguments.chain(entries).chain([self.dump.display().to_string()]).collect();
        let invocation = Invocation {
            program: "pg_restore",
            arguments: &arguments,
            target,
            purpose: "restore",
            folder: Some(self.dump),
            list: self.entries.as_deref(),
        };
        self.tools.run(&invocation, cancel).await
    }
}

/// The identifiers between these words, at the begin of a line.
fn after_in(sql: &str, before: &str, behind: &str) -> BTreeSet<String> {
    let names = sql.lines().filter_map(|line| Some(line.strip_prefix(before)?.split_once(behind)?.0));
    names.filter(|name| *name != "''").map(unquoted).collect()
}

fn roles_in(sql: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in sql.lines().filter(|line| STATEMENTS.iter().any(|statement| line.starts_with(statement))) {
        let words = words(line);
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if !BEFORE_ROLES.contains(&word.as_str()) {
                continue;
            }
            while let Some(name) = words.next_if(|word| !BEFORE_ROLES.contains(&word.as_str())) {
                names.insert(unquoted(name));
                if words.next_if(|word| *word == ",").is_none() {
                    break;
                }
            }
        }
    }
    names
}

/// Identifiers, quoted ones whole and with their quotes; every other character by itself.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if first == '"' {
            end_of_quoted(rest)
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
            end.max(first.len_utf8())
        };
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    words
}

fn end_of_quoted(text: &str) -> usize {
    let mut quotes =
        text.char_indices().filter(|(_, character)| *character == '"').map(|(at, _)| at).skip(1).peekable();
    while let Some(at) = quotes.next() {
        // Two of them are one that belongs to the name.
        if quotes.next_if(|next| *next == at + 1).is_none() {
            return at + 1;
        }
    }
    text.len()
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tablespaces_and_subscriptions_are_found() {
        let sql = "SET default_tablespace = '';\nSET default_tablespace = fast;\nSET default_tablespace = \"The fast\";\n\
                   CREATE SUBSCRIPTION sub CONNECTION 'host=a' PUBLICATION p WITH (connect = false);\n";
        let names = |found: BTreeSet<String>| found.into_iter().collect::<Vec<_>>();
        assert_eq!(names(after_in(sql, "SET default_tablespace = ", ";")), ["The fast", "fast"]);
        assert_eq!(names(after_in(sql, "CREATE SUBSCRIPTION ", " CONNECTION ")), ["sub"]);
    }

    #[test]
    fn owners_grantees_and_policies_are_found() {
        let sql = "ALTER TABLE public.a OWNER TO owner;\n\
                   ALTER TABLE public.\"TO them\" OWNER TO \"The \"\"Owner\"\" TO be\";\n\
                   GRANT SELECT ON TABLE public.a TO reader;\n\
                   ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA public GRANT SELECT ON TABLES  TO taker WITH GRANT OPTION;\n\
                   REVOKE ALL ON TABLE public.a FROM gone;\n\
                   CREATE POLICY p ON public.a FOR SELECT TO one, \"Two\" USING (true);\n\
                   CREATE USER MAPPING FOR mapped SERVER s;\n\
                   SET SESSION AUTHORIZATION grantor;\n\
                   COMMENT ON TABLE public.a IS 'TO nobody';\n";
        let names = roles_in(sql);
        for role in
            ["owner", "The \"Owner\" TO be", "reader", "maker", "taker", "gone", "one", "Two", "mapped", "grantor"]
        {
            assert!(names.contains(role), "{role}: {names:?}");
        }
        for other in ["nobody", "them\" OWNER", "public", "p"] {
            assert!(!names.contains(other), "{other}: {names:?}");
        }
    }
}
