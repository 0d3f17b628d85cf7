//! Web sessions: what a browser is given for a login link, and what it opens its stream with. All in memory: a restart
//! ends them, and what is lost is a login.
//!
//! ```text
//!   an RPC to come ───→ link (60 s, once) ─POST→ session (12 h) ─POST→ ticket (30 s, once) ─→ /ws
//! ```
//!
//! A session is that person's: it ends when he is revoked, enrolled with another key, or lowered below its role.

use super::credential::Credential;
use crate::identity::access::{Hash, Refused};
use crate::identity::generation::Key;
use crate::identity::registry::secret_text;
use crate::identity::roster::{Principal, Roster};
use quorate_common::model::identity::Role;
use quorate_common::model::time::BootTime;
use quorate_common::secret::{NoRandomness, Secret};
use quorate_common::tls::sha256;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a login link is good for.
pub const LINK_LIFE: Duration = Duration::from_secs(60);
/// How long a session lasts.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
/// How long a ticket is good for.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);

/// Why there is no link, session or ticket.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It was used, is too old, or never was.
    #[error("the link is not known: it is good once, for a minute")]
    Unknown,
    /// Whoever asks is no person in force.
    #[error("only a person with a certificate may log in")]
    Nobody,
    /// There are as many as there may be.
    #[error("too many are open, the limit is {0}")]
    Full(u32),
    /// The system gave no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The person.
    pub name: Arc<str>,
    /// The role of the person when the link was made.
    pub role: Role,
    key: Key,
}

/// Links, sessions and tickets. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    links: Kept<Owner>,
    sessions: Kept<Owner>,
    tickets: Kept<Credential>,
}

/// What is good until some time, by the hash of its text.
#[derive(Debug)]
struct Kept<T>(HashMap<Hash, (T, BootTime)>);

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(HashMap::new())
    }
}

impl<T> Kept<T> {
    fn put(
        &mut self,
        hash: Hash,
        value: T,
        (now, life, max): (BootTime, Duration, u32),
    ) -> Result<(), SessionError> {
        self.0.retain(|_, (_, until)| now < *until);
        if self.0.len() >= max as usize {
            return Err(SessionError::Full(max));
        }
        let life = u64::try_from(life.as_nanos()).unwrap_or(u64::MAX);
        self.0.insert(hash, (value, BootTime(now.0.saturating_add(life))));
        Ok(())
    }

    fn get(&self, hash: &Hash, now: BootTime) -> Option<&T> {
        self.0.get(hash).filter(|(_, until)| now < *until).map(|(value, _)| value)
    }

    fn take(&mut self, hash: &Hash, now: BootTime) -> Option<T> {
        self.0.remove(hash).filter(|(_, until)| now < *until).map(|(value, _)| value)
    }
}

impl Sessions {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login link's secret, for whoever asks over gRPC.
    pub fn link(
        &self,
        caller: &Principal,
        roster: &Roster,
        (now, max): (BootTime, u32),
    ) -> Result<Secret, SessionError> {
        let key = roster.person(&caller.name, caller.role).ok_or(SessionError::Nobody)?;
        let text = secret_text("qrl_")?;
        let owner = Owner { name: caller.name.clone(), role: caller.role, key };
        self.state().links.put(sha256(text.expose()), owner, (now, LINK_LIFE, max))?;
        Ok(text)
    }

    /// A session for a link, which is used up.
    pub fn begin(&self, link: &str, (now, max): (BootTime, u32)) -> Result<(Secret, Owner), SessionError> {
        let text = secret_text("qrs_")?;
        let mut state = self.state();
        let owner = state.links.take(&sha256(link.as_bytes()), now).ok_or(SessionError::Unknown)?;
        state.sessions.put(sha256(text.expose()), owner.clone(), (now, SESSION_LIFE, max))?;
        Ok((text, owner))
    }

    /// Ends a session; whether there was one.
    pub fn end(&self, session: &Hash) -> bool {
        self.state().sessions.0.remove(session).is_some()
    }

