//! A full disk: the reserve goes, history is sealed and deleted all the same, and what was acknowledged is kept.

use super::*;

const RESERVE: u64 = 256 << 10;

fn used(world: &World) -> u64 {
    world.names("").iter().map(|name| world.disk.length(&Path::new("d").join(name)).unwrap()).sum()
}

/// An agent that sends again from what is durable, in a session of its own, until that is done or refused.
fn send(world: &World, order: u64, seqs: std::ops::RangeInclusive<u64>) -> bool {
    let mut feed = Feed::begin(&world.store, 1, order);
    for seq in seqs {
        feed.frame(&world.store, seq);
        if seq % 10 == 0 && !world.commit() {
            return false;
        }
    }
    world.commit()
}

#[test]
fn the_reserve_goes_once_and_comes_back() {
    let mut world = World::new(1);
    world.config.reserve = Size::from_bytes(RESERVE);
    let world = World::on(MemoryDisk::default(), world.clock, world.config, 1);
    world.clock.put(0);
    assert_eq!((world.store.reserve(), world.names("reserve").len()), (Some(ReserveState::Held), 1));
    assert!(send(&world, 1, 1..=300));
    assert_eq!(world.store.disk_bytes(), used(&world), "everything is counted");

    world.disk.limit(Some(used(&world) + 5_000));
    assert!(!send(&world, 1, 301..=900));
    assert_eq!((world.store.reserve(), world.names("reserve").len()), (Some(ReserveState::Spent), 0));
    let feed = Feed::begin(&world.store, 1, 1);
    let kept = world.known(feed.node, feed.epoch);
    assert!((300..900).contains(&kept));
    // What the reserve left is not for frames: the rest of it stays whatever is sent.
    while send(&world, 1, kept + 1..=900) {}
    let free = world.disk.free(Path::new("d")).unwrap();
    assert!(free > RESERVE / 2, "{free}");
    assert!(!send(&world, 1, kept + 1..=900));
    assert_eq!(world.disk.free(Path::new("d")).unwrap(), free);

    // Sealing writes, and makes room.
    let logs = world.names("log-").len();
    assert!(world.keep_up(331), "there is room for what makes room");
    assert!(world.names("log-").len() < logs && !world.names("chunks-").is_empty());
    assert!(world.disk.free(Path::new("d")).unwrap() > free);
    let kept = world.known(feed.node, feed.epoch);
    assert!(send(&world, 1, kept + 1..=kept + 10), "and frames become durable again");
    assert_eq!(world.store.reserve(), Some(ReserveState::Spent), "there is not room for two");
    world.disk.limit(Some(used(&world) + 2 * RESERVE + 100_000));
    assert!(world.keep_up(332));
    assert_eq!((world.store.reserve(), world.names("reserve").len()), (Some(ReserveState::Held), 1));
    let kept = world.known(feed.node, feed.epoch);
    world.disk.cut_power(&mut SeededRng::new(1));
    let world = world.restart();
    let seconds = world.seconds(feed.node);
    assert!((1..=kept.cast_signed()).all(|second| seconds.contains(&second)), "{kept}: {seconds:?}");
    assert_eq!(world.store.reserve(), Some(ReserveState::Held));
}

/// Over and over on a disk that is too small: nothing that was acknowledged is lost.
#[test]
fn on_a_disk_that_fills_again_and_again_what_is_durable_stays() {
    for seed in 0..4 {
        let mut rng = SeededRng::new(seed);
        let mut world = World::new(seed);
        world.clock.put(0);
        let (node, epoch) = (NodeId(1), Epoch { order: 1, nonce: 9 });
        let (mut spent, mut second) = (0, 1);
        for _ in 0..12 {
            world.disk.limit(Some(used(&world) + rng.below(60_000)));
            let kept = world.known(node, epoch);
            second += 100 + rng.below(100);
            send(&world, 1, kept + 1..=second);
            spent += usize::from(world.store.reserve() == Some(ReserveState::Spent));
            world.keep_up(second.cast_signed() + rng.below(60).cast_signed());
            if rng.below(4) == 0 {
                world.disk.cut_power(&mut rng);
                world.disk.limit(None);
                world = world.restart();
            }
            let kept = world.known(node, epoch).cast_signed();
            let seconds = world.seconds(node);
            assert!((1..=kept).all(|second| seconds.contains(&second)), "seed {seed}: {kept}");
        }
        world.disk.limit(None);
        assert!(world.keep_up(second.cast_signed() + 400));
        assert_eq!(world.store.reserve(), Some(ReserveState::Held), "seed {seed}");
        assert!(spent > 0, "seed {seed}");
    }
}
