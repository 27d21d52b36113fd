//! Which roles a dump names, as pg_restore itself would write it down.

use std::collections::BTreeSet;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::tools::{Invocation, Tools};
use crate::error::Result;
use crate::target::Target;

/// How the statements begin that name roles; pg_dump writes each on a line of its own.
const STATEMENTS: &[&str] =
    &["ALTER ", "GRANT ", "REVOKE ", "CREATE POLICY ", "CREATE USER MAPPING ", "SET SESSION AUTHORIZATION "];

/// The words behind which such a statement has its roles.
const BEFORE_ROLES: &[&str] = &["TO", "FROM", "FOR", "ROLE", "AUTHORIZATION"];

/// Owners, grantees and others that a restore of this dump is going to name. A few words that are no
/// role are among them: what matters is which of the known roles are, and which are not.
///
/// # Errors
/// pg_restore's complaint.
pub async fn roles(
    tools: &Tools,
    dump: &Path,
    target: &Target,
    cancel: &CancellationToken,
) -> Result<BTreeSet<String>> {
    // All but the rows: large objects have owners as well, and count as data for --schema-only.
    let arguments = [
        "--section=pre-data".to_owned(),
        "--section=post-data".to_owned(),
        "--file=-".to_owned(),
        dump.display().to_string(),
    ];
    let invocation =
        Invocation { program: "pg_restore", arguments: &arguments, target, purpose: "restore", folder: Some(dump) };
    let sql = tools.run(&invocation, cancel).await?;
    Ok(named_in(&String::from_utf8_lossy(&sql)))
}

fn named_in(sql: &str) -> BTreeSet<String> {
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
        let names = named_in(sql);
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
