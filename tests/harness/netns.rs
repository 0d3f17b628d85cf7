//! Hosts of their own in one kernel: network namespaces behind a router, in which a link can be cut without a word: no
//! reset, no ICMP, every link still up. That is what a broken switch looks like, and no signal to a process does it.
//!
//! ```text
//!   hub (aggregator, the test) ──veth── router ──veth── leaf 0 (an agent)
//!     10.77.0.2                 nft drops    └──veth── leaf 1 …
//!                               what is cut
//! ```
//!
//! Nothing of it touches the host's own network. Names hold our process number; everything goes with the value, also
//! when a test panics, and what a killed run left behind goes at the next start.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";
/// A table whose set says who is cut off.
const RULES: &str = "table inet quorate {
  set cut { type ipv4_addr; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr @cut drop
    ip daddr @cut drop
  }
}
";

/// Why there are no namespaces here.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A program is missing, or may not do this.
    #[error("`{command}` failed: {said}")]
    Command {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// A program is not installed.
    #[error("failed to run `{0}`")]
    Run(String, #[source] io::Error),
    /// The namespace cannot be entered.
    #[error("failed to enter `{}`", .0.display())]
    Enter(PathBuf, #[source] io::Error),
}

/// A network with a hub, a router and leaves.
#[derive(Debug)]
pub struct Network {
    /// Where the aggregator and the test are.
    pub hub: Host,
    /// Where agents are.
    pub leaves: Vec<Host>,
    router: String,
}

/// A namespace with one address.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its address.
    pub address: String,
    name: String,
}

static NETWORKS: AtomicU32 = AtomicU32::new(0);

impl Network {
    /// A network with so many leaves.
    ///
    /// # Errors
    /// The kernel or our rights do not allow it, or `ip` and `nft` are not installed.
    pub fn new(leaves: u8) -> Result<Network, NetworkError> {
        remove_stale();
        let stem = format!("quorate-{}-{}-", std::process::id(), NETWORKS.fetch_add(1, Relaxed));
        let host = |at: u8| Host { address: format!("10.77.{at}.2"), name: format!("{stem}{at}") };
        // From here on the value cleans up what there is.
        let network =
            Network { hub: host(0), leaves: (1..=leaves).map(host).collect(), router: format!("{stem}r") };
        network.build()?;
        Ok(network)
    }

    fn build(&self) -> Result<(), NetworkError> {
        let (router, mut links, mut ports) =
            (&self.router, format!("netns add {}\n", self.router), String::new());
        for (at, Host { name, .. }) in self.hosts().enumerate() {
            links += &format!("netns add {name}\n");
            links += &format!("link add v{at} netns {router} type veth peer name eth0 netns {name}\n");
            ports += &format!("addr add 10.77.{at}.1/24 dev v{at}\nlink set v{at} up\n");
        }
        run("ip", &["-batch", "-"], &links)?;
        run("ip", &["-n", router, "-batch", "-"], &ports)?;
        for (at, Host { name, address }) in self.hosts().enumerate() {
            let own = format!("link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n");
            let route = format!("route add default via 10.77.{at}.1\n");
            run("ip", &["-n", name, "-batch", "-"], &(own + &route))?;
        }
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        run("ip", &["netns", "exec", router, "sh", "-c", forward], "")?;
        run("ip", &["netns", "exec", router, "nft", "-f", "-"], RULES)
    }

    fn hosts(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.hub).chain(&self.leaves)
    }

    /// From now on nothing comes from a host or gets there, and nobody is told.
    ///
    /// # Errors
    /// The rule could not be set.
    pub fn cut(&self, host: &Host) -> Result<(), NetworkError> {
        self.change("add", host)
    }

    /// Ends the cut of a host.
    ///
    /// # Errors
    /// The rule could not be removed.
    pub fn heal(&self, host: &Host) -> Result<(), NetworkError> {
        self.change("delete", host)
    }

    fn change(&self, verb: &str, Host { address, .. }: &Host) -> Result<(), NetworkError> {
        let rule = format!("{verb} element inet quorate cut {{ {address} }}\n");
        run("ip", &["netns", "exec", &self.router, "nft", "-f", "-"], &rule)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let all = std::iter::once(&self.router).chain(self.hosts().map(|host| &host.name));
        all.for_each(|name| remove(name));
    }
}

impl Host {
    /// Runs something on a thread of this host, in a runtime of its own: its sockets, and the processes that it
    /// starts, are there.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    ///
    /// # Panics
    /// When `what` panics.
    pub fn run<T, F>(&self, what: impl FnOnce() -> F + Send) -> Result<T, NetworkError>
    where
        T: Send,
        F: Future<Output = T>,
    {
        let inside = || {
            self.enter()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            Ok(runtime.map_err(|error| self.failed(error))?.block_on(what()))
        };
        std::thread::scope(|scope| {
            scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// What to put before a command so that it runs there. Its process keeps its number.
    pub fn prefix(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net={}", self.path().display())]
    }

    /// The calling thread stays there.
    fn enter(&self) -> Result<(), NetworkError> {
        let file = File::open(self.path()).map_err(|error| self.failed(error))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| self.failed(error.into()))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(NAMES).join(&self.name)
    }

    fn failed(&self, error: io::Error) -> NetworkError {
        NetworkError::Enter(self.path(), error)
    }
}

/// Runs a command to its end.
fn run(program: &str, args: &[&str], input: &str) -> Result<(), NetworkError> {
    let command = || format!("{program} {}", args.join(" "));
    let failed = |error| NetworkError::Run(command(), error);
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // Whoever ends before it has read all says why.
    child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()).ok());
    let ended = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    if ended.status.success() { Ok(()) } else { Err(NetworkError::Command { command: command(), said }) }
}

fn remove(name: &str) {
    // One that was never made is none to remove.
    run("ip", &["netns", "del", name], "").ok();
}

/// Removes what processes left that were killed.
fn remove_stale() {
    let Ok(names) = std::fs::read_dir(NAMES) else { return };
    for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let pid = name.strip_prefix("quorate-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let is_alive = |pid: u32| std::fs::metadata(format!("/proc/{pid}")).is_ok();
        if pid.is_some_and(|pid| !is_alive(pid)) {
            remove(&name);
        }
    }
}
