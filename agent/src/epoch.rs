//! Epoch: one start of the agent. A counter on its disk, fsynced before it is used, and random bits.

use quorate_common::durable;
use quorate_common::model::session::Epoch;
use quorate_common::rng::Rng;
use std::path::{Path, PathBuf};

/// Why there is no epoch.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The counter cannot be read.
    #[error("failed to read `{}`", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// The counter is no number.
    #[error("`{}` holds `{text}`, not a number: remove it to begin at 1", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
    /// The boot id of the kernel is not one.
    #[error("`{BOOT_ID}` does not hold a boot id")]
    BootId,
    /// The counter cannot be written.
    #[error("failed to write `{}`", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
}

/// Begins the next epoch. Without a counter it begins at 1: the random bits tell it from an earlier 1.
pub fn begin(state: &Path, rng: &mut dyn Rng) -> Result<Epoch, EpochError> {
    let path = state.join("epoch");
    let last = match std::fs::read_to_string(&path) {
        Ok(text) => {
            let text = text.trim();
            let short = || text.chars().take(40).collect();
            text.parse::<u64>().map_err(|_| EpochError::Content { path: path.clone(), text: short() })?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(EpochError::Read(path, error)),
    };
    let order = last.saturating_add(1);
    durable::replace(&path, format!("{order}\n").as_bytes(), durable::PRIVATE)
        .map_err(|error| EpochError::Write(path, error))?;
    Ok(Epoch { order, nonce: rng.u64() })
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The random number that the kernel drew when this host booted.
pub fn boot_id() -> Result<[u8; 16], EpochError> {
    let text = std::fs::read_to_string(BOOT_ID).map_err(|error| EpochError::Read(BOOT_ID.into(), error))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
    number.map(u128::to_be_bytes).ok_or(EpochError::BootId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::rng::SeededRng;

    #[test]
    fn counts_on_and_never_repeats() {
        let state = tempfile::tempdir().unwrap();
        let mut rng = SeededRng::new(1);
        let epochs: Vec<Epoch> = (0..3).map(|_| begin(state.path(), &mut rng).unwrap()).collect();
        assert_eq!(epochs.iter().map(|epoch| epoch.order).collect::<Vec<_>>(), [1, 2, 3]);
        assert_ne!(epochs[0].nonce, epochs[1].nonce);
    }

    #[test]
    fn a_boot_has_one_id() {
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
        assert_ne!(boot_id().unwrap(), [0; 16]);
    }

    #[test]
    fn a_damaged_counter_is_not_guessed() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("epoch"), "x1").unwrap();
        let error = begin(state.path(), &mut SeededRng::new(1)).unwrap_err().to_string();
        assert!(error.ends_with("holds `x1`, not a number: remove it to begin at 1"), "{error}");
    }
}
