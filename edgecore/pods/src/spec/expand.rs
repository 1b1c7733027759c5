//! References to variables: `$(NAME)` in values, commands, arguments and subPathExpr.

use std::collections::BTreeMap;

/// The text with every `$(NAME)` replaced by what `value` says. `$$` stands for one `$`, so `$$(NAME)` stays as
/// `$(NAME)`; a reference without its closing parenthesis is plain text.
pub(crate) fn expand(text: &str, mut value: impl FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            out.push_str(&value(name));
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// Looks a name up; a name nobody knows stays as it was written.
pub(crate) fn known(maps: &[&BTreeMap<String, String>], name: &str) -> String {
    maps.iter().find_map(|map| map.get(name).cloned()).unwrap_or_else(|| format!("$({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_a(text: &str) -> String {
        let variables =
            BTreeMap::from([("A".to_owned(), "1".to_owned()), ("EMPTY".to_owned(), String::new())]);
        expand(text, |name| known(&[&variables], name))
    }

    #[test]
    fn references_follow_upstreams_rules() {
        for (text, expanded) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(NOPE)", "$(NOPE)"),
            ("$(EMPTY)", ""),
            ("$(A", "$(A"),
            ("$()", "$()"),
            ("$A", "$A"),
            ("100$", "100$"),
            ("$", "$"),
            ("$$", "$"),
            ("$(A$(A))", "$(A$(A))"),
            ("ä$(A)€", "ä1€"),
        ] {
            assert_eq!(with_a(text), expanded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_dollars_stays(text in "[^$]{0,40}") {
            prop_assert_eq!(with_a(&text), text);
        }

        #[test]
        fn doubled_dollars_protect_everything(text in "[$()A]{0,40}") {
            prop_assert_eq!(with_a(&text.replace('$', "$$")), text);
        }
    }
}
