//! Password hashes: Argon2id with the crate's recommended cost, never on a thread that answers
//! requests.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, anyhow};
use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHash, Version,
    password_hash::{self, Output, ParamsString, Salt, SaltString, rand_core::OsRng},
};
use tokio::{sync::Semaphore, task};

/// Hashes and verifies passwords, as many at a time as there are processors. Each takes 19 MiB,
/// which is kept for the next: an allocator that is asked for it anew keeps some for every thread
/// that ever asked, and a burst of log-ins has many threads.
#[derive(Clone, Debug)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    memories: Arc<Mutex<Vec<Vec<Block>>>>,
    decoy: Arc<str>,
}

impl Passwords {
    pub fn new() -> anyhow::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let mut memory = Vec::new();
        let decoy = hash_now("decoy", &mut memory).map_err(|error| anyhow!("argon2: {error}"))?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(processors)),
            memories: Arc::new(Mutex::new(vec![memory])),
            decoy: decoy.into(),
        })
    }

    /// The hash to store for a new password.
    pub async fn hash(&self, password: String) -> anyhow::Result<String> {
        let hashed = self.run(move |memory| hash_now(&password, memory)).await.context("failed to hash a password")?;
        hashed.map_err(|error| anyhow!("argon2: {error}"))
    }

    /// Whether `password` is the one that `stored` was made from. Without a stored hash the
    /// answer is no, and takes as long: the time must not tell which accounts exist.
    pub async fn verify(&self, password: String, stored: Option<String>) -> anyhow::Result<bool> {
        // What is not a hash (accounts closed by hand have "!") matches no password, and is no quicker told.
        let stored = stored.filter(|stored| PasswordHash::new(stored).is_ok());
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.to_string());
        let matches = self.run(move |memory| matches_now(&password, &stored, memory).unwrap_or(false));
        Ok(matches.await.context("failed to verify a password")? && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        let memories = Arc::clone(&self.memories);
        let done = task::spawn_blocking(move || {
            let taken = memories.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut memory = taken.unwrap_or_default();
            let done = work(&mut memory);
            memories.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            // Given back by the work itself: whoever waited for it may be gone by now.
            drop(permit);
            done
        });
        Ok(done.await?)
    }
}

fn hash_now(password: &str, memory: &mut Vec<Block>) -> password_hash::Result<String> {
    let argon2 = Argon2::default();
    let salt = SaltString::generate(&mut OsRng);
    let output = derive(&argon2, password, salt.as_salt(), Params::DEFAULT_OUTPUT_LEN, memory)?;
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::default().into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(salt.as_salt()),
        hash: Some(output),
    };
    Ok(hash.to_string())
}

fn matches_now(password: &str, stored: &str, memory: &mut Vec<Block>) -> password_hash::Result<bool> {
    let hash = PasswordHash::new(stored)?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Ok(false) };
    // The cost is that of the day on which the hash was made.
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from)?;
    let argon2 = Argon2::new(Algorithm::try_from(hash.algorithm)?, version, Params::try_from(&hash)?);
    // This comparison takes the same time wherever the difference is.
    Ok(derive(&argon2, password, salt, expected.len(), memory)? == expected)
}

fn derive(
    argon2: &Argon2<'_>,
    password: &str,
    salt: Salt<'_>,
    length: usize,
    memory: &mut Vec<Block>,
) -> password_hash::Result<Output> {
    let mut buffer = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut buffer)?;
    memory.resize(argon2.params().block_count(), Block::default());
    Output::init_with(length, |output| {
        Ok(argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, memory)?)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use argon2::PasswordVerifier;

    use super::*;

    #[tokio::test]
    async fn hashes_are_those_of_the_crate() {
        let passwords = Passwords::new().expect("hashing works");
        let stored = passwords.hash("right".to_owned()).await.expect("hashes");
        let hash = PasswordHash::new(&stored).expect("a hash");
        assert!(Argon2::default().verify_password(b"right", &hash).is_ok());
        assert!(Argon2::default().verify_password(b"wrong", &hash).is_err());
        // Its memory was given back, and serves the next.
        assert_eq!(passwords.memories.lock().expect("whole").len(), 1);
    }

    #[tokio::test]
    async fn an_account_that_is_closed_is_told_from_none_by_no_clock() {
        let passwords = Passwords::new().expect("hashing works");
        let mut took = Vec::new();
        for stored in [None, Some("!".to_owned())] {
            let began = Instant::now();
            assert!(!passwords.verify("wrong".to_owned(), stored).await.expect("verifies"));
            took.push(began.elapsed());
        }
        // Without a hash to compute it would be a thousandth.
        assert!(took[1] > took[0] / 10, "{took:?}");
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_passes() {
        let passwords = Passwords::new().expect("hashing works");
        let stored = passwords.hash("right".to_owned()).await.expect("hashes");
        for (password, stored, expected) in [
            ("right", Some(stored.clone()), true),
            ("wrong", Some(stored), false),
            ("decoy", None, false),
            ("!", Some("!".to_owned()), false),
        ] {
            let passed = passwords.verify(password.to_owned(), stored).await;
            assert_eq!(passed.expect("verifies"), expected, "{password}");
        }
    }
}
