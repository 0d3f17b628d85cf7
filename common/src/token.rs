//! The text that lets a node or a person in, once.
//!
//! ```text
//!   q1.<base64url of:  id 8 | secret 32 | root hash 32 | role/name | addresses | checksum 4>
//! ```
//!
//! Texts are a length byte and UTF-8; addresses are a count byte and that many texts. The checksum tells a
//! mistyped token from a refused one before anything is sent.

use crate::model::identity::Role;
use crate::model::node::is_name;
use crate::secret::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Bytes of the secret part.
pub const SECRET_BYTES: usize = 32;
/// Most enrolment addresses that a token carries.
pub const ADDRESSES_MAX: usize = 16;

const PREFIX: &str = "q1.";
const TEXT_BYTES_MAX: usize = 8192;

/// What the text says.
#[derive(Debug)]
pub struct Token {
    /// Which token it is; public. 16 hexadecimal digits.
    pub id: String,
    /// What proves that the caller was given it; [`SECRET_BYTES`] long.
    pub secret: Secret,
    /// SHA-256 of the public key (SPKI in DER) of the root that the server must show.
    pub root_spki_sha256: [u8; 32],
    /// What the certificate will be for.
    pub role: Role,
    /// The node or person that it is bound to.
    pub name: String,
    /// Where to enrol, `host:port`, tried in order; at least one.
    pub addresses: Vec<String>,
}

/// Why a text is no token. Never repeats the text, which may be most of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It does not begin as tokens do.
    #[error("token does not begin with `q1.`")]
    Prefix,
    /// It is cut, mistyped or has other characters in it.
    #[error("token is damaged: copy the whole line again")]
    Damaged,
    /// A part of it has a value that no token has.
    #[error("token has an invalid {0}")]
    Part(&'static str),
}

impl Token {
    /// The text, as shown once to whoever made the token.
    pub fn format(&self) -> Result<Zeroizing<String>, InvalidToken> {
        let id = u64::from_str_radix(&self.id, 16).map_err(|_| InvalidToken::Part("id"))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        bytes.extend(id.to_be_bytes());
        bytes.extend(self.secret.expose());
        bytes.extend(self.root_spki_sha256);
        put(&mut bytes, &format!("{}/{}", self.role, self.name), "name")?;
        bytes.push(u8::try_from(self.addresses.len()).map_err(|_| InvalidToken::Part("address"))?);
        for address in &self.addresses {
            put(&mut bytes, address, "address")?;
        }
        let sum = checksum(&bytes);
        bytes.extend(sum);
        let mut text = Zeroizing::new(PREFIX.to_owned());
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        Ok(text)
    }

    /// Reads the text back. Blanks around it are forgiven.
    pub fn parse(text: &str) -> Result<Token, InvalidToken> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(InvalidToken::Prefix)?;
        if body.len() > TEXT_BYTES_MAX {
            return Err(InvalidToken::Damaged);
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| InvalidToken::Damaged)?);
        let (content, sum) = bytes.split_last_chunk::<4>().ok_or(InvalidToken::Damaged)?;
        if checksum(content) != *sum {
            return Err(InvalidToken::Damaged);
        }
        read(content)
    }
}

fn read(content: &[u8]) -> Result<Token, InvalidToken> {
    let mut rest = Rest(content);
    let id = u64::from_be_bytes(rest.array()?);
    let secret = Secret::new(rest.array::<SECRET_BYTES>()?.to_vec());
    let root_spki_sha256 = rest.array()?;
    let subject = rest.text()?;
    let (role, name) = subject.split_once('/').ok_or(InvalidToken::Part("name"))?;
    let role = role.parse().map_err(|_| InvalidToken::Part("role"))?;
    if !is_name(name) {
        return Err(InvalidToken::Part("name"));
    }
    let addresses = rest.addresses()?;
    if !rest.0.is_empty() {
        return Err(InvalidToken::Damaged);
    }
    Ok(Token { id: format!("{id:016x}"), secret, root_spki_sha256, role, name: name.to_owned(), addresses })
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidToken> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(InvalidToken::Damaged)?;
        self.0 = rest;
        Ok(*array)
    }

    fn text(&mut self) -> Result<&'a str, InvalidToken> {
        let [length] = self.array()?;
        let (text, rest) = self.0.split_at_checked(length.into()).ok_or(InvalidToken::Damaged)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| InvalidToken::Damaged)
    }

    fn addresses(&mut self) -> Result<Vec<String>, InvalidToken> {
        let [count] = self.array()?;
        if !(1..=ADDRESSES_MAX).contains(&count.into()) {
            return Err(InvalidToken::Part("address"));
        }
        (0..count).map(|_| self.text().map(str::to_owned)).collect()
    }
}

fn put(bytes: &mut Vec<u8>, text: &str, part: &'static str) -> Result<(), InvalidToken> {
    bytes.push(u8::try_from(text.len()).map_err(|_| InvalidToken::Part(part))?);
    bytes.extend(text.as_bytes());
    Ok(())
}

fn checksum(content: &[u8]) -> [u8; 4] {
    let mut sum = [0; 4];
    sum.copy_from_slice(&digest(&SHA256, content).as_ref()[..4]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            id: "0123456789abcdef".into(),
            secret: Secret::new(vec![7; SECRET_BYTES]),
            root_spki_sha256: [9; 32],
            role: Role::Agent,
            name: "n1".into(),
            addresses: vec!["agg.example:7442".into(), "[::1]:7442".into()],
        }
    }

    #[test]
    fn reads_back_what_it_prints() {
        let text = token().format().unwrap();
        assert!(text.starts_with("q1.") && text.len() < 200, "{}", text.len());
        let back = Token::parse(&format!(" {}\n", *text)).unwrap();
        assert_eq!((back.id, back.role, back.name), (token().id, Role::Agent, "n1".to_owned()));
        assert!(back.secret.matches(&[7; SECRET_BYTES]));
        assert_eq!((back.root_spki_sha256, back.addresses), ([9; 32], token().addresses));
    }

    #[test]
    fn every_changed_character_and_every_cut_is_noticed() {
        let text = token().format().unwrap();
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(Token::parse(std::str::from_utf8(&changed).unwrap()).is_err(), "changed at {at}");
            assert!(Token::parse(&text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn refuses_values_that_no_token_has() {
        let check = |change: fn(&mut Token), expect: &str| {
            let mut token = token();
            change(&mut token);
            let error = token.format().and_then(|text| Token::parse(&text)).unwrap_err();
            assert_eq!(error.to_string(), expect);
        };
        check(|t| t.name = "../x".into(), "token has an invalid name");
        check(|t| t.addresses.clear(), "token has an invalid address");
        check(|t| t.addresses = vec![String::new(); 17], "token has an invalid address");
        check(|t| t.addresses = vec!["a".repeat(256)], "token has an invalid address");
        check(|t| t.id = "x".into(), "token has an invalid id");
        assert_eq!(Token::parse("hello").unwrap_err(), InvalidToken::Prefix);
    }
}
