//! Buckets, from files or not, are what the samples say; and they outlive the samples.

use super::*;
use crate::store::{Bucket, Resolution, bucket};

const MINUTE: i64 = 60 * SECOND;
/// The period of minutes that the first sample lies in ends here, and the next one.
const FIRST_END_S: i64 = 15_000;
const SECOND_END_S: i64 = 36_600;
/// The period of hours ends here.
const HOURS_END_S: i64 = 511_800;

/// Buckets as anybody would compute them.
fn naive(samples: &[Sample], length: i64) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for sample in samples {
        let (at, value) = (WallTime(sample.at.0 / length * length), sample.value);
        if buckets.last().is_none_or(|last| last.at != at) {
            buckets.push(Bucket::of(Sample { at, value }));
            continue;
        }
        let last = buckets.last_mut().unwrap();
        last.increase += if value < last.last { value } else { value - last.last };
        (last.min, last.max) = (last.min.min(value), last.max.max(value));
        (last.sum, last.count, last.last) = (last.sum + value, last.count + 1, value);
    }
    buckets
}

fn ids(world: &World, node: NodeId) -> Vec<SeriesId> {
    world.store.find(node, &|_| true).iter().map(|(id, _)| *id).collect()
}

fn rolled(world: &World, node: i64, resolution: Resolution) -> Vec<Vec<Bucket>> {
    let node = NodeId(node);
    world.store.rolled(node, &ids(world, node), resolution, ALL.0, ALL.1)
}

/// Both resolutions, all of it and a part, are what the samples say.
fn check(world: &World, node: i64, rng: &mut SeededRng, place: &str) {
    let node = NodeId(node);
    let series: Vec<SeriesId> = ids(world, node).into_iter().step_by(6).collect();
    let samples = world.store.samples(node, &series, ALL.0, ALL.1);
    for (resolution, length) in [(Resolution::Minute, MINUTE), (Resolution::Hour, 60 * MINUTE)] {
        let expect: Vec<_> = samples.iter().map(|list| naive(list, length)).collect();
        assert_eq!(
            world.store.rolled(node, &series, resolution, ALL.0, ALL.1),
            expect,
            "{place} {resolution:?}"
        );
        let from = WallTime((BEGIN_S + rng.below(30_000).cast_signed()) * SECOND);
        let to = WallTime(from.0 + rng.below(10_000).cast_signed() * SECOND);
        let part = |list: &Vec<Bucket>| {
            list.iter().filter(|bucket| from <= bucket.at && bucket.at <= to).copied().collect()
        };
        let expect: Vec<Vec<Bucket>> = expect.iter().map(part).collect();
        assert_eq!(world.store.rolled(node, &series, resolution, from, to), expect, "{place} {resolution:?}");
    }
}

/// Sessions that come and go, late frames, failures, power cuts and restarts.
#[test]
fn buckets_are_what_the_samples_say_whatever_happened_between() {
    let (mut files, mut superseding) = (0, 0);
    for seed in 0..3 {
        let mut rng = SeededRng::new(seed);
        let mut world = World::new(seed);
        world.clock.put(0);
        let mut second = 0;
        for run in 1..=6 {
            let mut feeds = [1, 2].map(|node| Feed::uncounted(&world.store, node, run));
            feeds.iter_mut().for_each(|feed| feed.modulo = 5_000);
            for _ in 0..60 + rng.below(60) {
                second += 1 + rng.below(120);
                feeds.iter_mut().for_each(|feed| feed.frame(&world.store, second));
                if rng.below(8) == 0 {
                    world.keep_up(second.cast_signed());
                }
            }
            // One node was away before, and sends it now.
            let mut late = Feed::on(&world.store, (1 + (run % 2).cast_signed(), Lane::Late), run);
            late.modulo = 5_000;
            let mut at = rng.below(second);
            for _ in 0..rng.below(40) {
                at += 1 + rng.below(50);
                late.frame(&world.store, at);
            }
            if rng.below(2) == 0 {
                let operation = [Operation::Write, Operation::Sync][rng.below(2) as usize];
                world.disk.fail(Fault { operation, after: rng.below(6) as u32, error: io::ErrorKind::Other });
            }
            for _ in 0..4 {
                world.keep_up(second.cast_signed());
                second += 200;
            }
            check(&world, 1 + rng.below(2).cast_signed(), &mut rng, &format!("seed {seed}, run {run}"));
            if rng.below(2) == 0 {
                world.commit();
                world.disk.cut_power(&mut rng);
            }
            world = world.restart();
        }
        assert!(second.cast_signed() > FIRST_END_S);
        for step in 0..20 {
            world.keep_up(SECOND_END_S + 400 * step);
        }
        [1, 2].into_iter().for_each(|node| check(&world, node, &mut rng, &format!("seed {seed}, end")));
        let names = world.names("chunks-minutes-");
        (files, superseding) = (files + names.len(), superseding + names.len().saturating_sub(2));
    }
    assert!(files >= 6 && superseding > 0, "{files} {superseding}");
}

