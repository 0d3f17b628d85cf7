//! A secret that never prints, is compared in constant time, and is wiped when it goes.
//!
//! It has no `Display`, no `Serialize` and no `Clone`: whoever writes one down says [`Secret::expose`].

use aws_lc_rs::{constant_time, rand};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes that must not reach a log, an error or a screen.
pub struct Secret(Zeroizing<Vec<u8>>);

/// The kernel gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes from the system")]
pub struct NoRandomness;

impl Secret {
    /// Takes the bytes in.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// `length` random bytes.
    pub fn random(length: usize) -> Result<Secret, NoRandomness> {
        let mut bytes = Zeroizing::new(vec![0; length]);
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Secret(bytes))
    }

    /// The bytes, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are the same, in a time that depends on the length only.
    pub fn matches(&self, other: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.0, other).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_prints() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(…) Secret(…)");
    }

    #[test]
    fn compares() {
        let secret = Secret::random(32).unwrap();
        assert!(secret.matches(secret.expose()));
        assert!(!secret.matches(&secret.expose()[..31]));
        assert!(!secret.matches(Secret::random(32).unwrap().expose()));
    }
}
