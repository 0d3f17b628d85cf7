//! Rows 23 to 26, 28 and 29, and of row 79 the descriptors: whoever does too much of something.

use crate::forge::client;
use crate::raw::{Closed, Raw, from, plain, rest};
use crate::siege::{Siege, resident};
use crate::wire::{self, frame};
use quorate_proto::v1;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const HEALTH: &str = "/quorate.v1.ClusterService/GetHealth";
const WATCH: &str = "/quorate.v1.ClusterService/Watch";

/// Sends the same bytes again and again until the server closes, or so many were sent.
async fn flood(raw: &mut Raw, times: usize, bytes: impl Fn(u32) -> Vec<u8>) -> Closed {
    for at in 0..times {
        let at = u32::try_from(at).unwrap();
        if raw.send(&bytes(at)).await.is_err() {
            break;
        }
    }
    raw.closed().await
}

async fn row_23_idle_connections(siege: &Siege) {
    let mut idle = Vec::new();
    for _ in 0..2000 {
        idle.push(plain(from(23), siege.grpc()).await.unwrap());
    }
    siege.until_counted("address", 1900).await;
    // Whoever comes from elsewhere gets in at once.
    let elsewhere = async { siege.raw(230).await.call(1, HEALTH, b"").await.status().0 };
    assert_eq!(tokio::time::timeout(Duration::from_secs(2), elsewhere).await, Ok(0));
    // All are closed in the end: the twenty with a place when they have not begun TLS for five seconds.
    for mut stream in idle {
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0])).await;
        assert!(matches!(end.expect("an end"), Ok(0) | Err(_)));
    }
    siege.until_refused("address", 0).await;
}

async fn row_24_rapid_reset(siege: &Siege) {
    let before = siege.refused("http2").await + siege.refused("control_frames").await;
    let mut raw = siege.raw(24).await;
    let reset = |at: u32| {
        let stream = 2 * at + 1;
        let cancel = frame(wire::RST_STREAM, 0, stream, &wire::CANCEL.to_be_bytes());
        [wire::call(stream, HEALTH, &[]), cancel].concat()
    };
    let closed = flood(&mut raw, 10_000, reset).await;
    assert!(matches!(closed.goaway, None | Some(wire::ENHANCE_YOUR_CALM)), "{closed:?}");
    assert!(siege.refused("http2").await + siege.refused("control_frames").await > before);
}

