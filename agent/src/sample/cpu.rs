//! Processors, context switches, interrupts, forks, run queue and boot time: all of `/proc/stat`.

use super::error::SampleError;
use super::keyed::Keyed;
use super::reader::File;
use super::text::{Line, Lines, cell};
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::Path;

/// The columns of a processor's line. The last two are virtual machines, which have a metric of their own.
const MODES: [&str; 10] =
    ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "user", "nice"];
const GUEST: usize = 8;
/// A fall by less is the kernel's jitter (it computes idle times from more than one source), a deeper one a
/// reset.
const JITTER_CENTIS: i64 = 300;

/// Reads `/proc/stat`.
pub(super) struct Cpu {
    file: File,
    interval_ms: u32,
    ticks_per_second: u64,
    stat: Stat,
    cores: Keyed<Core>,
    scalars: Keyed<Slot>,
}

/// A processor as last read: slot and hundredths of a second of each mode that this kernel has.
#[derive(Default)]
struct Core {
    modes: Vec<(Slot, i64)>,
}

/// One parse of the file.
#[derive(Default)]
struct Stat {
    /// Number of the processor, count of columns, columns in ticks.
    cores: Vec<(u64, usize, [u64; MODES.len()])>,
    scalars: Vec<(&'static MetricDef, u64)>,
}

impl Cpu {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Cpu {
        Cpu {
            file: File::new(root, "proc/stat"),
            interval_ms,
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
            stat: Stat::default(),
            cores: Keyed::default(),
            scalars: Keyed::default(),
        }
    }
}

impl Sampler for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        let (path, bytes) = self.file.read()?;
        self.stat.parse(Lines::new(path, bytes))?;
        for (number, count, columns) in &self.stat.cores {
            let core = self.cores.entry(&number.to_be_bytes(), || Ok(Core::default()))?;
            for (at, ticks) in columns.iter().take(*count).enumerate() {
                let centis = cell(ticks.saturating_mul(100) / self.ticks_per_second);
                core.set(*number, at, centis, out)?;
            }
        }
        for (def, value) in &self.stat.scalars {
            let slot = self.scalars.entry(def.name.as_bytes(), || Ok(out.slot(def, Labels::default())))?;
            out.set(*slot, cell(*value));
        }
        self.cores.finish(|core| core.modes.iter().for_each(|(slot, _)| out.retire(*slot)));
        self.scalars.finish(|slot| out.retire(slot));
        Ok(())
    }
}

impl Core {
    fn set(&mut self, number: u64, at: usize, centis: i64, out: &mut Sink) -> Result<(), SampleError> {
        if at == self.modes.len() {
            let def = if at < GUEST { &catalog::CPU_SECONDS } else { &catalog::CPU_GUEST_SECONDS };
            let labels = Labels::new([("cpu", number.to_string().as_str()), ("mode", MODES[at])])?;
            self.modes.push((out.slot(def, labels), centis));
        }
        let (slot, last) = &mut self.modes[at];
        if centis >= *last || *last - centis >= JITTER_CENTIS {
            *last = centis;
        }
        out.set(*slot, *last);
        Ok(())
    }
}

impl Stat {
    fn parse(&mut self, mut lines: Lines<'_>) -> Result<(), SampleError> {
        self.cores.clear();
        self.scalars.clear();
        for mut line in lines.by_ref() {
            let Some(key) = line.word() else { continue };
            match key.strip_prefix(b"cpu") {
                // The sum of all processors is left to the reader of the series.
                Some([]) => {}
                Some(number) => self.core(Line::clone(&line), number)?,
                None => self.scalar(line, key)?,
            }
        }
        if self.cores.is_empty() { Err(lines.error("no line `cpu0`")) } else { Ok(()) }
    }

    fn core(&mut self, mut line: Line<'_>, number: &[u8]) -> Result<(), SampleError> {
        let number = super::text::digits(number).ok_or_else(|| line.error("`cpu` has no number"))?;
        let (mut columns, mut count) = ([0; MODES.len()], 0);
        while let Some(place) = columns.get_mut(count) {
            let Some(ticks) = line.number_if_any(MODES[count])? else { break };
            *place = ticks;
            count += 1;
        }
        // Linux has had these four since its beginnings.
        if count < 4 {
            return Err(line.error(format!("`{}` is missing", MODES[count])));
        }
        self.cores.push((number, count, columns));
        Ok(())
    }

