//! What handlers are given: as axum reads it, and refused in the envelope with the field named.

use crate::serve::http::envelope::Failure;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// Parameters after the question mark. Unknown ones, ones given twice and broken UTF-8 are refused.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Failure> {
        let text = parts.uri.query().unwrap_or("");
        if let Some(pair) = text.split('&').find(|pair| !is_utf8(pair)) {
            let name: String = pair.split('=').next().unwrap_or("").chars().take(80).collect();
            return Err(Failure::bad(format!("parameter `{name}`: not UTF-8")));
        }
        let read = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        let refuse = |error: axum::extract::rejection::QueryRejection| {
            let text: String = error.body_text().chars().take(400).collect();
            Failure::bad(text.replace("Failed to deserialize query string: ", "parameter "))
        };
        read.map(|axum::extract::Query(value)| Query(value)).map_err(refuse)
    }
}

/// The parameter in a path.
pub struct Path(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path, Failure> {
        let read = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(text)| Path(text)).map_err(|error| Failure::bad(error.body_text()))
    }
}

/// Whether percent-encoded text stands for UTF-8.
fn is_utf8(text: &str) -> bool {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|it| u8::try_from(it).ok());
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                plain.push(high << 4 | low);
                bytes = ahead;
            }
            _ => plain.push(byte),
        }
    }
    std::str::from_utf8(&plain).is_ok()
}

/// A number that may be left out, and has limits.
///
/// # Errors
/// It is 0 or above `max`.
pub fn limit(value: Option<u32>, default: u32, max: u32) -> Result<usize, Failure> {
    let value = value.unwrap_or(default);
    if (1..=max).contains(&value) {
        return Ok(value as usize);
    }
    Err(Failure::bad(format!("parameter limit: {value} is not in 1 to {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_utf8_is_seen() {
        for (text, expect) in [("a=%C3%A4", true), ("a=%ff", false), ("a=%", true), ("%C3", false)] {
            assert_eq!(is_utf8(text), expect, "{text}");
        }
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(limit(None, 7, 9), Ok(7));
        assert_eq!(limit(Some(9), 7, 9), Ok(9));
        for wrong in [0, 10, u32::MAX] {
            assert!(limit(Some(wrong), 7, 9).unwrap_err().error.contains("limit"), "{wrong}");
        }
    }
}
