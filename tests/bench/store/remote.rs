//! Remote write, as Prometheus speaks it: the same words become samples with all labels, in protobuf and snappy, over
//! one connection. A request has one sample of each of 10,000 series.

use super::words::Word;
use anyhow::{Context, bail, ensure};
use prost::Message;
use quorate_common::cell::{Decoder, FrameHead, GroupId};
use quorate_common::model::series::{CellForm, SeriesSpec, Window};
use quorate_common::model::session::{AgentMessage, Frame, Register};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

const SAMPLES_A_REQUEST: usize = 10_000;
const INDICES_MAX: u32 = 1 << 20;
/// Field `timeseries` of a request, and `samples` of a time series: number and kind.
const TIMESERIES: u8 = 0x0a;
const SAMPLES: u8 = 0x12;

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A time series before it has samples.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp_ms: i64,
}

/// Sends what nodes say.
pub struct Remote {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    nodes: Vec<Mirror>,
    body: Vec<u8>,
    waiting: usize,
    /// Samples that were sent, and requests.
    pub sent: u64,
}

/// What stands at each index of a node's session.
struct Mirror {
    name: String,
    decoder: Decoder,
    series: Vec<(Vec<u8>, CellForm, GroupId)>,
}

impl Remote {
    /// Connects.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Remote> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let stream = BufReader::new(stream);
        Ok(Remote { stream, address, nodes: Vec::new(), body: Vec::new(), waiting: 0, sent: 0 })
    }

    /// Takes what a node says.
    pub fn take(&mut self, (number, message): &Word) -> anyhow::Result<()> {
        while self.nodes.len() <= *number {
            self.nodes.push(Mirror::new(self.nodes.len()));
        }
        let node = self.nodes.get_mut(*number).context("no such node")?;
        match message {
            AgentMessage::Register(register) => node.register(register)?,
            AgentMessage::Frame(frame) => self.waiting += node.frame(frame, &mut self.body)?,
            other => bail!("{other:?} came"),
        }
        if self.waiting >= SAMPLES_A_REQUEST { self.flush() } else { Ok(()) }
    }

    /// Sends what waits.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        let packed = snap::raw::Encoder::new().compress_vec(&self.body)?;
        let head = format!(
            "POST /api/v1/write HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-protobuf\r\n\
             Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            self.address,
            packed.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.stream.get_mut().write_all(&packed)?;
        let (status, body) = answer(&mut self.stream)?;
        ensure!(
            status / 100 == 2,
            "remote write was refused with {status}: {}",
            String::from_utf8_lossy(&body)
        );
        self.sent += self.waiting as u64;
        self.waiting = 0;
        self.body.clear();
        Ok(())
    }
}

impl Mirror {
    fn new(number: usize) -> Mirror {
        let decoder = Decoder::new(INDICES_MAX, INDICES_MAX);
        Mirror { name: format!("n{number}"), decoder, series: Vec::new() }
    }

    fn register(&mut self, register: &Register) -> anyhow::Result<()> {
        register.retire.iter().try_for_each(|index| self.decoder.retire(*index))?;
        for group in &register.groups {
            let window = Window::of_interval_ms(group.interval_ms);
            let forms: Vec<_> = group.series.iter().map(|spec| spec.metric.form.into()).collect();
            self.decoder.register(group.group, window, group.first_index, &forms)?;
            for spec in &group.series {
                self.series.push((named(&self.name, spec), spec.metric.form, group.group));
            }
        }
        Ok(())
    }

    /// Adds the samples of a frame; gives how many.
    fn frame(&mut self, frame: &Frame, body: &mut Vec<u8>) -> anyhow::Result<usize> {
        let Some(window) = frame.window else { return Ok(0) };
        let head = FrameHead { seq: frame.seq, predecessor: frame.predecessor, window };
        let groups = self.decoder.decode(head, &frame.groups, &frame.cells)?.groups.to_vec();
        let timestamp_ms = frame.wall_ns.div_euclid(1_000_000);
        let mut count = 0;
        for (index, ((labels, form, group), cell)) in self.series.iter().zip(self.decoder.row()).enumerate() {
            if groups.binary_search(group).is_ok() && self.decoder.group_of(index as u32).is_some() {
                put(body, labels, Sample { value: form.value(*cell), timestamp_ms })?;
                count += 1;
            }
        }
        Ok(count)
    }
}

fn put(body: &mut Vec<u8>, labels: &[u8], sample: Sample) -> anyhow::Result<()> {
    let bytes = sample.encoded_len();
    let length = labels.len() + 1 + prost::length_delimiter_len(bytes) + bytes;
    body.push(TIMESERIES);
    prost::encode_length_delimiter(length, body)?;
    body.extend_from_slice(labels);
    body.push(SAMPLES);
    Ok(sample.encode_length_delimited(body)?)
}

/// Name and labels of a series, with that of its node, as they stand in every request.
fn named(node: &str, spec: &SeriesSpec) -> Vec<u8> {
    let label = |(name, value): (&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
    let given = [("__name__", &*spec.metric.name), ("instance", node)];
    let mut labels: Vec<Label> = spec.labels.iter().chain(given).map(label).collect();
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    Named { labels }.encode_to_vec()
}

/// Status and body of an answer with a length, or none.
pub fn answer(stream: &mut impl BufRead) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("no answer")?.parse()?;
    let (mut length, mut is_chunked) = (0, false);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let head = line.trim().to_ascii_lowercase();
        if head.is_empty() {
            break;
        }
        if let Some(bytes) = head.strip_prefix("content-length:") {
            length = bytes.trim().parse()?;
        }
        is_chunked |= head == "transfer-encoding: chunked";
    }
    let mut body = Vec::new();
    if is_chunked {
        return Ok((status, chunks(stream)?));
    }
    stream.take(length).read_to_end(&mut body)?;
    Ok((status, body))
}

fn chunks(stream: &mut impl BufRead) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16)?;
        stream.take(length).read_to_end(&mut body)?;
        // Behind every chunk, the last and empty one too, a line ends.
        stream.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}
