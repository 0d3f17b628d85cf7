//! Vantage: whether this agent sees the host or a container, and which of its numbers are not the host's.
//!
//! ```text
//!   markers of a runtime, or a process number 1 that is not init's ──→ container
//!   files of /proc that lxcfs answers                              ──→ these are the container's own
//! ```
//!
//! Reads a handful of files; what is not there says nothing. Guesses nothing that has no marker.

use quorate_common::terminal::finding::Finding;
use std::path::Path;

const CHECK: &str = "vantage";

/// What the host says of where we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vantage {
    /// Files that container runtimes leave.
    pub markers: Vec<&'static str>,
    /// What `/run/systemd/container` says, such as `lxc`.
    pub declared: Option<String>,
    /// `/proc/1/cgroup`.
    pub cgroup: String,
    /// `/proc/self/mounts`.
    pub mounts: String,
    /// The numbers of this process in nested namespaces, outermost first, as `NSpid` has them.
    pub pids: String,
}

/// Files that only a container has.
const MARKERS: &[(&str, &str)] =
    &[("/.dockerenv", "docker"), ("/run/.containerenv", "podman"), ("/dev/lxd/sock", "lxd")];
/// Pieces of a control group's path that a runtime puts there.
const CGROUPS: &[(&str, &str)] = &[
    ("/docker", "docker"),
    ("/kubepods", "kubernetes"),
    ("/lxc", "lxc"),
    ("/libpod", "podman"),
    ("/machine.slice/machine-", "nspawn"),
];

impl Vantage {
    /// Reads it. `root` is `/` but for tests.
    pub fn read(root: &Path) -> Vantage {
        let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
        let is_there = |path: &str| matches!(root.join(&path[1..]).try_exists(), Ok(true));
        let declared = text("run/systemd/container").trim().to_owned();
        let status = text("proc/self/status");
        Vantage {
            markers: MARKERS.iter().filter(|(path, _)| is_there(path)).map(|(_, name)| *name).collect(),
            declared: Some(declared).filter(|word| !word.is_empty()),
            cgroup: text("proc/1/cgroup"),
            mounts: text("proc/self/mounts"),
            pids: status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or("").trim().to_owned(),
        }
    }

    /// The runtime that we are in, if anything says so.
    fn runtime(&self) -> Option<String> {
        let grouped = CGROUPS.iter().find(|(piece, _)| self.cgroup.contains(piece)).map(|(_, name)| *name);
        let marked = self.markers.first().copied().or(grouped).map(str::to_owned);
        let lxcfs = (!self.lxcfs().is_empty()).then(|| "lxc".to_owned());
        self.declared.clone().or(marked).or(lxcfs)
    }

    /// Files of `/proc` that are answered for this container.
    fn lxcfs(&self) -> Vec<&str> {
        let answered = |line| match str::split(line, ' ').collect::<Vec<_>>()[..] {
            [_, at, "fuse.lxcfs", ..] if at.starts_with("/proc/") => Some(at),
            _ => None,
        };
        self.mounts.lines().filter_map(answered).collect()
    }
}

/// What is seen from here, and what of it is not the host's.
pub fn findings(vantage: &Vantage) -> Vec<Finding> {
    let lxcfs = vantage.lxcfs();
    let Some(runtime) = vantage.runtime() else {
        let nested = vantage.pids.split_whitespace().count() > 1;
        return vec![if nested {
            Finding::warning(CHECK, "own process namespace: other processes of the host are not seen").advise(
                "run the agent in the host's process namespace, or take its processes for the host's part",
            )
        } else {
            Finding::ok(CHECK, "host")
        }];
    };
    let text = format!("container ({runtime}): processes and mounts are the container's, not the host's");
    let mut findings = vec![Finding::warning(CHECK, text).advise(
        "for the host's numbers run an agent on the host; this one is right for the container as a machine",
    )];
    findings.push(match lxcfs.as_slice() {
        [] => Finding::warning(CHECK, "load, memory and processors in /proc are those of the host")
            .advise("compare them with the limits of the container, not with its processes"),
        files => Finding::ok(CHECK, format!("answered for the container by lxcfs: {}", files.join(", "))),
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::terminal::finding::Level;

    fn check(vantage: &Vantage, expect: &[(Level, &str)]) {
        let found = findings(vantage);
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (finding, (level, text)) in found.iter().zip(expect) {
            assert_eq!(finding.level, *level, "{finding:?}");
            assert!(finding.text.starts_with(text), "{finding:?}");
        }
    }

    #[test]
    fn markers_decide() {
        let container = |name: &str| format!("container ({name})");
        let host = "load, memory and processors in /proc are those of the host";
        check(&Vantage::default(), &[(Level::Ok, "host")]);
        let cases = [
            (Vantage { markers: vec!["docker"], ..Vantage::default() }, "docker"),
            (Vantage { declared: Some("systemd-nspawn".into()), ..Vantage::default() }, "systemd-nspawn"),
            (Vantage { cgroup: "0::/kubepods/pod1/x\n".into(), ..Vantage::default() }, "kubernetes"),
            (Vantage { cgroup: "1:name=systemd:/docker/abc\n".into(), ..Vantage::default() }, "docker"),
        ];
        for (vantage, name) in cases {
            check(&vantage, &[(Level::Warning, &container(name)), (Level::Warning, host)]);
        }
        check(
            &Vantage { cgroup: "0::/init.scope\n".into(), pids: "71".into(), ..Vantage::default() },
            &[(Level::Ok, "host")],
        );
        check(
            &Vantage { pids: "4711 1".into(), ..Vantage::default() },
            &[(Level::Warning, "own process namespace")],
        );
    }

    #[test]
    fn lxcfs_says_what_it_answers() {
        let mounts = "proc /proc proc rw 0 0\nlxcfs /proc/meminfo fuse.lxcfs rw 0 0\nlxcfs /proc/stat fuse.lxcfs rw 0 0\nlxcfs /var/lib/lxcfs fuse.lxcfs rw 0 0\n";
        let vantage = Vantage { mounts: mounts.into(), ..Vantage::default() };
        let expect = "answered for the container by lxcfs: /proc/meminfo, /proc/stat";
        check(&vantage, &[(Level::Warning, "container (lxc)"), (Level::Ok, expect)]);
        let host =
            Vantage { mounts: "lxcfs /var/lib/lxcfs fuse.lxcfs rw 0 0\n".into(), ..Vantage::default() };
        check(&host, &[(Level::Ok, "host")]);
    }

    #[test]
    fn reads_the_files_of_a_root() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Vantage::read(root.path()), Vantage::default());
        for (path, text) in [
            (".dockerenv", ""),
            ("run/systemd/container", "lxc\n"),
            ("proc/1/cgroup", "0::/\n"),
            ("proc/self/status", "Name:\tx\nNSpid:\t9\t1\n"),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let read = Vantage::read(root.path());
        assert_eq!((read.markers, read.declared.as_deref()), (vec!["docker"], Some("lxc")));
        assert_eq!((read.cgroup.as_str(), read.pids.as_str()), ("0::/\n", "9\t1"));
    }
}
