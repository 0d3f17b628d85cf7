//! What can be followed.

use quorate_common::words;

words! {
    /// A topic.
    Topic {
        /// How much of its resources each node uses.
        Performance = "performance",
        /// How clusters do.
        ClusterHealth = "cluster_health",
        /// Nodes that are not heard.
        NodeFailure = "node_failure",
        /// History that does not become durable.
        PersistenceFailure = "persistence_failure",
        /// What is wrong with performance; nobody looks for that yet, so that nothing is ever said.
        PerformanceAnalysis = "performance_analysis",
    }
}
