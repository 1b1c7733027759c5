//! As much of SPDY/3.1 as the caller of a command needs. Pure.
//!
//! The runtime's streaming server speaks websockets too, but in a protocol (`v4.channel.k8s.io`) that cannot tell a command
//! that its input has ended; SPDY can, with every runtime. Of SPDY little is left: streams are opened by this side alone, so
//! nothing compressed is ever read, and what is sent need not be compressed, only look as if it were: a zlib stream of
//! stored blocks (RFC 1950 and 1951). There is no window to keep: Kubernetes' implementation
//! (`github.com/moby/spdystream`) has none.

use thiserror::Error;

/// Ends the stream in this direction.
const FIN: u8 = 1;
/// Longest control frame that is read, in bytes: those that come here have a few headers at most.
const MAX_CONTROL: usize = 64 << 10;
/// Length of what every frame begins with.
const HEAD: usize = 8;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;

/// What came from the other side.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Bytes of a stream; with `last` there will be no more of them.
    Data { stream: u32, bytes: Vec<u8>, last: bool },
    /// Is to be sent back.
    Ping(u32),
}

/// What came is not SPDY/3.1, or nothing that may come here.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    /// Another version.
    #[error("a frame of SPDY version {0}, where 3 is spoken")]
    Version(u16),
    /// A control frame longer than any that may come.
    #[error("a control frame of type {0} of {1} bytes")]
    Long(u16, usize),
    /// A control frame without what its type says is in it.
    #[error("a control frame of type {0} that is too short")]
    Short(u16),
}

/// Reads frames. It holds one control frame at most; data are given on as they come.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    held: Vec<u8>,
    /// The data frame that is being read: its stream, the bytes to come, and whether it is the stream's last.
    within: Option<(u32, usize, bool)>,
}

impl Decoder {
    /// What these bytes and those before them make up.
    ///
    /// # Errors
    /// They make up nothing; nothing that follows does.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Malformed> {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let (mut rest, mut events) = (held.as_slice(), Vec::new());
        while let Some(left) = self.step(rest, &mut events)? {
            rest = left;
        }
        self.held = rest.to_vec();
        Ok(events)
    }

    /// Reads one piece, and returns what follows it; `None` where more bytes are needed.
    fn step<'a>(&mut self, bytes: &'a [u8], events: &mut Vec<Event>) -> Result<Option<&'a [u8]>, Malformed> {
        if let Some((stream, left, last)) = self.within.take() {
            let (piece, rest) = bytes.split_at(left.min(bytes.len()));
            let left = left - piece.len();
            if left > 0 {
                self.within = Some((stream, left, last));
            }
            let came = !piece.is_empty() || left == 0;
            if came {
                events.push(Event::Data { stream, bytes: piece.to_vec(), last: last && left == 0 });
            }
            return Ok(came.then_some(rest));
        }
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
        let head = u64::from_be_bytes(*head);
        let length = usize::try_from(head & 0xff_ffff).unwrap_or_default();
        let last = head >> 24 & u64::from(FIN) != 0;
        let first = u32::try_from(head >> 32).unwrap_or_default();
        if first >> 31 == 0 {
            self.within = Some((first, length, last));
            return Ok(Some(rest));
        }
        let [version, kind] =
            [first >> 16 & 0x7fff, first & 0xffff].map(|half| u16::try_from(half).unwrap_or_default());
        if version != 3 {
            return Err(Malformed::Version(version));
        }
        if length > MAX_CONTROL {
            return Err(Malformed::Long(kind, length));
        }
        let Some((content, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        let first = content.first_chunk().map(|id| u32::from_be_bytes(*id));
        let first = || first.ok_or(Malformed::Short(kind));
        let ends = |stream| Event::Data { stream, bytes: Vec::new(), last: true };
        match kind {
            SYN_REPLY if last => events.push(ends(first()?)),
            RST_STREAM => events.push(ends(first()?)),
            PING => events.push(Event::Ping(first()?)),
            // Settings, headers, windows, and that no stream is to be opened any more: nothing hangs on them.
            _ => {}
        }
        Ok(Some(rest))
    }
}

/// Writes frames.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// The zlib stream of the headers, one for the whole connection, has begun.
    began: bool,
}

impl Encoder {
    /// Opens a stream of this type (the header `streamType` of Kubernetes' protocols).
    pub(super) fn open(&mut self, stream: u32, kind: &str, out: &mut Vec<u8>) {
        let mut headers = 1_u32.to_be_bytes().to_vec();
        for text in ["streamtype", kind] {
            headers.extend(u32::try_from(text.len()).unwrap_or_default().to_be_bytes());
            headers.extend(text.as_bytes());
        }
        // The stream's number, no stream that it belongs to, the highest priority.
        let mut content = [stream.to_be_bytes(), [0; 4]].concat();
        content.extend([0, 0]);
        if !std::mem::replace(&mut self.began, true) {
            content.extend([0x78, 0x01]);
        }
        // The second block is empty: to a decompressor it says that what it holds is to be given out now.
        for block in [headers.as_slice(), &[]] {
            let length = u16::try_from(block.len()).unwrap_or_default();
            content.push(0);
            content.extend(length.to_le_bytes());
            content.extend((!length).to_le_bytes());
            content.extend(block);
        }
        control(SYN_STREAM, &content, out);
    }
}

