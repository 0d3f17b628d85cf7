//! Reaching an aggregator step by step, for a doctor: name, TCP, TLS, one call; each with its time and cause.
//!
//! ```text
//!   host:port ─look-up→ addresses ─dial→ TCP ─handshake→ TLS ─Health/Check→ accepted, and the time there
//! ```
//!
//! It opens no session: a second one would end that of a running agent. The first step that fails is the last.
//! Time on the other side is the `Date` of the answer to the call, which has whole seconds: the skew is known
//! to half a second and half the round trip, and says so.

use crate::connect::{self, Options};
use crate::v1;
use crate::v1::enrolment_service_client::EnrolmentServiceClient;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::time::{BootTime, WallTime};
use quorate_common::terminal::finding::Finding;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// For each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// Clocks that differ more than this make a node degraded.
pub const SKEW_MAX: Duration = Duration::from_secs(2);

/// One step on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The look-up of the host's name.
    Name,
    /// The connection.
    Tcp,
    /// The handshake, in which the aggregator proves who it is.
    Tls,
    /// A call, in which the aggregator accepts our certificate or does not.
    Accepted,
}

impl Part {
    const fn word(self) -> &'static str {
        match self {
            Part::Name => "name",
            Part::Tcp => "tcp",
            Part::Tls => "tls",
            Part::Accepted => "certificate",
        }
    }

    /// What to do when the step failed with this cause.
    fn advice(self, cause: &str) -> &'static str {
        let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
        match self {
            Part::Name => "check the address, and the resolver of this machine",
            Part::Tcp if says(&["refused"]) => "start the aggregator there, or correct the port",
            Part::Tcp => "check network and firewalls between here and there",
            Part::Tls if says(&["Expired", "NotValidYet"]) => {
                "check the clocks of both machines; then the aggregator's certificate"
            }
            Part::Tls if says(&["not valid for name", "NotValidForName"]) => {
                "use a name that stands in the aggregator's certificate"
            }
            Part::Tls if says(&["UnknownIssuer", "BadSignature"]) => {
                "another authority answers there: enrol again, or correct the address"
            }
            Part::Tls => "check that a Quorate aggregator listens there, and nothing stands between",
            Part::Accepted if says(&["unavailable", "not within"]) => "look at the aggregator's log",
            Part::Accepted if says(&["CertificateExpired", "BadCertificate"]) => {
                "check the clocks of both machines; then when this node's certificate expires"
            }
            Part::Accepted => "the certificate is revoked, expired or of another cluster: enrol again",
        }
    }
}

/// How one step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub part: Part,
    /// How long it took.
    pub took_ms: u64,
    /// What was learnt, or why it failed.
    pub result: Result<String, String>,
}

/// The difference of two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// Our clock minus theirs.
    pub ms: i64,
    /// How wrong that may be, in either direction.
    pub error_ms: u64,
}

/// All steps to one aggregator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where to, `host:port`.
    pub address: String,
    /// The steps that were made.
    pub steps: Vec<Step>,
    /// The skew, if the last step gave it.
    pub skew: Option<Skew>,
}

impl Probe {
    /// One finding for each step, and one for the clock.
    pub fn findings(&self) -> Vec<Finding> {
        let step = |step: &Step| {
            let (name, ms) = (format!("{} {}", self.address, step.part.word()), step.took_ms);
            match &step.result {
                Ok(text) => Finding::ok(name, format!("{text} ({ms} ms)")),
                Err(cause) => {
                    Finding::failed(name, format!("{cause} (after {ms} ms)")).advise(step.part.advice(cause))
                }
            }
        };
        let clock = self.skew.map(|skew| skew.finding(&self.address));
        self.steps.iter().map(step).chain(clock).collect()
    }
}

impl Skew {
    /// Whether it is too large, however wrong the measurement is.
    pub fn is_sure(self) -> bool {
        Duration::from_millis(self.ms.unsigned_abs().saturating_sub(self.error_ms)) > SKEW_MAX
    }

    /// The verdict: a warning only when it is surely too large.
    fn finding(self, address: &str) -> Finding {
        let (name, text) = (format!("{address} clock"), format!("{self} (from the Date of an answer)"));
        if self.is_sure() {
            return Finding::warning(name, text).advise("have both machines follow a time server (NTP)");
        }
        Finding::ok(name, text)
    }
}

impl Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.ms < 0 { "behind" } else { "ahead of" };
        let (seconds, error) = (self.ms.unsigned_abs() as f64 / 1000.0, self.error_ms as f64 / 1000.0);
        write!(f, "{seconds:.1} s {direction} the aggregator, within {error:.1} s")
    }
}

