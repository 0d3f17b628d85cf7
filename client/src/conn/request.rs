//! What a command asks for, where that is more than a name.

use crate::view::Stamp;
use quorate_common::model::identity::Role;
use quorate_common::model::node::MemberRole;
use quorate_proto::convert::timestamp;
use quorate_proto::v1::{self, create_token_request};
use std::time::Duration;

/// Which lines of the audit log; what is empty lets all pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditQuestion {
    /// At or after this moment.
    pub since: Option<Stamp>,
    /// Before this moment.
    pub until: Option<Stamp>,
    /// Who did it.
    pub actor: String,
    /// Whom or what it was done to.
    pub subject: String,
    /// What was done.
    pub action: String,
}

impl AuditQuestion {
    /// The request for one page.
    pub(super) fn page(&self, page_size: u32, page_token: String) -> v1::ListAuditRequest {
        let AuditQuestion { since, until, actor, subject, action } = self.clone();
        let moment = |stamp: Option<Stamp>| stamp.map(|stamp| timestamp(stamp.0));
        let (since, until) = (moment(since), moment(until));
        v1::ListAuditRequest { since, until, actor, subject, action, page_size, page_token }
    }
}

/// A token to make.
#[derive(Clone, Debug, PartialEq)]
pub struct NewToken {
    /// Whom it lets in.
    pub subject: Subject,
    /// How long; `None` for the aggregator's default of 15 minutes.
    pub lifetime: Option<Duration>,
}

/// Whom a token lets in.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A machine.
    Node {
        /// Its name.
        name: String,
        /// Its cluster; empty for `default`.
        cluster: String,
        /// What it counts for.
        role: MemberRole,
        /// Its zone; empty for none.
        zone: String,
        /// Its votes; 0 means 1.
        weight: u32,
        /// Whether it may take the name of an enrolled node.
        replace: bool,
    },
    /// A person or a tool.
    User {
        /// The name.
        name: String,
        /// Viewer, operator or admin.
        role: Role,
    },
    /// A program that calls over HTTP.
    Http {
        /// What the token is for.
        name: String,
        /// Viewer, operator or admin.
        role: Role,
    },
}

impl From<NewToken> for v1::CreateTokenRequest {
    fn from(new: NewToken) -> Self {
        let lifetime = new.lifetime.and_then(|lifetime| prost_types::Duration::try_from(lifetime).ok());
        v1::CreateTokenRequest { subject: Some(new.subject.into()), lifetime }
    }
}

impl From<Subject> for create_token_request::Subject {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Node { name, cluster, role, zone, weight, replace } => {
                let role = match role {
                    MemberRole::Voter => v1::MemberRole::Voter,
                    MemberRole::Observer => v1::MemberRole::Observer,
                };
                let role = role.into();
                Self::Node(v1::NodeDeclaration { name, cluster, role, zone, weight, replace })
            }
            Subject::User { name, role } => Self::User(v1::UserDeclaration { name, role: number(role) }),
            Subject::Http { name, role } => Self::Http(v1::HttpDeclaration { name, role: number(role) }),
        }
    }
}

fn number(role: Role) -> i32 {
    let role = match role {
        Role::Agent => v1::Role::Agent,
        Role::Viewer => v1::Role::Viewer,
        Role::Operator => v1::Role::Operator,
        Role::Admin => v1::Role::Admin,
        Role::Aggregator => v1::Role::Aggregator,
    };
    role.into()
}
