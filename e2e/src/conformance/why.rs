//! Why a spec failed, in one line that is the same from run to run as far as it can be. Pure.

/// A reason ends here.
const LONGEST: usize = 180;

/// The first line of a failure that says anything, behind what the edge said that it does not honour, if it did.
pub(super) fn of(message: &str, output: &str) -> String {
    let first = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given");
    let told = refused(output).map_or_else(|| first.to_owned(), |refused| format!("not honoured: {refused}"));
    shorten(&steady(&told))
}

/// What the pod engine named in its event, as the framework prints events of a failed spec.
fn refused(output: &str) -> Option<&str> {
    let (_, rest) = output.split_once("FieldNotSupported")?;
    let line = rest.lines().next()?;
    let (_, said) = line.split_once(": ").unwrap_or(("", line));
    Some(said.trim())
}

/// Without what differs from run to run: numbers of five digits and more, long hexadecimal words, random suffixes.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    let mut word = String::new();
    for character in text.chars().chain(std::iter::once('\n')) {
        if character.is_ascii_alphanumeric() {
            word.push(character);
            continue;
        }
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let random = digits >= 4 || (digits > 0 && word.len() >= 8 && !word.bytes().any(|byte| byte.is_ascii_uppercase()));
        steady.push_str(if random { "…" } else { &word });
        word.clear();
        steady.push(if character.is_whitespace() { ' ' } else { character });
    }
    steady.split_whitespace().collect::<Vec<_>>().join(" ")
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
    }

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let one = of(r#"pod "pod-5d3c1b2a-90ab-4f1e-8c11-0123456789ab" in pods-8123 timed out after 300.001s"#, "");
        let two = of(r#"pod "pod-1d3c1b2f-80cb-4a1e-9c12-f123456789ab" in pods-9321 timed out after 300.001s"#, "");
        assert_eq!(one, two);
        assert!(one.ends_with("timed out after 300.001s"), "{one}");
    }

    #[test]
    fn a_reason_has_an_end() {
        let long = of(&"word ".repeat(100), "");
        assert!(long.chars().count() <= LONGEST + 2 && long.ends_with(" …"), "{long}");
    }
}