/// The finding on the clock of an aggregator, from its enrolment port, which asks for no certificate: where ours is
/// refused, nobody else tells the time. `None` when it does not answer either.
pub async fn clock_finding(enrolment: &str, tls: Arc<ClientConfig>, clock: &dyn Clock) -> Option<Finding> {
    clock_of(enrolment, tls, clock).await.map(|skew| skew.finding(enrolment))
}

/// How far our clock is from that of an aggregator, by its enrolment port.
pub async fn clock_of(enrolment: &str, tls: Arc<ClientConfig>, clock: &dyn Clock) -> Option<Skew> {
    let ask = async {
        let channel = connect::channel(enrolment, tls, Options::CALL).await.ok()?;
        let start = clock.now();
        // A challenge costs nothing, and is not answered.
        let answer = EnrolmentServiceClient::new(channel).challenge(v1::ChallengeRequest {}).await.ok()?;
        let end = clock.now();
        skew(answer.metadata(), (start.boot, end.boot), end.wall)
    };
    tokio::time::timeout(STEP_TIMEOUT, ask).await.ok().flatten()
}

/// Walks to the aggregator at `address` and stops where the way ends.
pub async fn probe(address: &str, tls: Arc<ClientConfig>, clock: &dyn Clock) -> Probe {
    let mut walk =
        Walk { clock, probe: Probe { address: address.to_owned(), steps: Vec::new(), skew: None } };
    // Which step was the last one stands in the list.
    walk.go(tls).await;
    walk.probe
}

struct Walk<'a> {
    clock: &'a dyn Clock,
    probe: Probe,
}

impl Walk<'_> {
    async fn go(&mut self, tls: Arc<ClientConfig>) -> Option<()> {
        let address = self.probe.address.clone();
        let found = self.step(Part::Name, addresses(&address), |all| join(all)).await?;
        let dialled = dial(&found);
        let stream = self.step(Part::Tcp, dialled, peer).await?;
        let handshake = handshake(&address, stream, tls.clone());
        self.step(Part::Tls, handshake, Clone::clone).await?;
        let call = call(&address, tls, self.clock);
        self.probe.skew = self.step(Part::Accepted, call, |_| "accepted".to_owned()).await?;
        Some(())
    }

    async fn step<T, E: Display>(
        &mut self,
        part: Part,
        work: impl Future<Output = Result<T, E>>,
        say: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let start = self.clock.now().boot;
        let result = match tokio::time::timeout(STEP_TIMEOUT, work).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!("not within {} s", STEP_TIMEOUT.as_secs())),
        };
        let took_ms = millis(self.clock.now().boot.since(start));
        let said = result.as_ref().map(say).map_err(Clone::clone);
        self.probe.steps.push(Step { part, took_ms, result: said });
        result.ok()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

async fn addresses(address: &str) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host(address).await.map_err(|error| chain(&error))?;
    let all: Vec<SocketAddr> = found.collect();
    if all.is_empty() { Err("the name has no address".to_owned()) } else { Ok(all) }
}

fn join(all: &[SocketAddr]) -> String {
    all.iter().map(|one| one.ip().to_string()).collect::<Vec<_>>().join(", ")
}

async fn dial(all: &[SocketAddr]) -> Result<TcpStream, std::io::Error> {
    TcpStream::connect(all).await
}

fn peer(stream: &TcpStream) -> String {
    stream.peer_addr().map_or_else(|error| error.to_string(), |peer| format!("connected to {peer}"))
}

/// Gives the version and what the aggregator's certificate says.
async fn handshake(address: &str, stream: TcpStream, tls: Arc<ClientConfig>) -> Result<String, String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let server = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(tls).connect(server, stream).await.map_err(|error| chain(&error))?;
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let subject = leaf.and_then(|leaf| quorate_common::tls::validity(leaf).ok());
    let subject = subject.map_or_else(|| "an unnamed server".to_owned(), |read| read.subject);
    let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    Ok(format!("{version} with {subject}"))
}

async fn call(address: &str, tls: Arc<ClientConfig>, clock: &dyn Clock) -> Result<Option<Skew>, String> {
    let channel = connect::channel(address, tls, Options::CALL).await.map_err(|error| chain(&error))?;
    let start = clock.now();
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    let end = clock.now();
    match answer {
        Ok(answer) => Ok(skew(answer.metadata(), (start.boot, end.boot), end.wall)),
        // Whoever is told that it may not ask was recognised; one that is not yet serving has answered too.
        Err(status)
            if matches!(status.code(), Code::PermissionDenied | Code::NotFound | Code::Unimplemented) =>
        {
            Ok(skew(status.metadata(), (start.boot, end.boot), end.wall))
        }
        Err(status) => Err(said(&status)),
    }
}

