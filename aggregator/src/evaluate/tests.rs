//! Whole outages, rehearsed: scripts in `testdata/scripts.txt`, read by the small player below, and random ones.

use super::*;
use proptest::prelude::*;
use quorate_common::model::cluster::QuorumStatus;
use quorate_common::model::node::{Health, MemberRole, NodeName};
use quorate_common::model::session::ByeReason;
use quorate_common::model::stream::StreamEnd;
use quorate_common::model::time::{BootTime, WallTime};
use std::time::Duration;

/// A voter `n<id>` of a cluster, with a weight.
pub(super) fn member(id: i64, cluster: &str, weight: u32) -> Member {
    Member {
        id: NodeId(id),
        name: format!("n{id}").parse().unwrap(),
        cluster: cluster.into(),
        role: MemberRole::Voter,
        zone: None,
        weight,
        maintenance: false,
        barred: None,
    }
}

fn at(ms: u64) -> Now {
    // The machine was booted an hour before the story begins.
    let ns = (3_600_000 + ms) * 1_000_000;
    Now { boot: BootTime(ns), wall: WallTime(ns.cast_signed()) }
}

/// One imagined agent.
struct Actor {
    beats_at_ms: Option<u64>,
    interval_ms: u64,
    facts: NodeFacts,
}

/// Plays a story: agents that beat, a sweep every 250 ms, and sleep of the aggregator.
struct Player {
    judge: Judge,
    actors: BTreeMap<i64, Actor>,
    members: Vec<Member>,
    now_ms: u64,
    sweep_ms: u64,
    shown: Snapshot,
    seen: BTreeSet<(String, Liveness)>,
    rebooted: BTreeSet<NodeName>,
}

impl Player {
    fn new(config: Config) -> Player {
        Player {
            judge: Judge::new(config, at(0)),
            actors: BTreeMap::new(),
            members: Vec::new(),
            now_ms: 0,
            sweep_ms: 250,
            shown: Snapshot::empty(),
            seen: BTreeSet::new(),
            rebooted: BTreeSet::new(),
        }
    }

    fn declare(&mut self, member: Member) {
        let facts = NodeFacts { next_due_ms: 1000, ..NodeFacts::default() };
        self.actors.insert(member.id.0, Actor { beats_at_ms: None, interval_ms: 1000, facts });
        self.members.push(member);
        self.judge.declare(&self.members);
    }

    fn play_to(&mut self, until_ms: u64) {
        while self.sweep_ms <= until_ms {
            self.beat_to(self.sweep_ms);
            self.sweep(self.sweep_ms);
        }
        self.beat_to(until_ms);
        self.now_ms = self.now_ms.max(until_ms);
    }

    fn beat_to(&mut self, until_ms: u64) {
        for actor in self.actors.values_mut() {
            while let Some(ms) = actor.beats_at_ms.filter(|ms| *ms <= until_ms) {
                actor.facts.last_frame = Some(at(ms));
                actor.facts.frames += 1;
                actor.beats_at_ms = Some(ms + actor.interval_ms);
            }
        }
    }

    fn sweep(&mut self, ms: u64) {
        let actors = &self.actors;
        let before = self.shown.revision;
        self.shown = self.judge.sweep(&|id| Some(actors[&id.0].facts.clone()), at(ms));
        let changed = !self.shown.transitions.is_empty();
        assert!(self.shown.revision - before <= 1 && (!changed || self.shown.revision > before));
        self.sweep_ms = ms + 250;
        self.seen.extend(self.shown.nodes.iter().map(|n| (n.member.name.to_string(), n.liveness)));
        self.rebooted.extend(self.shown.transitions.iter().filter_map(|transition| match transition {
            Transition::Rebooted { node } => Some(node.clone()),
            _ => None,
        }));
    }

    /// The aggregator is stopped. Events that follow are read before the first sweep, the waiting frame after it.
    fn sleep(&mut self, ms: u64) {
        let wake_ms = self.now_ms + ms;
        for actor in self.actors.values_mut() {
            actor.beats_at_ms = actor.beats_at_ms.map(|due| if due <= wake_ms { wake_ms + 30 } else { due });
        }
        self.now_ms = wake_ms;
        self.sweep_ms = wake_ms + 20;
    }

    fn open(&mut self, node: i64, boot: u8) {
        let event = StreamEvent::Opened { boot_id: [boot; 16], facts: Arc::default() };
        self.judge.observe(NodeId(node), event, at(self.now_ms));
        self.resume(node);
    }

    fn resume(&mut self, node: i64) {
        self.actors.get_mut(&node).unwrap().beats_at_ms = Some(self.now_ms + 10);
    }

