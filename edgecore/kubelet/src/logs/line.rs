//! One line of a container's log, as CRI runtimes write it: `TIME STREAM TAGS CONTENT`, the times as in RFC 3339 with
//! nanoseconds, the first tag `P` for a part of a longer line and `F` for its end.
//! <https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>

use jiff::Timestamp;

use super::options::Stream;

/// A line, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// When it was written.
    pub(crate) time: Timestamp,
    /// As the runtime spelled it, in the machine's time zone.
    pub(crate) spelled: &'a str,
    /// Where it was written to.
    pub(crate) stream: Stream,
    /// More of the same line follows.
    pub(crate) partial: bool,
    /// What the container wrote.
    pub(crate) content: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line; `None` where it is none: torn by a power loss, or of another's making.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let mut word = || words.next();
        let spelled = std::str::from_utf8(word()?).ok()?;
        let time = spelled.parse().ok()?;
        let stream = match word()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let partial = match word()?.split(|byte| *byte == b':').next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        Some(Self { time, spelled, stream, partial, content: word()? })
    }

    /// Its time with nine digits behind the second, as `kubectl logs --timestamps` shows it.
    pub(crate) fn shown(&self) -> String {
        const DIGITS: usize = 9;
        let zone = self.spelled.rfind(['Z', 'z', '+', '-']).unwrap_or(self.spelled.len());
        let (time, zone) = self.spelled.split_at(zone);
        let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
        format!("{seconds}.{fraction:0<DIGITS$}{zone}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_containerd_writes_it() {
        let line = Line::parse(b"2016-10-06T00:17:09.6697Z stdout F  a  b").unwrap();
        assert_eq!((line.stream, line.partial, line.content), (Stream::Stdout, false, &b" a  b"[..]));
        assert_eq!(line.time, "2016-10-06T00:17:09.6697Z".parse().unwrap());
        assert_eq!(line.shown(), "2016-10-06T00:17:09.669700000Z");
        let line = Line::parse(b"2016-10-06T02:17:09+02:00 stderr P:x ").unwrap();
        assert_eq!((line.stream, line.partial, line.content), (Stream::Stderr, true, &b""[..]));
        assert_eq!(line.time, "2016-10-06T00:17:09Z".parse().unwrap());
        assert_eq!(line.shown(), "2016-10-06T02:17:09.000000000+02:00");
    }

    #[test]
    fn what_is_no_line_is_none() {
        for bytes in [
            &b""[..],
            b"2016-10-06T00:17:09Z",
            b"2016-10-06T00:17:09Z stdout",
            b"2016-10-06T00:17:09Z stdout F",
            b"2016-10-06T00:17:09Z stdout X a",
            b"2016-10-06T00:17:09Z stdin F a",
            b"yesterday stdout F a",
            b"\xff stdout F a",
            b"\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(Line::parse(bytes), None, "{bytes:?}");
        }
    }
}
