//! The parameters of a request: from its address, and from its body if that is a form.

use super::failure::invalid;
use super::time;
use crate::query::selector::Selector;
use crate::serve::http::envelope::Failure;
use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use std::time::Duration;

/// Largest form: a query of 64 KiB, each byte of it escaped, and room.
const FORM_BYTES_MAX: usize = 256 * 1024;
/// Most parameters: names that repeat are looked through.
const COUNT_MAX: usize = 1_000;

/// Names and values, those of the body first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl<S: Sync> FromRequest<S> for Parameters {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Parameters, Failure> {
        let query = request.uri().query().unwrap_or("").to_owned();
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let mut pairs = Vec::new();
        if kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
            let body = to_bytes(request.into_body(), FORM_BYTES_MAX).await;
            let body = body.map_err(|error| Failure::bad(format!("error parsing form values: {error}")))?;
            pairs = parse(&body)?;
        }
        pairs.extend(parse(query.as_bytes())?);
        if pairs.len() > COUNT_MAX {
            return Err(Failure::bad(format!("{} parameters, limit {COUNT_MAX}", pairs.len())));
        }
        Ok(Parameters(pairs))
    }
}

impl Parameters {
    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// The first value of a name; nothing if it is empty.
    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// A time in milliseconds.
    pub fn time(&self, name: &str) -> Result<Option<i64>, Failure> {
        let parse = |text| time::parse_time(text).map_err(|error| invalid(name, error));
        self.get(name).map(parse).transpose()
    }

    /// A time that has to be there.
    pub fn time_of(&self, name: &str) -> Result<i64, Failure> {
        let missing = || invalid(name, "cannot parse \"\" to a valid timestamp");
        self.time(name)?.ok_or_else(missing)
    }

    /// A duration in milliseconds, which may be negative.
    pub fn duration_ms(&self, name: &str) -> Result<Option<i64>, Failure> {
        let parse = |text| time::parse_duration_ms(text).map_err(|error| invalid(name, error));
        self.get(name).map(parse).transpose()
    }

    /// A duration; what is negative is none at all.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, Failure> {
        let ms = self.duration_ms(name)?;
        Ok(ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }

    /// How many are wanted; without a limit all are.
    pub fn limit(&self, name: &str) -> Result<usize, Failure> {
        let Some(text) = self.get(name) else { return Ok(usize::MAX) };
        let limit = text
            .parse::<i64>()
            .map_err(|_| invalid(name, format_args!("strconv.Atoi: parsing {text:?}: invalid syntax")))?;
        match usize::try_from(limit) {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(limit),
            Err(_) => Err(invalid(name, "limit must be non-negative")),
        }
    }

    /// The series that are asked for; none of them if all are.
    pub fn selectors(&self) -> Result<Vec<Selector>, Failure> {
        self.all("match[]").map(selector).collect()
    }

    /// Checks the ends of a time that answers do not depend on.
    pub fn check_span(&self) -> Result<(), Failure> {
        self.time("start")?;
        self.time("end").map(|_| ())
    }
}

fn selector(text: &str) -> Result<Selector, Failure> {
    let selector = Selector::parse(text).map_err(|error| invalid("match[]", error))?;
    if !selector.is_narrow() {
        return Err(invalid("match[]", "match[] must contain at least one non-empty matcher"));
    }
    Ok(selector)
}

fn parse(form: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let pairs = form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = text(halves.next().unwrap_or_default(), "name of a parameter")?;
            let value = text(halves.next().unwrap_or_default(), &name)?;
            Ok((name, value))
        })
        .collect()
}

/// What an escaped text says.
fn text(escaped: &[u8], name: &str) -> Result<String, Failure> {
    let (mut plain, mut rest) = (Vec::with_capacity(escaped.len()), escaped);
    while let Some((first, more)) = rest.split_first() {
        let escape = more.split_at_checked(2).filter(|_| *first == b'%');
        let byte = escape.and_then(|(digits, rest)| Some((hex(digits)?, rest)));
        let (byte, more) = match (first, byte) {
            (_, Some(escaped)) => escaped,
            (b'%', None) => return Err(invalid(name, "invalid URL escape")),
            (b'+', None) => (b' ', more),
            (byte, None) => (*byte, more),
        };
        plain.push(byte);
        rest = more;
    }
    String::from_utf8(plain).map_err(|_| invalid(name, "not UTF-8"))
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_unescaped() {
        let pairs = parse(b"query=1%2B1&match[]=a&match%5B%5D=b+c&x&&y=%e2%82%ac").unwrap();
        let parameters = Parameters(pairs);
        assert_eq!(parameters.get("query"), Some("1+1"));
        assert_eq!(parameters.all("match[]").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!((parameters.get("x"), parameters.get("y"), parameters.get("z")), (None, Some("€"), None));
        for (wrong, text) in [
            (&b"query=%ff"[..], "invalid parameter \"query\": not UTF-8"),
            (b"query=%+1", "invalid parameter \"query\": invalid URL escape"),
            (b"query=%4", "invalid parameter \"query\": invalid URL escape"),
        ] {
            assert_eq!(parse(wrong).unwrap_err().error, text);
        }
    }

    #[test]
    fn limits_are_numbers() {
        let limit = |text: &str| Parameters(vec![("limit".into(), text.into())]).limit("limit");
        assert_eq!(
            (limit("7").unwrap(), limit("0").unwrap(), limit("").unwrap()),
            (7, usize::MAX, usize::MAX)
        );
        let error = limit("x").unwrap_err().error;
        assert_eq!(error, "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax");
        assert!(limit("-1").is_err());
    }
}
