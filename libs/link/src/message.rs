//! What stands in one websocket message: a tag byte and at most 16 KiB.
//!
//! | tag | content |
//! |---|---|
//! | 1 | an urgent frame, whole |
//! | 2 | a piece of a sync frame, more follow |
//! | 3 | the last (or only) piece of a sync frame |
//! | 4 | bytes of the stream multiplexer |
//!
//! Pieces of one sync frame are never mixed with those of another. Messages of other tags are skipped: a newer peer
//! may send them.

use bytes::Bytes;

use crate::errors::LinkError;

/// Longest content of a message, in bytes. What is already being written is in front of a heartbeat, so it is short.
pub(crate) const MAX_CONTENT: usize = 16 * 1024;
const URGENT: u8 = 1;
const MORE: u8 = 2;
const LAST: u8 = 3;
pub(crate) const MUX: u8 = 4;

/// A message received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Urgent(Vec<u8>),
    Piece { content: Bytes, last: bool },
    Mux(Bytes),
    Unknown,
}

/// Reads a message.
pub(crate) fn read(mut message: Bytes) -> Result<Incoming, LinkError> {
    if message.len() > MAX_CONTENT + 1 {
        return Err(LinkError::Malformed(format!("message of {} bytes", message.len())));
    }
    if message.is_empty() {
        return Err(LinkError::Malformed("empty message".to_owned()));
    }
    let tag = message.split_to(1);
    Ok(match tag.first() {
        Some(&URGENT) => Incoming::Urgent(message.to_vec()),
        Some(&MORE) => Incoming::Piece { content: message, last: false },
        Some(&LAST) => Incoming::Piece { content: message, last: true },
        Some(&MUX) => Incoming::Mux(message),
        _ => Incoming::Unknown,
    })
}

/// An urgent frame as a message.
pub(crate) fn urgent(frame: &[u8]) -> Bytes {
    tagged(URGENT, frame)
}

/// Multiplexer bytes as a message.
pub(crate) fn mux(content: &[u8]) -> Bytes {
    tagged(MUX, content)
}

fn tagged(tag: u8, content: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(1 + content.len());
    message.push(tag);
    message.extend_from_slice(content);
    message.into()
}

/// A sync frame being sent, piece by piece.
#[derive(Debug)]
pub(crate) struct Cutter {
    frame: Vec<u8>,
    sent: usize,
}

impl Cutter {
    pub(crate) const fn new(frame: Vec<u8>) -> Self {
        Self { frame, sent: 0 }
    }

    /// The next piece as a message, and whether it is the last.
    pub(crate) fn next(&mut self) -> (Bytes, bool) {
        let rest = self.frame.get(self.sent..).unwrap_or_default();
        let piece = rest.get(..MAX_CONTENT).unwrap_or(rest);
        self.sent += piece.len();
        let last = self.sent == self.frame.len();
        (tagged(if last { LAST } else { MORE }, piece), last)
    }
}

/// A sync frame being received.
#[derive(Debug)]
pub(crate) struct Assembler {
    frame: Vec<u8>,
    limit: usize,
}

impl Assembler {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { frame: Vec::new(), limit }
    }

    /// Takes a piece; the frame when it is complete.
    pub(crate) fn push(&mut self, piece: &[u8], last: bool) -> Result<Option<Vec<u8>>, LinkError> {
        let length = self.frame.len() + piece.len();
        if length > self.limit {
            return Err(LinkError::Malformed(format!(
                "frame of {length} bytes or more is longer than the limit of {}",
                self.limit
            )));
        }
        if !last && piece.is_empty() {
            return Err(LinkError::Malformed("empty piece of a frame".to_owned()));
        }
        self.frame.extend_from_slice(piece);
        Ok(last.then(|| std::mem::take(&mut self.frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_arrive_as_they_were_sent(lengths in proptest::collection::vec(0_usize..60_000, 1..6)) {
            let mut assembler = Assembler::new(60_000);
            for (number, length) in lengths.into_iter().enumerate() {
                let frame: Vec<u8> = (0..length).map(|at| u8::try_from((at + number) % 251).unwrap()).collect();
                let mut cutter = Cutter::new(frame.clone());
                loop {
                    let (message, last) = cutter.next();
                    prop_assert!(message.len() <= MAX_CONTENT + 1);
                    let Incoming::Piece { content, last: told } = read(message).unwrap() else { panic!() };
                    prop_assert_eq!(told, last);
                    let whole = assembler.push(&content, told).unwrap();
                    prop_assert_eq!(whole.is_some(), last);
                    if let Some(whole) = whole {
                        prop_assert_eq!(&whole, &frame);
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn too_long_is_refused_before_it_is_kept() {
        let mut assembler = Assembler::new(10);
        assert!(assembler.push(&[0; 10], false).unwrap().is_none());
        assert!(matches!(assembler.push(&[0; 1], true), Err(LinkError::Malformed(_))));
        assert!(read(Bytes::from(vec![3; MAX_CONTENT + 2])).is_err());
    }

    #[test]
    fn what_is_no_message_is_refused_and_what_is_new_is_skipped() {
        assert!(read(Bytes::new()).is_err());
        assert_eq!(read(Bytes::from_static(&[200, 1])).unwrap(), Incoming::Unknown);
        assert_eq!(read(urgent(b"x")).unwrap(), Incoming::Urgent(b"x".to_vec()));
        assert!(Assembler::new(10).push(&[], false).is_err());
        assert_eq!(Assembler::new(10).push(&[], true).unwrap(), Some(Vec::new()));
    }
}
