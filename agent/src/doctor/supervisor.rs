//! What the service manager told this process about its watchdog.

use quorate_common::config::Environment;
use quorate_common::terminal::finding::Finding;

const CHECK: &str = "systemd";

/// Whether the watchdog that systemd announced can be served.
pub fn finding(environment: &Environment, interval_ms: u32) -> Finding {
    let (socket, watchdog) = (environment.get("NOTIFY_SOCKET"), environment.get("WATCHDOG_USEC"));
    match (socket, watchdog) {
        (None, None) => {
            Finding::ok(CHECK, "not asked for by systemd in this shell: no watchdog to serve here")
        }
        (None, Some(_)) => Finding::failed(CHECK, "WATCHDOG_USEC is set and NOTIFY_SOCKET is not")
            .advise("set Type=notify and NotifyAccess=main in the unit"),
        (Some(_), None) => Finding::warning(CHECK, "notifies systemd, without a watchdog")
            .advise("set WatchdogSec=30 in the unit, so that a hung agent is restarted"),
        (Some(_), Some(text)) => match text.parse::<u64>() {
            Ok(us) if us / 1000 < u64::from(interval_ms) * 3 => {
                let text = format!("the watchdog wants a sign every {} ms", us / 1000);
                Finding::warning(CHECK, format!("{text}, samples are {interval_ms} ms apart"))
                    .advise("set WatchdogSec= to at least three sampling intervals")
            }
            Ok(us) => Finding::ok(CHECK, format!("notifies systemd, watchdog {} s", us / 1_000_000)),
            Err(_) => Finding::failed(CHECK, format!("WATCHDOG_USEC is `{text}`, not a number"))
                .advise("let systemd set it: WatchdogSec= in the unit"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::terminal::finding::Level;

    #[test]
    fn every_combination() {
        let (socket, usec) = (("NOTIFY_SOCKET", "/run/systemd/notify"), "WATCHDOG_USEC");
        for (set, level, says) in [
            (vec![], Level::Ok, "not asked for"),
            (vec![(usec, "30000000")], Level::Failed, "NOTIFY_SOCKET is not"),
            (vec![socket], Level::Warning, "without a watchdog"),
            (vec![socket, (usec, "30000000")], Level::Ok, "watchdog 30 s"),
            (vec![socket, (usec, "2000000")], Level::Warning, "every 2000 ms"),
            (vec![socket, (usec, "soon")], Level::Failed, "`soon`, not a number"),
        ] {
            let found = finding(&set.iter().copied().collect(), 1000);
            assert_eq!(found.level, level, "{set:?}");
            assert!(found.text.contains(says), "{}", found.text);
        }
    }
}
