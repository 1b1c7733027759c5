//! Frames to bytes and back.

use prost::Message;
use thiserror::Error;

use crate::body::MAX_BODY;
use crate::frame::{DownFrame, UpFrame, up_frame};
use crate::short::Unfit;

/// Longest frame, in bytes: the largest body (sent plain where it does not compress) and room for its envelope.
pub const MAX_FRAME: usize = MAX_BODY + 64 * 1024;

/// Why bytes are no frame. The session that carried them ends; nothing else is touched.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Longer than [`MAX_FRAME`].
    #[error("frame of {0} bytes is longer than the limit of {MAX_FRAME}")]
    TooLong(usize),
    /// Not a protocol buffer of that shape.
    #[error("frame is malformed")]
    Malformed(#[source] prost::DecodeError),
    /// A `Hello` whose short parts do not fit together.
    #[error(transparent)]
    Hello(Unfit),
}

/// The bytes of a frame.
pub fn encode(frame: &impl Message) -> Vec<u8> {
    frame.encode_to_vec()
}

/// A frame of the edge. A `Hello` that came short ([`crate::Hello::short`]) is whole again.
pub fn decode_up(bytes: &[u8]) -> Result<UpFrame, DecodeError> {
    let frame: UpFrame = decode(bytes)?;
    match frame.content {
        Some(up_frame::Content::Hello(hello)) => Ok(hello.long().map_err(DecodeError::Hello)?.into()),
        content => Ok(UpFrame { content }),
    }
}

/// A frame of the cloud.
pub fn decode_down(bytes: &[u8]) -> Result<DownFrame, DecodeError> {
    decode(bytes)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, DecodeError> {
    if bytes.len() > MAX_FRAME {
        return Err(DecodeError::TooLong(bytes.len()));
    }
    M::decode(bytes).map_err(DecodeError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Heartbeat, up_frame};
    use proptest::prelude::*;

    #[test]
    fn a_frame_comes_back() {
        let frame = UpFrame::from(Heartbeat { seq: 7, engine_alive: true, digest: vec![1; 16], applied: 3 });
        assert_eq!(decode_up(&encode(&frame)).unwrap(), frame);
    }

    #[test]
    fn an_unknown_content_is_skipped() {
        // Field 900, length-delimited, two bytes: no content that this release knows.
        assert_eq!(decode_up(&[0xa2, 0x38, 0x02, 0x00, 0x00]).unwrap().content, None);
    }

    #[test]
    fn an_unknown_field_is_skipped() {
        let mut bytes = encode(&UpFrame::from(Heartbeat { seq: 1, ..Heartbeat::default() }));
        // Heartbeat is {1: 1}; put field 15 = 5 behind it and lengthen the envelope by the two bytes.
        bytes[1] += 2;
        bytes.extend([0x78, 0x05]);
        let Some(up_frame::Content::Heartbeat(beat)) = decode_up(&bytes).unwrap().content else { panic!() };
        assert_eq!(beat.seq, 1);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_up(&bytes);
            let _ = decode_down(&bytes);
        }
    }
}
