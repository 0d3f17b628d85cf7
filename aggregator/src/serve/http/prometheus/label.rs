//! Names of labels, and their values.

use super::api::{Prometheus, Written};
use super::desk::Weight;
use super::parameter::Parameters;
use super::query::TRUNCATED;
use crate::query::promql::{Budget, Error};
use crate::query::selector::seen;
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::{Path, State};
use std::collections::BTreeSet;

/// `GET` and `POST /api/v1/labels`.
pub async fn names(State(api): State<Prometheus>, parameters: Parameters) -> Result<Written, Failure> {
    list(&api, &parameters, |_| true, |(name, _)| name).await
}

/// `GET /api/v1/label/{name}/values`.
pub async fn values(
    State(api): State<Prometheus>,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Written, Failure> {
    let name = unescaped(&name).unwrap_or(name);
    if name.is_empty() {
        return Err(Failure::bad(format!("invalid label name: {name:?}")));
    }
    list(&api, &parameters, move |own| own == name, |(_, value)| value).await
}

/// Some texts of all labels that are wanted, each once, in order.
async fn list(
    api: &Prometheus,
    parameters: &Parameters,
    is_wanted: impl Fn(&str) -> bool + Send + 'static,
    take: impl for<'a> Fn((&'a str, &'a str)) -> &'a str + Send + 'static,
) -> Result<Written, Failure> {
    parameters.check_span()?;
    let (selectors, limit) = (parameters.selectors()?, parameters.limit("limit")?);
    api.answer(Weight::Light, parameters, move |work| {
        let mut found: BTreeSet<String> = BTreeSet::new();
        let gather = |member: &_, spec: &_, budget: &mut Budget<'_>| {
            for (name, value) in seen(member, spec).filter(|(name, _)| is_wanted(name)) {
                let text = take((&name, value));
                if !found.contains(text) {
                    budget.take(size_of::<String>() + text.len())?;
                    found.insert(text.to_owned());
                }
            }
            Ok::<(), Error>(())
        };
        let outcome = work.stored.each(&selectors, &mut work.budget, gather);
        outcome.map_err(|error| work.fail(&error, "match[]"))?;
        let is_cut = found.len() > limit;
        let mut success = Success::of(found.into_iter().take(limit).collect::<Vec<_>>());
        success.warnings.extend(is_cut.then(|| TRUNCATED.to_owned()));
        Ok(success)
    })
    .await
}

/// The name that `U__` and escapes stand for; `None` for what is no such thing.
fn unescaped(name: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = name.strip_prefix("U__")?;
    while let Some(first) = rest.chars().next() {
        rest = rest.get(first.len_utf8()..)?;
        if first != '_' {
            plain.push(first);
        } else if let Some(after) = rest.strip_prefix('_') {
            plain.push('_');
            rest = after;
        } else {
            let (digits, after) =
                rest.split_once('_').filter(|(digits, _)| (1..=6).contains(&digits.len()))?;
            plain.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
            rest = after;
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped() {
        for (escaped, plain) in [
            ("U__http_2e_status", Some("http.status")),
            ("U__a__b", Some("a_b")),
            ("U___20ac_", Some("€")),
            ("U__a_zz_", None),
            ("U__a_", None),
            ("U___d800_", None),
            ("instance", None),
        ] {
            assert_eq!(unescaped(escaped).as_deref(), plain, "{escaped}");
        }
    }
}
