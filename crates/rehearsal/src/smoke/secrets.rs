//! Values that requests carry and nobody may read.

use std::collections::BTreeMap;

/// What stands for a secret wherever people read.
const HIDDEN: &str = "[secret]";

/// How many random bytes a made-up secret has: twice a SHA-256 digest, more than any key here needs.
const RANDOM_BYTES: usize = 64;

/// Secrets by the environment variables that hold them.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, String)> for Secrets {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl Secrets {
    /// The value of that variable.
    #[must_use]
    pub fn get(&self, variable: &str) -> Option<&str> {
        self.0.get(variable).map(String::as_str)
    }

    /// The same with fresh values for these variables, as hexadecimal digits.
    #[must_use]
    pub fn with_random(&self, variables: &[String]) -> Self {
        let mut secrets = self.clone();
        for variable in variables {
            // They guard a service that nobody but us can reach, and that is gone in a moment.
            let digits: String = (0..RANDOM_BYTES).map(|_| format!("{:02x}", fastrand::u8(..))).collect();
            secrets.0.insert(variable.clone(), digits);
        }
        secrets
    }

    /// How many bytes the longest value has.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.0.values().map(String::len).max().unwrap_or(0)
    }

    /// A text without any of the values.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.0.values().fold(text.to_owned(), |text, value| text.replace(value.as_str(), HIDDEN))
    }
}
