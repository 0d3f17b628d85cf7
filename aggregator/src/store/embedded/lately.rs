//! Indices that readers asked for lately: a query of an hour looks into twelve of them, and the next one into the
//! same. The least used goes when there are too many; whatever is not here is on the disk.

use super::index::Entry;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Numbers of series in all of them together: four bytes each, so 16 MiB.
const NUMBERS_MAX: usize = 4 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Lately(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The one that was used last comes last.
    indices: VecDeque<(Box<Path>, Arc<[Entry]>)>,
    numbers: usize,
}

impl Lately {
    /// The chunks of a file, by node, if they were asked for lately.
    pub fn get(&self, path: &Path) -> Option<Arc<[Entry]>> {
        let mut kept = self.kept();
        let at = kept.indices.iter().position(|(other, _)| **other == *path)?;
        let (path, entries) = kept.indices.remove(at)?;
        kept.indices.push_back((path, entries.clone()));
        Some(entries)
    }

    /// Keeps the chunks of a file for a while; gives them by node, and those of a node in their order.
    pub fn put(&self, path: &Path, mut entries: Vec<Entry>) -> Arc<[Entry]> {
        entries.sort_by_key(|entry| entry.node);
        let entries: Arc<[Entry]> = entries.into();
        self.forget(path);
        let mut kept = self.kept();
        kept.numbers += numbers(&entries);
        kept.indices.push_back((path.into(), entries.clone()));
        while kept.numbers > NUMBERS_MAX {
            let Some((_, oldest)) = kept.indices.pop_front() else { break };
            kept.numbers -= numbers(&oldest);
        }
        entries
    }

    /// A file is gone.
    pub fn forget(&self, path: &Path) {
        let mut kept = self.kept();
        let Some(at) = kept.indices.iter().position(|(other, _)| **other == *path) else { return };
        let gone = kept.indices.remove(at);
        kept.numbers -= gone.map_or(0, |(_, entries)| numbers(&entries));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an index takes: an entry is as much as a dozen numbers.
fn numbers(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.series.len() + 16).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SeriesId;
    use quorate_common::model::node::NodeId;
    use quorate_common::model::time::WallTime;

    fn entry(node: i64, count: usize) -> Entry {
        let series = vec![SeriesId(1); count];
        Entry { node: NodeId(node), at: 0, bytes: 1, first: WallTime(1), last: WallTime(2), series }
    }

    #[test]
    fn the_least_used_goes() {
        let lately = Lately::default();
        let paths = ["a", "b", "c", "d"].map(Path::new);
        for path in &paths[..3] {
            let entries = lately.put(path, vec![entry(2, NUMBERS_MAX / 4), entry(1, 1)]);
            assert_eq!(entries.iter().map(|entry| entry.node.0).collect::<Vec<_>>(), [1, 2]);
        }
        assert!(lately.get(paths[0]).is_some());
        lately.put(paths[3], vec![entry(1, NUMBERS_MAX / 4)]);
        let there = |path: &&Path| lately.get(path).is_some();
        assert_eq!(paths.iter().map(there).collect::<Vec<_>>(), [true, false, true, true]);
        paths.iter().for_each(|path| lately.forget(path));
        assert_eq!(lately.kept().numbers, 0);
    }
}
