//! Password hashing: argon2id, 19 MiB, two passes. Two hashes at a time, on blocking threads, so that a
//! flood of logins neither stalls other requests nor eats the memory.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::server::StartError;
use crate::server::problem::Problem;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const AT_ONCE: usize = 2;

/// Hashes and checks passwords.
pub(super) struct Passwords {
    places: Semaphore,
    /// Hash of a password nobody has, checked when the e-mail is unknown, so that both cases take as long.
    decoy: String,
}

impl Passwords {
    pub(super) async fn new() -> Result<Self, StartError> {
        let places = Semaphore::new(AT_ONCE);
        let decoy = Zeroizing::new(uuid::Uuid::now_v7().to_string());
        let passwords = Self { places, decoy: String::new() };
        let decoy = passwords
            .hash(decoy)
            .await
            .map_err(|_| StartError::SigningKey("passwords cannot be hashed on this machine"))?;
        Ok(Self { decoy, ..passwords })
    }

    /// The password's hash in PHC notation.
    pub(super) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Problem> {
        self.run(move || {
            let hashed = argon2()?.hash_password(password.as_bytes()).map_err(|e| e.to_string())?;
            Ok(hashed.to_string())
        })
        .await
    }

    /// Whether the password fits the hash; without a hash the answer is no, and takes as long.
    pub(super) async fn fits(
        &self,
        password: Zeroizing<String>,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let fits = self
            .run(move || Ok(argon2()?.verify_password(password.as_bytes(), hash.as_str()).is_ok()))
            .await?;
        Ok(fits && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, Problem> {
        let _place = self.places.acquire().await.map_err(|error| Problem::internal(&error))?;
        let done = tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))?;
        done.map_err(|error| Problem::internal(&error))
    }
}

fn argon2() -> Result<Argon2<'static>, String> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|error| error.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}
