//! The key that pseudonyms are made with.

use sha2::{Digest, Sha256};

use super::failure::AnonymiseError;

/// The variable that the shell takes it from.
pub const VARIABLE: &str = "REHEARSAL_ANONYMISE_KEY";

/// Shorter ones can be guessed: whoever guesses the key can try every e-mail address that there is.
const SHORTEST: usize = 16;

/// SHA-256 works on blocks of this many bytes (FIPS 180-4); HMAC pads the key to one.
const BLOCK: usize = 64;

/// Bytes of a key that is made up.
const RANDOM: usize = 32;

/// A key. It is nowhere to be seen: neither in debug output nor in any text of the database but for the
/// settings of one session, and there as the two pads that HMAC makes of it.
pub struct Key {
    block: [u8; BLOCK],
}

impl Key {
    /// Takes over what the user has given.
    ///
    /// # Errors
    /// [`AnonymiseError::ShortKey`].
    pub fn new(key: &str) -> Result<Self, AnonymiseError> {
        if key.len() < SHORTEST {
            return Err(AnonymiseError::ShortKey { shortest: SHORTEST });
        }
        Ok(Self::of_bytes(key.as_bytes()))
    }

    /// Makes one up, for one run.
    ///
    /// # Errors
    /// [`AnonymiseError::NoRandom`], when the system gives no random bytes.
    pub fn random() -> Result<Self, AnonymiseError> {
        let mut bytes = [0; RANDOM];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| AnonymiseError::NoRandom)?;
        Ok(Self::of_bytes(&bytes))
    }

    fn of_bytes(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            let digest = Sha256::digest(key);
            block[..digest.len()].copy_from_slice(&digest);
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        Self { block }
    }

    /// The inner and the outer pad (RFC 2104), as PostgreSQL writes bytes.
    pub(super) fn pads(&self) -> [String; 2] {
        [0x36, 0x5c].map(|pad| {
            let bytes: Vec<u8> = self.block.iter().map(|byte| byte ^ pad).collect();
            format!("\\x{}", crate::postgres::schema::hex(&bytes))
        })
    }
}
