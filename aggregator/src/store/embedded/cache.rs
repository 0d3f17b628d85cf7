//! Cache: the lists of chunks that readers asked for lately, up to so many bytes.
//!
//! A question about an hour touches dozens of volumes, and the next one most of them again. What is written is not
//! put here, and neither is what is rolled up: both are read once.

use super::index::Entry;
use super::volume::{Contents, Volume};
use std::collections::HashMap;
use std::mem::size_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All lists together.
pub const CACHE_BYTES_MAX: usize = 32 << 20;

/// Which volume; nothing else has its contents and order.
type Key = (Contents, u64);

/// See the module.
#[derive(Debug)]
pub struct Cache {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lists: HashMap<Key, List>,
    bytes: usize,
    /// Counts questions.
    turn: u64,
}

#[derive(Debug)]
struct List {
    entries: Arc<Vec<Entry>>,
    bytes: usize,
    /// The last question that it answered.
    used: u64,
}

impl Cache {
    /// An empty one.
    pub fn new(bytes_max: usize) -> Cache {
        Cache { bytes_max, kept: Mutex::default() }
    }

    /// The chunks of a volume, if they are here.
    pub fn get(&self, volume: &Volume) -> Option<Arc<Vec<Entry>>> {
        let mut kept = self.kept();
        kept.turn += 1;
        let turn = kept.turn;
        let list = kept.lists.get_mut(&key(volume))?;
        list.used = turn;
        Some(list.entries.clone())
    }

    /// Keeps the chunks of a volume in place of those that nobody asked for the longest.
    pub fn put(&self, volume: &Volume, entries: Arc<Vec<Entry>>) {
        let bytes = weight(&entries);
        if bytes > self.bytes_max {
            return;
        }
        let mut kept = self.kept();
        kept.drop_list(&key(volume));
        while kept.bytes + bytes > self.bytes_max {
            let oldest = kept.lists.iter().min_by_key(|(_, list)| list.used).map(|(key, _)| *key);
            let Some(oldest) = oldest else { break };
            kept.drop_list(&oldest);
        }
        let used = kept.turn;
        kept.bytes += bytes;
        kept.lists.insert(key(volume), List { entries, bytes, used });
    }

    /// A volume is no more.
    pub fn forget(&self, volume: &Volume) {
        self.kept().drop_list(&key(volume));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn drop_list(&mut self, key: &Key) {
        self.bytes -= self.lists.remove(key).map_or(0, |list| list.bytes);
    }
}

fn key(volume: &Volume) -> Key {
    (volume.contents, volume.order)
}

/// What a list takes of memory.
fn weight(entries: &[Entry]) -> usize {
    let series: usize = entries.iter().map(|entry| entry.series.capacity()).sum();
    size_of::<List>() + size_of_val(entries) + series * size_of::<u32>()
}

#[cfg(test)]
mod tests {
    use super::super::window::Span;
    use super::*;
    use crate::store::SeriesId;
    use quorate_common::model::node::NodeId;
    use quorate_common::model::series::SeriesClass;
    use quorate_common::model::time::WallTime;

    fn volume(order: u64) -> Volume {
        let (bytes, index_bytes, salt, index, path) = Default::default();
        let contents = Contents::Raw(Span::FIRST, SeriesClass::Other);
        Volume { contents, order, bytes, index_bytes, salt, index, path }
    }

    fn entries(series: u32) -> Arc<Vec<Entry>> {
        let series = (0..series).map(SeriesId).collect();
        let (first, last) = (WallTime(0), WallTime(0));
        Arc::new(vec![Entry { node: NodeId(1), at: 0, bytes: 0, first, last, series }])
    }

    #[test]
    fn what_nobody_asks_for_goes_first() {
        let cache = Cache::new(3 * weight(&entries(100)));
        (0..3).for_each(|order| cache.put(&volume(order), entries(100)));
        assert!(cache.get(&volume(0)).is_some());
        cache.put(&volume(3), entries(100));
        let here =
            |cache: &Cache| (0..4).filter(|order| cache.get(&volume(*order)).is_some()).collect::<Vec<u64>>();
        assert_eq!(here(&cache).len(), 3);
        assert!(here(&cache).contains(&0) && here(&cache).contains(&3));
        cache.put(&volume(9), entries(100_000));
        assert_eq!(here(&cache).len(), 3, "what is too large changes nothing");
        cache.put(&volume(3), entries(50));
        assert_eq!(cache.get(&volume(3)).unwrap()[0].series.len(), 50);
        (0..4).for_each(|order| cache.forget(&volume(order)));
        assert_eq!((here(&cache), cache.kept().bytes), (vec![], 0));
    }
}
