//! Headers in bytes (RFC 7541), as plainly as they can be written, and as they come back when the other side was
//! told to remember nothing.

use super::huffman;

/// Names and values that need not be sent, from 1 on.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Each header as a literal that nobody is to remember.
pub fn write(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            number(&mut bytes, 0, 7, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

fn number(bytes: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let full = (1 << bits) - 1;
    if value < full {
        return bytes.push(flags | value as u8);
    }
    bytes.push(flags | full as u8);
    let mut rest = value - full;
    while rest >= 128 {
        bytes.push(rest as u8 | 128);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// Headers that were written without a memory.
pub fn read(bytes: &[u8]) -> Vec<(String, String)> {
    let (mut input, mut headers) = (Input { bytes }, Vec::new());
    while let Some(first) = input.bytes.first().copied() {
        let header = match first {
            128.. => {
                let (name, value) = STATIC[input.number(7) - 1];
                (name.to_owned(), value.to_owned())
            }
            64..128 => input.literal(6),
            // The table's size, which we set to nothing.
            32..64 => {
                assert_eq!(input.number(5), 0, "the other side keeps a table");
                continue;
            }
            _ => input.literal(4),
        };
        headers.push(header);
    }
    headers
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl Input<'_> {
    fn number(&mut self, bits: u32) -> usize {
        let full = (1 << bits) - 1;
        let mut value = usize::from(self.byte()) & full;
        let mut shift = 0;
        while value >= full {
            let byte = usize::from(self.byte());
            value += (byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
        }
        value
    }

    fn literal(&mut self, bits: u32) -> (String, String) {
        let name = match self.number(bits) {
            0 => self.text(),
            index => STATIC[index - 1].0.to_owned(),
        };
        (name, self.text())
    }

    fn text(&mut self) -> String {
        let coded = self.bytes[0] >= 128;
        let length = self.number(7);
        let (text, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        let text = if coded { huffman::read(text) } else { text.to_vec() };
        String::from_utf8_lossy(&text).into_owned()
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.bytes.split_first().unwrap();
        self.bytes = rest;
        *first
    }
}

#[test]
fn what_is_written_is_read() {
    let long = "x".repeat(1000);
    let headers = [(":path", "/a"), ("long", long.as_str()), ("empty", "")];
    let owned = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(read(&write(&headers)), owned);
    // Indexed, literal with an indexed name and Huffman, and a size of nothing before them.
    let bytes = [&[0x20, 0x88, 0x5f, 0x86][..], &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]].concat();
    let expect = [(":status", "200"), ("content-type", "no-cache")];
    assert_eq!(read(&bytes), expect.map(|(name, value)| (name.to_owned(), value.to_owned())));
}
