//! Native histograms of a script: as they are written, and as classic ones are converted to them.

use quorate_aggregator::query::promql::NativeHistogram;
use quorate_aggregator::query::promql::native::{Bucket, Hint, OWN_BOUNDS};

/// What `{{schema:0 sum:5 buckets:[1 2]}}` stands for, without its braces.
pub fn parse(text: &str) -> NativeHistogram {
    let mut histogram = NativeHistogram::default();
    let (mut offsets, mut rest) = ((0, 0), text.trim());
    while let Some((key, after)) = rest.split_once(':') {
        let (value, after) = match after.strip_prefix('[') {
            Some(list) => list.split_once(']').unwrap(),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        match key {
            "schema" => histogram.schema = value.parse().unwrap(),
            "count" => histogram.count = value.parse().unwrap(),
            "sum" => histogram.sum = value.parse().unwrap(),
            "z_bucket" => histogram.zero_count = value.parse().unwrap(),
            "z_bucket_w" => histogram.zero_threshold = value.parse().unwrap(),
            "custom_values" => histogram.bounds = numbers(value),
            "offset" => offsets.0 = value.parse().unwrap(),
            "n_offset" => offsets.1 = value.parse().unwrap(),
            "buckets" => histogram.positive = buckets(value),
            "n_buckets" => histogram.negative = buckets(value),
            "counter_reset_hint" => histogram.hint = hint(value),
            _ => panic!("{text}"),
        }
        rest = after.trim();
    }
    histogram.positive.iter_mut().for_each(|bucket| bucket.index += offsets.0);
    histogram.negative.iter_mut().for_each(|bucket| bucket.index += offsets.1);
    histogram
}

fn hint(text: &str) -> Hint {
    match text {
        "gauge" => Hint::Gauge,
        "reset" => Hint::Reset,
        "not_reset" => Hint::NotReset,
        _ => panic!("{text}"),
    }
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

fn buckets(text: &str) -> Vec<Bucket> {
    (0..).zip(numbers(text)).map(|(index, count)| Bucket { index, count }).collect()
}

/// The parts of a classic histogram at one time.
#[derive(Default)]
pub struct Classic {
    /// Upper bounds, each with all that was observed up to there.
    pub buckets: Vec<(f64, f64)>,
    pub count: Option<f64>,
    pub sum: f64,
}

impl Classic {
    /// The same as a native histogram with bounds of its own. Of equal bounds the first counts.
    pub fn to_native(&self) -> NativeHistogram {
        let mut upto = self.buckets.clone();
        upto.sort_by(|left, right| left.0.total_cmp(&right.0));
        upto.dedup_by(|next, first| next.0 == first.0);
        let count = self.count.unwrap_or_else(|| upto.last().map_or(0.0, |last| last.1));
        if upto.last().is_none_or(|last| last.0 != f64::INFINITY) {
            upto.push((f64::INFINITY, count));
        }
        let before = [0.0].into_iter().chain(upto.iter().map(|bucket| bucket.1));
        let counts = upto.iter().zip(before).map(|(bucket, before)| bucket.1 - before);
        let positive = (0..).zip(counts).map(|(index, count)| Bucket { index, count }).collect();
        upto.pop();
        let bounds = upto.iter().map(|bucket| bucket.0).collect();
        let sum = self.sum;
        NativeHistogram { schema: OWN_BOUNDS, count, sum, positive, bounds, ..Default::default() }
    }
}