    fn end(&mut self, node: i64, end: StreamEnd) {
        self.judge.observe(NodeId(node), StreamEvent::Ended(end), at(self.now_ms));
        self.stop(node);
    }

    fn stop(&mut self, node: i64) {
        self.actors.get_mut(&node).unwrap().beats_at_ms = None;
    }

    fn pace(&mut self, node: i64, interval_ms: u64) {
        let actor = self.actors.get_mut(&node).unwrap();
        actor.interval_ms = interval_ms;
        actor.facts.next_due_ms = interval_ms as u32;
    }

    /// One line of a script: `<seconds> <verb> <argument>… <nodes>…`. Verbs stand in testdata/scripts.txt.
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ms =
            |text: &str| (text.parse::<f64>().unwrap_or_else(|_| panic!("{line}")) * 1000.0).round() as u64;
        self.play_to(ms(words[0]));
        let (verb, rest) = (words[1], &words[2..]);
        match verb {
            "sleep" => self.sleep(ms(rest[0])),
            "pace" => nodes(&rest[1..]).for_each(|node| self.pace(node, ms(rest[0]))),
            "open" => nodes(rest).for_each(|node| self.open(node, 1)),
            "reopen" => nodes(rest).for_each(|node| self.open(node, 2)),
            "stop" => nodes(rest).for_each(|node| self.stop(node)),
            "resume" => nodes(rest).for_each(|node| self.resume(node)),
            "lost" => nodes(rest).for_each(|node| self.end(node, StreamEnd::Lost)),
            "silent" => nodes(rest).for_each(|node| self.end(node, StreamEnd::Silent)),
            "bye" => nodes(rest).for_each(|node| self.end(node, StreamEnd::Bye(ByeReason::Stop))),
            "superseded" => nodes(rest).for_each(|node| self.end(node, StreamEnd::Superseded)),
            _ => self.expect(line, verb, rest),
        }
    }

    fn expect(&self, line: &str, verb: &str, rest: &[&str]) {
        let clusters = &self.shown.clusters;
        let context = || {
            let nodes = self.shown.nodes.iter().map(|n| format!("{} {}", n.member.name, n.liveness));
            format!("{line}\n{:?}\n{clusters:?}", nodes.collect::<Vec<_>>())
        };
        let node = |id: i64| self.shown.node(&format!("n{id}")).unwrap();
        match verb {
            "is" => nodes(&rest[1..])
                .for_each(|id| assert_eq!(node(id).liveness.as_str(), rest[0], "{}", context())),
            "never" => nodes(&rest[1..]).for_each(|id| {
                assert!(!self.seen.contains(&(format!("n{id}"), rest[0].parse().unwrap())), "{}", context());
            }),
            "flaps" => nodes(rest).for_each(|id| assert!(node(id).flapping, "{}", context())),
            "steady" => nodes(rest).for_each(|id| assert!(!node(id).flapping, "{}", context())),
            "rebooted" => {
                assert_eq!(
                    self.rebooted.iter().map(NodeName::as_str).collect::<Vec<_>>(),
                    rest,
                    "{}",
                    context()
                );
            }
            "quorum" => assert_eq!(clusters[0].quorum.status.as_str(), rest[0], "{}", context()),
            "cluster" => assert_eq!(clusters[0].health.as_str(), rest[0], "{}", context()),
            "incident" => assert_eq!(clusters[0].mass_loss.is_some().to_string(), rest[0], "{}", context()),
            "why" => assert!(clusters[0].reasons.contains(&rest.join(" ")), "{}", context()),
            _ => panic!("no such verb: {line}"),
        }
    }
}

/// `n1 n3` or `n1..n8`.
fn nodes<'a>(words: &'a [&str]) -> impl Iterator<Item = i64> + 'a {
    assert!(!words.is_empty(), "no node named");
    let id = |word: &str| word.strip_prefix('n').unwrap().parse::<i64>().unwrap();
    words.iter().flat_map(move |word| match word.split_once("..") {
        Some((first, last)) => id(first)..=id(last),
        None => id(word)..=id(word),
    })
}

#[test]
fn scripts() {
    let mut played = 0;
    for story in include_str!("testdata/scripts.txt").split("\n== ").skip(1) {
        let mut lines = story.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let title = lines.next().unwrap();
        let (title, count) = title.rsplit_once(": ").unwrap_or_else(|| panic!("no count: {title}"));
        let mut player = Player::new(Config::default());
        for id in 1..=count.trim_end_matches(" nodes").parse().unwrap() {
            player.declare(member(id, "a", 1));
        }
        lines.for_each(|line| player.line(line));
        assert!(player.sweep_ms > 250, "nothing was played: {title}");
        played += 1;
    }
    assert!(played >= 20, "{played} stories");
}

