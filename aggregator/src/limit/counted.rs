//! A status that says under which word it is counted: what refuses knows why better than its code tells.

use super::Reason;
use std::error::Error;
use std::sync::Arc;
use tonic::Status;

/// Goes with a status as its source, and never over the wire.
#[derive(Debug, thiserror::Error)]
#[error("counted under `{}`", .0.as_str())]
struct Counted(Reason);

/// The status, counted under this word once the connection answers with it.
pub fn counted(reason: Reason, mut status: Status) -> Status {
    status.set_source(Arc::new(Counted(reason)));
    status
}

/// What a status is to be counted under, if it says so.
pub fn reason(status: &Status) -> Option<Reason> {
    status.source()?.downcast_ref::<Counted>().map(|counted| counted.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_its_word_and_shows_nothing_of_it() {
        let plain = Status::resource_exhausted("too many");
        assert_eq!(reason(&plain), None);
        let status = counted(Reason::Watchers, plain.clone());
        assert_eq!(reason(&status), Some(Reason::Watchers));
        assert_eq!((status.code(), status.message()), (plain.code(), plain.message()));
        let answer: http::Response<()> = status.into_http();
        let read = answer.extensions().get::<Status>().and_then(reason);
        assert_eq!(read, Some(Reason::Watchers), "the answer of a service carries it, too");
        assert!(!format!("{:?}", answer.headers()).contains("watchers"));
    }
}
