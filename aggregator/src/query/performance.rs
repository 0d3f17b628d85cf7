//! How much of itself a node has left, as scores from 0 (nothing) to 100 (everything).
//!
//! A component that its series do not tell of has no score. That of the whole node is the worst of its components,
//! because it does what its narrowest part lets it do.

use super::resource::{rates, usage};
use super::series::Source;
use quorate_common::catalog;
use quorate_common::model::node::Member;
use quorate_common::model::resource::ResourceType;
use quorate_common::words;

words! {
    /// What is scored.
    Component {
        /// Processor time that is idle.
        Cpu = "cpu",
        /// Memory that programs can still get.
        Memory = "memory",
        /// Room on file systems.
        Disk = "disk",
        /// Time in which no task waited for processors, memory or storage: the worst of the three.
        Pressure = "pressure",
        /// The worst of the others.
        Node = "node",
    }
}

/// One score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Of what.
    pub component: Component,
    /// From 0 to 100.
    pub score: f64,
}

/// All scores of a node that its series tell of.
pub fn scores(source: Source<'_>, member: &Member) -> Vec<Score> {
    let used = usage(source, member).into_iter().filter_map(|usage| {
        let component = match usage.resource_type {
            ResourceType::Cpu => Component::Cpu,
            ResourceType::Memory => Component::Memory,
            ResourceType::Disk => Component::Disk,
            // How much there could be is not known.
            ResourceType::Network => return None,
        };
        Some(left(component, usage.usage_percent?))
    });
    let one = Source { members: std::slice::from_ref(member), ..source };
    whole(used.chain(pressure(one)).collect())
}

/// Tasks that wait are what use alone does not show.
fn pressure(source: Source<'_>) -> Option<Score> {
    let waits =
        [&catalog::PRESSURE_CPU_WAITING, &catalog::PRESSURE_MEMORY_WAITING, &catalog::PRESSURE_IO_WAITING];
    let waited = waits.iter().flat_map(|def| rates(source, def.name)).map(|(_, rate)| rate);
    waited.reduce(f64::max).map(|share| left(Component::Pressure, 100.0 * share))
}

fn left(component: Component, used_percent: f64) -> Score {
    Score { component, score: (100.0 - used_percent).clamp(0.0, 100.0) }
}

fn whole(mut scores: Vec<Score>) -> Vec<Score> {
    let worst = scores.iter().map(|score| score.score).reduce(f64::min);
    scores.extend(worst.map(|score| Score { component: Component::Node, score }));
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_does_as_its_worst_component() {
        assert_eq!(whole(Vec::new()), [], "nothing is known");
        let scores = whole(vec![left(Component::Cpu, 30.0), left(Component::Memory, 101.0)]);
        let node = Score { component: Component::Node, score: 0.0 };
        assert_eq!(scores.last(), Some(&node), "more than all is all");
        assert_eq!(scores[0], Score { component: Component::Cpu, score: 70.0 });
    }
}