/// Plays lines with a config and members of one's own, and returns the player.
fn play(config: Config, members: &[Member], lines: &[&str]) -> Player {
    let mut player = Player::new(config);
    members.iter().for_each(|member| player.declare(member.clone()));
    lines.iter().for_each(|line| player.line(line));
    player
}

#[test]
fn reasons_are_for_people() {
    let members = [member(1, "a", 1), member(2, "a", 1), member(3, "a", 1)];
    let player = play(Config::default(), &members, &["0 open n1 n2 n3", "10 lost n2", "11.2 is suspect n2"]);
    let node = player.shown.node("n2").unwrap();
    assert_eq!(
        (node.health, node.reasons.as_slice()),
        (Health::Degraded, &["stream lost 1.0 s ago".to_owned()][..])
    );
    let cluster = player.shown.cluster("a").unwrap();
    assert_eq!(
        cluster.reasons,
        ["quorum at risk: 3 of 3 votes, 2 needed", "n2 suspect: stream lost 1.0 s ago"]
    );
    assert_eq!((cluster.total_nodes, cluster.healthy_nodes), (3, 3));
    assert_eq!(cluster.degraded_nodes, ["n2".parse().unwrap()]);
}

#[test]
fn transitions_are_told_once() {
    let mut player = play(Config::default(), &[member(1, "a", 1)], &["0 open n1", "10 lost n1"]);
    let mut told = |until_ms| -> Vec<String> {
        player.play_to(until_ms);
        player.shown.transitions.iter().map(describe).collect()
    };
    assert_eq!(
        told(10_250),
        [
            "n1 up → suspect: stream lost 0.2 s ago",
            "quorum available → at_risk",
            "cluster healthy → degraded"
        ]
    );
    assert!(told(11_750).is_empty());
    assert_eq!(
        told(12_000),
        ["n1 suspect → down: stream lost 2.0 s ago", "quorum at_risk → lost", "cluster degraded → unhealthy"]
    );
    assert!(told(12_250).is_empty());
}

fn describe(transition: &Transition) -> String {
    match transition {
        Transition::Node { node, from, to, reason } => format!("{node} {from} → {to}: {reason}"),
        Transition::Quorum { from, to, .. } => format!("quorum {from} → {to}"),
        Transition::Cluster { from, to, .. } => format!("cluster {from} → {to}"),
        Transition::Rebooted { node } => format!("{node} rebooted"),
    }
}

#[test]
fn the_revision_counts_only_what_a_user_sees() {
    let members = [member(1, "a", 1), member(2, "a", 1), member(3, "a", 1)];
    let mut player = play(Config::default(), &members, &["0 open n1 n2 n3", "5 is up n1..n3"]);
    let (revision, heard) = (player.shown.revision, player.shown.nodes[0].last_heard);
    player.play_to(60_000);
    assert_eq!(player.shown.revision, revision, "a quiet minute");
    assert!(player.shown.nodes[0].last_heard > heard);
    player.line("60 lost n3");
    player.play_to(120_000);
    let revision = player.shown.revision;
    player.play_to(150_000);
    assert!(player.shown.revision - revision <= 1, "ages are coarse when they are long");
    player.members[0].maintenance = true;
    player.judge.declare(&player.members.clone());
    let revision = player.shown.revision;
    player.play_to(150_250);
    assert_eq!(player.shown.revision, revision + 1, "maintenance is visible");
    assert_eq!(player.shown.nodes[0].liveness, Liveness::Up, "and the node counts as measured");
}

#[test]
fn a_configured_need_above_the_votes_is_held_and_said() {
    let config = Config {
        quorum_need: BTreeMap::from([("a".to_owned(), 9.try_into().unwrap())]),
        ..Config::default()
    };
    let player = play(config, &[member(1, "a", 1), member(2, "a", 2)], &["0 open n1 n2", "5 quorum at_risk"]);
    let cluster = player.shown.cluster("a").unwrap();
    assert_eq!(
        cluster.reasons,
        [
            "quorum at risk: 3 of 3 votes, 3 needed",
            "configured need of 9 votes exceeds the 3 declared: 3 used"
        ]
    );
}

