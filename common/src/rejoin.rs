//! What a rejoining node signs: the same bytes on both sides.

use crate::tls::sha256;

/// Names what the signature is for, so that it can stand for nothing else.
const PURPOSE: &[u8] = b"quorate rejoin 1\0";

/// The bytes to sign, for a challenge and a certificate request.
pub fn signed_bytes(nonce: &[u8], csr: &[u8]) -> Vec<u8> {
    [PURPOSE, nonce, &sha256(csr)].concat()
}