    /// A ticket that stands for a credential once.
    pub fn ticket(
        &self,
        credential: Credential,
        (now, max): (BootTime, u32),
    ) -> Result<Secret, SessionError> {
        let text = secret_text("qrw_")?;
        self.state().tickets.put(sha256(text.expose()), credential, (now, TICKET_LIFE, max))?;
        Ok(text)
    }

    /// What a ticket stands for; it is used up.
    pub fn redeem(&self, ticket: &str, now: BootTime) -> Option<Credential> {
        self.state().tickets.take(&sha256(ticket.as_bytes()), now)
    }

    /// Who calls with a session, if `roster` and time still allow that.
    pub fn admit(&self, session: &Hash, roster: &Roster, now: BootTime) -> Result<Principal, Refused> {
        let Owner { name, role, key } =
            self.state().sessions.get(session, now).cloned().ok_or(Refused::Unknown)?;
        let stands = roster.person(&name, role) == Some(key);
        if stands { Ok(Principal { role, name, node: None }) } else { Err(Refused::Owner) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::roster::{Entry, Held};

    const AT: BootTime = BootTime(1_000);

    fn later(life: Duration) -> BootTime {
        BootTime(AT.0 + life.as_nanos() as u64)
    }

    fn roster(key: u8) -> Roster {
        let held = Held::Key([key; 32]);
        let entry =
            Entry { role: Role::Operator, held, revoked: None, frozen: None, certified: None, node: None };
        Roster::new("q", Vec::new(), HashMap::new(), HashMap::from([("ann".into(), entry)]))
    }

    fn ann() -> Principal {
        Principal { role: Role::Operator, name: "ann".into(), node: None }
    }

    fn text(secret: &Secret) -> String {
        String::from_utf8(secret.expose().to_vec()).unwrap()
    }

    #[test]
    fn a_link_is_good_once_and_for_a_minute() {
        let sessions = Sessions::default();
        let link = text(&sessions.link(&ann(), &roster(1), (AT, 9)).unwrap());
        let (session, owner) = sessions.begin(&link, (AT, 9)).unwrap();
        assert_eq!((&*owner.name, owner.role), ("ann", Role::Operator));
        assert!(matches!(sessions.begin(&link, (AT, 9)), Err(SessionError::Unknown)));
        let late = text(&sessions.link(&ann(), &roster(1), (AT, 9)).unwrap());
        assert!(matches!(sessions.begin(&late, (later(LINK_LIFE), 9)), Err(SessionError::Unknown)));
        let hash = sha256(session.expose());
        assert_eq!(sessions.admit(&hash, &roster(1), AT), Ok(ann()));
        assert_eq!(sessions.admit(&hash, &roster(2), AT), Err(Refused::Owner));
        assert_eq!(sessions.admit(&hash, &Roster::default(), AT), Err(Refused::Owner));
        assert_eq!(sessions.admit(&hash, &roster(1), later(SESSION_LIFE)), Err(Refused::Unknown));
        assert!(sessions.end(&hash) && !sessions.end(&hash));
        assert_eq!(sessions.admit(&hash, &roster(1), AT), Err(Refused::Unknown));
    }

    #[test]
    fn tickets_and_limits() {
        let sessions = Sessions::default();
        let credential = Credential::Session([7; 32]);
        let ticket = text(&sessions.ticket(credential, (AT, 1)).unwrap());
        assert!(matches!(sessions.ticket(credential, (AT, 1)), Err(SessionError::Full(1))));
        assert_eq!(sessions.redeem(&ticket, AT), Some(credential));
        assert_eq!(sessions.redeem(&ticket, AT), None);
        let late = text(&sessions.ticket(credential, (AT, 1)).unwrap());
        assert_eq!(sessions.redeem(&late, later(TICKET_LIFE)), None);
        let nobody = Principal { name: "token:x".into(), ..ann() };
        assert!(matches!(sessions.link(&nobody, &roster(1), (AT, 1)), Err(SessionError::Nobody)));
    }
}
