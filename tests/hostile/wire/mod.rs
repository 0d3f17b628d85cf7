//! HTTP/2 by hand: frames as bytes, so that they can be wrong in every way.

pub mod hpack;
mod huffman;

/// Kinds of frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags.
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Error codes.
pub const NO_ERROR: u32 = 0;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// What a frame may hold until another length is agreed on.
const FRAME_BYTES_MAX: usize = 16_384;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A setting: how much the other side may remember of headers.
pub const HEADER_TABLE_SIZE: u16 = 1;
/// A setting: the window of each new stream.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub content: Vec<u8>,
}

/// A frame in bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// The settings that we begin with: nothing is to be remembered.
pub fn settings(more: &[(u16, u32)]) -> Vec<u8> {
    let pairs = [(HEADER_TABLE_SIZE, 0)].into_iter().chain(more.iter().copied());
    let content: Vec<u8> =
        pairs.flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &content)
}

/// The headers of a gRPC call, with `more` at the end.
pub fn call(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "127.0.0.1"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    frame(HEADERS, END_HEADERS, stream, &hpack::write(&[&headers, more].concat()))
}

/// A message as gRPC wraps it.
pub fn message(content: &[u8]) -> Vec<u8> {
    [&head(0, content.len() as u32)[..], content].concat()
}

/// The five bytes before a message.
pub fn head(flag: u8, length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_be_bytes();
    [flag, a, b, c, d]
}

/// Data of a stream, and its end, in frames that are not too long.
pub fn last(stream: u32, content: &[u8]) -> Vec<u8> {
    let at = content.len() - content.len() % FRAME_BYTES_MAX;
    let whole: Vec<u8> =
        content[..at].chunks(FRAME_BYTES_MAX).flat_map(|chunk| data(stream, chunk)).collect();
    [whole, frame(DATA, END_STREAM, stream, &content[at..])].concat()
}

/// Data of a stream that goes on.
pub fn data(stream: u32, content: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, content)
}
