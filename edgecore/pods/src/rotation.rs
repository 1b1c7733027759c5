//! Names of rotated logs, and which of them are kept. Upstream's layout: `0.log` is written, `0.log.20060102-150405` is
//! the one before it, and what is older is compressed and ends in `.gz`.

use std::collections::BTreeSet;

use kit::WallTime;

/// A log longer than this is rotated.
pub const MAX_BYTES: u64 = 10 * 1024 * 1024;
/// Files per container, the one that is written included.
pub const MAX_FILES: usize = 5;
/// End of a compressed log's name.
pub const COMPRESSED: &str = ".gz";
/// End of the name of one that is being compressed.
pub const UNFINISHED: &str = ".tmp";

/// What a log is renamed to: `0.log.20060102-150405`.
pub fn rotated_name(path: &str, now: WallTime) -> String {
    let time: String = now.rfc3339().chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    format!("{path}.{}", time.replace('T', "-"))
}

/// What is to be done with the files beside a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tidying {
    /// Too many, the oldest of them, or left over of a compression that was cut off.
    pub remove: Vec<String>,
    /// To be compressed: all but the newest, which somebody may still be reading to its end.
    pub compress: Vec<String>,
}

/// Looks at the names beside a log of this name.
pub fn tidy(log: &str, names: Vec<String>) -> Tidying {
    let prefix = format!("{log}.");
    let rotated: BTreeSet<String> = names.into_iter().filter(|name| name.starts_with(&prefix)).collect();
    let (unfinished, rotated): (Vec<_>, Vec<_>) =
        rotated.into_iter().partition(|name| name.ends_with(UNFINISHED));
    // Compressed already, and only its removal was missed.
    let twice = |name: &String| rotated.contains(&format!("{name}{COMPRESSED}"));
    let (done, mut kept): (Vec<_>, Vec<_>) = rotated.iter().cloned().partition(twice);
    let surplus = (kept.len() + 1).saturating_sub(MAX_FILES);
    let mut remove = [unfinished, done].concat();
    remove.extend(kept.drain(..surplus));
    kept.pop();
    kept.retain(|name| !name.ends_with(COMPRESSED));
    Tidying { remove, compress: kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: u32, end: &str) -> String {
        format!("0.log.2006010{n}-000000{end}")
    }

    #[test]
    fn names_sort_by_time_and_the_oldest_go() {
        assert_eq!(rotated_name("/l/0.log", WallTime(1_136_214_245_000)), "/l/0.log.20060102-150405");
        let mut names: Vec<String> = (1..=4).map(|n| day(n, ".gz")).collect();
        names.extend([day(5, ""), day(6, ""), "1.log.x".into(), "0.log".into()]);
        let tidying = tidy("0.log", names);
        assert_eq!(tidying.remove, [day(1, ".gz"), day(2, ".gz")]);
        assert_eq!(tidying.compress, [day(5, "")]);
    }

    #[test]
    fn the_newest_is_left_as_it_is() {
        assert_eq!(tidy("0.log", vec![day(1, "")]), Tidying::default());
        assert_eq!(tidy("0.log", vec!["0.log".into()]), Tidying::default());
        assert_eq!(tidy("0.log", vec![day(1, ".gz"), day(2, "")]), Tidying::default());
    }

    #[test]
    fn what_a_power_cut_left_is_finished() {
        let names = vec![day(1, ""), day(1, ".gz"), day(2, ""), day(2, ".tmp"), day(3, "")];
        let tidying = tidy("0.log", names);
        assert_eq!(tidying.remove, [day(2, ".tmp"), day(1, "")]);
        assert_eq!(tidying.compress, [day(2, "")]);
    }
}
