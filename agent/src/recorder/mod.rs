//! Flight recorder: the last minutes of every series at full rate, in memory, of bounded size.
//!
//! What goes to the aggregator may be thinner; what happened in the minutes before an incident is then still
//! here, for whoever asks. It is lost with the process, and says nothing about delivery.
//!
//! ```text
//!   round ─→ open segment: what lives, full row, 59 differences ─→ closed ─→ … ─→ the oldest goes
//! ```
//!
//! Each segment stands alone, so the oldest can go without the others. It goes when it is too old, or when all
//! of them are larger than allowed.

mod config;
mod replay;

pub use config::{Config, ConfigError};
pub use replay::{Recording, ReplayError};

use crate::sample::{Moment, NewSeries, Tap};
use quorate_common::cell::{CellError, Encoder, Form};
use quorate_common::model::series::{SeriesSpec, Window};
use quorate_common::model::time::Now;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Frames of one segment.
const FRAMES_PER_SEGMENT: usize = 60;
/// The recorder needs one chain only, whatever the intervals of the groups.
const WINDOW: Window = Window::Short;

/// The recorder as sampling and the answers share it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Recorder>>);

/// Writes rounds and forgets the oldest.
#[derive(Debug)]
pub struct Recorder {
    config: Config,
    /// Group and series of every slot in use.
    live: BTreeMap<u32, Known>,
    live_bytes: usize,
    open: Option<Open>,
    closed: VecDeque<Arc<Segment>>,
    closed_bytes: usize,
}

/// Frames that can be read without any others.
#[derive(Clone, Debug, Default)]
struct Segment {
    groups: u32,
    /// The series at its beginning, by group; the position is the index.
    base: Vec<Known>,
    frames: Vec<Recorded>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Known {
    group: u32,
    spec: Arc<SeriesSpec>,
}

/// One round, encoded.
#[derive(Clone, Debug)]
struct Recorded {
    at: Now,
    /// Indices that end before it.
    retired: Box<[u32]>,
    /// Series that begin before it, by group; their indices follow the last one.
    begun: Box<[Known]>,
    groups: bytes::Bytes,
    cells: bytes::Bytes,
}

/// The segment that is being written, and what encodes it.
#[derive(Debug)]
struct Open {
    segment: Segment,
    encoder: Encoder,
    index_of: HashMap<u32, u32>,
    slot_of: Vec<u32>,
    row: Vec<i64>,
}

impl Shared {
    /// An empty recorder; `None` if it is switched off.
    pub fn begin(config: Config) -> Option<Shared> {
        (config.minutes > 0).then(|| Shared(Arc::new(Mutex::new(Recorder::new(config)))))
    }

    /// What is recorded now; later rounds do not change it.
    pub fn recording(&self) -> Recording {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recording()
    }
}

impl Tap for Shared {
    fn interval_ms(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).config.interval_ms
    }

    fn take(&mut self, moment: &Moment<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(moment);
    }
}

impl Recorder {
    /// An empty one.
    pub fn new(config: Config) -> Recorder {
        Recorder {
            config,
            live: BTreeMap::new(),
            live_bytes: 0,
            open: None,
            closed: VecDeque::new(),
            closed_bytes: 0,
        }
    }

    /// Takes in one round.
    pub fn record(&mut self, moment: &Moment<'_>) {
        let (ended, begun) = self.follow(moment);
        // A round that does not fit what was written before is the beginning of something else.
        let done = match &mut self.open {
            Some(open) => open.append(moment, &begun),
            None => self.begin(moment),
        };
        match (done, &mut self.open) {
            (Ok(()), Some(open)) => open.segment.bytes += ended,
            _ => self.open = None,
        }
        self.roll();
        self.trim(moment.at);
    }

    /// What is recorded now; later rounds do not change it.
    pub fn recording(&self) -> Recording {
        let open = self.open.iter().map(|open| Arc::new(open.segment.clone()));
        Recording::new(self.closed.iter().cloned().chain(open).collect())
    }

