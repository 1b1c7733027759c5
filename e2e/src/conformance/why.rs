//! Why a spec failed, in one line that is the same from run to run as far as it can be. Pure.

/// A reason ends here.
const LONGEST: usize = 180;

/// The first line of a failure that says anything, behind what the edge said that it does not honour, if it did.
pub(super) fn of(message: &str, output: &str) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = match (refused(output), &lines[..]) {
        (Some(refused), _) => format!("not honoured: {refused}"),
        (None, []) => "no reason given".to_owned(),
        // These say nothing without what follows them.
        (None, [first, ..]) if *first == "Expected" || first.contains("Timed out after") => {
            // A whole object says nothing either.
            let told: Vec<&str> = lines.iter().copied().take_while(|line| !line.starts_with("<*")).collect();
            told.join(" ")
        }
        (None, [first, ..]) => (*first).to_owned(),
    };
    shorten(&steady(&told))
}

/// What the pod engine named, in its event as the framework prints events of a failed spec, or in its condition as it prints
/// pods.
fn refused(output: &str) -> Option<&str> {
    if let Some((_, rest)) = output.split_once("FieldNotSupported: ") {
        let line = rest.lines().next()?;
        return Some(line.rsplit(": ").next()?.trim());
    }
    let (before, _) = output.split_once("reason: FieldNotSupported")?;
    before.lines().rev().find_map(|line| line.trim().strip_prefix("message: "))
}

/// Without what differs from run to run: numbers and random parts of names, fractions of seconds.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    let mut word = String::new();
    for character in text.chars().chain(std::iter::once('\n')) {
        if character.is_ascii_alphanumeric() || "-.".contains(character) {
            word.push(character);
            continue;
        }
        steady.push_str(&without_random(&word));
        word.clear();
        steady.push(if character.is_whitespace() { ' ' } else { character });
    }
    steady.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word without its random parts; neighbours of them become one.
fn without_random(word: &str) -> String {
    if let Some(seconds) = whole_seconds(word) {
        return seconds;
    }
    let mut parts: Vec<&str> = Vec::new();
    for (at, part) in word.split('-').enumerate() {
        let part = if is_random(part, at) { "…" } else { part };
        if part != "…" || parts.last() != Some(&"…") {
            parts.push(part);
        }
    }
    parts.join("-")
}

/// `300.001s` as `300s`.
fn whole_seconds(word: &str) -> Option<String> {
    let (whole, fraction) = word.trim_end_matches('.').strip_suffix('s')?.split_once('.')?;
    let number = |text: &str| text.parse::<u32>().is_ok();
    (number(whole) && number(fraction)).then(|| format!("{whole}s"))
}

/// Whether a part of a name, the first one or a later one, was made by chance: a namespace's number, a piece of a UUID, or the
/// five characters that the API server appends (`k8s.io/apimachinery/pkg/util/rand` has no vowels).
fn is_random(part: &str, at: usize) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let hexadecimal = part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let appended = part.len() == 5 && part.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
    digits >= 4 || (at > 0 && (appended || (digits > 0 && part.len() >= 3 && hexadecimal)))
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let cut: String = text.chars().take(LONGEST).collect();
    format!("{} …", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        assert_eq!(of("\n  wait for pod failed\nmore", ""), "wait for pod failed");
        assert_eq!(of("", ""), "no reason given");
        let dumped = "Timed out after 5.000s.\nPod is Pending, got\n    <*v1.Pod | 0x1>: metadata";
        assert_eq!(of(dumped, ""), "Timed out after 5s Pod is Pending, got");
    }

    #[test]
    fn what_is_not_honoured_is_named() {
        let event = "edge-1} FieldNotSupported: fields that this node does not support: spec.a, spec.b\nmore";
        assert_eq!(of("a", event), "not honoured: spec.a, spec.b");
        let condition = "  message: spec.c\n  observedGeneration: 2\n  reason: FieldNotSupported\n";
        assert_eq!(of("a", condition), "not honoured: spec.c");
    }

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let one =
            of(r#"pod "pod-5d3c1b2a-90ab-4f1e-8c11-0123456789ab" in pods-8123 timed out after 300.001s"#, "");
        let two =
            of(r#"pod "pod-1d3c1b2f-80cb-4a1e-9c12-f123456789ab" in pods-9321 timed out after 300.017s"#, "");
        assert_eq!(one, two);
        assert_eq!(one, r#"pod "pod-…" in pods-… timed out after 300s"#);
        let appended = of(r#"expected pod "hostfqdn-mhh7z" success: 1.37 of container-1"#, "");
        assert_eq!(appended, r#"expected pod "hostfqdn-…" success: 1.37 of container-1"#);
    }

    #[test]
    fn a_reason_has_an_end() {
        let long = of(&"word ".repeat(100), "");
        assert!(long.chars().count() <= LONGEST + 2 && long.ends_with(" …"), "{long}");
    }
}
