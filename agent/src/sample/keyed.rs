//! Things by name, found again each round in the order in which the kernel lists them.
//!
//! The kernel lists processors, interfaces and mounts in the same order nearly always, so the next one is
//! looked for where the last one ended: no hashing, no allocation. What a round did not mention has gone.

use super::error::SampleError;

/// Values by key, in the order of listing.
#[derive(Debug)]
pub(super) struct Keyed<V> {
    entries: Vec<Entry<V>>,
    next: usize,
}

#[derive(Debug)]
struct Entry<V> {
    key: Box<[u8]>,
    value: V,
    seen: bool,
}

impl<V> Default for Keyed<V> {
    fn default() -> Keyed<V> {
        Keyed { entries: Vec::new(), next: 0 }
    }
}

impl<V> Keyed<V> {
    /// The value of a key, made at its first mention.
    pub fn entry<F>(&mut self, key: &[u8], make: F) -> Result<&mut V, SampleError>
    where
        F: FnOnce() -> Result<V, SampleError>,
    {
        let at = match self.find(key) {
            Some(at) => at,
            None => {
                let at = self.next.min(self.entries.len());
                self.entries.insert(at, Entry { key: key.into(), value: make()?, seen: true });
                at
            }
        };
        self.next = at + 1;
        self.entries[at].seen = true;
        Ok(&mut self.entries[at].value)
    }

    /// Ends a round: what was not mentioned in it is taken out and handed over.
    pub fn finish(&mut self, mut gone: impl FnMut(V)) {
        self.next = 0;
        if self.entries.iter().any(|entry| !entry.seen) {
            let (kept, lost) = std::mem::take(&mut self.entries).into_iter().partition(|entry| entry.seen);
            self.entries = kept;
            let lost: Vec<Entry<V>> = lost;
            lost.into_iter().for_each(|entry| gone(entry.value));
        }
        self.entries.iter_mut().for_each(|entry| entry.seen = false);
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let is_it = |at: &usize| *self.entries[*at].key == *key;
        let start = self.next.min(self.entries.len());
        (start..self.entries.len()).chain(0..start).find(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(keyed: &mut Keyed<String>, keys: &str) -> String {
        for key in keys.split_whitespace() {
            keyed.entry(key.as_bytes(), || Ok(key.to_uppercase())).unwrap();
        }
        let mut gone = Vec::new();
        keyed.finish(|value| gone.push(value));
        gone.join(" ")
    }

    #[test]
    fn what_is_not_mentioned_goes() {
        let mut keyed = Keyed::default();
        for (keys, gone) in
            [("a b c", ""), ("a x b c", ""), ("c b a x", ""), ("b y", "A X C"), ("", "B Y"), ("a a", "")]
        {
            assert_eq!(round(&mut keyed, keys), gone, "{keys}");
        }
        assert_eq!(keyed.entries.len(), 1);
    }
}