#[test]
fn observers_do_not_vote_and_still_degrade() {
    let mut observer = member(4, "a", 7);
    observer.role = MemberRole::Observer;
    let members = [member(1, "a", 1), member(2, "a", 1), member(3, "a", 1), observer.clone()];
    let player = play(
        Config::default(),
        &members,
        &["0 open n1..n4", "5 cluster healthy", "5 lost n4", "9 is down n4"],
    );
    let cluster = player.shown.cluster("a").unwrap();
    assert_eq!((cluster.quorum.status, cluster.quorum.total), (QuorumStatus::Available, 3));
    assert_eq!(cluster.health, Health::Degraded);
    let alone =
        play(Config::default(), &[observer], &["0.25 cluster unknown", "0.3 open n4", "5 cluster healthy"]);
    assert_eq!(alone.shown.clusters[0].quorum.status, QuorumStatus::NotApplicable);
}

#[test]
fn clusters_are_judged_apart() {
    let members = [member(1, "b", 1), member(2, "a", 1), member(3, "a", 1), member(4, "a", 1)];
    let player = play(Config::default(), &members, &["0 open n1..n4", "5 lost n1", "9 is down n1"]);
    let health: Vec<(&str, Health)> = player.shown.clusters.iter().map(|c| (&*c.name, c.health)).collect();
    assert_eq!(health, [("a", Health::Healthy), ("b", Health::Unhealthy)]);
}

#[test]
fn reasons_are_bounded() {
    let members: Vec<Member> = (1..=60).map(|id| member(id, "a", 1)).collect();
    let mut player = play(Config::default(), &members, &["0 open n1..n60"]);
    for id in 1..=50 {
        player.line(&format!("{} lost n{id}", 5 * id));
    }
    player.play_to(300_000);
    let cluster = player.shown.cluster("a").unwrap();
    assert_eq!(cluster.mass_loss, None, "one after the other is no mass loss");
    assert_eq!(cluster.reasons.len(), 22);
    assert_eq!(cluster.reasons[21], "and 30 more nodes that are not up");
    assert_eq!((cluster.unhealthy_nodes.len(), cluster.healthy_nodes), (50, 10));
}

#[test]
fn a_mass_loss_is_one_line() {
    let members: Vec<Member> = (1..=8).map(|id| member(id, "a", 1)).collect();
    let player =
        play(Config::default(), &members, &["0 open n1..n8", "5 lost n8", "20 lost n1..n6", "23 is down n1"]);
    let cluster = player.shown.cluster("a").unwrap();
    assert_eq!(
        cluster.reasons,
        [
            "6 of 8 nodes lost together at 1970-01-01T01:00:20.250Z",
            "quorum lost: 1 of 8 votes, 5 needed",
            "n8 down: stream lost 10 s ago"
        ],
        "and only who was lost apart has a line of its own"
    );
}

#[test]
fn nodes_come_and_go_with_the_registry() {
    let mut player = play(Config::default(), &[member(1, "a", 1)], &["0 open n1", "20 is up n1"]);
    player.declare(member(2, "a", 1));
    player.line("34.75 is unknown n2");
    player.line("35.25 is down n2");
    player.members.retain(|member| member.id.0 == 1);
    player.judge.declare(&player.members.clone());
    player.play_to(36_000);
    assert_eq!((player.shown.nodes.len(), player.shown.nodes[0].liveness), (1, Liveness::Up));
    player.judge.declare(&[]);
    player.play_to(37_000);
    assert!(player.shown.nodes.is_empty() && player.shown.clusters.is_empty());
}

#[test]
fn strangers_are_remembered_while_their_stream_is_open() {
    let mut judge = Judge::new(Config::default(), at(0));
    let opened = StreamEvent::Opened { boot_id: [1; 16], facts: Arc::default() };
    judge.observe(NodeId(9), opened.clone(), at(1));
    judge.declare(&[member(1, "a", 1)]);
    assert!(judge.streams.contains_key(&NodeId(9)));
    judge.observe(NodeId(9), StreamEvent::Ended(StreamEnd::Lost), at(2));
    assert!(judge.streams.is_empty());
    judge.observe(NodeId(1), opened, at(3));
    judge.observe(NodeId(1), StreamEvent::Ended(StreamEnd::Lost), at(4));
    assert!(judge.streams.contains_key(&NodeId(1)));
    judge.declare(&[]);
    assert!(judge.streams.is_empty());
}

/// What may happen, by chance.
#[derive(Clone, Debug)]
enum Chance {
    Wait(u64),
    Sleep(u64),
    Open(i64, u8),
    End(i64, StreamEnd),
    Stop(i64),
    Resume(i64),
    Pace(i64, u64),
    Forget(i64),
    Declare(i64, u32, bool),
}

