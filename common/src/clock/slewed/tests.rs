use super::*;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// 2026-11-26, and 2100-01-01.
const TODAY: i64 = 1_795_700_000 * SECOND;
const YEAR_2100: i64 = 4_102_444_800 * SECOND;

fn now(boot: i64, wall: i64) -> Now {
    Now { boot: BootTime(boot.cast_unsigned()), wall: WallTime(wall) }
}

/// A machine whose wall clock somebody sets.
struct Machine {
    boot: i64,
    wall: i64,
    slew: Slew,
}

impl Machine {
    fn new(wall: i64, least: i64) -> Machine {
        Machine { boot: 5 * SECOND, wall, slew: Slew::new(now(5 * SECOND, wall), WallTime(least)) }
    }

    fn own(&self) -> i64 {
        self.slew.now().wall.0
    }

    fn step(&mut self, by: i64) -> Option<Turn> {
        self.wall += by;
        self.slew.read(now(self.boot, self.wall))
    }

    /// Lets time pass, reading once a second. Gives every turn, and checks the rate at every reading.
    fn pass(&mut self, seconds: i64) -> Vec<Turn> {
        let pass = |_| {
            let before = self.own();
            self.boot += SECOND;
            let turn = self.step(SECOND);
            let passed = self.own() - before;
            assert!((SECOND * 99 / 100..=SECOND * 101 / 100).contains(&passed), "{passed} ns in a second");
            turn
        };
        (0..seconds).filter_map(pass).collect()
    }
}

/// Steps the wall clock and follows both until they agree, which takes a hundred times the step.
fn check_step(by: i64) {
    let mut machine = Machine::new(TODAY, 0);
    assert_eq!(machine.pass(10), []);
    assert_eq!(machine.own(), machine.wall);
    let before = machine.own();
    let turn = machine.step(by);
    assert_eq!(machine.own(), before, "no time has passed");
    let is_told = by.abs() > APART_NS;
    assert_eq!(turn, is_told.then_some(Turn::Apart));
    assert_eq!(machine.slew.difference_ms(), by / 1_000_000);
    let together = if is_told { vec![Turn::Together] } else { vec![] };
    assert_eq!(machine.pass(100 * by.abs() / SECOND - 1), together, "step by {by}");
    assert_ne!(machine.own(), machine.wall);
    machine.pass(1);
    assert_eq!((machine.own(), machine.slew.difference_ms()), (machine.wall, 0));
}

#[test]
fn steps_of_the_wall_clock_are_walked() {
    for by in [-HOUR, HOUR, -SECOND, SECOND, -3 * SECOND, 3 * SECOND] {
        check_step(by);
    }
}

#[test]
fn a_clock_at_1970_does_not_begin_before_what_is_kept() {
    let mut machine = Machine::new(10 * SECOND, TODAY);
    assert_eq!(machine.own(), TODAY);
    assert_eq!(machine.pass(100), [Turn::Apart]);
    assert_eq!(machine.own(), TODAY + 99 * SECOND, "as slow as it may be");
    assert_eq!(machine.step(TODAY), None, "still eleven seconds apart, the other way");
    assert_eq!(machine.slew.difference_ms(), 11_000);
    assert_eq!(machine.pass(1_100), [Turn::Together]);
    assert_eq!(machine.own(), machine.wall);
}

#[test]
fn a_clock_at_2100_is_believed_at_the_start_only() {
    let mut early = Machine::new(YEAR_2100, TODAY);
    early.pass(10);
    assert_eq!(early.own(), YEAR_2100 + 10 * SECOND);
    let mut later = Machine::new(TODAY, TODAY);
    assert_eq!(later.step(YEAR_2100 - TODAY), Some(Turn::Apart));
    later.pass(100);
    assert_eq!(later.own(), TODAY + 101 * SECOND);
}

#[test]
fn sleep_is_no_step() {
    let mut machine = Machine::new(TODAY, 0);
    machine.boot += 10 * HOUR;
    assert_eq!(machine.step(10 * HOUR), None);
    assert_eq!((machine.own(), machine.slew.difference_ms()), (TODAY + 10 * HOUR, 0));
}

#[test]
fn readings_close_together_draw_near_as_well() {
    let mut machine = Machine::new(TODAY, 0);
    machine.step(HOUR);
    for _ in 0..1_000 {
        machine.boot += 7;
        machine.step(7);
    }
    assert_eq!(machine.own(), TODAY + 7_000 + 70);
}

#[test]
fn a_difference_at_the_bound_is_told_once() {
    let mut machine = Machine::new(TODAY, 0);
    let turns: Vec<Turn> =
        (0..10).flat_map(|_| [machine.step(2 * SECOND + 1), machine.step(-1)]).flatten().collect();
    assert_eq!(turns, [Turn::Apart]);
}

#[test]
fn the_ends_of_time_are_no_panic() {
    for wall in [i64::MIN, i64::MAX] {
        let mut slew = Slew::new(now(0, 0), WallTime(0));
        slew.read(Now { boot: BootTime(u64::MAX), wall: WallTime(wall) });
        slew.read(Now { boot: BootTime(0), wall: WallTime(i64::MIN) });
        assert_eq!(slew.now().boot, BootTime(u64::MAX), "boot time does not go back either");
    }
}

proptest! {
    /// Whatever the wall clock does, and whenever it is read.
    #[test]
    fn it_never_goes_back_and_keeps_its_rate(
        least in 0..YEAR_2100,
        readings in prop::collection::vec((0_i64..20 * SECOND, -YEAR_2100..YEAR_2100), 1..200),
    ) {
        let mut slew = Slew::new(now(0, TODAY), WallTime(least));
        let begin = slew.now().wall.0;
        prop_assert_eq!(begin, TODAY.max(least));
        let (mut boot, mut before) = (0, begin);
        for (passed, wall) in readings {
            boot += passed;
            slew.read(now(boot, wall));
            let own = slew.now().wall.0;
            prop_assert!(own >= before);
            prop_assert!((own - before - passed).abs() <= passed / 100 + 1, "{} in {}", own - before, passed);
            prop_assert!((own - begin - boot).abs() <= boot / 100 + 1, "the rate holds over all readings");
            prop_assert_eq!(slew.difference_ms(), (wall - own) / 1_000_000);
            before = own;
        }
    }
}

/// A clock that goes on by a second at each reading, and back and forth by its wall.
#[derive(Default)]
struct Jumping(AtomicUsize);

impl Clock for Jumping {
    fn now(&self) -> Now {
        let at = self.0.fetch_add(1, Ordering::Relaxed) as i64;
        now(at * SECOND, TODAY + at * SECOND + if at % 2 == 0 { HOUR } else { -HOUR })
    }
}

#[test]
fn threads_see_one_order() {
    let clock = Arc::new(SlewedClock::new(Jumping::default(), WallTime(0)));
    let read = || {
        let clock = clock.clone();
        std::thread::spawn(move || {
            let stamps: Vec<Now> = (0..2_000).map(|_| clock.now()).collect();
            assert!(stamps.is_sorted_by_key(|now| now.wall) && stamps.is_sorted_by_key(|now| now.boot));
        })
    };
    let threads = [read(), read(), read()];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(clock.now().boot, BootTime(6_001 * SECOND.cast_unsigned()));
    assert!(clock.difference_ms().abs() > 1_000_000, "it can be asked for");
}
