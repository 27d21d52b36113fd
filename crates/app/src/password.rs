//! Password hashes: Argon2id with the crate's recommended cost, never on a thread that answers
//! requests.

use std::{sync::Arc, thread};

use anyhow::{Context, anyhow};
use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use tokio::{sync::Semaphore, task};

/// Hashes and verifies passwords, as many at a time as there are processors: each takes 19 MiB,
/// which a burst of log-ins would otherwise multiply by hundreds of threads.
#[derive(Clone, Debug)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    decoy: Arc<str>,
}

impl Passwords {
    pub fn new() -> anyhow::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { permits: Arc::new(Semaphore::new(processors)), decoy: hash_now("decoy")?.into() })
    }

    /// The hash to store for a new password.
    pub async fn hash(&self, password: String) -> anyhow::Result<String> {
        let _permit = self.permits.acquire().await?;
        task::spawn_blocking(move || hash_now(&password)).await.context("failed to hash a password")?
    }

    /// Whether `password` is the one that `stored` was made from. Without a stored hash the
    /// answer is no, and takes as long: the time must not tell which accounts exist.
    pub async fn verify(&self, password: String, stored: Option<String>) -> anyhow::Result<bool> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.to_string());
        let _permit = self.permits.acquire().await?;
        let matches = task::spawn_blocking(move || {
            // What is not a hash (accounts closed by hand have "!") matches no password.
            PasswordHash::new(&stored)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
        .context("failed to verify a password")?;
        Ok(known && matches)
    }
}

fn hash_now(password: &str) -> anyhow::Result<String> {
    let salt = SaltString::generate(&mut OsRng);
    Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| anyhow!("argon2: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