    fn scalar(&mut self, mut line: Line<'_>, key: &[u8]) -> Result<(), SampleError> {
        let def: &'static MetricDef = match key {
            b"intr" => &catalog::INTERRUPTS,
            b"ctxt" => &catalog::CONTEXT_SWITCHES,
            b"btime" => &catalog::BOOT_TIME,
            b"processes" => &catalog::FORKS,
            b"procs_running" => &catalog::PROCS_RUNNING,
            b"procs_blocked" => &catalog::PROCS_BLOCKED,
            _ => return Ok(()),
        };
        self.scalars.push((def, line.number(def.name)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    const FILE: &str = "proc/stat";

    fn check(tree: &Tree, cpu: &mut Cpu, sink: &mut Board, text: &str) -> String {
        tree.write(FILE, text);
        sample(cpu, sink).unwrap_or_else(|error| error.replace(&tree.display(), ""))
    }

    #[test]
    fn idle_time_does_not_fall_back_and_processors_come_and_go() {
        let (tree, mut sink) = (Tree::empty(), Board::default());
        let mut cpu = Cpu::new(tree.root(), 1000);
        let one = |idle: u64| format!("cpu 1 1 1 1\ncpu0 1 2 3 {idle}\n");
        let text = check(&tree, &mut cpu, &mut sink, &one(1000));
        assert!(text.contains("node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 10\n"), "{text}");
        assert_eq!(text.lines().count(), 4);
        assert!(check(&tree, &mut cpu, &mut sink, &one(900)).contains("mode=\"idle\"} 10\n"));
        assert!(check(&tree, &mut cpu, &mut sink, &one(100)).contains("mode=\"idle\"} 1\n"));
        let two = check(&tree, &mut cpu, &mut sink, "cpu0 1 1 1 1\ncpu7 1 1 1 1 1 1 1 1 5 6\nctxt 9\n");
        assert_eq!(two.lines().count(), 4 + 10 + 1);
        assert!(two.contains("node_cpu_guest_seconds_total{cpu=\"7\",mode=\"nice\"} 0.06\n"), "{two}");
        assert_eq!(check(&tree, &mut cpu, &mut sink, "cpu7 1 1 1 1\n").lines().count(), 10);
    }

    #[test]
    fn four_thousand_processors() {
        let (tree, mut sink) = (Tree::empty(), Board::default());
        let text: String = (0..4096).map(|n| format!("cpu{n} 1 2 3 4 5 6 7 8 9 10\n")).collect();
        let mut cpu = Cpu::new(tree.root(), 1000);
        assert_eq!(check(&tree, &mut cpu, &mut sink, &text).lines().count(), 40_960);
        assert_eq!(sink.sink.refused(), 0);
    }

    #[test]
    fn garbage_is_named() {
        let tree = Tree::empty();
        for (text, expect) in [
            ("", "line 1: no line `cpu0`"),
            ("cpu 1 2 3 4\n", "line 1: no line `cpu0`"),
            ("cpu0 1 2\n", "line 1: `system` is missing"),
            ("cpu 1\ncpu0 1 x 3 4\n", "line 2: `nice` is `x`, expected a whole number"),
            (
                "cpu0 1 2 3 99999999999999999999\n",
                "line 1: `idle` is `99999999999999999999`, expected a whole number",
            ),
            ("cpux 1 2 3 4\n", "line 1: `cpu` has no number"),
            ("cpu0 1 2 3 4\nctxt\n", "line 2: `node_context_switches_total` is missing"),
            ("\0\u{1}\u{2}cpu\n", "line 1: no line `cpu0`"),
        ] {
            let mut cpu = Cpu::new(tree.root(), 1000);
            let error = check(&tree, &mut cpu, &mut Board::default(), text);
            assert_eq!(error, format!("failed to parse `/proc/stat` {expect}"));
        }
    }
}
