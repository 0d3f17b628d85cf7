//! Plays a recording as the agent that was recorded would have sampled it: rounds, from any tick on. The first of
//! them registers what is live at that point, as an agent does that begins there.

use super::{Reader, Tick};
use quorate_agent::encode::{GroupInfo, NewSeries, Round};
use std::sync::Arc;

/// Gives the rounds of a recording.
#[derive(Debug)]
pub struct Player {
    reader: Reader,
    groups: Arc<[GroupInfo]>,
    /// By slot; `None` where a series has ended.
    series: Vec<Option<NewSeries>>,
    cells: Vec<i64>,
    has_begun: bool,
}

impl Player {
    /// From the beginning.
    pub fn new(reader: Reader) -> Player {
        Player { reader, groups: Arc::default(), series: Vec::new(), cells: Vec::new(), has_begun: false }
    }

    /// Passes over this many ticks, or fewer if there are no more, before the first round.
    pub fn skip_ticks(&mut self, ticks: u32) -> anyhow::Result<()> {
        for _ in 0..ticks {
            let Some(tick) = self.reader.next() else { break };
            self.apply(&tick?);
        }
        Ok(())
    }

    /// The live series with their newest cells, by slot.
    pub fn newest(&self) -> impl Iterator<Item = (&NewSeries, i64)> {
        self.series.iter().flatten().map(|series| (series, self.cells[series.slot as usize]))
    }

    fn apply(&mut self, tick: &Tick) {
        if !tick.groups.is_empty() {
            self.groups = self.groups.iter().chain(&tick.groups).cloned().collect();
        }
        for slot in &tick.retired {
            self.series[*slot as usize] = None;
        }
        self.series.extend(tick.registered.iter().cloned().map(Some));
        self.cells.resize(self.series.len(), 0);
        for (slot, cell) in &tick.changed {
            self.cells[*slot as usize] = *cell;
        }
    }

    fn round(&mut self, tick: Tick) -> Round {
        self.apply(&tick);
        let (registered, retired) = match std::mem::replace(&mut self.has_begun, true) {
            true => (tick.registered, tick.retired),
            false => (self.series.iter().flatten().cloned().collect(), Vec::new()),
        };
        Round {
            at: tick.at,
            next_due_ms: tick.next_due_ms,
            registered,
            retired,
            sampled: tick.sampled,
            cells: self.cells.clone(),
            groups: Arc::clone(&self.groups),
        }
    }
}

impl Iterator for Player {
    type Item = anyhow::Result<Round>;

    fn next(&mut self) -> Option<anyhow::Result<Round>> {
        let tick = self.reader.next()?;
        Some(tick.map(|tick| self.round(tick)))
    }
}
