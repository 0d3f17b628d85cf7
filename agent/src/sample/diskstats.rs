//! Disks: `/proc/diskstats`. Partitions, loop devices and floppies are left out, as node_exporter does.

use super::error::SampleError;
use super::keyed::Keyed;
use super::reader::File;
use super::text::{Line, Lines, cell, digits};
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::{Path, PathBuf};

/// The columns behind the name, in their order. Discards came with Linux 4.18, flushes with 5.5.
const COLUMNS: [&MetricDef; 17] = [
    &catalog::DISK_READS_COMPLETED,
    &catalog::DISK_READS_MERGED,
    &catalog::DISK_READ_BYTES,
    &catalog::DISK_READ_TIME,
    &catalog::DISK_WRITES_COMPLETED,
    &catalog::DISK_WRITES_MERGED,
    &catalog::DISK_WRITTEN_BYTES,
    &catalog::DISK_WRITE_TIME,
    &catalog::DISK_IO_NOW,
    &catalog::DISK_IO_TIME,
    &catalog::DISK_IO_TIME_WEIGHTED,
    &catalog::DISK_DISCARDS_COMPLETED,
    &catalog::DISK_DISCARDS_MERGED,
    &catalog::DISK_DISCARDED_SECTORS,
    &catalog::DISK_DISCARD_TIME,
    &catalog::DISK_FLUSH_REQUESTS,
    &catalog::DISK_FLUSH_TIME,
];
/// What every kernel has.
const COLUMNS_MIN: usize = 11;
/// Labels of a disk and the properties of udev that they come from, the best first.
const PROPERTIES: [(&str, &[&str]); 5] = [
    ("path", &["ID_PATH"]),
    ("model", &["ID_MODEL"]),
    ("serial", &["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT"]),
    ("wwn", &["ID_WWN"]),
    ("revision", &["ID_REVISION"]),
];

/// Reads `/proc/diskstats`.
pub(super) struct Diskstats {
    root: PathBuf,
    file: File,
    interval_ms: u32,
    parsed: Vec<(Slot, i64)>,
    disks: Keyed<Disk>,
}

/// A disk: slots of the columns that its kernel has.
struct Disk {
    slots: Vec<Slot>,
    info: Slot,
}

impl Diskstats {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Diskstats {
        let file = File::new(root, "proc/diskstats");
        Diskstats { root: root.to_owned(), file, interval_ms, parsed: Vec::new(), disks: Keyed::default() }
    }

    fn parse(&mut self, out: &mut Sink) -> Result<(), SampleError> {
        self.parsed.clear();
        let Some((path, bytes)) = self.file.read_if_any()? else { return Ok(()) };
        for mut line in Lines::new(path, bytes) {
            let number = (line.number("major")?, line.number("minor")?);
            let name = line.word().ok_or_else(|| line.error("no name"))?;
            if is_left_out(name) {
                continue;
            }
            let (columns, count) = columns(line)?;
            let disk = self.disks.entry(name, || register(&self.root, (name, number), count, out))?;
            self.parsed.extend(disk.slots.iter().copied().zip(columns));
            self.parsed.push((disk.info, 1));
        }
        Ok(())
    }
}

fn columns(mut line: Line<'_>) -> Result<([i64; COLUMNS.len()], usize), SampleError> {
    let (mut columns, mut count) = ([0; COLUMNS.len()], 0);
    for (place, def) in columns.iter_mut().zip(COLUMNS) {
        let Some(value) = line.number_if_any(def.name)? else { break };
        *place = cell(value);
        count += 1;
    }
    match COLUMNS.get(count) {
        Some(def) if count < COLUMNS_MIN => Err(line.error(format!("`{}` is missing", def.name))),
        _ => Ok((columns, count)),
    }
}

fn register(
    root: &Path,
    (name, number): (&[u8], (u64, u64)),
    count: usize,
    out: &mut Sink,
) -> Result<Disk, SampleError> {
    let device = String::from_utf8_lossy(name);
    let labels = Labels::new([("device", &*device)])?;
    let slots = COLUMNS.iter().take(count).map(|def| out.slot(def, labels.clone())).collect();
    let info = out.slot(&catalog::DISK_INFO, info_labels(root, &device, number)?);
    Ok(Disk { slots, info })
}

