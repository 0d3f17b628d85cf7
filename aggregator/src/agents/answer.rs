//! Answers of nodes, put together from their parts.

use super::Refused;
use quorate_common::model::session::{Response, ResponseBody};

/// Rows of one answer; a table beyond this is cut.
const ROWS_MAX: usize = 65_536;

/// Samples of one answer, from the recorder; what an agent sends beyond is dropped with its series.
const SAMPLES_MAX: usize = 100_000;

/// Puts the parts of an answer together.
pub(super) fn whole(parts: Vec<Response>) -> Result<ResponseBody, Refused> {
    let (mut rows, mut series, mut samples) = (Vec::new(), Vec::new(), 0);
    let mut body = ResponseBody::Done;
    for part in parts {
        match part.body {
            ResponseBody::Failed(reason) => return Err(Refused::Failed(reason)),
            ResponseBody::Done => {}
            ResponseBody::Processes(more) => {
                rows.extend(more);
                rows.truncate(ROWS_MAX);
                body = ResponseBody::Processes(Vec::new());
            }
            ResponseBody::Recording(more) => {
                samples += more.iter().map(|one| one.samples.len()).sum::<usize>();
                if samples <= SAMPLES_MAX {
                    series.extend(more);
                }
                body = ResponseBody::Recording(Vec::new());
            }
        }
    }
    Ok(match body {
        ResponseBody::Processes(_) => ResponseBody::Processes(rows),
        ResponseBody::Recording(_) => ResponseBody::Recording(series),
        body => body,
    })
}
