//! Skew: what a refused certificate says of two clocks. Whoever's clock is wrong should hear of the clock, not only
//! that a certificate is bad: enrolling again would not help.
//!
//! It only doubts. TLS tells nobody's time; what tells it is the `Date` of an answer, see [`crate::doctor`].

use crate::identity::Life;
use quorate_common::model::time::WallTime;
use quorate_proto::connect::tls_error;
use rustls::AlertDescription::{BadCertificate, CertificateExpired};
use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
use rustls::Error::{AlertReceived, InvalidCertificate};
use rustls::pki_types::UnixTime;
use std::error::Error;
use std::fmt;

/// A doubt in one of two clocks: whose certificate was refused, when it is valid, and what our clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    whose: &'static str,
    from: Option<WallTime>,
    until: Option<WallTime>,
    now: WallTime,
}

impl Doubt {
    /// What an error says of the clocks, if anything. `own` is how long our certificate is good.
    pub fn of(error: &(dyn Error + 'static), own: Life, now: WallTime) -> Option<Doubt> {
        let theirs = |from, until| Some(Doubt { whose: "the aggregator's certificate", from, until, now });
        match tls_error(error)? {
            // By our clock it is good: one of the two is wrong. When it has expired by both, it is renewed.
            AlertReceived(CertificateExpired) if now >= own.ends => None,
            // TLS has no word for one that is not valid yet; for ours there is hardly another reason.
            AlertReceived(CertificateExpired | BadCertificate) => {
                let (from, until) = (Some(own.begins), Some(own.ends));
                Some(Doubt { whose: "our certificate", from, until, now })
            }
            InvalidCertificate(NotValidYetContext { not_before, .. }) => {
                theirs(Some(wall(*not_before)), None)
            }
            InvalidCertificate(ExpiredContext { not_after, .. }) => theirs(None, Some(wall(*not_after))),
            InvalidCertificate(NotValidYet | Expired) => theirs(None, None),
            _ => None,
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Doubt { whose, from, until, now } = self;
        write!(f, "{whose} was refused for its dates: valid")?;
        if let Some(from) = from {
            write!(f, " from {from}")?;
        }
        if let Some(until) = until {
            write!(f, " until {until}")?;
        }
        write!(f, ", local time {now}")
    }
}

fn wall(time: UnixTime) -> WallTime {
    WallTime(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription::UnknownCA;
    use std::io;
    use std::time::Duration;

    fn check(fault: rustls::Error, now_s: i64, expect: Option<&str>) {
        let at = |seconds: i64| WallTime(seconds * 1_000_000_000);
        let own = Life { begins: at(1000), ends: at(2000) };
        let error = io::Error::new(io::ErrorKind::InvalidData, fault);
        let told = Doubt::of(&error, own, at(now_s)).map(|doubt| doubt.to_string());
        assert_eq!(told.as_deref(), expect);
    }

    #[test]
    fn clocks_are_doubted_where_dates_decide() {
        let ours = "our certificate was refused for its dates: valid from 1970-01-01T00:16:40.000Z until \
                    1970-01-01T00:33:20.000Z, local time 1970-01-01T00:25:00.000Z";
        check(AlertReceived(CertificateExpired), 1500, Some(ours));
        check(AlertReceived(BadCertificate), 1500, Some(ours));
        check(AlertReceived(CertificateExpired), 2000, None);
        check(AlertReceived(UnknownCA), 1500, None);
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let early = NotValidYetContext { time: at(1500), not_before: at(1600) };
        check(
            InvalidCertificate(early),
            1500,
            Some(
                "the aggregator's certificate was refused for its dates: valid from \
                 1970-01-01T00:26:40.000Z, local time 1970-01-01T00:25:00.000Z",
            ),
        );
        let late = ExpiredContext { time: at(1500), not_after: at(1400) };
        check(
            InvalidCertificate(late),
            1500,
            Some(
                "the aggregator's certificate was refused for its dates: valid until \
                 1970-01-01T00:23:20.000Z, local time 1970-01-01T00:25:00.000Z",
            ),
        );
        check(InvalidCertificate(rustls::CertificateError::UnknownIssuer), 1500, None);
        let plain = io::Error::from(io::ErrorKind::ConnectionReset);
        let life = Life { begins: WallTime(0), ends: WallTime(1) };
        assert_eq!(Doubt::of(&plain, life, WallTime(0)), None);
    }
}
