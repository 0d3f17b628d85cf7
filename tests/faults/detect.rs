//! A lost node is told in time, whichever way it is lost: six at once, each at a moment of its own. `make bench` has
//! thirty trials of each.

use quorate_tests::detect::{cuts, kills};
use quorate_tests::figure::at_most;
use quorate_tests::programs;
use std::time::Duration;

const KILLED_MAX: Duration = Duration::from_millis(2_500);
const SILENT_MAX: Duration = Duration::from_millis(4_000);

#[tokio::test]
async fn killed_agents_are_down_within_2500_ms() {
    at_most("detect.kill_ms_max", &kills(programs!(), 1).await, KILLED_MAX);
}

#[test]
fn hosts_that_fall_silent_are_down_within_4_s() {
    match cuts(programs!(), 1) {
        Ok(spans) => at_most("detect.silent_ms_max", &spans, SILENT_MAX),
        Err(error) => println!("SKIPPED hosts_that_fall_silent_are_down_within_4_s: {error}"),
    }
}
