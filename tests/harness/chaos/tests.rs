//! Each fault on real sockets, by what arrives and when.

use super::*;
use quorate_common::clock::{Clock, SystemClock};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Nothing takes this long here; a machine under load may need some of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// What does not come within this time does not come.
const NEVER: Duration = Duration::from_millis(150);

/// A connection through a proxy, from both ends.
struct Through {
    chaos: Chaos,
    near: TcpStream,
    far: TcpStream,
    target: TcpListener,
}

impl Through {
    async fn open() -> Through {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let chaos = Chaos::start(target.local_addr().unwrap().to_string(), 1).await.unwrap();
        let near = TcpStream::connect(&chaos.address).await.unwrap();
        let (far, _) = target.accept().await.unwrap();
        Through { chaos, near, far, target }
    }

    fn up(&self, up: Way) {
        self.chaos.set(Weather { up, ..Weather::default() });
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Waits until exactly this arrives next.
async fn expect(stream: &mut TcpStream, text: &str) {
    let mut buffer = vec![0; text.len()];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut buffer)).await;
    read.expect("it arrives in time").expect("it arrives");
    assert_eq!(String::from_utf8_lossy(&buffer), text);
}

async fn expect_nothing(stream: &mut TcpStream) {
    let mut buffer = [0; 64];
    let read = tokio::time::timeout(NEVER, stream.read(&mut buffer)).await;
    assert!(read.is_err(), "it is silent, but {read:?}");
}

async fn expect_reset(stream: &mut TcpStream) {
    let mut buffer = [0; 64];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("it ends");
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

fn since(begin: quorate_common::model::time::BootTime) -> Duration {
    SystemClock.now().boot.since(begin)
}

#[tokio::test]
async fn fair_weather_carries_both_ways_and_the_end() {
    let Through { chaos, mut near, mut far, .. } = Through::open().await;
    send(&mut near, "question").await;
    expect(&mut far, "question").await;
    send(&mut far, "answer").await;
    expect(&mut near, "answer").await;
    assert_eq!((chaos.carried(), chaos.accepted(), chaos.open()), ((8, 6), 1, 1));
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0, "one side has said all");
    send(&mut far, "more").await;
    expect(&mut near, "more").await;
}

#[tokio::test]
async fn each_direction_has_a_delay_of_its_own() {
    let mut through = Through::open().await;
    through.up(Way { delay: Duration::from_millis(300), ..Way::default() });
    let begin = SystemClock.now().boot;
    send(&mut through.far, "down").await;
    expect(&mut through.near, "down").await;
    assert!(since(begin) < Duration::from_millis(300), "{:?}", since(begin));
    let begin = SystemClock.now().boot;
    send(&mut through.near, "up").await;
    expect(&mut through.far, "up").await;
    assert!(since(begin) >= Duration::from_millis(300), "{:?}", since(begin));
}

#[tokio::test]
async fn a_lost_segment_is_a_stall() {
    let mut through = Through::open().await;
    through.up(Way { loss: 0.3, ..Way::default() });
    let begin = SystemClock.now().boot;
    for _ in 0..10 {
        send(&mut through.near, "tick").await;
        expect(&mut through.far, "tick").await;
    }
    assert!(since(begin) >= RETRANSMISSION, "{:?}", since(begin));
}

#[tokio::test]
async fn a_throttle_and_a_drip_slow_it_down() {
    let mut through = Through::open().await;
    let text = "x".repeat(3000);
    for way in [
        Way { bytes_per_s: Some(10_000), ..Way::default() },
        Way { drip: Some(Drip { bytes: 100, every: Duration::from_millis(10) }), ..Way::default() },
    ] {
        through.up(way);
        let begin = SystemClock.now().boot;
        send(&mut through.near, &text).await;
        expect(&mut through.far, &text).await;
        assert!(since(begin) >= Duration::from_millis(290), "{way:?}: {:?}", since(begin));
    }
}

#[tokio::test]
async fn what_is_held_arrives_later_and_the_other_way_goes_on() {
    let mut through = Through::open().await;
    through.up(Way { flow: Flow::Hold, ..Way::default() });
    send(&mut through.near, "held").await;
    expect_nothing(&mut through.far).await;
    send(&mut through.far, "down").await;
    expect(&mut through.near, "down").await;
    through.chaos.set(Weather::default());
    expect(&mut through.far, "held").await;
}

#[tokio::test]
async fn what_is_swallowed_never_arrives_and_nobody_is_told() {
    let mut through = Through::open().await;
    through.chaos.set(Weather::both(Way { flow: Flow::Swallow, ..Way::default() }));
    send(&mut through.near, "lost").await;
    expect_nothing(&mut through.far).await;
    through.chaos.set(Weather::default());
    send(&mut through.near, "too late").await;
    expect_nothing(&mut through.far).await;
    drop(through.near);
    expect_nothing(&mut through.far).await;
}

#[tokio::test]
async fn a_door_that_swallows_is_half_open() {
    let through = Through::open().await;
    through.chaos.set(Weather { door: Door::Swallow, ..Weather::default() });
    let mut near = TcpStream::connect(&through.chaos.address).await.unwrap();
    send(&mut near, "hello?").await;
    expect_nothing(&mut near).await;
    let accepted = tokio::time::timeout(NEVER, through.target.accept()).await;
    assert!(accepted.is_err(), "the target hears of nothing");
    through.chaos.reset();
    expect_reset(&mut near).await;
}

#[tokio::test]
async fn resets_reach_both_sides() {
    let mut through = Through::open().await;
    through.chaos.reset();
    expect_reset(&mut through.near).await;
    expect_reset(&mut through.far).await;
    through.chaos.set(Weather { door: Door::Reset, ..Weather::default() });
    let mut near = TcpStream::connect(&through.chaos.address).await.unwrap();
    expect_reset(&mut near).await;
}

#[tokio::test]
async fn a_turned_bit_arrives() {
    let mut through = Through::open().await;
    through.up(Way { corrupt: 1.0, ..Way::default() });
    send(&mut through.near, "word").await;
    let mut buffer = [0; 4];
    tokio::time::timeout(PATIENCE, through.far.read_exact(&mut buffer)).await.unwrap().unwrap();
    let turned: u32 = buffer.iter().zip(b"word").map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(turned, 1);
}
