//! Names: which series of a node are called so, without looking at the others.
//!
//! A list in order of hashes, with the place of each series in the dictionary. It is made as far as someone asks and
//! takes nothing before: most that is done with a dictionary is done by number. Hashes say where to look; whoever
//! looks compares.

use std::hash::{DefaultHasher, Hash, Hasher};

/// See the module.
#[derive(Debug, Default)]
pub struct Names {
    list: Vec<(u32, u32)>,
}

impl Names {
    /// Of how many series they are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// More series, at the places behind those that are known.
    pub fn add<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let before = self.list.len();
        self.list.extend(names.zip(before as u32..).map(|(name, place)| (hash(name), place)));
        if self.list.len() > before {
            self.list.sort();
        }
    }

    /// Places have changed.
    pub fn clear(&mut self) {
        self.list = Vec::new();
    }

    /// The places of series that may have a name, in their order; all that do are among them.
    pub fn called(&self, name: &str) -> impl Iterator<Item = usize> {
        let hash = hash(name);
        let first = self.list.partition_point(|(other, _)| *other < hash);
        let rest = self.list.get(first..).unwrap_or_default();
        rest.iter().take_while(move |(other, _)| *other == hash).map(|(_, place)| *place as usize)
    }
}

/// The same on every node, of which the lower half does.
fn hash(name: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_whenever_it_came() {
        let mut names = Names::default();
        names.add(["a", "b", "a"].into_iter());
        names.add(["c", "a"].into_iter());
        let called = |names: &Names, name| names.called(name).collect::<Vec<_>>();
        assert_eq!(called(&names, "a"), [0, 2, 4]);
        assert_eq!((called(&names, "c"), called(&names, "d"), names.len()), (vec![3], vec![], 5));
        names.clear();
        assert_eq!(called(&names, "a"), [0; 0]);
    }
}
