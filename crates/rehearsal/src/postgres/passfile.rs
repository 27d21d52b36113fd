//! Password files (`~/.pgpass`): lines of `host:port:database:user:password`, in which `*` stands for anything.

use std::path::Path;

/// What a password is looked for by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// What may stand as the host: any of these.
    pub hosts: &'a [&'a str],
    /// The port.
    pub port: u16,
    /// The database.
    pub database: &'a str,
    /// The user.
    pub user: &'a str,
}

/// What a password file is to us.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passfile {
    /// Its text.
    Text(String),
    /// It is not there, or cannot be read.
    Missing,
    /// Others than its owner may read it; libpq and sqlx leave such a file alone.
    OpenToOthers,
}

/// Reads the file, if its mode lets us.
pub(crate) fn read(path: &Path) -> Passfile {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = std::fs::metadata(path) else { return Passfile::Missing };
    if metadata.permissions().mode() & 0o077 != 0 {
        return Passfile::OpenToOthers;
    }
    std::fs::read_to_string(path).map_or(Passfile::Missing, Passfile::Text)
}

/// The password of the first line that fits.
pub(crate) fn look_up(text: &str, wanted: Wanted<'_>) -> Option<String> {
    let port = wanted.port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = split(line);
        let password = fields.split_off(fields.len().min(4)).pop()?;
        let fits = |field: &String, values: &[&str]| field == "*" || values.contains(&unescape(field).as_str());
        let [host, its_port, database, user] = &fields[..] else { return None };
        let all = fits(host, wanted.hosts)
            && fits(its_port, &[&port])
            && fits(database, &[wanted.database])
            && fits(user, &[wanted.user]);
        all.then(|| unescape(&password)).filter(|password| !password.is_empty())
    })
}

/// The four fields and the rest, backslashes kept: `\*` is no wildcard.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut escaped = false;
    for character in line.chars() {
        if character == ':' && !escaped && fields.len() < 5 {
            fields.push(String::new());
        } else if let Some(field) = fields.last_mut() {
            field.push(character);
        }
        escaped = character == '\\' && !escaped;
    }
    fields
}

fn unescape(field: &str) -> String {
    let mut text = String::new();
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            text.extend(characters.next());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits() {
        let text = "# a comment\nnonsense\nh:5432:d:you:no\n\\*:*:*:me:literal\n::1:1:d:me:broken\n\
                    \\:\\:1:5433:d:me:six\nh:*:*:me:a\\:b\\\\c:d\n*:*:*:*:any\n";
        let look = |hosts: &[&str], port, user| look_up(text, Wanted { hosts, port, database: "d", user });
        assert_eq!(look(&["h"], 5432, "me").as_deref(), Some(r"a:b\c:d"));
        assert_eq!(look(&["h"], 5432, "you").as_deref(), Some("no"));
        assert_eq!(look(&["::1"], 5433, "me").as_deref(), Some("six"));
        assert_eq!(look(&["/run/pg", "localhost"], 5432, "x").as_deref(), Some("any"));
        assert_eq!(look_up("", Wanted { hosts: &["h"], port: 1, database: "d", user: "u" }), None);
    }
}
