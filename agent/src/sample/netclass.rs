//! What an interface is and whether it has a link: `/sys/class/net`. Its traffic is in `network.rs`.
//!
//! The kernel takes a lock of the whole network for some of these files, so they are read seldom, and by a
//! collector that may block.

use super::error::SampleError;
use super::labelled::Labelled;
use super::reader::{attribute, names};
use super::{Sampler, Sink};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::{Path, PathBuf};

/// More interfaces than a host of a thousand containers has.
const INTERFACES_MAX: usize = 4096;
/// Files that are a number.
const NUMBERS: [(&str, &MetricDef); 7] = [
    ("carrier", &catalog::NETWORK_CARRIER),
    ("carrier_changes", &catalog::NETWORK_CARRIER_CHANGES),
    ("ifindex", &catalog::NETWORK_IFACE_ID),
    ("mtu", &catalog::NETWORK_MTU),
    ("speed", &catalog::NETWORK_SPEED),
    ("tx_queue_len", &catalog::NETWORK_QUEUE_LENGTH),
    ("type", &catalog::NETWORK_PROTOCOL_TYPE),
];
/// Files that are a text.
const TEXTS: [&str; 5] = ["address", "broadcast", "duplex", "ifalias", "operstate"];

/// Reads `/sys/class/net`.
pub(super) struct Netclass {
    directory: PathBuf,
    interval_ms: u32,
    said: Labelled,
}

impl Netclass {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Netclass {
        Netclass { directory: root.join("sys/class/net"), interval_ms, said: Labelled::default() }
    }

    fn interface(&mut self, device: &str, directory: &Path, out: &mut Sink) -> Result<(), SampleError> {
        let labels = Labels::new([("device", device)])?;
        for (file, def) in NUMBERS {
            // Interfaces refuse what does not apply to them, and say -1 for a speed that they do not have.
            let number = attribute(&directory.join(file)).and_then(|text| text.parse::<u32>().ok());
            if let Some(number) = number {
                self.said.set((def, &labels), i64::from(number), out)?;
            }
        }
        let text = |name| Some((name, attribute(&directory.join(name))?));
        let texts: Vec<(&str, String)> = TEXTS.into_iter().filter_map(text).collect();
        let is_up = texts.contains(&("operstate", "up".to_owned()));
        self.said.set((&catalog::NETWORK_UP, &labels), i64::from(is_up), out)?;
        let labels = Labels::new(texts.into_iter().chain([("device", device.to_owned())]))?;
        self.said.set((&catalog::NETWORK_INFO, &labels), 1, out)
    }
}

impl Sampler for Netclass {
    fn name(&self) -> &'static str {
        "netclass"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn may_block(&self) -> bool {
        true
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        for device in names(&self.directory, INTERFACES_MAX)? {
            let directory = self.directory.join(&device);
            // There are plain files too, such as `bonding_masters`.
            if attribute(&directory.join("ifindex")).is_some() {
                self.interface(&device.to_string_lossy(), &directory, out)?;
            }
        }
        self.said.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn interfaces_come_and_go() {
        let (tree, mut board) = (Tree::empty(), Board::default());
        let mut netclass = Netclass::new(tree.root(), 30_000);
        assert_eq!(sample(&mut netclass, &mut board).unwrap(), "");
        tree.write("sys/class/net/bonding_masters", "bond0\n");
        for (file, text) in [
            ("ifindex", "2"),
            ("speed", "1000"),
            ("operstate", "up"),
            ("mtu", "x"),
            ("ifalias", "to \"rack\" é"),
        ] {
            tree.write(&format!("sys/class/net/ê!0/{file}"), &format!("{text}\n"));
        }
        let expect = "node_network_iface_id{device=\"ê!0\"} 2\n\
            node_network_info{device=\"ê!0\",ifalias=\"to \\\"rack\\\" é\",operstate=\"up\"} 1\n\
            node_network_speed_bytes{device=\"ê!0\"} 125000000\nnode_network_up{device=\"ê!0\"} 1\n";
        assert_eq!(sample(&mut netclass, &mut board).unwrap(), expect);
        tree.write("sys/class/net/ê!0/speed", "-1\n");
        tree.write("sys/class/net/ê!0/operstate", "down\n");
        let said = sample(&mut netclass, &mut board).unwrap();
        assert!(!said.contains("speed") && said.contains("node_network_up{device=\"ê!0\"} 0\n"), "{said}");
        assert_eq!(said.lines().count(), 3);
        std::fs::remove_dir_all(tree.root().join("sys/class/net/ê!0")).unwrap();
        assert_eq!(sample(&mut netclass, &mut board).unwrap(), "");
    }
}
