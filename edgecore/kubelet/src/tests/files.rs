//! Logs on a real disk, rotated as `edgecore-pods` does it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::super::options::LogOptions;
use super::*;

/// A log in a folder of its own.
struct Log(TempDir);

impl Log {
    fn new() -> Self {
        let log = Self(tempfile::tempdir().unwrap());
        std::fs::write(log.path(), "").unwrap();
        log
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("0.log")
    }

    fn write(&self, words: &[&str]) {
        let mut file = File::options().append(true).create(true).open(self.path()).unwrap();
        for word in words {
            writeln!(file, "2026-11-29T00:00:01Z stdout F {word}").unwrap();
        }
    }

    /// What is written goes to another name; returns that.
    fn rotate(&self, time: u32) -> PathBuf {
        let rotated = self.0.path().join(format!("0.log.20261129-{time:06}"));
        std::fs::rename(self.path(), &rotated).unwrap();
        std::fs::write(self.path(), "").unwrap();
        rotated
    }

    fn compress(plain: &Path) {
        let compressed = File::create(format!("{}{COMPRESSED}", plain.display())).unwrap();
        let mut encoder = GzEncoder::new(compressed, Compression::fast());
        io::copy(&mut File::open(plain).unwrap(), &mut encoder).unwrap();
        encoder.finish().unwrap();
        std::fs::remove_file(plain).unwrap();
    }

    fn open(&self, tail: Option<u64>) -> LogFiles {
        LogFiles::open(&self.path(), Selection::new(LogOptions::default()), tail).unwrap()
    }

    /// Everything there is, in one line.
    fn all(&self, tail: Option<u64>) -> String {
        rest(&mut self.open(tail))
    }
}

/// What is there by now.
fn rest(files: &mut LogFiles) -> String {
    let mut text = Vec::new();
    while let Read1::Piece(piece) = files.read().unwrap() {
        text.extend(piece);
    }
    String::from_utf8(text).unwrap().lines().collect::<Vec<_>>().join(" ")
}

/// a b, compressed; c d, rotated; e f.
fn rotated_twice() -> Log {
    let log = Log::new();
    log.write(&["a", "b"]);
    let first = log.rotate(1);
    log.write(&["c", "d"]);
    log.rotate(2);
    Log::compress(&first);
    log.write(&["e", "f"]);
    log
}

#[test]
fn a_log_is_one_text_with_what_it_was_rotated_to() {
    assert_eq!(rotated_twice().all(None), "a b c d e f");
}

#[test]
fn a_tail_reaches_as_far_back_as_it_must() {
    let log = rotated_twice();
    for (lines, expected) in [
        (0, ""),
        (1, "f"),
        (2, "e f"),
        (3, "d e f"),
        (4, "c d e f"),
        (5, "b c d e f"),
        (6, "a b c d e f"),
        (7, "a b c d e f"),
        (u64::MAX, "a b c d e f"),
    ] {
        assert_eq!(log.all(Some(lines)), expected, "{lines}");
    }
}

#[test]
fn a_tail_is_right_across_the_pieces_that_are_read() {
    let log = Log::new();
    let words: Vec<String> = (0..5_000).map(|number| format!("{number:04}")).collect();
    log.write(&words.iter().map(String::as_str).collect::<Vec<_>>());
    for lines in [1, 700, 1_000, 4_999, 5_000] {
        let last = words.get(5_000 - lines..).unwrap().join(" ");
        assert_eq!(log.all(Some(lines as u64)), last, "{lines}");
    }
}

#[test]
fn what_is_written_later_is_read_later() {
    let log = Log::new();
    log.write(&["a"]);
    let mut files = log.open(None);
    assert_eq!(rest(&mut files), "a");
    assert_eq!(rest(&mut files), "");
    log.write(&["b"]);
    assert_eq!(rest(&mut files), "b");
}

#[test]
fn a_line_comes_when_it_is_whole() {
    let log = Log::new();
    let mut files = log.open(None);
    std::fs::write(log.path(), "2026-11-29T00:00:01Z std").unwrap();
    assert_eq!(rest(&mut files), "");
    let mut file = File::options().append(true).open(log.path()).unwrap();
    file.write_all(b"out F a\n2026").unwrap();
    assert_eq!(rest(&mut files), "a");
}

#[test]
fn rotations_on_the_way_lose_and_repeat_nothing() {
    let log = Log::new();
    log.write(&["a"]);
    let mut files = log.open(None);
    assert_eq!(rest(&mut files), "a");
    log.write(&["b"]);
    let first = log.rotate(1);
    log.write(&["c"]);
    assert_eq!(rest(&mut files), "b c");
    // Twice between two looks, and the first of them is compressed already.
    log.write(&["d"]);
    let second = log.rotate(2);
    Log::compress(&first);
    log.write(&["e"]);
    log.rotate(3);
    Log::compress(&second);
    log.write(&["f"]);
    assert_eq!(rest(&mut files), "d e f");
}

#[test]
fn a_log_that_goes_ends() {
    let log = Log::new();
    log.write(&["a"]);
    let mut files = log.open(None);
    std::fs::remove_file(log.path()).unwrap();
    assert_eq!(rest(&mut files), "a");
    assert_eq!(files.read().unwrap(), Read1::End);
    let selection = Selection::new(LogOptions::default());
    assert_eq!(LogFiles::open(&log.path(), selection, None).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let log = Log::new();
    std::fs::write(log.path(), vec![b'x'; 3 * MAX_LINE]).unwrap();
    let mut files = log.open(None);
    assert_eq!(rest(&mut files), "");
    assert!(files.begun.len() <= MAX_LINE);
    log.write(&["", "a"]);
    assert_eq!(rest(&mut files), "a");
}
