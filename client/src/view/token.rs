//! Tokens that enrol nodes and people.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::Stamp;
use serde::Serialize;

/// A token that was just made; the only time that it is shown.
#[derive(Clone, PartialEq, Serialize)]
pub struct CreatedToken {
    pub token_id: String,
    pub token: String,
    pub command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Stamp>,
}

/// All tokens that are still remembered, without their secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenList {
    pub tokens: Vec<Token>,
}

/// One token without its secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Token {
    pub token_id: String,
    pub subject: String,
    pub role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Stamp>,
    pub state: String,
    pub kind: String,
}
