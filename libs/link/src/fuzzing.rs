//! The decoders that are nobody's business outside, for the fuzzers under `hack/fuzz`.

use bytes::Bytes;

use crate::message::{Assembler, Incoming, MAX_CONTENT, read};

/// Longest frame assembled here, in bytes: short, so that a fuzzer reaches it.
const LIMIT: usize = 64 * 1024;

/// Takes bytes for the messages of one connection: a length (one byte, times 128) before each. Never holds more than the limit
/// of a frame.
///
/// # Panics
/// It holds more: what a fuzzer looks for.
pub fn messages(mut data: &[u8]) {
    let mut assembler = Assembler::new(LIMIT);
    while let Some((length, rest)) = data.split_first() {
        let length = (usize::from(*length) * 128).min(rest.len());
        let (message, rest) = rest.split_at(length);
        data = rest;
        match read(Bytes::copy_from_slice(message)) {
            Ok(Incoming::Piece { content, last }) => match assembler.push(&content, last) {
                Ok(Some(frame)) => assert!(frame.len() <= LIMIT, "a frame of {} bytes", frame.len()),
                Ok(None) => {}
                // The connection would end here.
                Err(_) => return,
            },
            Ok(Incoming::Urgent(frame)) => assert!(frame.len() <= MAX_CONTENT, "{} bytes", frame.len()),
            Ok(Incoming::Mux(_) | Incoming::Unknown) => {}
            Err(_) => return,
        }
    }
}

/// Takes bytes for the answer of a proxy.
pub fn proxy_answer(data: &[u8]) {
    let _ = crate::io::proxy_answer(data);
}