    /// How much memory the recording takes.
    pub fn bytes(&self) -> usize {
        self.live_bytes + self.closed_bytes + self.open.as_ref().map_or(0, |open| open.segment.bytes)
    }

    /// Takes in what ended and what began. Gives how large the names are that ended, and those that began, by
    /// group. A name counts where it lives or, once it has ended, in the segment that has it last.
    fn follow(&mut self, moment: &Moment<'_>) -> (usize, Vec<(u32, Known)>) {
        let mut ended = 0;
        for known in moment.retired.iter().filter_map(|slot| self.live.remove(slot)) {
            ended += size_of_spec(&known.spec);
        }
        let known = |new: &NewSeries| Known { group: new.group, spec: Arc::new(new.spec.clone()) };
        let mut begun: Vec<(u32, Known)> =
            moment.registered.iter().map(|new| (new.slot, known(new))).collect();
        begun.sort_by_key(|(_, known)| known.group);
        self.live_bytes += begun.iter().map(|(_, known)| size_of_spec(&known.spec)).sum::<usize>();
        self.live_bytes -= ended.min(self.live_bytes);
        self.live.extend(begun.iter().cloned());
        (ended, begun)
    }

    fn begin(&mut self, moment: &Moment<'_>) -> Result<(), CellError> {
        let mut base: Vec<(u32, Known)> =
            self.live.iter().map(|(slot, known)| (*slot, known.clone())).collect();
        base.sort_by_key(|(_, known)| known.group);
        let mut open = Open::new(moment.groups);
        for group in 0..moment.groups {
            let from = base.partition_point(|(_, known)| known.group < group);
            let members = base[from..].iter().take_while(|(_, known)| known.group == group);
            open.register(group, members)?;
        }
        open.segment.bytes = base.len() * (size_of::<Known>() + INDEX_BYTES);
        open.segment.base = base.into_iter().map(|(_, known)| known).collect();
        open.write(moment, Box::default(), Box::default())?;
        self.open = Some(open);
        Ok(())
    }

    /// Closes the open segment when it is long, or so large that the oldest to go would be nearly all.
    fn roll(&mut self) {
        let is_full = |open: &mut Open| {
            open.segment.frames.len() >= FRAMES_PER_SEGMENT
                || open.segment.bytes > self.config.bytes_max() / 4
        };
        if let Some(open) = self.open.take_if(is_full) {
            self.closed_bytes += open.segment.bytes;
            self.closed.push_back(Arc::new(open.segment));
        }
    }

    fn trim(&mut self, now: Now) {
        let is_old = |segment: &Segment| {
            segment.frames.last().is_none_or(|last| now.boot.since(last.at.boot) > self.config.span())
        };
        while let Some(oldest) = self.closed.front() {
            if !is_old(oldest) && self.bytes() <= self.config.bytes_max() {
                return;
            }
            self.closed_bytes -= oldest.bytes;
            self.closed.pop_front();
        }
    }
}

/// What the encoder and the maps hold for one index.
const INDEX_BYTES: usize = 40;

impl Open {
    fn new(groups: u32) -> Open {
        Open {
            segment: Segment { groups, ..Segment::default() },
            encoder: Encoder::new(),
            index_of: HashMap::new(),
            slot_of: Vec::new(),
            row: Vec::new(),
        }
    }

    fn append(&mut self, moment: &Moment<'_>, begun: &[(u32, Known)]) -> Result<(), CellError> {
        let retired: Box<[u32]> =
            moment.retired.iter().filter_map(|slot| self.index_of.remove(slot)).collect();
        retired.iter().try_for_each(|index| self.encoder.retire(*index))?;
        for run in begun.chunk_by(|(_, a), (_, b)| a.group == b.group) {
            self.register(run[0].1.group, run.iter())?;
        }
        self.segment.bytes +=
            begun.len() * (size_of::<Known>() + INDEX_BYTES) + retired.len() * size_of::<u32>();
        self.write(moment, retired, begun.iter().map(|(_, known)| known.clone()).collect())
    }

