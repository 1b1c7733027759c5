//! The message that a container leaves behind, where it is taken from its log.

/// Annotation on containers: upstream's name for the policy.
pub const ANNOTATION_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// The policy that falls back to the log.
pub const FALLBACK: &str = "FallbackToLogsOnError";
/// Most bytes taken from a log.
pub const MAX_LOG: usize = 2048;
/// Most lines taken from a log.
const MAX_LINES: usize = 80;

/// The end of a log in the runtime's format, without its framing.
pub fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let first = lines.len().saturating_sub(MAX_LINES);
    let mut text = String::new();
    for line in lines.iter().skip(first) {
        // time, stream, F (whole line) or P (part of one), content
        let mut parts = line.splitn(4, ' ');
        let (Some(_), Some(_), Some(tag)) = (parts.next(), parts.next(), parts.next()) else { continue };
        text.push_str(parts.next().unwrap_or_default());
        if tag.starts_with('F') {
            text.push('\n');
        }
    }
    let start = text.len().saturating_sub(MAX_LOG);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.split_off(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_goes_and_parts_are_joined() {
        let log = "2026-01-01T00:00:00Z stdout F one\nt stderr P two\nt stderr F  halves\nbroken\n";
        assert_eq!(last_lines(log), "one\ntwo halves\n");
    }

    #[test]
    fn both_limits_hold() {
        let many: String = ["t stdout F x\n"; 200].concat();
        assert_eq!(last_lines(&many).lines().count(), MAX_LINES);
        let long = format!("t stdout F {}\n", "ä".repeat(5000));
        assert!(last_lines(&long).len() <= MAX_LOG);
    }
}
