//! The code checks itself: what a compiler cannot see, read from the tree.
//!
//! Each rule is a function from a tree of files to what is wrong with it, and is tried on planted
//! mistakes before it judges our own. A rule that stands in the way is changed here, in the open.

#[cfg(test)]
mod crates;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod files;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod source;
#[cfg(test)]
mod supply;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod wire;
