//! The audit log as it is read: pages of lines, for admins. Nothing here changes one.

use crate::identity::registry::{AuditFilter, AuditLine};
use quorate_common::model::time::WallTime;
use quorate_proto::convert::{timestamp, wall_time};
use quorate_proto::{status, v1};
use tonic::Status;

/// Lines on a page that does not say how many.
const PAGE_DEFAULT: u32 = 100;
/// Most lines on a page: at 2 KiB each it stays below the usual limit of a message.
const PAGE_MAX: u32 = 1000;

/// What a request asks for: which lines, and how many at most.
pub fn question(request: v1::ListAuditRequest) -> Result<(AuditFilter, u32), Status> {
    let v1::ListAuditRequest { since, until, actor, subject, action, page_size, page_token } = request;
    let page_size = match page_size {
        0 => PAGE_DEFAULT,
        size if size <= PAGE_MAX => size,
        size => {
            let text = format!("field `page_size`: {size}, limit {PAGE_MAX}");
            return Err(status::field("page_size", text));
        }
    };
    let before = match page_token.as_str() {
        "" => None,
        token => Some(
            token
                .parse()
                .map_err(|_| status::field("page_token", "field `page_token`: is not one that was given"))?,
        ),
    };
    let (since, until) = (moment("since", since)?, moment("until", until)?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(status::field("until", "field `until`: lies before `since`"));
    }
    let said = |text: String| Some(text).filter(|text| !text.is_empty());
    let filter = AuditFilter {
        since,
        until,
        actor: said(actor),
        subject: said(subject),
        action: said(action),
        before,
    };
    Ok((filter, page_size))
}

/// The answer: `lines` may hold one more than the page, which says that there is another.
pub fn page(mut lines: Vec<AuditLine>, page_size: u32) -> v1::ListAuditResponse {
    let is_last = lines.len() <= page_size as usize;
    lines.truncate(page_size as usize);
    let next = lines.last().filter(|_| !is_last).map(|line| line.id.to_string());
    v1::ListAuditResponse {
        lines: lines.into_iter().map(line).collect(),
        next_page_token: next.unwrap_or_default(),
    }
}

fn moment(field: &'static str, stamp: Option<prost_types::Timestamp>) -> Result<Option<WallTime>, Status> {
    let Some(stamp) = stamp else { return Ok(None) };
    if !(0..1_000_000_000).contains(&stamp.nanos) {
        return Err(status::field(
            field,
            format!("field `{field}`: {} ns are no part of a second", stamp.nanos),
        ));
    }
    Ok(Some(wall_time(&stamp)))
}

fn line(line: AuditLine) -> v1::AuditLine {
    let AuditLine { id: _, at, actor, action, subject, detail } = line;
    v1::AuditLine { at: Some(timestamp(at)), actor, action, subject, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(ids: std::ops::Range<i64>) -> Vec<AuditLine> {
        let text = String::new;
        let line = |id| AuditLine {
            id,
            at: WallTime(id * 1_000_000_000),
            actor: text(),
            action: text(),
            subject: text(),
            detail: text(),
        };
        ids.rev().map(line).collect()
    }

    #[test]
    fn a_page_says_whether_there_is_another() {
        for (found, shown, token) in [(0..0, 0, ""), (5..8, 3, ""), (5..9, 3, "6")] {
            let page = page(lines(found), 3);
            assert_eq!((page.lines.len(), page.next_page_token.as_str()), (shown, token));
        }
        let (filter, _) =
            question(v1::ListAuditRequest { page_token: "6".into(), ..Default::default() }).unwrap();
        assert_eq!(filter.before, Some(6));
    }

    #[test]
    fn questions_are_checked_and_named() {
        let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
        let check = |request: v1::ListAuditRequest, expect: &str| {
            let error = question(request).unwrap_err();
            assert_eq!((error.code(), error.message()), (tonic::Code::InvalidArgument, expect));
            assert_eq!(status::fields(&error).len(), 1);
        };
        let empty = v1::ListAuditRequest::default;
        check(v1::ListAuditRequest { page_size: 1001, ..empty() }, "field `page_size`: 1001, limit 1000");
        let token = "field `page_token`: is not one that was given";
        check(v1::ListAuditRequest { page_token: "x".into(), ..empty() }, token);
        let order = "field `until`: lies before `since`";
        check(v1::ListAuditRequest { since: at(2, 0), until: at(1, 0), ..empty() }, order);
        let nanos = "field `since`: -1 ns are no part of a second";
        check(v1::ListAuditRequest { since: at(2, -1), ..empty() }, nanos);
        let (filter, size) = question(empty()).unwrap();
        assert_eq!((filter, size), (AuditFilter::default(), 100));
        // Times beyond what we count in are as far as we can count.
        let (filter, _) = question(v1::ListAuditRequest { until: at(i64::MAX, 0), ..empty() }).unwrap();
        assert_eq!(filter.until, Some(WallTime(i64::MAX)));
    }
}
