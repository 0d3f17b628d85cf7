//! What one virtual agent says, as messages of the model: Hello, Register, and the frame of any tick.
//!
//! ```text
//!   Profile, node ──→ Script ── hello ──→ Hello        once a session
//!                        ├───── register → Register    begins a session: the next frame is a key frame
//!                        └───── frame ───→ Frame       of any tick, in growing order within a session
//! ```
//!
//! Frame number and tick are one number, from 1, and every frame holds all series; so all totals follow from it.

use super::mix::{Layout, Mix, Source};
use quorate_common::cell::{CellError, Encoder};
use quorate_common::model::label::LabelError;
use quorate_common::model::node::HostFacts;
use quorate_common::model::series::{SeriesClass, Window};
use quorate_common::model::session::{Epoch, Frame, Held, Hello, PROTOCOL, Register, RegisterGroup};
use quorate_common::model::time::Now;
use std::sync::Arc;

/// Series of one collector.
const GROUP_SERIES: usize = 50;

/// What every node of a swarm is like.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What the data follows from.
    pub seed: u64,
    /// What moves.
    pub mix: Mix,
    /// The series of each node.
    pub layout: Arc<Layout>,
    /// Distance between two ticks.
    pub interval_ms: u32,
}

impl Profile {
    /// So many series a second.
    pub fn new(seed: u64, mix: Mix, series: usize) -> Profile {
        Profile { seed, mix, layout: Arc::new(Layout::new(series)), interval_ms: 1_000 }
    }

    /// The data of one node.
    pub fn source(&self, node: u64) -> Source {
        Source::new(self.layout.clone(), self.mix, (self.seed, node))
    }
}

/// Why there is nothing to say.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A series has a name that cannot be.
    #[error("failed to name the series")]
    Name(#[from] LabelError),
    /// A frame or registration cannot be encoded.
    #[error("failed to encode frame {seq}")]
    Encode {
        /// Which; 0 for the registration.
        seq: u64,
        /// Why.
        #[source]
        source: CellError,
    },
}

/// One node's words.
#[derive(Debug)]
pub struct Script {
    source: Source,
    node: u64,
    interval_ms: u32,
    epoch: Epoch,
    encoder: Encoder,
    groups: Vec<u32>,
    row: Vec<i64>,
}

impl Script {
    /// Of node number `node`, in its start number `order`: a later start has a greater number.
    pub fn new(profile: &Profile, node: u64, order: u64) -> Script {
        Script {
            source: profile.source(node),
            node,
            interval_ms: profile.interval_ms,
            epoch: Epoch { order, nonce: node },
            encoder: Encoder::new(),
            groups: Vec::new(),
            row: Vec::new(),
        }
    }

    /// The first message of a session. `held` are the first and the last frame that it has.
    pub fn hello(&self, held: Option<(u64, u64)>, now: Now) -> Hello {
        let mut boot_id = [0x51; 16];
        boot_id[..8].copy_from_slice(&self.node.to_le_bytes());
        Hello {
            protocol: PROTOCOL,
            epoch: self.epoch,
            boot_id,
            boot_ns: now.boot.0,
            wall_ns: now.wall.0,
            interval_ms: self.interval_ms,
            held: held.map(|(first, last)| Held { epoch: self.epoch, first, last }).into_iter().collect(),
            facts: HostFacts { hostname: format!("swarm-{}", self.node), ..HostFacts::default() },
        }
    }

    /// All series, for a session that begins.
    ///
    /// # Errors
    /// [`ScriptError`], none with series as they are made here.
    pub fn register(&mut self) -> Result<Register, ScriptError> {
        self.encoder = Encoder::new();
        let mut groups = Vec::new();
        for (group, series) in (0..).zip(self.source.layout().specs()?.chunks(GROUP_SERIES)) {
            let forms: Vec<_> = series.iter().map(|spec| spec.metric.form.into()).collect();
            let registered = self.encoder.register(group, self.window(), &forms);
            groups.push(RegisterGroup {
                group,
                collector: format!("swarm{group}"),
                interval_ms: self.interval_ms,
                class: SeriesClass::System,
                first_index: registered.map_err(|source| ScriptError::Encode { seq: 0, source })?,
                series: series.to_vec(),
            });
        }
        self.groups = (0..).take(groups.len()).collect();
        Ok(Register { groups, retire: Vec::new() })
    }

    /// The frame of a tick that was collected at `at`. The first one of a session is a key frame.
    ///
    /// # Errors
    /// [`ScriptError::Encode`] if it does not follow the frame before.
    pub fn frame(&mut self, seq: u64, at: Now) -> Result<Frame, ScriptError> {
        self.source.fill(seq, &mut self.row);
        let window = self.window();
        let encoded = self.encoder.encode(seq, window, &self.groups, &self.row, false);
        let encoded = encoded.map_err(|source| ScriptError::Encode { seq, source })?;
        Ok(Frame {
            seq,
            predecessor: encoded.predecessor,
            window: Some(window),
            boot_ns: at.boot.0,
            wall_ns: at.wall.0,
            next_due_ms: self.interval_ms,
            collected_total: seq * self.series(),
            echo: 0,
            groups: encoded.groups,
            cells: encoded.cells,
        })
    }

    /// Series of the node: samples of each frame.
    pub fn series(&self) -> u64 {
        self.source.layout().series() as u64
    }

    fn window(&self) -> Window {
        Window::of_interval_ms(self.interval_ms)
    }
}
