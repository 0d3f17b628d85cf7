//! What one query may use, and who may stop it. Reads no clock: whoever asks says when it is over.

/// Limits of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most samples read from the source, and most values held at a time.
    pub samples_max: usize,
    /// Most series in any part of the query.
    pub series_max: usize,
    /// Most bytes of values made in all.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { samples_max: 50_000_000, series_max: 500_000, bytes_max: 1 << 30 }
    }
}

/// Why a query was stopped from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// Its time was over.
    #[error("query timed out in expression evaluation")]
    Deadline,
    /// Nobody waits for it any more.
    #[error("query was canceled in expression evaluation")]
    Cancelled,
}

/// What a query asked for too much of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Overrun {
    /// It was stopped.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// Too many samples.
    #[error("query processing would load too many samples into memory in query execution, limit {0}")]
    Samples(usize),
    /// Too many series.
    #[error("query would hold {0} series, limit {1}")]
    Series(usize, usize),
    /// Too many bytes.
    #[error("query would take more than {0} bytes of memory")]
    Bytes(usize),
}

/// What is left of the limits.
pub struct Budget<'a> {
    limits: Limits,
    samples: usize,
    bytes: usize,
    /// Asked once a series and once a part of the query.
    stop: &'a dyn Fn() -> Option<Stop>,
}

impl<'a> Budget<'a> {
    /// A budget nothing of which is used. `stop` is asked often, and has to be cheap.
    pub fn new(limits: Limits, stop: &'a dyn Fn() -> Option<Stop>) -> Budget<'a> {
        Budget { limits, samples: 0, bytes: 0, stop }
    }

    /// Whether the query may go on.
    pub fn check(&self) -> Result<(), Overrun> {
        (self.stop)().map_or(Ok(()), |stop| Err(stop.into()))
    }

    /// Samples read from the source.
    pub fn read(&mut self, samples: usize) -> Result<(), Overrun> {
        self.samples = self.samples.saturating_add(samples);
        if self.samples > self.limits.samples_max {
            return Err(Overrun::Samples(self.limits.samples_max));
        }
        self.check()
    }

    /// Series with values on every step that are about to be made.
    pub fn make(&mut self, series: usize, steps: usize) -> Result<(), Overrun> {
        if series > self.limits.series_max {
            return Err(Overrun::Series(series, self.limits.series_max));
        }
        let values = series.saturating_mul(steps);
        if values > self.limits.samples_max {
            return Err(Overrun::Samples(self.limits.samples_max));
        }
        self.take(values.saturating_mul(size_of::<f64>()))
    }

    /// Bytes of anything else that has been made.
    pub fn take(&mut self, bytes: usize) -> Result<(), Overrun> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes_max {
            return Err(Overrun::Bytes(self.limits.bytes_max));
        }
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_holds() {
        let limits = Limits { samples_max: 10, series_max: 3, bytes_max: 100 };
        let mut budget = Budget::new(limits, &|| None);
        assert_eq!(budget.read(10), Ok(()));
        assert_eq!(budget.read(1), Err(Overrun::Samples(10)));
        assert_eq!(budget.make(4, 1), Err(Overrun::Series(4, 3)));
        assert_eq!(budget.make(3, 4), Err(Overrun::Samples(10)));
        assert_eq!(budget.make(2, 5), Ok(()));
        assert_eq!(budget.make(1, 3), Err(Overrun::Bytes(100)));
        assert_eq!(budget.take(1), Err(Overrun::Bytes(100)));
        let cancelled = Budget::new(limits, &|| Some(Stop::Cancelled));
        assert_eq!(cancelled.check(), Err(Overrun::Stop(Stop::Cancelled)));
    }
}
