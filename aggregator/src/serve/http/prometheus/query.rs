//! Queries: at one moment, and on the steps of a range.

use super::api::{Prometheus, Written};
use super::desk::Weight;
use super::failure::{self, invalid};
use super::parameter::Parameters;
use super::result::Shown;
use crate::query::promql::{Error, Grid, Options, Query, evaluate};
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use promql_parser::parser::value::ValueType;

/// What is said when not all is shown.
pub const TRUNCATED: &str = "results truncated due to limit";

/// What a request asks.
struct Question {
    text: String,
    options: Options,
    limit: usize,
}

/// `GET` and `POST /api/v1/query`.
pub async fn instant(State(api): State<Prometheus>, parameters: Parameters) -> Result<Written, Failure> {
    let at_ms = parameters.time("time")?.unwrap_or_else(|| api.clock.now().wall.as_millis());
    ask(&api, &parameters, Options::instant(at_ms)).await
}

/// `GET` and `POST /api/v1/query_range`.
pub async fn range(State(api): State<Prometheus>, parameters: Parameters) -> Result<Written, Failure> {
    let (start_ms, end_ms) = (parameters.time_of("start")?, parameters.time_of("end")?);
    if end_ms < start_ms {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let missing = || invalid("step", "cannot parse \"\" to a valid duration");
    let step_ms = parameters.duration_ms("step")?.ok_or_else(missing)?;
    if step_ms <= 0 {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(invalid("step", text));
    }
    let grid = Grid::query(start_ms, end_ms, step_ms).map_err(|error| Failure::bad(error.to_string()))?;
    ask(&api, &parameters, Options::range(grid)).await
}

async fn ask(api: &Prometheus, parameters: &Parameters, options: Options) -> Result<Written, Failure> {
    let question = Question::read(parameters, options)?;
    // Parsing is work as well, of a text that is not long: its tree is made again on the thread.
    let weight = question.weight()?;
    api.answer(weight, parameters, move |work| {
        let query = question.parse()?;
        let outcome = evaluate(&query, &work.stored, question.options, &mut work.budget);
        let mut answer = outcome.map_err(|error| work.fail(&error, "query"))?;
        let notes = std::mem::take(&mut answer.notes);
        let (grid, is_instant) = (question.options.grid, question.options.is_instant);
        let (shown, is_cut) = Shown::of(answer, grid, is_instant, question.limit);
        let mut success = Success::of(shown);
        success.warnings = notes.warnings.into_iter().chain(is_cut.then(|| TRUNCATED.to_owned())).collect();
        success.infos = notes.infos.into_iter().collect();
        Ok(success)
    })
    .await
}

impl Question {
    fn read(parameters: &Parameters, mut options: Options) -> Result<Question, Failure> {
        if let Some(lookback_ms) = parameters.duration_ms("lookback_delta")?.filter(|ms| *ms > 0) {
            options.lookback_ms = lookback_ms;
        }
        let limit = parameters.limit("limit")?;
        let text = parameters.get("query").unwrap_or("").to_owned();
        Ok(Question { text, options, limit })
    }

    fn parse(&self) -> Result<Query, Failure> {
        parse(&self.text)
    }

    fn weight(&self) -> Result<Weight, Failure> {
        let (query, grid) = (self.parse()?, self.options.grid);
        let kind = match query.expr().value_type() {
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
            ValueType::Scalar | ValueType::Vector => "",
        };
        if !self.options.is_instant && !kind.is_empty() {
            let text = format!(
                "invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector"
            );
            return Err(invalid("query", text));
        }
        Ok(Weight::of(grid.end_ms().saturating_sub(grid.start_ms).saturating_add(query.span_ms())))
    }
}

/// A query that a parameter of this name has.
pub fn parse(text: &str) -> Result<Query, Failure> {
    let empty = || Error::Parse("no expression found in input".to_owned());
    let query = if text.trim().is_empty() { Err(empty()) } else { Query::parse(text) };
    query.map_err(|error| failure::of(&error, "query"))
}
