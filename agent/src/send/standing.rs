//! How sending does, in one line for people.

use std::fmt;

/// How sending does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The aggregator of the session, `host:port`; `None` while there is none.
    pub peer: Option<String>,
    /// Series that are sampled.
    pub series: u64,
    /// Ticks that nobody has acknowledged yet.
    pub waiting: usize,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Some(peer) => write!(f, "connected to {peer}")?,
            None => f.write_str("not connected")?,
        }
        write!(f, ", {} series, spool {}", self.series, self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line() {
        let mut standing = Standing { peer: None, series: 370, waiting: 12 };
        assert_eq!(standing.to_string(), "not connected, 370 series, spool 12");
        (standing.peer, standing.waiting) = (Some("10.0.0.1:7443".into()), 0);
        assert_eq!(standing.to_string(), "connected to 10.0.0.1:7443, 370 series, spool 0");
    }
}
