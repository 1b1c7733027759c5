//! A container's log as one text: the file that is written, and before it those that it was rotated to.
//!
//! Files are opened before the first is read, and read by their handles, so that a rotation on the way loses nothing and
//! repeats nothing: what comes to the end of its handle looks whether the name stands for another file by now.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use edgecore_pods::rotation::{COMPRESSED, UNFINISHED};
use flate2::read::MultiGzDecoder;

use super::select::Selection;

/// So much is read at once; a piece that is sent is about as long.
const PIECE: usize = 32 * 1024;
/// A longer line is taken for torn: runtimes write at most 16 KiB of a container's in one.
const MAX_LINE: usize = 256 * 1024;

/// A log that is being read.
#[derive(Debug)]
pub(crate) struct LogFiles {
    path: PathBuf,
    selection: Selection,
    /// Being read; after it the others, oldest first.
    current: Source,
    next: VecDeque<Source>,
    /// The newest name that the log was rotated to before `current` was opened; empty where there is none.
    known: String,
    /// The beginning of a line whose end was not there yet.
    begun: Vec<u8>,
}

/// What reading came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read1 {
    /// To be sent.
    Piece(Vec<u8>),
    /// There is nothing more, for now.
    End,
    /// Nothing more is wanted.
    Full,
}

/// A file, plain or compressed.
struct Source {
    text: Box<dyn BufRead + Send>,
    /// Device and inode.
    identity: (u64, u64),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("identity", &self.identity).finish_non_exhaustive()
    }
}

fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

impl Source {
    fn new(file: File, compressed: bool) -> io::Result<Self> {
        let identity = identity(&file.metadata()?);
        let text: Box<dyn BufRead + Send> = if compressed {
            Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(file)))
        } else {
            Box::new(BufReader::with_capacity(PIECE, file))
        };
        Ok(Self { text, identity })
    }
}

impl LogFiles {
    /// Opens a log. With `tail`, begins so many lines before its end.
    ///
    /// # Errors
    /// The file that is written cannot be opened. What it was rotated to and cannot be read is left out.
    pub(crate) fn open(path: &Path, selection: Selection, tail: Option<u64>) -> io::Result<Self> {
        let mut written = File::open(path)?;
        let tail = tail.map(|lines| Tail::of(&mut written, lines)).transpose()?;
        let missing = tail.map(|tail| tail.missing);
        let written = Source::new(written, false)?;
        // One of them may be the file just opened, rotated in between.
        let older: Vec<String> =
            rotated(path).into_iter().filter(|name| !is(&path.with_file_name(name), &written)).collect();
        let known = older.first().map(|name| plain(name).to_owned()).unwrap_or_default();
        let mut files = VecDeque::from([written]);
        for source in last_lines(path, &older, missing) {
            files.push_front(source);
        }
        let Some(current) = files.pop_front() else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(Self { path: path.to_owned(), selection, current, next: files, known, begun: Vec::new() })
    }

    /// Reads on. May block on the disk.
    pub(crate) fn read(&mut self) -> io::Result<Read1> {
        let mut out = Vec::new();
        loop {
            if self.selection.is_full() {
                return Ok(if out.is_empty() { Read1::Full } else { Read1::Piece(out) });
            }
            if out.len() >= PIECE {
                return Ok(Read1::Piece(out));
            }
            if self.line()? {
                self.selection.take(&std::mem::take(&mut self.begun), &mut out);
            } else if !self.advance()? {
                return Ok(if out.is_empty() { Read1::End } else { Read1::Piece(out) });
            }
        }
    }