#[test]
fn buckets_outlive_samples_and_hours_outlive_minutes() {
    let mut world = World::new(1);
    world.clock.put(0);
    let mut feed = Feed::uncounted(&world.store, 1, 1);
    (1..400).for_each(|frame| feed.frame(&world.store, frame * 40));
    assert!(world.keep_up(FIRST_END_S + 1_000) && world.keep_up(FIRST_END_S + 1_200));
    assert_eq!(world.names("chunks-minutes-").len(), 0, "more may come for a while");
    assert!(world.keep_up(FIRST_END_S + 1_300));
    assert_eq!(world.names("chunks-minutes-").len(), 1);
    assert!(world.keep_up(SECOND_END_S + 3_000) && world.keep_up(SECOND_END_S + 3_500));
    assert_eq!(world.names("chunks-minutes-").len(), 2);
    let [minutes, hours] = [Resolution::Minute, Resolution::Hour].map(|of| rolled(&world, 1, of));
    assert_eq!((minutes[0].len(), hours[3].len(), hours[3][1].count), (267, 6, 90));

    world.config.system = Period::from_secs(100);
    let mut world = world.restart();
    assert!(world.keep_up(SECOND_END_S + 4_000));
    assert_eq!(world.names("chunks-short-").len(), 0);
    assert_eq!(rolled(&world, 1, Resolution::Minute), minutes);
    assert_eq!(rolled(&world, 1, Resolution::Hour), hours);
    world.config.minutes = Period::from_secs(100);
    let mut world = world.restart();
    assert!(world.keep_up(HOURS_END_S) && world.names("chunks-minutes-").len() == 2, "they wait for hours");
    assert!(world.keep_up(HOURS_END_S + 500));
    assert_eq!((world.names("chunks-minutes-").len(), world.names("chunks-hours-").len()), (0, 1));
    world = world.restart();
    assert_eq!(rolled(&world, 1, Resolution::Hour), hours);
    assert_eq!(rolled(&world, 1, Resolution::Minute), vec![Vec::new(); SERIES as usize]);
    world.config.hours = Period::from_secs(100);
    let world = world.restart();
    assert!(world.keep_up(HOURS_END_S + 200_000));
    assert_eq!((world.names("chunks-").len(), world.names("index-").len()), (0, 0));
    assert_eq!(ids(&world, NodeId(1)), [], "nothing is left of the series");
}

