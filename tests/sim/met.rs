//! What a run has met: runs that meet nothing prove nothing.

macro_rules! met {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened in a run, and how often.
        #[derive(Clone, Debug, Default)]
        pub struct Met {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Met {
            /// Takes in another run.
            pub fn add(&mut self, other: &Met) {
                $(self.$name += other.$name;)*
            }

            /// What never happened.
            pub fn missing(&self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name)),*];
                all.into_iter().filter(|(_, times)| *times == 0).map(|(name, _)| name).collect()
            }
        }
    };
}

met! {
    /// Links that broke.
    breaks,
    registered,
    retired,
    /// Slots that were used again.
    reused,
    /// Key frames in the middle of an epoch.
    resent,
    /// Ticks that were pushed out of memory.
    overflowed,
    /// Sessions that could not keep up with the ticks.
    behind,
    /// Pieces and losses that were sent.
    pieces,
    losses,
    /// Answers to them that got lost.
    unanswered,
    agent_kills,
    agent_power_cuts,
    aggregator_kills,
    aggregator_power_cuts,
    /// Both sides at once.
    both,
    /// Agents that lost their state directory.
    wiped,
    /// Agents whose state directory is an older copy of itself.
    restored,
    /// Aggregators whose disk is an older copy of itself.
    set_back,
    /// Processes that ended inside a call to their disk.
    agent_deaths_inside,
    aggregator_deaths_inside,
    /// Calls to a disk that failed.
    agent_faults,
    aggregator_faults,
    /// Stores that did not open at first.
    unopened,
    failed_commits,
    /// A Hello named three epochs or more.
    several_epochs,
    /// Ledgers that had no room for another range.
    full_ledgers,
    /// Frames that only their absence from a Hello declared.
    undeclared_holes,
    /// A loss was written down, and its piece was not deleted.
    cut_apart,
    /// Nodes that were away for several seals, and had not heard that their frames are durable.
    silent_over_seals,
    /// The power was cut when the store had just been opened.
    cut_after_replay,
    agent_clock_steps,
    aggregator_clock_steps,
    /// What a Hello named was wiped before any of it was sent.
    announced_and_never_sent,
    /// Windows that were sealed.
    seals,
}
