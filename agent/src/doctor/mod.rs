//! `quorate-agent doctor`: what keeps this node from being sampled and heard, and what to do about it.
//!
//! ```text
//!   files of the host ─read→ facts ─judge→ findings ─draw→ lines or JSON, exit 0 ok, 1 warnings, 2 failures
//! ```
//!
//! It changes nothing but one file that it writes and removes in the state directory, and opens no session: a
//! running agent is not disturbed. Nothing here is fatal to it: what cannot be found out is a finding too.

mod identity;
mod mount;
mod state;
mod supervisor;
mod vantage;

use crate::config::Config;
use crate::{enrol, sample};
use quorate_common::clock::Clock;
use quorate_common::config::{ConfigError, Environment};
use quorate_common::error::chain;
use quorate_common::telemetry::{Colour, colour_choice};
use quorate_common::terminal::finding::{Finding, Report};
use quorate_common::terminal::mark::Marks;
use quorate_common::tls;
use quorate_proto::probe::{clock_finding, probe};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

/// What the configuration turned out to be; with errors in it, the defaults stand in for it.
pub struct Examined {
    /// The configuration.
    pub config: Config,
    /// What is wrong with it.
    pub errors: Vec<String>,
}

impl Examined {
    /// From what loading gave; `flags` puts what the command line says over it.
    pub fn new(loaded: Result<Config, ConfigError>, flags: impl FnOnce(&mut Config)) -> Examined {
        let (mut config, mut errors) = match loaded {
            Ok(config) => (config, Vec::new()),
            Err(error) => (Config::default(), error.problems.iter().map(ToString::to_string).collect()),
        };
        flags(&mut config);
        errors.extend(config.sample.check().err().map(|error| chain(&error)));
        Examined { config, errors }
    }
}

/// Makes every check. Takes some seconds when something hangs.
pub async fn examine(examined: &Examined, environment: &Environment, clock: &dyn Clock) -> Report {
    let (config, root) = (&examined.config, Path::new("/"));
    let mut findings = configuration(&examined.errors);
    findings.extend(state::check(&config.state_dir));
    let identity = identity::Identity::load(&config.state_dir);
    findings.extend(identity.findings(clock.now().wall));
    findings.extend(reach(config, &identity, clock).await);
    findings.extend(rights(&sample::host_facts().missing_rights));
    findings.extend(vantage::findings(&vantage::Vantage::read(root)));
    findings.extend(mount::check(root));
    findings.push(supervisor::finding(environment, config.sample.interval_ms));
    Report { findings }
}

/// Writes the report, for people or as one JSON object.
///
/// # Errors
///
/// The output broke off.
pub fn print(report: &Report, json: bool, environment: &Environment) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        return out.write_all(b"\n");
    }
    let color = colour_choice(Colour::Auto, environment, out.is_terminal());
    for line in report.lines(Marks::of_locale(environment)) {
        writeln!(out, "{}", line.paint(color))?;
    }
    out.flush()
}

fn configuration(errors: &[String]) -> Vec<Finding> {
    let advice = "correct it, then run `quorate-agent check-config`; until then defaults are examined";
    match errors {
        [] => vec![Finding::ok("configuration", "no mistakes")],
        errors => errors.iter().map(|error| Finding::failed("configuration", error).advise(advice)).collect(),
    }
}

async fn reach(config: &Config, identity: &identity::Identity, clock: &dyn Clock) -> Vec<Finding> {
    let addresses = match config.aggregators.is_empty() {
        false => Ok(config.aggregators.clone()),
        true => enrol::read_aggregators(&enrol::paths(&config.state_dir)),
    };
    match (addresses, &identity.tls) {
        (Err(error), _) => vec![Finding::failed("aggregators", chain(&error)).advise(ENROL)],
        (Ok(_), Err(error)) => vec![Finding::failed("aggregators", format!("not tried: {error}"))],
        (Ok(addresses), Ok(tls)) => {
            let mut findings = Vec::new();
            let mut tells_time = false;
            for address in addresses {
                let probe = probe(&address, tls.clone(), clock).await;
                tells_time |= probe.skew.is_some();
                findings.extend(probe.findings());
            }
            if !tells_time {
                findings.extend(time_elsewhere(&config.state_dir, clock).await);
            }
            findings
        }
    }
}

/// Where nobody lets us in, the enrolment port still tells the time: a wrong clock is a reason to be refused.
async fn time_elsewhere(state_dir: &Path, clock: &dyn Clock) -> Option<Finding> {
    let paths = enrol::paths(state_dir);
    let roots = tls::load_certificates(&paths.roots).ok()?;
    let config = Arc::new(tls::client_config(&roots, None).ok()?);
    for address in enrol::read_addresses(&paths.enrolment).ok()? {
        let finding = clock_finding(&address, config.clone(), clock).await;
        if finding.is_some() {
            return finding;
        }
    }
    None
}

const ENROL: &str = "run the line that `quorate token create --node NAME` prints";

/// Missing rights are told once, as what the agent is, not as errors.
fn rights(missing: &[String]) -> Vec<Finding> {
    match missing {
        [] => vec![Finding::ok("rights", "may read everything that is sampled")],
        missing => {
            let told = |right| Finding::warning("rights", format!("may not read {right}"));
            missing.iter().map(told).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::clock::SystemClock;
    use quorate_common::config::Problem;
    use quorate_common::terminal::finding::Level;

    #[test]
    fn mistakes_of_the_configuration_are_all_told() {
        let problem = |message: &str| Problem { place: "agent.toml:1:1".into(), message: message.into() };
        let wrong = Err(ConfigError { problems: vec![problem("one"), problem("two")] });
        let examined = Examined::new(wrong, |config| config.sample.interval_ms = 1);
        let findings = configuration(&examined.errors);
        let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
        let range = "`interval_ms` is 1, expected 100 to 60000";
        assert_eq!(texts, ["agent.toml:1:1: one", "agent.toml:1:1: two", range]);
        assert!(findings.iter().all(|finding| finding.level == Level::Failed));
        assert_eq!(configuration(&[])[0].level, Level::Ok);
    }

    #[test]
    fn missing_rights_are_warnings() {
        assert_eq!(rights(&[])[0].level, Level::Ok);
        let finding = rights(&["/proc/1/io: bytes".to_owned()]).remove(0);
        assert_eq!(
            (finding.level, finding.text.as_str()),
            (Level::Warning, "may not read /proc/1/io: bytes")
        );
    }

    #[tokio::test]
    async fn a_node_that_never_enrolled_fails_with_what_to_do() {
        let state = tempfile::tempdir().unwrap();
        let loaded = Ok(Config::default());
        let examined = Examined::new(loaded, |config| config.state_dir = state.path().to_owned());
        let report = examine(&examined, &Environment::default(), &SystemClock).await;
        assert_eq!(report.exit_code(), 2);
        let failed = |check: &str| {
            let found = report.findings.iter().find(|finding| finding.check == check);
            found.is_some_and(|finding| finding.level == Level::Failed && finding.advice.is_some())
        };
        assert!(failed("certificate") && failed("aggregators"), "{report:?}");
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
