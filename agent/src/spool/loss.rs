//! Losses: frames that can no longer be sent, kept on disk until the aggregator has heard of them.

use quorate_common::disk::Disk;
use quorate_common::model::backfill::{Known, Loss, LossCause};
use quorate_common::model::session::Epoch;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILE: &str = "losses";
/// Losses next to one another are one. More than this are not remembered: they end with their epoch, as lost on the
/// node.
const LOSSES_MAX: usize = 4_096;
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The losses of one agent.
pub struct Losses {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    list: Vec<Loss>,
}

impl Losses {
    /// Those of earlier processes. Lines that cannot be read are left out.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> io::Result<Losses> {
        let path = directory.join(FILE);
        let content = match disk.read(&path, FILE_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            content => content?,
        };
        let list = String::from_utf8_lossy(&content).lines().filter_map(parse).take(LOSSES_MAX).collect();
        Ok(Losses { disk, path, list })
    }

    /// The oldest that the aggregator was not told of.
    pub fn first(&self) -> Option<Loss> {
        self.list.first().copied()
    }

    /// All of them.
    pub fn all(&self) -> &[Loss] {
        &self.list
    }

    /// Adds one. It survives before this returns; if it does not, it is known for as long as this process lives.
    pub fn add(&mut self, loss: Loss) -> io::Result<()> {
        let has = |one: &Loss| one.epoch == loss.epoch && one.first <= loss.first && loss.last <= one.last;
        if self.list.iter().any(has) {
            return Ok(());
        }
        let near = |one: &&mut Loss| {
            one.epoch == loss.epoch && one.cause == loss.cause && one.last.checked_add(1) == Some(loss.first)
        };
        let is_full = self.list.len() >= LOSSES_MAX;
        match self.list.iter_mut().find(near) {
            Some(before) => {
                (before.last, before.collected_total) = (loss.last, loss.collected_total);
            }
            None if is_full => return Ok(()),
            None => self.list.push(loss),
        }
        self.write()
    }

    /// Forgets what the aggregator knows.
    pub fn settle(&mut self, known: &Known) -> io::Result<()> {
        let before = self.list.len();
        self.list.retain(|loss| loss.epoch != known.epoch || !known.covers(loss.first, loss.last));
        if self.list.len() == before { Ok(()) } else { self.write() }
    }

    fn write(&self) -> io::Result<()> {
        let line = |loss: &Loss| {
            let Loss { epoch: Epoch { order, nonce }, first, last, collected_total, cause } = loss;
            format!("{order} {nonce} {first} {last} {collected_total} {cause}\n")
        };
        self.disk.write_atomic(&self.path, self.list.iter().map(line).collect::<String>().as_bytes())
    }
}

fn parse(line: &str) -> Option<Loss> {
    let mut words = line.split(' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let (order, nonce, first) = (number()?, number()?, number()?);
    let (last, collected_total) = (number()?, number()?);
    let cause: LossCause = words.next()?.parse().ok()?;
    let epoch = Epoch { order, nonce };
    (first > 0 && first <= last).then_some(Loss { epoch, first, last, collected_total, cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::disk::MemoryDisk;

    const EPOCH: Epoch = Epoch { order: 2, nonce: 7 };

    fn loss(first: u64, last: u64) -> Loss {
        Loss { epoch: EPOCH, first, last, collected_total: last, cause: LossCause::Overflow }
    }

    #[test]
    fn kept_until_they_are_known() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let mut losses = Losses::open(disk.clone(), Path::new("/s")).unwrap();
        for one in [loss(1, 3), loss(4, 4), loss(9, 9)] {
            losses.add(one).unwrap();
        }
        let mut losses = Losses::open(disk.clone(), Path::new("/s")).unwrap();
        assert_eq!(losses.all(), [loss(1, 4), loss(9, 9)], "neighbours are one");
        losses.settle(&Known { epoch: Epoch::default(), durable: 99, ..Known::default() }).unwrap();
        losses.settle(&Known { epoch: EPOCH, durable: 5, ..Known::default() }).unwrap();
        assert_eq!(Losses::open(disk, Path::new("/s")).unwrap().all(), [loss(9, 9)]);
    }

    #[test]
    fn lines_that_mean_nothing_are_left_out() {
        for line in
            ["", "1 2 3", "1 2 0 4 9 overflow", "1 2 5 4 9 overflow", "1 2 3 4 9 nothing", "a b c d e f"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
        assert_eq!(parse("2 7 1 3 3 overflow"), Some(loss(1, 3)));
    }
}
