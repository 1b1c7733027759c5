//! Names of nodes, and patterns of them.

use crate::errors::PkiError;

/// In front of a node's name in a certificate's common name, as the Node authorizer wants it.
pub const NODE_PREFIX: &str = "system:node:";
/// Organisation of every node's certificate, as the Node authorizer wants it.
pub const NODE_GROUP: &str = "system:nodes";

/// Longest name of a node (RFC 1123 subdomain), in bytes. With the prefix it would be too long for a common name of
/// X.520 (64), which neither Kubernetes nor any verifier here enforces.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Whether this can be the name of a Node: an RFC 1123 subdomain. The error says what is wrong.
pub fn check_node_name(name: &str) -> Result<(), PkiError> {
    let wrong = |why: &str| Err(PkiError::Name(format!("node name {name:?} {why}")));
    if name.is_empty() {
        return wrong("is empty");
    }
    if name.len() > MAX_NAME {
        return Err(PkiError::Name(format!("node name of {} bytes is longer than {MAX_NAME}", name.len())));
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return wrong("has an empty part or one longer than 63 characters between its dots");
        }
        if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return wrong("may hold only lower case letters, digits, '-' and '.'");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return wrong("must begin and end with a letter or digit, and so must each part between dots");
        }
    }
    Ok(())
}

/// Whether this can be a pattern of node names: the characters of names, `*` (any run) and `?` (any one).
pub fn check_pattern(pattern: &str) -> Result<(), PkiError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.*?".contains(&b);
    if pattern.is_empty() || pattern.len() > MAX_NAME || !pattern.bytes().all(fits) {
        return Err(PkiError::Name(format!(
            "pattern {pattern:?} may hold only what node names hold, '*' and '?', and at most {MAX_NAME} characters"
        )));
    }
    Ok(())
}

/// Whether a name fits a pattern. Linear in time for each `*`, so no pattern is a trap.
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and up to where it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b) if *b == b'?' || Some(b) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, eaten)) => {
                    star = Some((at, eaten + 1));
                    p = at + 1;
                    n = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_kubernetes_takes_and_no_others() {
        for good in ["a", "edge-1", "a.b-c.9", &"a".repeat(63)] {
            check_node_name(good).unwrap();
        }
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a.-b", "ä", "a b", "a/b", &"a".repeat(64)] {
            assert!(check_node_name(bad).is_err(), "{bad}");
        }
        assert!(check_node_name(&["a"; 127].join(".")).is_ok());
        assert!(check_node_name(&["a"; 128].join(".")).is_err());
    }

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*", "anything", true),
            ("edge-*", "edge-", true),
            ("edge-*", "edge", false),
            ("*-1", "edge-1-1", true),
            ("e?ge", "edge", true),
            ("e?ge", "ege", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("", "a", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), fits, "{pattern} {name}");
        }
        assert!(
            check_pattern("edge-*").is_ok()
                && check_pattern("edge-[1]").is_err()
                && check_pattern("").is_err()
        );
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_what_it_begins_with(name in "[a-z0-9.-]{1,40}", cut in 0_usize..40) {
            prop_assert!(matches_pattern(&name, &name));
            let head: String = name.chars().take(cut).collect();
            let pattern = format!("{head}*");
            prop_assert!(matches_pattern(&pattern, &name));
        }
    }
}