async fn row_25_headers_without_end(siege: &Siege) {
    let before = siege.refused("http2").await;
    let mut raw = siege.raw(25).await;
    let begin = frame(wire::HEADERS, wire::END_STREAM, 1, &wire::hpack::write(&[(":method", "POST")]));
    raw.send(&begin).await.unwrap();
    let more = frame(wire::CONTINUATION, 0, 1, &wire::hpack::write(&[("x", &"y".repeat(1000))]));
    let closed = flood(&mut raw, 20_000, |_| more.clone()).await;
    assert_eq!(closed.goaway, Some(wire::ENHANCE_YOUR_CALM), "{closed:?}");
    siege.until_refused("http2", before).await;
    // Large, and whole: the stream is refused, the connection is not.
    let mut raw = siege.raw(25).await;
    let headers = [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", HEALTH)];
    let begin = frame(wire::HEADERS, wire::END_STREAM, 1, &wire::hpack::write(&headers));
    let more = wire::hpack::write(&[("x", &"y".repeat(8000))]);
    let (middle, end) = (
        frame(wire::CONTINUATION, 0, 1, &more),
        frame(wire::CONTINUATION, wire::END_HEADERS, 1, &[&more[..], &more].concat()),
    );
    raw.send(&[begin, middle, end].concat()).await.unwrap();
    let answer = raw.answer(1).await;
    assert_eq!(answer.headers.get(":status").map(String::as_str), Some("431"), "{answer:?}");
}

/// The frame of a number.
type Frames = Box<dyn Fn(u32) -> Vec<u8>>;

/// HTTP/2 lets a peer ping, and our library answers: it is our own limit that ends it, without a GOAWAY.
async fn row_26_frames_without_content(siege: &Siege) {
    let before = siege.refused("control_frames").await;
    let unknown = |at: u32| frame(wire::PRIORITY, 0, 2 * at + 1, &[0, 0, 0, 0, 1]);
    let floods: [(&str, Frames); 5] = [
        ("ping", Box::new(|_| frame(wire::PING, 0, 0, &[7; 8]))),
        ("settings", Box::new(|_| frame(wire::SETTINGS, 0, 0, &[]))),
        ("priority", Box::new(unknown)),
        ("empty data", Box::new(|_| wire::data(1, &[]))),
        ("window update", Box::new(|_| frame(wire::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()))),
    ];
    for (at, (what, bytes)) in floods.into_iter().enumerate() {
        let mut raw = siege.raw(26).await.rude();
        raw.send(&wire::call(1, HEALTH, &[])).await.unwrap();
        let many = |at: u32| (0..100).flat_map(|more| bytes(100 * at + more)).collect();
        let closed = flood(&mut raw, 1000, many).await;
        assert!(
            matches!(closed.goaway, None | Some(wire::NO_ERROR | wire::ENHANCE_YOUR_CALM)),
            "{what}: {closed:?}"
        );
        let counted = siege.refused("control_frames").await + siege.refused("http2").await;
        assert!(counted > before + at as u64, "{what} was not counted");
    }
    // Of nothing, a window cannot grow.
    let mut raw = siege.raw(26).await;
    raw.send(&frame(wire::WINDOW_UPDATE, 0, 0, &[0; 4])).await.unwrap();
    assert_eq!(raw.closed().await.goaway, Some(1), "a protocol error");
}

async fn row_28_too_many_streams(siege: &Siege) {
    let mut raw = siege.raw(28).await;
    let watch =
        |stream: u32| [wire::call(stream, WATCH, &[]), wire::last(stream, &wire::message(b""))].concat();
    for stream in (1..201).step_by(2) {
        raw.send(&watch(stream)).await.unwrap();
        raw.begun(stream).await;
    }
    raw.send(&(201..601).step_by(2).flat_map(watch).collect::<Vec<u8>>()).await.unwrap();
    for stream in (201..601).step_by(2) {
        assert_eq!(raw.answer(stream).await.reset, Some(wire::REFUSED_STREAM), "stream {stream}");
    }
    assert!((1..201).step_by(2).all(|stream| raw.so_far(stream).is_some_and(|answer| !answer.ended)));
}

/// Beyond 64 calls in work of one caller, more are refused at once; those that wait for the rest of a message end at
/// its deadline.
async fn row_29_heads_without_messages(siege: &Siege) {
    let files = siege.node("pinning").await;
    let before = resident(siege.cluster.aggregator.pid);
    let mut raw = Raw::open(from(29), siege.grpc(), &client(&files)).await.unwrap();
    for stream in (1..201).step_by(2) {
        let call = wire::call(stream, "/quorate.v1.IngestService/Answer", &[]);
        raw.send(&[call, wire::data(stream, &wire::head(0, 1 << 20))].concat()).await.unwrap();
    }
    let mut codes = [0; 17];
    for stream in (1..201).step_by(2) {
        codes[usize::try_from(raw.answer(stream).await.status().0).unwrap()] += 1;
    }
    assert_eq!((codes[8], codes[4]), (36, 64), "refused at once, and at the deadline: {codes:?}");
    let grown = resident(siege.cluster.aggregator.pid).saturating_sub(before);
    assert!(grown <= 16 << 20, "grew by {grown} bytes");
}

/// Without descriptors whoever comes is closed at once, and nothing spins: a line in five seconds says so, and who is
/// in stays.
async fn row_79_no_descriptors(siege: &Siege) {
    let pid = siege.cluster.aggregator.pid;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    let process = Some(Pid::from_raw(pid.try_into().unwrap()).unwrap());
    // It inherited ours.
    let maximum = getrlimit(Resource::Nofile).maximum;
    let old = prlimit(process, Resource::Nofile, Rlimit { current: Some(open), maximum }).unwrap();
    let errors = |status: v1::GetStatusResponse| status.doors[0].accept_errors;
    let (before, begin) = (cpu_ticks(pid), quorate_tests::cluster::now());
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let mut callers: Vec<TcpStream> = Vec::new();
    let failing = tokio::time::timeout(Duration::from_secs(20), async {
        while errors(siege.cluster.status().await) < 20 {
            look.tick().await;
            callers.push(plain(from(79), siege.grpc()).await.unwrap());
        }
    });
    failing.await.expect("accepting fails");
    let took = quorate_tests::cluster::now().since(begin);
    assert!(took >= Duration::from_millis(1500), "it backs off: twenty failures in {took:?}");
    let busy = Duration::from_millis(10 * (cpu_ticks(pid) - before));
    assert!(busy < took / 2, "{busy:?} of {took:?}: it spins");
    for caller in &mut callers {
        let (bytes, after) = rest(caller).await;
        assert!(bytes.is_empty() && after < Duration::from_secs(5), "closed without a word, in {after:?}");
    }
    let said = siege.cluster.aggregator.log().matches("failed to accept connections").count();
    assert!((1..=2).contains(&said), "{said} lines");
    prlimit(process, Resource::Nofile, old).unwrap();
    siege.until_counted("descriptors", 10).await;
    assert_eq!(siege.raw(79).await.call(1, HEALTH, b"").await.status().0, 0, "it goes on by itself");
}

/// Processor time of a process, in hundredths of a second.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn rows_23_to_29_and_79() {
    let siege = Siege::begin(50, &[]).await;
    row_29_heads_without_messages(&siege).await;
    tokio::join!(
        row_23_idle_connections(&siege),
        row_24_rapid_reset(&siege),
        row_25_headers_without_end(&siege),
        row_28_too_many_streams(&siege),
    );
    row_26_frames_without_content(&siege).await;
    row_79_no_descriptors(&siege).await;
    siege.end("floods").await;
}
