//! Passwords become hashes before anybody hears of them: bcrypt's, as etcd has them.
//!
//! A hash takes a twentieth of a second on purpose, so it is made on a thread for what blocks,
//! one at a time for each node.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::Status;

use super::error;

/// How much work a hash is, as with etcd: 2 to this power.
const COST: u32 = 10;

/// The longest password that counts in all its bytes; a longer one is refused. Units: bytes.
const PASSWORD_BYTES_MAX: usize = 72;

/// Requests whose passwords are hashed or wait for that; a further one is refused as too many.
const HASHING_MAX: usize = 32;

/// Who may make hashes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Hashing {
    waiting: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Self {
        let [waiting, working] = [HASHING_MAX, 1].map(|count| Arc::new(Semaphore::new(count)));
        Self { waiting, working }
    }
}

/// The hash of a password, with a salt of its own.
///
/// Errors: in etcd's words.
pub(super) async fn hash(hashing: &Hashing, password: String) -> Result<Vec<u8>, Status> {
    if PASSWORD_BYTES_MAX < password.len() {
        return Err(Status::unknown("bcrypt: password length exceeds 72 bytes"));
    }
    let Ok(_place) = hashing.waiting.try_acquire() else {
        return Err(error::TOO_MANY_REQUESTS.into());
    };
    let Ok(turn) = hashing.working.clone().acquire_owned().await else {
        return Err(error::STOPPED.into());
    };
    let hashed = tokio::task::spawn_blocking(move || {
        let hashed = bcrypt::hash_with_result(password, COST);
        // A client that went away does not make room for the next one earlier.
        drop(turn);
        hashed
    });
    match hashed.await {
        Ok(Ok(parts)) => Ok(parts.format_for_version(bcrypt::Version::TwoA).into_bytes()),
        Ok(Err(error)) => Err(Status::internal(error.to_string())),
        Err(_) => Err(error::STOPPED.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn a_hash_is_that_of_its_password_and_has_the_form_of_etcds() {
        let hashing = Hashing::default();
        let hashed = hash(&hashing, "secret".to_owned()).await.unwrap();
        let hashed = String::from_utf8(hashed).unwrap();
        assert!(hashed.starts_with("$2a$10$") && hashed.len() == 60, "{hashed}");
        assert!(bcrypt::verify("secret", &hashed).unwrap());
        assert!(!bcrypt::verify("Secret", &hashed).unwrap());
        assert!(hash(&hashing, "x".repeat(72)).await.is_ok());
        let refused = hash(&hashing, "x".repeat(73)).await.unwrap_err();
        assert_eq!(refused.message(), "bcrypt: password length exceeds 72 bytes");
    }

    #[actix_rt::test]
    async fn no_more_than_a_few_wait_for_their_hashes() {
        let hashing = Hashing::default();
        let _all = hashing.waiting.try_acquire_many(u32::try_from(HASHING_MAX).unwrap()).unwrap();
        let refused = hash(&hashing, "secret".to_owned()).await.unwrap_err();
        assert_eq!(refused.message(), "etcdserver: too many requests");
    }
}
