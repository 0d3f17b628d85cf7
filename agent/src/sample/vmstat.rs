//! Paging, swapping and kills for want of memory: `/proc/vmstat`.

use super::error::SampleError;
use super::scalar::{Fields, Scalars};
use super::text::{Lines, cell};
use quorate_common::catalog::{self, MetricDef};
use std::path::Path;

/// The lines that are wanted, of more than a hundred.
const LINES: [(&str, &MetricDef); 7] = [
    ("oom_kill", &catalog::VMSTAT_OOM_KILL),
    ("pgpgin", &catalog::VMSTAT_PGPGIN),
    ("pgpgout", &catalog::VMSTAT_PGPGOUT),
    ("pswpin", &catalog::VMSTAT_PSWPIN),
    ("pswpout", &catalog::VMSTAT_PSWPOUT),
    ("pgfault", &catalog::VMSTAT_PGFAULT),
    ("pgmajfault", &catalog::VMSTAT_PGMAJFAULT),
];

/// Reads `/proc/vmstat` below `root`, every `interval_ms`.
pub(super) fn new(root: &Path, interval_ms: u32) -> Scalars {
    Scalars::new("vmstat", root, interval_ms, &[("proc/vmstat", parse)])
}

fn parse(lines: Lines<'_>, fields: &mut Fields<'_>) -> Result<(), SampleError> {
    for mut line in lines {
        let name = line.word().ok_or_else(|| line.error("no name"))?;
        // Most lines are not wanted: a look at the beginning spares the rest.
        let Some((_, def)) = LINES.iter().find(|(wanted, _)| wanted.as_bytes() == name) else { continue };
        fields.set(def, cell(line.number(def.name)?))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scalar::say;
    use super::*;

    #[test]
    fn lines_by_name() {
        let check = |text: &str, expect: &str| assert_eq!(say(new, &[("proc/vmstat", text)]), expect);
        check(
            "nr_free_pages 5\npgfault 7\npgfault_x 8\noom_kill 1\n",
            "node_vmstat_oom_kill 1\nnode_vmstat_pgfault 7\n",
        );
        check("", "");
        let wrong = "failed to parse `/proc/vmstat` line 2: `node_vmstat_pgpgin` is";
        check("pgfault 1\npgpgin -1\n", &format!("{wrong} `-1`, expected a whole number"));
        check("pgfault 1\npgpgin\n", &format!("{wrong} missing"));
        check(" \n", "failed to parse `/proc/vmstat` line 1: no name");
    }
}
