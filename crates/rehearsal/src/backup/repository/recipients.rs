//! Who may read backups: public keys of `age` (<https://age-encryption.org/v1>).

use age::x25519::Recipient;
use schemars::JsonSchema;
use serde::Deserialize;

/// Public keys, as `age1…`. They are no secret.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub struct Recipients {
    keys: Vec<Recipient>,
    words: Vec<String>,
}

impl Recipients {
    /// Nobody: backups are not encrypted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// As the file has them.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// What encrypts one file for all of them.
    pub(super) fn encryptor(&self) -> Result<age::Encryptor, age::EncryptError> {
        age::Encryptor::with_recipients(self.keys.iter().map(|key| -> &dyn age::Recipient { key }))
    }
}

impl TryFrom<Vec<String>> for Recipients {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, Self::Error> {
        let keys = words.iter().enumerate().map(|(index, word)| {
            // Whoever has put the secret key here does not want to see it in a log.
            word.parse().map_err(|reason| format!("recipient {} is no public key age1…: {reason}", index + 1))
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, words })
    }
}
