//! Which fields of a pod this node honours. Everything else is refused by name.
//!
//! The check runs over the raw JSON, since typed structs silently drop fields that are newer than themselves. What
//! the [table] does not name is refused, so a field of a later Kubernetes is refused until somebody has thought
//! about it.

mod table;

use serde_json::Value;

/// What may stand at a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// Anything: honoured as it is, or none of a node's business.
    Any,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// This flag.
    Only(bool),
    /// An object with fields out of these groups.
    Object(&'static [&'static [(&'static str, Self)]]),
    /// A map that may hold these keys.
    Keys(&'static [&'static str]),
    /// A list whose elements all follow a rule.
    List(&'static Self),
}

/// Most paths that are named; a pod with more is told so.
const MOST: usize = 50;
/// Longest name or value that is quoted.
const LONGEST: usize = 63;
/// An annotation that asks for an AppArmor profile as the API did before it had a field.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// JSON paths of a pod that are not honoured, in the order in which they stand; empty means the pod can run here.
/// Where the value is what is wrong, it follows after `=`. The pod is the raw object as the API server sent it.
pub fn refused(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(pod, table::POD, "", &mut found);
    annotations(pod, &mut found);
    if found.len() > MOST {
        let more = found.len() - MOST;
        found.truncate(MOST);
        found.push(format!("and {more} more"));
    }
    found
}

/// Where an ephemeral container stands among the paths.
const EPHEMERAL: &str = "spec.ephemeralContainers[";

/// What of the paths is about the ephemeral container in this place: the first, or that there are more than are named.
pub fn of_ephemeral(refused: &[String], index: usize) -> Option<&String> {
    let own = format!("{EPHEMERAL}{index}]");
    refused.iter().find(|path| path.starts_with(&own)).or_else(|| refused.get(MOST))
}

/// Whether any path is about something else than an ephemeral container.
pub fn beside_ephemeral(refused: &[String]) -> bool {
    refused.iter().any(|path| !path.starts_with(EPHEMERAL))
}

fn walk(value: &Value, rule: Rule, path: &str, found: &mut Vec<String>) {
    // Absent, said differently.
    if value.is_null() || value.as_array().is_some_and(Vec::is_empty) {
        return;
    }
    match (rule, value) {
        (Rule::Any, _) => {}
        (Rule::OneOf(texts), Value::String(text)) if texts.contains(&text.as_str()) => {}
        (Rule::Only(flag), Value::Bool(is)) if flag == *is => {}
        (Rule::OneOf(_) | Rule::Only(_), _) => found.push(format!("{path}={}", quoted(value))),
        (Rule::Object(groups), Value::Object(fields)) => {
            for (name, value) in fields {
                let path = join(path, name);
                match groups.iter().copied().flatten().find(|(known, _)| known == name) {
                    Some((_, rule)) => walk(value, *rule, &path, found),
                    None if value.is_null() || value.as_array().is_some_and(Vec::is_empty) => {}
                    None => found.push(path),
                }
            }
        }
        (Rule::Keys(keys), Value::Object(fields)) => {
            found
                .extend(fields.keys().filter(|key| !keys.contains(&key.as_str())).map(|key| join(path, key)));
        }
        (Rule::List(rule), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, *rule, &format!("{path}[{index}]"), found);
            }
        }
        (Rule::Object(_) | Rule::Keys(_) | Rule::List(_), _) => found.push(path.to_owned()),
    }
}

fn annotations(pod: &Value, found: &mut Vec<String>) {
    let annotations = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    for (name, value) in annotations.into_iter().flatten() {
        if name.starts_with(APPARMOR) && value.as_str() != Some("runtime/default") {
            found.push(format!("{}={}", join("metadata.annotations", name), quoted(value)));
        }
    }
}

/// A field under a path. Names that are no plain words stand in brackets.
fn join(path: &str, name: &str) -> String {
    let name: String = name.chars().take(2 * LONGEST).collect();
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match (plain, path) {
        (false, path) => format!("{path}[{name:?}]"),
        (true, "") => name,
        (true, path) => format!("{path}.{name}"),
    }
}

fn quoted(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
#[path = "tests/honoured.rs"]
mod tests;
