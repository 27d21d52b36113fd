//! A schema as `pg_dump --schema-only` writes it, object by object, so that two can be compared.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::identifier::quote;
use super::tools::{Invocation, Tools};
use crate::error::Result;
use crate::target::Target;

/// Objects by what pg_dump calls them (`users; Type: TABLE; Schema: public`), each with its definition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    objects: BTreeMap<String, String>,
}

impl Schema {
    /// Reads it with pg_dump. Our own schema and sqlx's history are left out.
    ///
    /// # Errors
    /// When pg_dump fails.
    pub async fn read(tools: &Tools, target: &Target, history_table: &str, cancel: &CancellationToken) -> Result<Self> {
        Self::dump(tools, target, &without_ours(target, history_table), cancel).await
    }

    /// The same without what says who owns an object: two servers have different roles.
    ///
    /// # Errors
    /// When pg_dump fails.
    pub async fn read_without_owners(
        tools: &Tools,
        target: &Target,
        history_table: &str,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let mut arguments = without_ours(target, history_table);
        arguments.push("--no-owner".into());
        Self::dump(tools, target, &arguments, cancel).await
    }

    /// The same with all that is in the database.
    ///
    /// # Errors
    /// When pg_dump fails.
    pub async fn read_all(tools: &Tools, target: &Target, cancel: &CancellationToken) -> Result<Self> {
        Self::dump(tools, target, &[], cancel).await
    }

    async fn dump(tools: &Tools, target: &Target, more: &[String], cancel: &CancellationToken) -> Result<Self> {
        let mut arguments = ["--schema-only", "--no-password", "--lock-wait-timeout=10s"].map(str::to_owned).to_vec();
        arguments.extend_from_slice(more);
        let invocation = Invocation {
            program: "pg_dump",
            arguments: &arguments,
            target,
            purpose: "schema",
            folder: None,
            list: None,
        };
        let output = tools.run(&invocation, cancel).await?;
        Ok(Self::parse(&String::from_utf8_lossy(&output)))
    }

    /// Takes a dump apart.
    #[must_use]
    pub fn parse(dump: &str) -> Self {
        let mut objects: BTreeMap<String, String> = BTreeMap::new();
        let mut name = String::from("settings");
        for line in dump.lines() {
            if let Some(header) = line.strip_prefix("-- Name: ") {
                name = header.to_owned();
                continue;
            }
            // `\restrict` carries a random token since 15.14; SET lines depend on the program's version.
            let noise = line.is_empty()
                || line.starts_with("--")
                || line.starts_with("\\restrict")
                || line.starts_with("\\unrestrict")
                || name == "settings";
            if !noise {
                let definition = objects.entry(name.clone()).or_default();
                definition.push_str(line);
                definition.push('\n');
            }
        }
        // The state of pg_dump's session, written between objects whenever it changes.
        for definition in objects.values_mut() {
            *definition = definition
                .lines()
                .filter(|line| !line.starts_with("SET default_"))
                .flat_map(|line| [line, "\n"])
                .collect();
        }
        Self { objects }
    }

    /// A digest over all objects.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (name, definition) in &self.objects {
            digest.update(name);
            digest.update([0]);
            digest.update(definition);
            digest.update([0]);
        }
        hex(&digest.finalize())
    }

    /// How many objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Names, as pg_dump writes them, and definitions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.objects.iter().map(|(name, definition)| (name.as_str(), definition.as_str()))
    }

    /// The definition of that name, as pg_dump writes both.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.objects.get(name).map(String::as_str)
    }

    /// The objects that have these names.
    #[must_use]
    pub fn of(&self, is_wanted: impl Fn(&str) -> bool) -> Self {
        let wanted = self.objects.iter().filter(|(name, _)| is_wanted(name));
        Self { objects: wanted.map(|(name, definition)| (name.clone(), definition.clone())).collect() }
    }

    /// The names of what is new, changed or gone in a later one.
    pub fn changed_in<'a>(&'a self, later: &'a Self) -> impl Iterator<Item = &'a str> {
        let of_both = self.objects.keys().chain(later.objects.keys());
        of_both.filter(|name| self.objects.get(*name) != later.objects.get(*name)).map(String::as_str)
    }

    /// What differs between this one and a later one, a phrase each.
    #[must_use]
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, definition) in &self.objects {
            match later.objects.get(name) {
                None => differences.push(format!("gone: {}", short(name))),
                Some(other) if other != definition => {
                    differences.push(format!("changed: {} ({})", short(name), first_change(definition, other)));
                }
                Some(_) => {}
            }
        }
        for name in later.objects.keys().filter(|name| !self.objects.contains_key(*name)) {
            differences.push(format!("new: {}", short(name)));
        }
        differences
    }
}

/// `users; Type: TABLE; Schema: public; Owner: me` as `TABLE public.users`.
pub(crate) fn short(name: &str) -> String {
    let mut parts = name.split("; ");
    let object = parts.next().unwrap_or_default();
    let part = |key: &str| name.split("; ").find_map(|part| part.strip_prefix(key)).unwrap_or_default();
    format!("{} {}.{object}", part("Type: "), part("Schema: "))
}

/// The lines of a definition that another one lacks. The comma that follows all columns but the last is
/// no difference of a column's.
pub(crate) fn only_in<'a>(definition: &'a str, other: &'a str) -> impl Iterator<Item = &'a str> {
    let plain = |line: &'a str| line.trim().trim_end_matches(',');
    definition.lines().map(plain).filter(move |line| !other.lines().any(|other| plain(other) == *line))
}

fn first_change(before: &str, after: &str) -> String {
    let now = after.lines().find(|line| !before.lines().any(|other| other == *line));
    let then = before.lines().find(|line| !after.lines().any(|other| other == *line));
    match (then, now) {
        (Some(then), Some(now)) => format!("`{}` → `{}`", then.trim(), now.trim()),
        (Some(then), None) => format!("without `{}`", then.trim()),
        (None, Some(now)) => format!("with `{}`", now.trim()),
        (None, None) => "its lines stand in another order".into(),
    }
}

fn without_ours(target: &Target, history_table: &str) -> Vec<String> {
    let journal = quote(&target.journal().schema);
    vec![format!("--exclude-schema={journal}"), format!("--exclude-table={history_table}")]
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\\restrict abc\nSET x = 1;\n\n--\n-- Name: users; Type: TABLE; Schema: public; Owner: me\n--\n\nCREATE TABLE public.users (\n    id bigint\n);\n\n\\unrestrict abc\n";

    #[test]
    fn tokens_and_settings_do_not_count() {
        let other = DUMP.replace("abc", "xyz").replace("x = 1", "x = 2");
        assert_eq!(Schema::parse(DUMP), Schema::parse(&other));
        assert_eq!(Schema::parse(DUMP).len(), 1);
    }

    #[test]
    fn a_changed_line_is_named() {
        let other = DUMP.replace("id bigint", "id integer");
        let differences = Schema::parse(DUMP).differences(&Schema::parse(&other));
        assert_eq!(differences, ["changed: TABLE public.users (`id bigint` → `id integer`)"]);
    }
}