/// Bytes of a stream, less than 16 MiB; with `last` there will be no more.
pub(super) fn data(stream: u32, bytes: &[u8], last: bool, out: &mut Vec<u8>) {
    out.extend(stream.to_be_bytes());
    head(if last { FIN } else { 0 }, bytes.len(), out);
    out.extend(bytes);
}

/// The answer to a ping.
pub(super) fn ping(id: u32, out: &mut Vec<u8>) {
    control(PING, &id.to_be_bytes(), out);
}

fn control(kind: u16, content: &[u8], out: &mut Vec<u8>) {
    out.extend([0x80, 3]);
    out.extend(kind.to_be_bytes());
    head(0, content.len(), out);
    out.extend(content);
}

/// Flags, and a length of three bytes.
fn head(flags: u8, length: usize, out: &mut Vec<u8>) {
    let [_, length @ ..] = u32::try_from(length).unwrap_or_default().to_be_bytes();
    out.push(flags);
    out.extend(length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let mut bytes = Vec::new();
        control(SYN_REPLY, &[0, 0, 0, 1, 0x78, 0xbb], &mut bytes);
        data(5, b"hello", false, &mut bytes);
        control(PING, &2_u32.to_be_bytes(), &mut bytes);
        data(5, b"", true, &mut bytes);
        control(RST_STREAM, &[0, 0, 0, 7, 0, 0, 0, 5], &mut bytes);
        data(1, b"end", true, &mut bytes);
        control(7, &[0; 8], &mut bytes);
        for cut in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let (mut heard, mut ended, mut others) = (Vec::new(), Vec::new(), Vec::new());
            for piece in bytes.chunks(cut) {
                for event in decoder.take(piece).unwrap() {
                    match event {
                        Event::Data { stream, bytes, last } => {
                            heard.extend(bytes.iter().map(|byte| (stream, *byte)));
                            ended.extend(last.then_some(stream));
                        }
                        Event::Ping(_) => others.push(event),
                    }
                }
                assert!(decoder.held.len() < 16, "data are not held");
            }
            let text = |wanted| {
                heard
                    .iter()
                    .filter(|(stream, _)| *stream == wanted)
                    .map(|(_, byte)| *byte)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                (text(5).as_slice(), text(1).as_slice()),
                (b"hello".as_slice(), b"end".as_slice()),
                "{cut}"
            );
            assert_eq!((ended, others), (vec![5, 7, 1], vec![Event::Ping(2)]), "{cut}");
        }
    }

    #[test]
    fn what_is_no_frame_is_named() {
        let refused = |bytes: &[u8]| Decoder::default().take(bytes).unwrap_err();
        assert_eq!(refused(&[0x80, 2, 0, 6, 0, 0, 0, 4]), Malformed::Version(2));
        assert_eq!(refused(&[0x80, 3, 0, 4, 0, 0xff, 0, 0]), Malformed::Long(4, 0xff_0000));
        assert_eq!(refused(&[0x80, 3, 0, 6, 0, 0, 0, 1, 9]), Malformed::Short(PING));
    }

    #[test]
    fn any_zlib_reads_the_headers_of_every_stream() {
        let (mut encoder, mut frames) = (Encoder::default(), Vec::new());
        encoder.open(1, "error", &mut frames);
        let second = frames.len();
        encoder.open(3, "stdin", &mut frames);
        assert_eq!(&frames[..HEAD + 10], [0x80, 3, 0, 1, 0, 0, 0, 49, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&frames[second + HEAD..second + HEAD + 4], [0, 0, 0, 3]);
        // What both frames carry is one zlib stream, of which each frame gives out its own headers.
        let stream = [&frames[HEAD + 10..second], &frames[second + HEAD + 10..]].concat();
        let mut headers = Vec::new();
        // It never ends, so that reading it to the end fails once everything is out.
        let _ = flate2::read::ZlibDecoder::new(stream.as_slice()).read_to_end(&mut headers);
        let of = |kind: &str| {
            [&[0, 0, 0, 1, 0, 0, 0, 10], b"streamtype".as_slice(), &[0, 0, 0, 5], kind.as_bytes()].concat()
        };
        assert_eq!(headers, [of("error"), of("stdin")].concat());
    }
}
