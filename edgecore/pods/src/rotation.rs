//! Names of rotated logs.

use kit::WallTime;

/// A log longer than this is rotated.
pub const MAX_BYTES: u64 = 10 * 1024 * 1024;
/// Files per container, the one that is written included.
const MAX_FILES: usize = 5;

/// What a log is renamed to: `0.log.20060102-150405`.
pub fn rotated_name(path: &str, now: WallTime) -> String {
    let time: String = now.rfc3339().chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    format!("{path}.{}", time.replace('T', "-"))
}

/// Of the files beside a log, those that are one too many: the oldest.
pub fn superfluous(log: &str, names: Vec<String>) -> Vec<String> {
    let prefix = format!("{log}.");
    let mut rotated: Vec<String> = names.into_iter().filter(|name| name.starts_with(&prefix)).collect();
    rotated.sort();
    rotated.truncate((rotated.len() + 1).saturating_sub(MAX_FILES));
    rotated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_the_oldest_go() {
        assert_eq!(rotated_name("/l/0.log", WallTime(1_136_214_245_000)), "/l/0.log.20060102-150405");
        let names: Vec<String> = (1..=6).map(|n| format!("0.log.2006010{n}-000000")).collect();
        let gone =
            superfluous("0.log", names.iter().cloned().chain(["1.log.x".into(), "0.log".into()]).collect());
        assert_eq!(gone, ["0.log.20060101-000000", "0.log.20060102-000000"]);
        assert!(superfluous("0.log", names[..4].to_vec()).is_empty());
    }
}