/// What udev knows of a disk; a machine without udev knows its number only.
fn info_labels(root: &Path, device: &str, (major, minor): (u64, u64)) -> Result<Labels, SampleError> {
    let mut file = File::new(root, &format!("run/udev/data/b{major}:{minor}"));
    let text = file.read().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    let property = |name: &&str| {
        let mut values =
            text.lines().filter_map(|line| line.strip_prefix("E:")?.strip_prefix(name)?.strip_prefix('='));
        values.next().map(str::to_owned)
    };
    let mut labels =
        vec![("device", device.to_owned()), ("major", major.to_string()), ("minor", minor.to_string())];
    for (label, names) in PROPERTIES {
        labels.extend(names.iter().find_map(property).map(|value| (label, value)));
    }
    Ok(Labels::new(labels)?)
}

impl Sampler for Diskstats {
    fn name(&self) -> &'static str {
        "diskstats"
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
        self.disks.finish(|disk| {
            disk.slots.iter().chain([&disk.info]).for_each(|slot| out.retire(*slot));
        });
        Ok(())
    }
}

/// RAM disks, loop devices, floppies, and partitions of disks with a letter or of NVMe disks.
fn is_left_out(name: &[u8]) -> bool {
    let stem = name.trim_ascii_end();
    let stem = &stem[..stem.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |at| at + 1)];
    if stem.len() == name.len() {
        return false;
    }
    let lettered = |kind: &[u8]| {
        stem.strip_prefix(kind).is_some_and(|rest| rest.len() == 1 && rest[0].is_ascii_lowercase())
    };
    let nvme = || {
        let rest = stem.strip_prefix(b"nvme")?.strip_suffix(b"p")?;
        let at = rest.iter().position(|b| *b == b'n')?;
        Some(digits(&rest[..at]).is_some() && digits(&rest[at + 1..]).is_some())
    };
    [&b"ram"[..], b"loop", b"fd"].contains(&stem)
        || [&b"hd"[..], b"sd", b"vd", b"xvd"].iter().any(|kind| lettered(kind))
        || nvme() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn partitions_and_toys_are_left_out() {
        for (name, expect) in [
            ("sda", false),
            ("sda1", true),
            ("sdaa1", false),
            ("xvda10", true),
            ("vda", false),
            ("nvme0n1", false),
            ("nvme0n1p2", true),
            ("nvme0c0n1", false),
            ("mmcblk0p1", false),
            ("loop7", true),
            ("loop", false),
            ("ram0", true),
            ("fd0", true),
            ("dm-0", false),
            ("md127", false),
            ("cciss/c0d0", false),
            ("7", false),
        ] {
            assert_eq!(is_left_out(name.as_bytes()), expect, "{name}");
        }
    }

    #[test]
    fn kernels_have_eleven_columns_or_more() {
        let (tree, mut board) = (Tree::empty(), Board::default());
        let mut disks = Diskstats::new(tree.root(), 1000);
        let mut check = |text: &str, series: usize, expect: &str| {
            tree.write("proc/diskstats", text);
            let said =
                sample(&mut disks, &mut board).unwrap_or_else(|error| error.replace(&tree.display(), ""));
            assert!(said.contains(expect), "{said}");
            assert_eq!(said.lines().count(), series, "{said}");
        };
        let old = "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n";
        check(old, 12, "node_disk_read_bytes_total{device=\"sda\"} 1536\n");
        check(old, 12, "node_disk_io_time_weighted_seconds_total{device=\"sda\"} 0.011\n");
        check("8 1 sda1 x\n", 0, "");
        check(
            "259 0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n",
            18,
            "node_disk_info{device=\"nvme0n1\",major=\"259\",minor=\"0\"} 1",
        );
        let missing = "line 1: `node_disk_io_time_weighted_seconds_total` is missing";
        check("8 0 sdb 1 2 3 4 5 6 7 8 9 10\n", 1, missing);
        check("8 0 sdb 1 2 3 4 5 6 7 8 9 10 11 x\n", 1, "`node_disk_discards_completed_total` is `x`");
        check("8 x sdb\n", 1, "line 1: `minor` is `x`");
    }

    #[test]
    fn udev_names_the_disk() {
        let (tree, mut board) = (Tree::empty(), Board::default());
        tree.write("proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
        tree.write(
            "run/udev/data/b8:0",
            "S:disk/by-id/x\nE:ID_SERIAL=M_S\nE:ID_SERIAL_SHORT=S\nE:ID_MODEL=M 1\nE:ID_WWN=0x5\n",
        );
        let said = sample(&mut Diskstats::new(tree.root(), 1000), &mut board).unwrap();
        let expect = "{device=\"sda\",major=\"8\",minor=\"0\",model=\"M 1\",serial=\"S\",wwn=\"0x5\"} 1\n";
        assert!(said.contains(expect), "{said}");
    }
}
