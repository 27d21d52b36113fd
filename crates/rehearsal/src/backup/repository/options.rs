//! What an object store is reached by: endpoint, region, credentials. The shell takes them from the environment.

use std::collections::BTreeMap;
use std::fmt;

/// The names of variables that are taken from the environment begin with one of these, as in the
/// services' own tools.
pub const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// A value that is shorter is no secret, and would make a message unreadable.
const SHORTEST_SECRET: usize = 6;

/// What in a variable's name tells that its value is a secret.
const SECRET_WORDS: [&str; 6] = ["KEY", "SECRET", "TOKEN", "PASSWORD", "SAS", "ACCOUNT"];

/// Variables with their values, which never show.
#[derive(Clone, Default)]
pub struct StoreOptions(BTreeMap<String, String>);

impl StoreOptions {
    /// Those of all variables that an object store may need.
    pub fn of(variables: impl Iterator<Item = (String, String)>) -> Self {
        let is_one = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        Self(variables.filter(|(name, value)| is_one(name) && !value.is_empty()).collect())
    }

    /// Those whose names begin so, in lower case, as `object_store` knows them.
    pub(super) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (String, &str)> {
        let own = self.0.iter().filter(move |(name, _)| name.starts_with(prefix));
        own.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }

    /// A service's words without our secrets, and without what stands behind the `?` of a URL: signatures
    /// and tokens go there.
    pub(super) fn redacted(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for (name, value) in &self.0 {
            let secret = value.len() >= SHORTEST_SECRET && SECRET_WORDS.iter().any(|word| name.contains(word));
            if secret {
                words = words.replace(value, "***");
            }
        }
        let mut clean = String::with_capacity(words.len());
        for (index, part) in words.split("://").enumerate() {
            if index > 0 {
                clean.push_str("://");
                let end =
                    part.find(|c: char| c.is_whitespace() || matches!(c, '"' | ')' | '<' | '>')).unwrap_or(part.len());
                let (url, rest) = part.split_at(end);
                clean.push_str(url.split_once('?').map_or(url, |(before, _)| before));
                clean.push_str(rest);
            } else {
                clean.push_str(part);
            }
        }
        clean
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let variables = [("AWS_SECRET_ACCESS_KEY", "hunter2222"), ("AWS_REGION", "eu-west-1"), ("PATH", "/bin")];
        let options = StoreOptions::of(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        let words = options.redacted("eu-west-1 says hunter2222 at http://h/p?sig=abc and (https://x/y?z)");
        assert_eq!(words, "eu-west-1 says *** at http://h/p and (https://x/y)");
        assert_eq!(format!("{options:?}"), r#"{"AWS_REGION", "AWS_SECRET_ACCESS_KEY"}"#);
    }
}
