//! Sockets in use: `/proc/net/sockstat` and `/proc/net/sockstat6`.

use super::error::SampleError;
use super::scalar::{Fields, Parse, Scalars};
use super::text::{Lines, cell};
use quorate_common::catalog::{self, MetricDef};
use std::path::Path;

/// Protocol and field, as they stand in the files.
const FIELDS: [(&str, &str, &MetricDef); 18] = [
    ("sockets", "used", &catalog::SOCKSTAT_SOCKETS_USED),
    ("TCP", "inuse", &catalog::SOCKSTAT_TCP_INUSE),
    ("TCP", "orphan", &catalog::SOCKSTAT_TCP_ORPHAN),
    ("TCP", "tw", &catalog::SOCKSTAT_TCP_TW),
    ("TCP", "alloc", &catalog::SOCKSTAT_TCP_ALLOC),
    ("TCP", "mem", &catalog::SOCKSTAT_TCP_MEM),
    ("UDP", "inuse", &catalog::SOCKSTAT_UDP_INUSE),
    ("UDP", "mem", &catalog::SOCKSTAT_UDP_MEM),
    ("UDPLITE", "inuse", &catalog::SOCKSTAT_UDPLITE_INUSE),
    ("RAW", "inuse", &catalog::SOCKSTAT_RAW_INUSE),
    ("FRAG", "inuse", &catalog::SOCKSTAT_FRAG_INUSE),
    ("FRAG", "memory", &catalog::SOCKSTAT_FRAG_MEMORY),
    ("TCP6", "inuse", &catalog::SOCKSTAT_TCP6_INUSE),
    ("UDP6", "inuse", &catalog::SOCKSTAT_UDP6_INUSE),
    ("UDPLITE6", "inuse", &catalog::SOCKSTAT_UDPLITE6_INUSE),
    ("RAW6", "inuse", &catalog::SOCKSTAT_RAW6_INUSE),
    ("FRAG6", "inuse", &catalog::SOCKSTAT_FRAG6_INUSE),
    ("FRAG6", "memory", &catalog::SOCKSTAT_FRAG6_MEMORY),
];

/// Reads two files below `root`, every `interval_ms`. That of IPv6 may be missing.
pub(super) fn new(root: &Path, interval_ms: u32) -> Scalars {
    let files: &[(&str, Parse)] = &[("proc/net/sockstat", parse), ("proc/net/sockstat6", parse)];
    Scalars::new("sockstat", root, interval_ms, files)
}

fn parse(lines: Lines<'_>, fields: &mut Fields<'_>) -> Result<(), SampleError> {
    for mut line in lines {
        let protocol = line.until(b':').ok_or_else(|| line.error("no colon"))?;
        while let Some(field) = line.word() {
            let is_it = |(p, f, _): &&(&str, &str, _)| p.as_bytes() == protocol && f.as_bytes() == field;
            let value = cell(line.number(&String::from_utf8_lossy(field))?);
            let Some((_, _, def)) = FIELDS.iter().find(is_it) else { continue };
            fields.set(def, value)?;
            if let Some(def) = in_bytes(def) {
                // The cell counts KiB, and every page is a multiple of that.
                let page_kib = (rustix::param::page_size() / 1024) as i64;
                fields.set(def, value.saturating_mul(page_kib))?;
            }
        }
    }
    Ok(())
}

/// The twin in bytes of a metric in pages.
fn in_bytes(def: &MetricDef) -> Option<&'static MetricDef> {
    let twins = [
        (&catalog::SOCKSTAT_TCP_MEM, &catalog::SOCKSTAT_TCP_MEM_BYTES),
        (&catalog::SOCKSTAT_UDP_MEM, &catalog::SOCKSTAT_UDP_MEM_BYTES),
    ];
    twins.into_iter().find(|(pages, _)| *pages == def).map(|(_, bytes)| bytes)
}

#[cfg(test)]
mod tests {
    use super::super::scalar::say;
    use super::*;

    #[test]
    fn fields_by_protocol() {
        let check = |text: &str, expect: &str| assert_eq!(say(new, &[("proc/net/sockstat", text)]), expect);
        let bytes = rustix::param::page_size() * 3;
        check(
            "sockets: used 55\nTCP: inuse 11 new 5 mem 3\nNEW: inuse 1\n",
            &format!(
                "node_sockstat_TCP_inuse 11\nnode_sockstat_TCP_mem 3\nnode_sockstat_TCP_mem_bytes {bytes}\n\
                 node_sockstat_sockets_used 55\n"
            ),
        );
        check("TCP inuse 1\n", "failed to parse `/proc/net/sockstat` line 1: no colon");
        check("TCP: inuse\n", "failed to parse `/proc/net/sockstat` line 1: `inuse` is missing");
        let error = "failed to parse `/proc/net/sockstat` line 2: `mem` is `x`, expected a whole number";
        check("RAW: inuse 0\nUDP: mem x\n", error);
    }

    #[test]
    fn both_files_together() {
        let files = [("proc/net/sockstat", "RAW: inuse 1\n"), ("proc/net/sockstat6", "RAW6: inuse 2\n")];
        assert_eq!(say(new, &files), "node_sockstat_RAW6_inuse 2\nnode_sockstat_RAW_inuse 1\n");
    }
}
