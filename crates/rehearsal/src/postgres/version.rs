//! PostgreSQL's version numbers.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `15.18`: a major and a minor version, as servers and programs have had them since 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct Version {
    /// The release, which decides what a dump can be restored into.
    pub major: u32,
    /// The patch level.
    pub minor: u32,
}

impl Version {
    /// From `server_version_num`: 150018 is 15.18.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self { major: number / 10_000, minor: number % 10_000 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Version {
    type Err = String;

    /// Reads what `pg_dump --version` or `initdb --version` print: the first word that opens with
    /// a digit. A development version (`19devel`) has the minor 0.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text
            .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')'))
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .ok_or_else(|| format!("no version number in {text:?}"))?;
        let mut parts = number.split(|c: char| !c.is_ascii_digit());
        let mut next = || parts.next().and_then(|part| part.parse().ok());
        let major = next().ok_or_else(|| format!("no version number in {text:?}"))?;
        Ok(Self { major, minor: next().unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_programs_print_is_read() {
        for (text, major, minor) in [
            ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15, 18),
            ("initdb (PostgreSQL) 19devel", 19, 0),
            ("postgres (PostgreSQL) 17.2", 17, 2),
        ] {
            assert_eq!(text.parse(), Ok(Version { major, minor }));
        }
        assert_eq!(Version::from_number(150_018).to_string(), "15.18");
    }
}