fn chance() -> impl Strategy<Value = Chance> {
    let node = 1..8i64;
    let end = prop_oneof![
        Just(StreamEnd::Lost),
        Just(StreamEnd::Silent),
        Just(StreamEnd::Bye(ByeReason::Restart)),
        Just(StreamEnd::Superseded)
    ];
    prop_oneof![
        4 => (1..6000u64).prop_map(Chance::Wait),
        1 => (1..20_000u64).prop_map(Chance::Sleep),
        6 => (node.clone(), 0..3u8).prop_map(|(n, boot)| Chance::Open(n, boot)),
        2 => (node.clone(), end).prop_map(|(n, end)| Chance::End(n, end)),
        2 => node.clone().prop_map(Chance::Stop),
        1 => node.clone().prop_map(Chance::Resume),
        1 => (node.clone(), 1..90_000u64).prop_map(|(n, ms)| Chance::Pace(n, ms)),
        1 => node.clone().prop_map(Chance::Forget),
        1 => (node, 0..4u32, any::<bool>()).prop_map(|(n, w, b)| Chance::Declare(n, w, b)),
    ]
}

fn happen(player: &mut Player, chance: Chance) {
    match chance {
        Chance::Wait(ms) => player.play_to(player.now_ms + ms),
        Chance::Sleep(ms) => player.sleep(ms),
        Chance::Open(node, boot) => player.open(node, boot),
        Chance::End(node, end) => player.end(node, end),
        Chance::Stop(node) => player.stop(node),
        Chance::Resume(node) => player.resume(node),
        Chance::Pace(node, ms) => player.pace(node, ms),
        Chance::Forget(node) => {
            player.members.retain(|member| member.id.0 != node);
            player.judge.declare(&player.members.clone());
        }
        Chance::Declare(node, weight, observer) => {
            player.members.retain(|member| member.id.0 != node);
            let role = if observer { MemberRole::Observer } else { MemberRole::Voter };
            player
                .members
                .push(Member { role, ..member(node, if node % 2 == 0 { "a" } else { "b" }, weight) });
            player.judge.declare(&player.members.clone());
        }
    }
}

/// What must be true of every snapshot, whatever happened.
fn must_hold(snapshot: &Snapshot) {
    for cluster in &snapshot.clusters {
        let members: Vec<_> = snapshot.nodes.iter().filter(|n| n.member.cluster == cluster.name).collect();
        let weight = |states: &[Liveness]| -> u32 {
            let voters = members.iter().filter(|n| n.member.role == MemberRole::Voter);
            voters.filter(|n| states.contains(&n.liveness)).map(|n| n.member.weight).sum()
        };
        let firm = weight(&[Liveness::Up, Liveness::Isolated]);
        let alive = firm + weight(&[Liveness::Suspect]);
        match cluster.quorum.status {
            QuorumStatus::Available => assert!(firm >= cluster.quorum.need, "{cluster:#?}"),
            QuorumStatus::AtRisk => assert!(alive >= cluster.quorum.need, "{cluster:#?}"),
            QuorumStatus::Unknown => assert!(weight(&[Liveness::Unknown]) > 0, "{cluster:#?}"),
            QuorumStatus::Lost => assert_eq!(cluster.health, Health::Unhealthy),
            QuorumStatus::NotApplicable => assert_eq!(cluster.quorum.total, 0),
        }
        let all_up = members.iter().all(|n| n.liveness == Liveness::Up);
        assert!(cluster.health != Health::Healthy || all_up, "{cluster:#?}");
        assert_eq!(cluster.reasons.is_empty(), cluster.health == Health::Healthy, "{cluster:#?}");
        let named = cluster.unhealthy_nodes.len() + cluster.unknown_nodes.len();
        assert_eq!(cluster.healthy_nodes as usize + named, cluster.total_nodes as usize);
    }
    for node in &snapshot.nodes {
        assert!(node.liveness != Liveness::Up || node.last_heard.is_some());
        let silence =
            node.last_heard.map(|heard| Duration::from_nanos((snapshot.at.0 - heard.0).cast_unsigned()));
        assert!(node.liveness != Liveness::Up || silence < Some(Duration::from_secs(600)), "{node:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(chances in proptest::collection::vec(chance(), 1..60)) {
        let mut player = Player::new(Config::default());
        (1..8).for_each(|id| player.declare(member(id, if id % 2 == 0 { "a" } else { "b" }, 1)));
        player.declare(member(8, "b", 1));
        player.open(8, 0);
        for chance in chances {
            happen(&mut player, chance);
            must_hold(&player.shown);
            let steady = player.shown.node("n8").map(|node| node.liveness);
            prop_assert!(matches!(steady, None | Some(Liveness::Up | Liveness::Unknown)), "n8 is {steady:?}");
        }
    }
}
