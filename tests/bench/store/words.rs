//! What nodes say, one message after another, in the order in which an aggregator would hear it: made up, or a
//! recording sent by the agent's own encoder. Whoever hears it, our store or a peer, hears the same.
//!
//! ```text
//!   fleet      register of every node │ tick 1 of every node │ tick 2 of every node │ …
//!   recorded   register │ frames of round 1 │ register │ frames of round 2 │ …
//! ```

use anyhow::Context;
use quorate_agent::encode::{Cutter, Stretch};
use quorate_common::model::session::AgentMessage;
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_tests::recording::{Player, Reader};
use quorate_tests::swarm::mix::Mix;
use quorate_tests::swarm::script::{Profile, Script};
use std::collections::VecDeque;
use std::path::Path;

pub const SECOND: i64 = 1_000_000_000;
const SEED: u64 = 5;

/// A message, and the number of the node that says it.
pub type Word = (usize, AgentMessage);

/// Nodes that all tick once a second, in step.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// What moves.
    pub mix: Mix,
    /// How many nodes.
    pub nodes: usize,
    /// Series of each.
    pub series: usize,
    /// Ticks of each.
    pub ticks: u64,
    /// The moment before the first tick.
    pub from: WallTime,
}

impl Fleet {
    /// All samples of all ticks.
    pub fn samples(&self) -> u64 {
        self.ticks * (self.nodes * self.series) as u64
    }

    /// When tick `tick` is.
    pub fn at(&self, tick: u64) -> WallTime {
        WallTime(self.from.0 + tick.cast_signed() * SECOND)
    }

    /// What the nodes are like.
    pub fn profile(&self) -> Profile {
        Profile::new(SEED, self.mix, self.series)
    }

    /// All that they say.
    pub fn words(self) -> Words {
        let profile = self.profile();
        let scripts = (0..self.nodes as u64).map(|node| Script::new(&profile, node, 1)).collect();
        Words { fleet: self, scripts, node: 0, tick: 0 }
    }
}

/// See [`Fleet::words`].
pub struct Words {
    fleet: Fleet,
    scripts: Vec<Script>,
    node: usize,
    /// 0 for the registrations.
    tick: u64,
}

impl Words {
    fn say(&mut self) -> anyhow::Result<AgentMessage> {
        let script = self.scripts.get_mut(self.node).context("a fleet without nodes")?;
        if self.tick == 0 {
            return Ok(AgentMessage::Register(script.register()?));
        }
        let boot = BootTime(self.tick * SECOND.cast_unsigned());
        Ok(AgentMessage::Frame(script.frame(self.tick, Now { boot, wall: self.fleet.at(self.tick) })?))
    }
}

impl Iterator for Words {
    type Item = anyhow::Result<Word>;

    fn next(&mut self) -> Option<anyhow::Result<Word>> {
        if self.tick > self.fleet.ticks {
            return None;
        }
        let (node, said) = (self.node, self.say());
        self.node += 1;
        if self.node == self.fleet.nodes {
            (self.node, self.tick) = (0, self.tick + 1);
        }
        Some(said.map(|message| (node, message)))
    }
}

/// A recording from its beginning, as node 0, moved in time so that it begins at `from`.
pub struct Recorded {
    player: Player,
    cutter: Cutter,
    stretch: Stretch,
    from: WallTime,
    shift_ns: Option<i64>,
    said: VecDeque<AgentMessage>,
}

impl Recorded {
    /// That of a file.
    pub fn open(path: &Path, from: WallTime) -> anyhow::Result<Recorded> {
        let player = Player::new(Reader::open(path)?);
        let (cutter, stretch, said) = Default::default();
        Ok(Recorded { player, cutter, stretch, from, shift_ns: None, said })
    }

    /// One more round; false if there is none.
    fn round(&mut self) -> anyhow::Result<bool> {
        let Some(round) = self.player.next() else { return Ok(false) };
        let mut round = round?;
        let shift = *self.shift_ns.get_or_insert(self.from.0 - round.at.wall.0);
        round.at.wall = WallTime(round.at.wall.0 + shift);
        let mut messages = Vec::new();
        for tick in self.cutter.cut(round) {
            self.stretch.tick(&tick, 0, &mut messages)?;
        }
        self.said.extend(messages);
        Ok(true)
    }
}

impl Iterator for Recorded {
    type Item = anyhow::Result<Word>;

    fn next(&mut self) -> Option<anyhow::Result<Word>> {
        while self.said.is_empty() {
            match self.round() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        self.said.pop_front().map(|message| Ok((0, message)))
    }
}