fn said(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(cause) => chain(cause),
        None => format!("{}: {}", status.code(), status.message()),
    }
}

/// Our time in the middle of the call minus theirs in the middle of the second that they named.
fn skew(answer: &MetadataMap, (start, end): (BootTime, BootTime), wall: WallTime) -> Option<Skew> {
    let theirs = parse_date(answer.get("date")?.to_str().ok()?)?.as_millis() + 500;
    let half_trip_ms = millis(end.since(start)) / 2;
    let ours = wall.as_millis() - half_trip_ms.cast_signed();
    Some(Skew { ms: ours - theirs, error_ms: 500 + half_trip_ms })
}

/// An HTTP date, `Fri, 20 Nov 2026 19:06:05 GMT`; other spellings are history.
fn parse_date(text: &str) -> Option<WallTime> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, rest) = text.split_once(", ")?;
    let [day, month, year, time, "GMT"] = rest.split(' ').collect::<Vec<_>>()[..] else { return None };
    let month = i64::try_from(MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? / 3).ok()? + 1;
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>()[..] else { return None };
    let number = |text: &str, max: i64| text.parse::<i64>().ok().filter(|number| (0..=max).contains(number));
    let days = days_since_epoch(number(year, 9999)?, month, number(day, 31)?);
    let in_day = number(hour, 23)? * 3600 + number(minute, 59)? * 60 + number(second, 60)?;
    Some(WallTime((days * 86_400 + in_day).checked_mul(1_000_000_000)?))
}

/// Years begin in March here, so that the leap day is the last of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::clock::SystemClock;
    use quorate_common::terminal::finding::Level;
    use quorate_common::tls;
    use tokio::net::TcpListener;

    #[test]
    fn dates_of_http() {
        for (text, expect) in [
            ("Fri, 20 Nov 2026 19:06:05 GMT", Some("2026-11-20T19:06:05.000Z")),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some("1970-01-01T00:00:00.000Z")),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some("2000-02-29T00:00:00.000Z")),
            ("Wed, 31 Dec 2098 23:59:59 GMT", Some("2098-12-31T23:59:59.000Z")),
            ("Fri, 20 Nov 2026 19:06:05 CET", None),
            ("Fri, 20 anF 2026 19:06:05 GMT", None),
            ("Fri, 20 Nov 2026 25:06:05 GMT", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_date(text).map(|time| time.to_string()).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn a_skew_warns_only_when_it_is_sure() {
        for (ms, error_ms, level, text) in [
            (-400, 500, Level::Ok, "0.4 s behind the aggregator, within 0.5 s"),
            (2300, 500, Level::Ok, "2.3 s ahead of the aggregator, within 0.5 s"),
            (2600, 500, Level::Warning, "2.6 s ahead of the aggregator, within 0.5 s"),
            (-90_000, 700, Level::Warning, "90.0 s behind the aggregator, within 0.7 s"),
        ] {
            let finding = Skew { ms, error_ms }.finding("a:1");
            assert_eq!(finding.level, level, "{ms}");
            assert!(finding.text.starts_with(text), "{}", finding.text);
        }
    }

    #[test]
    fn the_middle_of_the_call_meets_the_middle_of_the_second() {
        let mut answer = MetadataMap::new();
        assert_eq!(skew(&answer, (BootTime(0), BootTime(0)), WallTime(0)), None);
        answer.insert("date", "Thu, 01 Jan 1970 00:00:10 GMT".parse().unwrap());
        let trip = (BootTime(0), BootTime(200_000_000));
        let skew = skew(&answer, trip, WallTime(13_600_000_000)).unwrap();
        assert_eq!(skew, Skew { ms: 3000, error_ms: 600 });
    }

    #[tokio::test]
    async fn the_first_step_that_fails_is_the_last() {
        let check = async |address: &str, parts: &[Part], says: &str| {
            let config = Arc::new(tls::pinned_config([0; 32]).unwrap());
            let probe = probe(address, config, &SystemClock).await;
            assert_eq!(probe.steps.iter().map(|step| step.part).collect::<Vec<_>>(), parts, "{probe:?}");
            let last = probe.findings().pop().unwrap();
            assert_eq!(last.level, Level::Failed);
            assert!(last.text.contains(says) && last.advice.is_some(), "{last:?}");
        };
        check("no port", &[Part::Name], "invalid socket address").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hang_up = async {
            drop(listener.accept().await.unwrap());
        };
        let no_tls = check(&address, &[Part::Name, Part::Tcp, Part::Tls], "");
        tokio::join!(no_tls, hang_up);
        drop(listener);
        check(&address, &[Part::Name, Part::Tcp], "refused").await;
    }
}
