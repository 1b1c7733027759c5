//! What of a log is sent. Pure.

use super::line::Line;
use super::options::LogOptions;

/// Takes lines and gives what is sent of them.
#[derive(Debug)]
pub(crate) struct Selection {
    options: LogOptions,
    /// Bytes that may still be sent.
    left: Option<u64>,
    /// The line before was a part, so that what follows is no beginning.
    within: bool,
}

impl Selection {
    pub(crate) fn new(options: LogOptions) -> Self {
        Self { left: options.limit, options, within: false }
    }

    /// Adds what is sent of a line, given without its end, to `out`. A line that is none is skipped.
    pub(crate) fn take(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(line) = Line::parse(line) else { return };
        let began = std::mem::replace(&mut self.within, line.partial);
        let old = self.options.since.is_some_and(|since| line.time < since);
        if old || self.options.only.is_some_and(|only| only != line.stream) {
            return;
        }
        if self.options.timestamps && !began {
            self.send(format!("{} ", line.shown()).as_bytes(), out);
        }
        self.send(line.content, out);
        if !line.partial {
            self.send(b"\n", out);
        }
    }

    /// Nothing more is sent.
    pub(crate) const fn is_full(&self) -> bool {
        matches!(self.left, Some(0))
    }

    fn send(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(left) = &mut self.left else {
            out.extend(bytes);
            return;
        };
        let most = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        out.extend(bytes.iter().take(most));
        *left -= most as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::Stream;
    use super::*;

    const LOG: [&str; 5] = [
        "2026-11-29T00:00:01Z stdout F one",
        "2026-11-29T00:00:02.5Z stderr P tw",
        "2026-11-29T00:00:02.6Z stderr F o",
        "torn",
        "2026-11-29T00:00:03Z stdout F three",
    ];

    fn sent(options: LogOptions) -> String {
        let (mut selection, mut out) = (Selection::new(options), Vec::new());
        for line in LOG {
            selection.take(line.as_bytes(), &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_whole_again() {
        assert_eq!(sent(LogOptions::default()), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_line_in_parts_has_one_time() {
        assert_eq!(
            sent(LogOptions { timestamps: true, ..LogOptions::default() }),
            "2026-11-29T00:00:01.000000000Z one\n2026-11-29T00:00:02.500000000Z two\n2026-11-29T00:00:03.000000000Z three\n"
        );
    }

    #[test]
    fn what_is_older_or_of_the_other_stream_is_left_out() {
        let since = Some("2026-11-29T00:00:03Z".parse().unwrap());
        assert_eq!(sent(LogOptions { since, ..LogOptions::default() }), "three\n");
        let only = Some(Stream::Stderr);
        assert_eq!(sent(LogOptions { only, ..LogOptions::default() }), "two\n");
    }

    #[test]
    fn bytes_are_counted_with_the_times() {
        for (limit, expected) in [(1, "o"), (4, "one\n"), (6, "one\ntw"), (100, "one\ntwo\nthree\n")] {
            assert_eq!(sent(LogOptions { limit: Some(limit), ..LogOptions::default() }), expected);
        }
        let options = LogOptions { limit: Some(32), timestamps: true, ..LogOptions::default() };
        assert_eq!(sent(options), "2026-11-29T00:00:01.000000000Z o");
        let mut selection = Selection::new(LogOptions { limit: Some(4), ..LogOptions::default() });
        assert!(!selection.is_full());
        selection.take(LOG[0].as_bytes(), &mut Vec::new());
        assert!(selection.is_full());
    }
}
