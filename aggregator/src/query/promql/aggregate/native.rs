//! Sums and means of native histograms.

use super::super::cell::ABSENT;
use super::super::evaluate::Evaluator;
use super::super::matrix::Series;
use super::super::native::NativeHistogram;

impl Evaluator<'_, '_> {
    /// The sum or the mean of the histograms on a step, on which there is nothing else.
    pub(super) fn add_up(&mut self, members: &[&Series], step: usize, is_mean: bool, place: &str) -> f64 {
        let (mut total, mut count): (Option<NativeHistogram>, _) = (None, 0.0);
        for series in members {
            let Some(own) = self.pool.get(series.at(step)) else { continue };
            count += 1.0;
            match total.as_mut().map(|total| total.add(&own)) {
                None => total = Some(NativeHistogram::clone(&own)),
                Some(Ok(joined)) => self.notes.joined(joined, "aggregation", place),
                Some(Err(_)) => {
                    self.notes.incompatible(series.labels.name(), place);
                    return ABSENT;
                }
            }
        }
        let Some(mut total) = total else { return ABSENT };
        if is_mean {
            total.divide(count);
        }
        self.pool.put(total)
    }
}
