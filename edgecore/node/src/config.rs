//! What the operator decides about the node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// How the node presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Name of the Node object.
    pub name: String,
    /// Labels beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Most pods at a time.
    pub max_pods: u32,
    /// The agent's directory: its file system is the node's ephemeral storage.
    pub state_dir: PathBuf,
    /// Where CNI configurations lie.
    pub cni_conf_dir: PathBuf,
    /// Whether a CNI configuration is written where there is none.
    pub manage_cni: bool,
    /// Addresses of the cloud: the node's address is the one that a packet to the first reachable of them leaves from.
    pub route_to: Vec<IpAddr>,
}

/// What is wrong with labels, each as `labels: why`, in the API server's terms.
pub fn label_problems(labels: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    for (key, value) in labels {
        let (prefix, name) =
            key.split_once('/').map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        if name.is_empty() || !is_word(name) || prefix.is_some_and(|prefix| !is_domain(prefix)) {
            problems.push(format!("labels: {key:?} is no label key"));
        }
        if !is_word(value) {
            problems.push(format!("labels: {value:?} is no value for {key:?}"));
        }
    }
    problems
}

/// At most 63 letters, digits, `-`, `_` and `.`, the first and last a letter or digit; or nothing.
fn is_word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|part| {
            !part.is_empty()
                && is_word(part)
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_labels_are_named() {
        let check = |key: &str, value: &str| label_problems(&[(key.to_owned(), value.to_owned())].into());
        for (key, value) in [("zone", "a"), ("example.com/zone", ""), ("a.b-c/D_e.f", "V-1")] {
            assert!(check(key, value).is_empty(), "{key}={value}");
        }
        for (key, value) in
            [("", "a"), ("a b", ""), ("-a", ""), ("/a", ""), ("a/", ""), ("A.b/c", ""), ("a", "b c")]
        {
            assert!(check(key, value)[0].starts_with("labels: "), "{key}={value}");
        }
        assert_eq!(check("a", &"x".repeat(64)).len(), 1);
    }
}
