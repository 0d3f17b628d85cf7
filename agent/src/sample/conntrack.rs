//! Connections that the firewall tracks: `/proc/sys/net/netfilter`. Absent without the kernel's module.

use super::scalar::{Parse, Scalars, one};
use quorate_common::catalog::{CONNTRACK_ENTRIES, CONNTRACK_LIMIT};
use std::path::Path;

/// Reads two files below `root`, every `interval_ms`.
pub(super) fn new(root: &Path, interval_ms: u32) -> Scalars {
    let files: [(&str, Parse); 2] = [
        ("proc/sys/net/netfilter/nf_conntrack_count", |lines, fields| one(lines, fields, &CONNTRACK_ENTRIES)),
        ("proc/sys/net/netfilter/nf_conntrack_max", |lines, fields| one(lines, fields, &CONNTRACK_LIMIT)),
    ];
    Scalars::new("conntrack", root, interval_ms, &files)
}

#[cfg(test)]
mod tests {
    use super::super::scalar::say;
    use super::*;

    #[test]
    fn absent_without_the_module() {
        let [count, max] = ["count", "max"].map(|end| format!("proc/sys/net/netfilter/nf_conntrack_{end}"));
        assert_eq!(say(new, &[]), "");
        let both = "node_nf_conntrack_entries 7\nnode_nf_conntrack_entries_limit 262144\n";
        assert_eq!(say(new, &[(&count, "7\n"), (&max, "262144\n")]), both);
        let error = format!("failed to parse `/{max}` line 1: no line");
        assert_eq!(say(new, &[(&count, "7\n"), (&max, "")]), error);
    }
}