    /// Reads to the end of a line into `begun`, the end left out; `false` where it is not there yet.
    fn line(&mut self) -> io::Result<bool> {
        loop {
            let there = self.current.text.fill_buf()?;
            if there.is_empty() {
                return Ok(false);
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let (piece, _) = there.split_at(end.unwrap_or(there.len()));
            if self.begun.len() + piece.len() <= MAX_LINE {
                self.begun.extend(piece);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.current.text.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// Goes on to the next file; `false` where there is none.
    fn advance(&mut self) -> io::Result<bool> {
        if let Some(next) = self.next.pop_front() {
            self.begun.clear();
            self.current = next;
            return Ok(true);
        }
        let file = match File::open(&self.path) {
            Ok(file) => file,
            // Between the two steps of a rotation, or gone with its pod.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let written = Source::new(file, false)?;
        if written.identity == self.current.identity {
            return Ok(false);
        }
        // What was written to the old file between our last look and its rotation comes first.
        if !self.current.text.fill_buf()?.is_empty() {
            return Ok(true);
        }
        self.begun.clear();
        self.rotated_meanwhile();
        self.next.push_back(written);
        self.current = self.next.pop_front().ok_or(io::ErrorKind::NotFound)?;
        Ok(true)
    }

    /// Queues what was written after `current` and is rotated already. The first of the new names is `current` itself.
    fn rotated_meanwhile(&mut self) {
        let mut new: Vec<String> =
            rotated(&self.path).into_iter().filter(|name| plain(name) > self.known.as_str()).collect();
        if let Some(newest) = new.first() {
            plain(newest).clone_into(&mut self.known);
        }
        new.pop();
        let between = last_lines(&self.path, &new, None);
        self.next.extend(between.into_iter().rev());
    }
}

/// A rotated log's name while it was not compressed.
fn plain(name: &str) -> &str {
    name.strip_suffix(COMPRESSED).unwrap_or(name)
}

/// Whether a path stands for this file.
fn is(path: &Path, source: &Source) -> bool {
    path.metadata().is_ok_and(|meta| identity(&meta) == source.identity)
}

/// Names of what a log was rotated to, newest first.
fn rotated(path: &Path) -> Vec<String> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let prefix = format!("{}.", name.to_string_lossy());
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with(&prefix) && !name.ends_with(UNFINISHED)).collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    // While one is compressed, there is a moment in which both are there.
    names.dedup_by(|one, newer| plain(newer) == one.as_str());
    names
}

/// Of rotated files, newest first, those that hold the last `missing` lines (all without a number), each placed where
/// reading begins. What has gone meanwhile is left out.
fn last_lines(log: &Path, names: &[String], mut missing: Option<u64>) -> Vec<Source> {
    let mut sources = Vec::new();
    for name in names {
        if missing == Some(0) {
            break;
        }
        match placed(&log.with_file_name(name), name.ends_with(COMPRESSED), missing) {
            Ok((source, still)) => {
                sources.push(source);
                missing = still;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(name, %error, "a rotated log cannot be read"),
        }
    }
    sources
}

/// One file, and how many lines are missing still.
fn placed(path: &Path, compressed: bool, missing: Option<u64>) -> io::Result<(Source, Option<u64>)> {
    let mut file = File::open(path)?;
    let Some(lines) = missing else { return Ok((Source::new(file, compressed)?, None)) };
    if !compressed {
        let tail = Tail::of(&mut file, lines)?;
        return Ok((Source::new(file, false)?, Some(tail.missing)));
    }
    let all = count_lines(MultiGzDecoder::new(&file))?;
    file.seek(SeekFrom::Start(0))?;
    let mut source = Source::new(file, true)?;
    for _ in 0..all.saturating_sub(lines) {
        source.text.skip_until(b'\n')?;
    }
    Ok((source, Some(lines.saturating_sub(all))))
}

fn count_lines(text: impl Read) -> io::Result<u64> {
    let mut text = BufReader::with_capacity(PIECE, text);
    let mut lines = 0;
    while text.skip_until(b'\n')? > 0 {
        lines += 1;
    }
    Ok(lines)
}

/// How far from its end a plain file is read.
struct Tail {
    /// Lines that it does not have.
    missing: u64,
}

impl Tail {
    /// Places a file before its last so many lines, or at its beginning.
    fn of(file: &mut File, lines: u64) -> io::Result<Self> {
        let mut end = file.seek(SeekFrom::End(0))?;
        if lines == 0 {
            return Ok(Self { missing: 0 });
        }
        let mut found = 0;
        let mut piece = vec![0; PIECE];
        // The end of the last line is no beginning of another.
        let mut last = true;
        while end > 0 {
            let length = end.min(PIECE as u64);
            let start = end - length;
            file.seek(SeekFrom::Start(start))?;
            let piece = piece.get_mut(..usize::try_from(length).unwrap_or(PIECE)).unwrap_or_default();
            file.read_exact(piece)?;
            for (at, byte) in piece.iter().enumerate().rev() {
                if *byte != b'\n' {
                    // A line without its end counts as one.
                    found += u64::from(std::mem::take(&mut last));
                    continue;
                }
                if found == lines {
                    file.seek(SeekFrom::Start(start + at as u64 + 1))?;
                    return Ok(Self { missing: 0 });
                }
                found += 1;
                last = false;
            }
            end = start;
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { missing: lines - found })
    }
}

#[cfg(test)]
#[path = "../tests/files.rs"]
mod tests;
