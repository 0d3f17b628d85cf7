//! What a run has met: runs that meet nothing prove nothing.

/// What happened in a run.
#[derive(Debug, Default)]
pub struct Met {
    pub breaks: u64,
    pub agent_restarts: u64,
    pub aggregator_restarts: u64,
    pub resent: u64,
    pub overflowed: u64,
    pub registered: u64,
    pub retired: u64,
    pub reused: u64,
    pub pieces: u64,
    pub losses: u64,
    pub wiped: u64,
}

impl Met {
    pub fn add(&mut self, other: &Met) {
        self.breaks += other.breaks;
        self.agent_restarts += other.agent_restarts;
        self.aggregator_restarts += other.aggregator_restarts;
        self.resent += other.resent;
        self.overflowed += other.overflowed;
        self.registered += other.registered;
        self.retired += other.retired;
        self.reused += other.reused;
        self.pieces += other.pieces;
        self.losses += other.losses;
        self.wiped += other.wiped;
    }
}
