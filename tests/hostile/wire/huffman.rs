//! The Huffman code of RFC 7541, appendix B, for reading. It is canonical: the lengths of its codes say it all.

/// Bits of the code of each byte.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// Reads bytes; what is left at the end is padding.
pub fn read(bytes: &[u8]) -> Vec<u8> {
    let codes = codes();
    let (mut text, mut code, mut length) = (Vec::new(), 0_u32, 0_u8);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        (code, length) = (code << 1 | u32::from(bit), length + 1);
        if let Some((_, _, byte)) = codes.iter().find(|(l, c, _)| (*l, *c) == (length, code)) {
            text.push(*byte);
            (code, length) = (0, 0);
        }
    }
    text
}

/// Length, code and byte, the shortest first.
fn codes() -> Vec<(u8, u32, u8)> {
    let mut order: Vec<(u8, u8)> = (0..=255).map(|byte| (LENGTHS[usize::from(byte)], byte)).collect();
    order.sort_unstable();
    let (mut code, mut before) = (0_u32, order[0].0);
    let mut codes = Vec::with_capacity(order.len());
    for (at, (length, byte)) in order.into_iter().enumerate() {
        code = (code + u32::from(at > 0)) << (length - before);
        before = length;
        codes.push((length, code, byte));
    }
    codes
}

#[test]
fn reads_the_examples_of_the_standard() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    assert_eq!(read(&hex("f1e3c2e5f23a6ba0ab90f4ff")), b"www.example.com");
    assert_eq!(read(&hex("a8eb10649cbf")), b"no-cache");
    assert_eq!(read(&hex("d07abe941054d444a8200595040b8166e082a62d1bff")), b"Mon, 21 Oct 2013 20:13:21 GMT");
}