/// What comes after the roll-up is rolled up again, for its node alone.
#[test]
fn late_frames_supersede_the_buckets_of_their_node() {
    let world = World::new(1);
    world.clock.put(0);
    let mut feeds = [1, 2].map(|node| Feed::uncounted(&world.store, node, 1));
    (1..300).for_each(|frame| feeds.iter_mut().for_each(|feed| feed.frame(&world.store, frame * 40)));
    assert!(world.keep_up(FIRST_END_S + 1_000) && world.keep_up(FIRST_END_S + 1_500));
    assert_eq!(world.names("chunks-minutes-").len(), 1);
    let before = [1, 2].map(|node| rolled(&world, node, Resolution::Minute));
    let mut late = Feed::on(&world.store, (2, Lane::Late), 1);
    (1..100).for_each(|frame| late.frame(&world.store, frame * 40 + 1));
    let mut rng = SeededRng::new(1);
    check(&world, 2, &mut rng, "in memory");
    assert!(world.keep_up(FIRST_END_S + 1_600) && world.keep_up(FIRST_END_S + 1_700));
    check(&world, 2, &mut rng, "sealed");
    let after = rolled(&world, 2, Resolution::Minute);
    assert_ne!(after, before[1]);
    assert!(world.keep_up(FIRST_END_S + 1_800) && world.keep_up(FIRST_END_S + 2_200));
    assert_eq!(world.names("chunks-minutes-").len(), 2);
    let world = world.restart();
    check(&world, 2, &mut rng, "rolled up again");
    assert_eq!([1, 2].map(|node| rolled(&world, node, Resolution::Minute)), [before[0].clone(), after]);
    let shelved = world.engine().shelf.all();
    let newest = shelved.iter().filter(|volume| volume.contents.span().is_none()).max_by_key(|v| v.order);
    let (_, entries) = world.engine().shelf.index(newest.unwrap()).unwrap();
    assert!(entries.iter().all(|entry| entry.node == NodeId(2)));
}

/// Whatever fails while a period is rolled up: it is there later, and right.
#[test]
fn a_roll_up_that_fails_is_tried_again() {
    for (operation, least) in [(Operation::Read, 10), (Operation::Write, 8), (Operation::Sync, 2)] {
        for after in 0.. {
            let world = World::new(u64::from(after));
            world.clock.put(0);
            let mut feed = Feed::uncounted(&world.store, 1, 1);
            (1..20).for_each(|frame| feed.frame(&world.store, frame * 40));
            assert!(world.keep_up(FIRST_END_S + 1_000));
            let expect = rolled(&world, 1, Resolution::Minute);
            world.disk.fail(Fault { operation, after, error: io::ErrorKind::Other });
            if world.keep_up(FIRST_END_S + 1_500) {
                assert!(after >= least, "{operation:?} {after}");
                break;
            }
            let world = world.restart();
            for step in [1_600, 2_000, 2_400, 2_800] {
                world.keep_up(FIRST_END_S + step);
            }
            assert_eq!(world.names("chunks-minutes-").len(), 1, "{operation:?} {after}");
            assert_eq!(rolled(&world, 1, Resolution::Minute), expect, "{operation:?} {after}");
            assert_eq!(world.store.damaged(), 0);
        }
    }
}

#[test]
fn readers_see_the_same_while_history_is_sealed_and_rolled_up() {
    let world = World::new(1);
    world.clock.put(0);
    let mut feed = Feed::uncounted(&world.store, 1, 1);
    (1..300).for_each(|frame| feed.frame(&world.store, frame * 40));
    let expect = rolled(&world, 1, Resolution::Minute);
    std::thread::scope(|scope| {
        let upkeep = scope.spawn(|| (5..10).all(|step| world.keep_up(FIRST_END_S + 200 * step)));
        let mut reads = 0;
        while !upkeep.is_finished() || reads == 0 {
            assert_eq!(rolled(&world, 1, Resolution::Minute), expect);
            reads += 1;
        }
        assert!(upkeep.join().unwrap());
    });
    assert_eq!((world.names("chunks-minutes-").len(), world.names("log-").len()), (1, 0));
    assert_eq!(rolled(&world, 1, Resolution::Minute), expect);
}

#[test]
fn in_memory_alone_there_are_buckets_too() {
    let store = Embedded::default();
    let mut feed = Feed::uncounted(&store, 1, 1);
    (1..300).for_each(|second| feed.frame(&store, second));
    let id = store.find(NodeId(1), &|found| *found == spec(3))[0].0;
    let samples = store.samples(NodeId(1), &[id], ALL.0, ALL.1);
    let buckets = store.rolled(NodeId(1), &[id], Resolution::Minute, ALL.0, ALL.1);
    assert_eq!(buckets, [naive(&samples[0], MINUTE)]);
    assert_eq!(bucket::growth(buckets[0][0].last, buckets[0][1].first), 3.0);
}