    fn register<'a>(
        &mut self,
        group: u32,
        members: impl Iterator<Item = &'a (u32, Known)>,
    ) -> Result<(), CellError> {
        let members: Vec<_> = members.collect();
        let forms: Vec<Form> = members.iter().map(|(_, known)| known.spec.metric.form.into()).collect();
        let first = self.encoder.register(group, WINDOW, &forms)?;
        for (index, (slot, _)) in (first..).zip(members) {
            self.index_of.insert(*slot, index);
            self.slot_of.push(*slot);
        }
        self.row.resize(self.slot_of.len(), 0);
        Ok(())
    }

    fn write(
        &mut self,
        moment: &Moment<'_>,
        retired: Box<[u32]>,
        begun: Box<[Known]>,
    ) -> Result<(), CellError> {
        for (cell, slot) in self.row.iter_mut().zip(&self.slot_of) {
            *cell = moment.cells.get(*slot as usize).copied().unwrap_or(*cell);
        }
        let seq = self.segment.frames.len() as u64 + 1;
        let frame = self.encoder.encode(seq, WINDOW, &moment.sampled, &self.row, false)?;
        self.segment.bytes += size_of::<Recorded>() + frame.groups.len() + frame.cells.len();
        let (groups, cells) = (frame.groups, frame.cells);
        self.segment.frames.push(Recorded { at: moment.at, retired, begun, groups, cells });
        Ok(())
    }
}

