//! Mounts: how many are local, and which network mounts do not answer.
//!
//! A dead network mount holds whoever asks for it, for minutes. So each is asked on a thread of its own that is
//! left behind when it does not come back in time; at most [`ASKED_MAX`] are asked.

use crate::sample::is_remote;
use quorate_common::terminal::finding::Finding;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

const CHECK: &str = "mounts";
/// How long a network mount may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Threads that may be left behind.
const ASKED_MAX: usize = 16;

/// Counts the mounts and asks those of the network.
pub fn check(root: &Path) -> Vec<Finding> {
    let text = match std::fs::read_to_string(root.join("proc/self/mounts")) {
        Ok(text) => text,
        Err(error) => return vec![Finding::warning(CHECK, format!("failed to read their list: {error}"))],
    };
    let mounts = parse(&text);
    let remote: Vec<&Mount> = mounts.iter().filter(|mount| mount.remote).collect();
    let (asked, unasked) = remote.split_at(remote.len().min(ASKED_MAX));
    let hung = hung(&asked.iter().map(|mount| mount.at.as_str()).collect::<Vec<_>>());
    findings(mounts.len() - remote.len(), remote.len(), &hung, unasked.len())
}

/// One line of the kernel's list.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    at: String,
    remote: bool,
}

fn parse(text: &str) -> Vec<Mount> {
    let line = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        Some(Mount { at: unescape(at), remote: is_remote(kind) })
    };
    text.lines().filter_map(line).collect()
}

/// Blanks stand as `\040` there.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// Those that did not answer in time. All are asked at once.
fn hung(mounts: &[&str]) -> Vec<String> {
    let (answered, answers) = mpsc::sync_channel(mounts.len());
    for (number, mount) in mounts.iter().enumerate() {
        let (answered, mount) = (answered.clone(), (*mount).to_owned());
        let ask = move || {
            // Any answer will do, an error too: it did not hang.
            drop(rustix::fs::statvfs(mount.as_str()));
            answered.send(number).ok();
        };
        // A thread that cannot be had leaves its mount among those that did not answer.
        std::thread::Builder::new().name("mount".into()).spawn(ask).ok();
    }
    drop(answered);
    let mut open: Vec<Option<String>> = mounts.iter().map(|mount| Some((*mount).to_owned())).collect();
    while let Ok(number) = answers.recv_timeout(ANSWER_MAX) {
        open[number] = None;
    }
    open.into_iter().flatten().collect()
}

fn findings(local: usize, remote: usize, hung: &[String], unasked: usize) -> Vec<Finding> {
    let mut findings: Vec<Finding> = hung
        .iter()
        .map(|mount| {
            let text = format!("`{mount}` did not answer within {} s", ANSWER_MAX.as_secs());
            Finding::failed("mount", text).advise("look at its server, or unmount it (umount -l)")
        })
        .collect();
    if unasked > 0 {
        findings.push(Finding::warning(CHECK, format!("{unasked} network mounts were not asked")));
    }
    let answer = remote - hung.len().min(remote) - unasked.min(remote);
    findings.push(Finding::ok(CHECK, format!("{local} local, {answer} of {remote} on the network answer")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::terminal::finding::Level;

    #[test]
    fn the_kernels_list() {
        let text = "/dev/vda / ext4 rw 0 0\nnas:/x /mnt/a\\040b nfs4 rw 0 0\nbroken\n";
        let mount = |at: &str, remote| Mount { at: at.into(), remote };
        assert_eq!(parse(text), [mount("/", false), mount("/mnt/a b", true)]);
    }

    #[test]
    fn what_hangs_is_named() {
        let all = findings(3, 4, &["/mnt/x".to_owned()], 1);
        let shape: Vec<_> = all.iter().map(|finding| (finding.level, finding.text.as_str())).collect();
        assert_eq!(
            shape,
            [
                (Level::Failed, "`/mnt/x` did not answer within 2 s"),
                (Level::Warning, "1 network mounts were not asked"),
                (Level::Ok, "3 local, 2 of 4 on the network answer"),
            ]
        );
        assert_eq!(findings(3, 0, &[], 0)[0].text, "3 local, 0 of 0 on the network answer");
    }

    #[test]
    fn what_answers_does_not_hang() {
        assert_eq!(hung(&["/", "/absent"]), Vec::<String>::new());
        assert_eq!(hung(&[]), Vec::<String>::new());
    }
}
