//! Enrolment of a node: a token becomes this node's own key and certificate, in its state directory.
//!
//! The exchange itself, and what it promises when it is cut off, is in [`quorate_proto::enrol`].

use quorate_common::clock::Clock;
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use quorate_common::token::{InvalidToken, Token};
use quorate_proto::enrol::exchange;
use quorate_proto::identity::IdentityError;
pub use quorate_proto::identity::IdentityPaths;
use std::io;
use std::path::{Path, PathBuf};

/// What this node is now.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its name, from the certificate.
    pub name: String,
    /// Where to connect to, `host:port`, in this order.
    pub aggregators: Vec<String>,
    /// When its certificate expires.
    pub not_after: WallTime,
    /// Where everything lies.
    pub paths: IdentityPaths,
}

/// Why this node is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The text is no token.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// The token is for a person.
    #[error("token is for {role} {name}, not for a node")]
    Person {
        /// Which role.
        role: Role,
        /// Whose.
        name: String,
    },
    /// A file of the identity cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] quorate_proto::enrol::EnrolError),
    /// What it gave could not be kept.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Where the identity of a node lies in its state directory: `agent.key`, `agent.crt`, `ca.crt`, and
/// `aggregators` with one `host:port` on each line.
pub fn paths(state_dir: &Path) -> IdentityPaths {
    IdentityPaths::below(state_dir, "agent", "aggregators")
}

/// The aggregators that enrolment named, in order; at least one.
pub fn read_aggregators(paths: &IdentityPaths) -> Result<Vec<String>, EnrolError> {
    read_addresses(&paths.aggregators)
}

/// The addresses of a file that enrolment wrote, in order; at least one.
pub fn read_addresses(path: &Path) -> Result<Vec<String>, EnrolError> {
    let failed = |source| EnrolError::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let lines: Vec<String> =
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() { Err(failed(io::Error::other("it names no address"))) } else { Ok(lines) }
}

/// Addresses as their file has them.
pub fn lines(addresses: &[String]) -> String {
    addresses.iter().map(|address| format!("{address}\n")).collect()
}

/// Enrols this node with a token, and returns once everything would survive a power cut.
///
/// Running it again with the same token before it finished gives the same result.
pub async fn enrol(token: &str, state_dir: &Path, clock: &dyn Clock) -> Result<Enrolled, EnrolError> {
    let token = Token::parse(token)?;
    if token.role != Role::Agent {
        return Err(EnrolError::Person { role: token.role, name: token.name });
    }
    let paths = paths(state_dir);
    let issued = exchange(&token, &paths, clock.now().wall).await?;
    issued.save(&paths, &lines(&issued.aggregators))?;
    Ok(Enrolled { name: issued.name, aggregators: issued.aggregators, not_after: issued.not_after, paths })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::clock::SystemClock;
    use quorate_common::error::chain;
    use quorate_common::secret::Secret;

    fn token(role: Role) -> String {
        let token = Token {
            id: "0123456789abcdef".into(),
            secret: Secret::new(vec![1; 32]),
            root_spki_sha256: [1; 32],
            role,
            name: "n1".into(),
            // Port 1 of loopback: nobody listens there.
            addresses: vec!["127.0.0.1:1".into()],
        };
        token.format().unwrap().to_string()
    }

    #[tokio::test]
    async fn the_key_is_kept_for_the_next_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let error = enrol(&token(Role::Agent), dir.path(), &SystemClock).await.unwrap_err();
        assert!(chain(&error).contains("failed to connect to `127.0.0.1:1`"), "{}", chain(&error));
        let first = std::fs::read(&paths.pending_key).unwrap();
        enrol(&token(Role::Agent), dir.path(), &SystemClock).await.unwrap_err();
        assert_eq!(std::fs::read(&paths.pending_key).unwrap(), first);
        assert!(!paths.key.try_exists().unwrap());
        std::fs::write(&paths.pending_key, "rubbish").unwrap();
        let error = enrol(&token(Role::Agent), dir.path(), &SystemClock).await.unwrap_err();
        assert!(chain(&error).contains("no private key in"), "{}", chain(&error));
    }

    #[tokio::test]
    async fn other_texts_and_other_peoples_tokens_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refuse = async |text: &str, expect: &str| {
            let error = enrol(text, dir.path(), &SystemClock).await.unwrap_err();
            assert_eq!(error.to_string(), expect);
        };
        refuse("", "token does not begin with `q1.`").await;
        refuse("q1.AAAA", "token is damaged: copy the whole line again").await;
        refuse(&token(Role::Viewer), "token is for viewer n1, not for a node").await;
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
    }
}
