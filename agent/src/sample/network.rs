//! Network interfaces: `/proc/net/dev`.

use super::error::SampleError;
use super::keyed::Keyed;
use super::reader::File;
use super::text::{Line, Lines, cell};
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::Path;

/// The columns of the file, in their order.
const COLUMNS: [&MetricDef; 16] = [
    &catalog::NETWORK_RECEIVE_BYTES,
    &catalog::NETWORK_RECEIVE_PACKETS,
    &catalog::NETWORK_RECEIVE_ERRS,
    &catalog::NETWORK_RECEIVE_DROP,
    &catalog::NETWORK_RECEIVE_FIFO,
    &catalog::NETWORK_RECEIVE_FRAME,
    &catalog::NETWORK_RECEIVE_COMPRESSED,
    &catalog::NETWORK_RECEIVE_MULTICAST,
    &catalog::NETWORK_TRANSMIT_BYTES,
    &catalog::NETWORK_TRANSMIT_PACKETS,
    &catalog::NETWORK_TRANSMIT_ERRS,
    &catalog::NETWORK_TRANSMIT_DROP,
    &catalog::NETWORK_TRANSMIT_FIFO,
    &catalog::NETWORK_TRANSMIT_COLLS,
    &catalog::NETWORK_TRANSMIT_CARRIER,
    &catalog::NETWORK_TRANSMIT_COMPRESSED,
];

/// Reads `/proc/net/dev`: the interfaces of the network name space that the agent lives in.
pub(super) struct Network {
    file: File,
    interval_ms: u32,
    parsed: Vec<(Slot, i64)>,
    devices: Keyed<[Slot; COLUMNS.len()]>,
}

impl Network {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Network {
        let file = File::new(root, "proc/net/dev");
        Network { file, interval_ms, parsed: Vec::new(), devices: Keyed::default() }
    }

    fn parse(&mut self, out: &mut Sink) -> Result<(), SampleError> {
        let (path, bytes) = self.file.read()?;
        let mut lines = Lines::new(path, bytes);
        self.parsed.clear();
        for _ in 0..2 {
            let heading = lines.next().ok_or_else(|| lines.error("no heading"))?;
            check_heading(heading)?;
        }
        for mut line in lines {
            let name = line.until(b':').ok_or_else(|| line.error("no colon"))?;
            let slots = *self.devices.entry(name, || register(name, out))?;
            for (slot, def) in slots.iter().zip(COLUMNS) {
                self.parsed.push((*slot, cell(line.number(def.name)?)));
            }
        }
        Ok(())
    }
}

/// A kernel with other columns must not be read as if it had these.
fn check_heading(mut line: Line<'_>) -> Result<(), SampleError> {
    let text = line.until(b'|').ok_or_else(|| line.error("no heading"))?;
    match text {
        b"Inter-" | b"face" => Ok(()),
        _ => Err(line.error("no heading")),
    }
}

fn register(device: &[u8], out: &mut Sink) -> Result<[Slot; COLUMNS.len()], SampleError> {
    let labels = Labels::new([("device", String::from_utf8_lossy(device))])?;
    Ok(COLUMNS.map(|def| out.slot(def, labels.clone())))
}

impl Sampler for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        self.parse(out)?;
        self.parsed.iter().for_each(|(slot, cell)| out.set(*slot, *cell));
        self.devices.finish(|slots| slots.into_iter().for_each(|slot| out.retire(slot)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    const HEADING: &str = "Inter-| Receive | Transmit\n face |bytes packets |bytes packets\n";

    #[test]
    fn interfaces_come_and_go() {
        let (tree, mut sink) = (Tree::empty(), Board::default());
        let mut network = Network::new(tree.root(), 1000);
        let mut check = |text: &str| {
            tree.write("proc/net/dev", &format!("{HEADING}{text}"));
            sample(&mut network, &mut sink).unwrap()
        };
        let zeros = "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
        let text = check(&format!("  lo:7 {zeros}\n  br-0.5@x: 8 {zeros}\n"));
        assert_eq!(text.lines().count(), 32);
        assert!(text.contains("node_network_receive_bytes_total{device=\"br-0.5@x\"} 8\n"), "{text}");
        assert!(!check(&format!("  br-0.5@x: 8 {zeros}\n")).contains("\"lo\""));
        assert_eq!(check(""), "");
    }

    #[test]
    fn garbage_is_named() {
        let tree = Tree::empty();
        for (text, expect) in [
            (String::new(), "line 1: no heading"),
            ("a | b\n".into(), "line 1: no heading"),
            (format!("{HEADING}lo 1 2\n"), "line 3: no colon"),
            (format!("{HEADING}lo: 1 2\n"), "line 3: `node_network_receive_errs_total` is missing"),
            (
                format!("{HEADING}lo: 1 x\n"),
                "line 3: `node_network_receive_packets_total` is `x`, expected a whole number",
            ),
        ] {
            tree.write("proc/net/dev", &text);
            let error = sample(&mut Network::new(tree.root(), 1000), &mut Board::default()).unwrap_err();
            assert_eq!(
                error.replace(&tree.display(), ""),
                format!("failed to parse `/proc/net/dev` {expect}")
            );
        }
    }
}