/// A name with its labels: texts, pointers, and what the allocator adds.
fn size_of_spec(spec: &SeriesSpec) -> usize {
    let labels: usize = spec.labels.iter().map(|(name, value)| name.len() + value.len() + 96).sum();
    size_of::<SeriesSpec>() + spec.metric.name.len() + labels + 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, series};
    use quorate_common::quantity::Size;
    use quorate_common::rng::{Rng, SeededRng};

    fn config(minutes: u32, bytes_max: u64) -> Config {
        Config { minutes, bytes_max: Size::from_bytes(bytes_max), ..Config::default() }
    }

    fn values(recorder: &Recorder, metric: &str, since_s: u64) -> Vec<(i64, f64)> {
        let last = recorder.recording().last().map_or(at(0).boot, |last| last.boot);
        let read = recorder.recording().read(metric, last.since(at(since_s).boot)).unwrap();
        assert!(read.len() <= 1);
        let samples = read.into_iter().flat_map(|series| series.samples);
        samples.map(|(wall, value)| (wall.0 / 1_000_000_000, value)).collect()
    }

    #[test]
    fn gives_back_what_was_sampled_across_segments() {
        let mut recorder = Recorder::new(config(15, 1 << 20));
        let new = [series(0, 0), series(1, 1)];
        for second in 1..=200u64 {
            let cells = [second.cast_signed() * 3, 7];
            let registered = if second == 1 { new.to_vec() } else { Vec::new() };
            // The second group every ten seconds.
            let sampled = if second.is_multiple_of(10) { vec![0, 1] } else { vec![0] };
            let moment =
                Moment { at: at(second), groups: 2, retired: Vec::new(), registered, sampled, cells: &cells };
            recorder.record(&moment);
        }
        let expect: Vec<(i64, f64)> = (100..=200).map(|s| (s, s as f64 * 3.0)).collect();
        assert_eq!(values(&recorder, "m0_total", 100), expect);
        let slow: Vec<(i64, f64)> = (1..=20).map(|s| (s * 10, 7.0)).collect();
        assert_eq!(values(&recorder, "m1_total", 0), slow);
        assert_eq!(values(&recorder, "m2_total", 0), []);
        assert_eq!(recorder.closed.len(), 3);
    }

    #[test]
    fn forgets_what_is_old() {
        let mut recorder = Recorder::new(config(2, 1 << 20));
        let new = [series(0, 0)];
        for second in 1..=600u64 {
            let registered = if second == 1 { new.to_vec() } else { Vec::new() };
            let cells = [second.cast_signed()];
            recorder.record(&Moment {
                at: at(second),
                groups: 1,
                retired: Vec::new(),
                registered,
                sampled: vec![0],
                cells: &cells,
            });
        }
        // No less than two minutes, and not more than one segment beyond.
        let kept = values(&recorder, "m0_total", 0);
        assert!((120..=180).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.last(), Some(&(600, 600.0)));
    }

    /// Series come and go in the same slots; what is read back is what was written, and memory is bounded.
    #[test]
    fn churn_is_bounded_and_read_back_right() {
        for seed in 0..4 {
            churn(seed);
        }
    }

    fn churn(seed: u64) {
        let mut rng = SeededRng::new(seed);
        let bytes_max = 200_000;
        let mut recorder = Recorder::new(config(15, bytes_max));
        let (mut owner, mut cells) = (vec![None::<u32>; 40], vec![0i64; 40]);
        let (mut truth, mut begun) = (BTreeMap::<(u32, i64), i64>::new(), 0);
        for second in 1..=400u64 {
            let (mut registered, mut retired) = (Vec::new(), Vec::new());
            for slot in 0..40u32 {
                let place = &mut owner[slot as usize];
                match (*place, rng.below(8)) {
                    (Some(_), 0) => {
                        *place = None;
                        retired.push(slot);
                    }
                    (None, 1..4) => {
                        *place = Some(begun);
                        let named = series(begun % 3, begun);
                        registered.push(NewSeries { slot, ..named });
                        begun += 1;
                    }
                    _ => {}
                }
            }
            let sampled: Vec<u32> = (0..3).filter(|_| rng.below(4) > 0).collect();
            for (cell, name) in cells.iter_mut().zip(&owner) {
                let Some(name) = name.filter(|name| sampled.contains(&(name % 3))) else { continue };
                *cell = if rng.below(2) == 0 { *cell } else { rng.u64().cast_signed() >> 8 };
                truth.insert((name, second as i64), *cell);
            }
            let moment = Moment { at: at(second), groups: 3, retired, registered, sampled, cells: &cells };
            recorder.record(&moment);
            assert!(recorder.bytes() as u64 <= bytes_max + bytes_max / 4, "{}", recorder.bytes());
        }
        let mut read = 0;
        for name in (0..begun).step_by(7) {
            for (second, value) in values(&recorder, &format!("m{name}_total"), 0) {
                assert_eq!(truth.get(&(name, second)).map(|cell| *cell as f64), Some(value), "seed {seed}");
                read += 1;
            }
        }
        assert!(read > 100, "{read} samples kept");
    }

    /// What the default keeps of a usual host: 1000 series, a third of which change each second.
    #[test]
    fn a_usual_host_fits_into_four_mebibytes() {
        let mut recorder = Recorder::new(Config::default());
        let new: Vec<NewSeries> = (0..1000).map(|slot| series(0, slot)).collect();
        let (mut rng, mut cells) = (SeededRng::new(1), vec![0i64; 1000]);
        for second in 1..=900u64 {
            cells.iter_mut().step_by(3).for_each(|cell| *cell += rng.below(300).cast_signed());
            let registered = if second == 1 { new.to_vec() } else { Vec::new() };
            let moment = Moment {
                at: at(second),
                groups: 1,
                retired: Vec::new(),
                registered,
                sampled: vec![0],
                cells: &cells,
            };
            recorder.record(&moment);
        }
        println!("{} bytes for 15 minutes of 1000 series", recorder.bytes());
        assert_eq!(values(&recorder, "m0_total", 0).len(), 900, "{} bytes", recorder.bytes());
    }
}
