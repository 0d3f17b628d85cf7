//! Processor time that no process was seen to use: of programs that lived and died between two rounds, of
//! processes hidden from the agent, and of interrupts.
//!
//! It is what the host was busy minus what all processes used. The kernel counts the two at different moments
//! and in ticks, so their difference trembles: the counter is the highest that the difference ever was, and
//! never falls.

use super::super::error::SampleError;
use super::super::reader::File;
use super::super::text::Lines;
use std::path::Path;

/// Reads what the host was busy and keeps the difference.
pub(super) struct Unattributed {
    file: File,
    balance: Balance,
}

/// The difference, in hundredths of a second.
#[derive(Debug, Default)]
struct Balance {
    busy: Option<u64>,
    attributed: u64,
    difference: i64,
    highest: u64,
}

impl Unattributed {
    /// Reads below `root`; with `whole_life` what was used since boot counts, otherwise since the first round.
    pub fn new(root: &Path, whole_life: bool) -> Unattributed {
        let balance = Balance { busy: whole_life.then_some(0), ..Balance::default() };
        Unattributed { file: File::new(root, "proc/stat"), balance }
    }

    /// What all processors together were busy since boot, in hundredths of a second.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has no line of all processors.
    pub fn busy_centis(&mut self, ticks_per_second: u64) -> Result<u64, SampleError> {
        let (path, bytes) = self.file.read()?;
        let mut lines = Lines::new(path, bytes);
        let Some(mut line) = lines.next() else { return Err(lines.error("expected `cpu`")) };
        if line.word() != Some(b"cpu") {
            return Err(line.error("expected `cpu`"));
        }
        let mut ticks = 0u64;
        // Idle time and waiting for storage is no use, and stolen time is another machine's.
        for (field, is_busy) in [
            ("user", true),
            ("nice", true),
            ("system", true),
            ("idle", false),
            ("iowait", false),
            ("irq", true),
            ("softirq", true),
        ] {
            let Some(part) = line.number_if_any(field)? else { break };
            ticks = ticks.saturating_add(if is_busy { part } else { 0 });
        }
        Ok(ticks.saturating_mul(100) / ticks_per_second)
    }

    /// Takes in a round: totals of the host and of all processes. The counter after it.
    pub fn advance(&mut self, busy_centis: u64, attributed_centis: u64) -> u64 {
        self.balance.advance(busy_centis, attributed_centis)
    }
}

impl Balance {
    fn advance(&mut self, busy: u64, attributed: u64) -> u64 {
        let used = attributed.saturating_sub(std::mem::replace(&mut self.attributed, attributed));
        if let Some(last) = self.busy.replace(busy) {
            let more = busy.saturating_sub(last).cast_signed();
            self.difference = self.difference.saturating_add(more).saturating_sub(used.cast_signed());
        }
        self.highest = self.highest.max(self.difference.max(0).cast_unsigned());
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::golden::Tree;
    use super::*;

    #[test]
    fn never_falls_and_makes_up_for_what_came_too_early() {
        let mut balance = Balance::default();
        for (busy, attributed, expect) in [
            (1000, 500, 0),
            (1100, 560, 40),
            // Read a little too late: more was attributed than the host had counted.
            (1200, 670, 40),
            (1300, 760, 40),
            (1400, 800, 100),
            // A counter of the host that falls adds nothing.
            (1350, 800, 100),
            (1360, 800, 110),
        ] {
            assert_eq!(balance.advance(busy, attributed), expect, "{busy} {attributed}");
        }
        let mut whole = Balance { busy: Some(0), ..Balance::default() };
        assert_eq!(whole.advance(1000, 400), 600);
    }

    #[test]
    fn busy_is_all_but_idle_waiting_and_stolen() {
        let tree = Tree::empty();
        for (text, expect) in [
            ("cpu  1 2 4 1000 1000 8 16 1000 1 1\ncpu0 9 9 9 9\n", Ok(31)),
            ("cpu 1 2 4 5\n", Ok(7)),
            ("cpu0 1 2 4 5\n", Err("line 1: expected `cpu`")),
            ("", Err("line 1: expected `cpu`")),
            ("cpu x\n", Err("line 1: `user` is `x`, expected a whole number")),
        ] {
            tree.write("proc/stat", text);
            let busy = Unattributed::new(tree.root(), false).busy_centis(100);
            let busy = busy.map_err(|error| error.to_string().replace(&tree.display(), ""));
            assert_eq!(busy, expect.map_err(|what| format!("failed to parse `/proc/stat` {what}")));
        }
    }
}
