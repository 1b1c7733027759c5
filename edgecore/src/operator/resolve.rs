//! Which pod and which container are meant, and what to say where none is: kubectl's rules, and most of its words. Pure.

use serde_json::Value;

use super::json::{list, text};

/// Names the container that is meant where none is said.
const DEFAULT_CONTAINER: &str = "/metadata/annotations/kubectl.kubernetes.io~1default-container";
/// Where kubectl looks when no namespace is said.
const DEFAULT_NAMESPACE: &str = "default";

/// What a container is wanted for: the two differ in what a wrong annotation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Logs,
    Exec,
}

/// A container, and what to tell the caller beside.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen<'a> {
    pub(super) name: &'a str,
    pub(super) notes: Vec<String>,
}

pub(super) fn name(pod: &Value) -> &str {
    text(pod, "/metadata/name")
}

pub(super) fn namespace(pod: &Value) -> &str {
    text(pod, "/metadata/namespace")
}

/// The pod of this name, which may be said as `pod/NAME`. Where no namespace is said, the only one of that name on the
/// node, or of several the one in the default namespace.
///
/// # Errors
/// There is none, or there are several.
pub(super) fn pod<'a>(pods: &'a [Value], within: Option<&str>, said: &str) -> Result<&'a Value, String> {
    let wanted = match said.split_once('/') {
        Some(("pod" | "pods" | "po", wanted)) => wanted,
        Some((kind, _)) => return Err(format!("{kind:?} is no kind that edgecore knows; only pods are")),
        None => said,
    };
    let named: Vec<&Value> = pods.iter().filter(|pod| name(pod) == wanted).collect();
    let of = |within: &str| named.iter().find(|pod| namespace(pod) == within).copied();
    match (within, named.as_slice()) {
        (Some(within), _) => of(within)
            .ok_or_else(|| format!("pods {wanted:?} not found in namespace {within:?} on this node")),
        (None, []) => Err(format!("pods {wanted:?} not found in any namespace on this node")),
        (None, [only]) => Ok(only),
        (None, several) => of(DEFAULT_NAMESPACE).ok_or_else(|| {
            let mut namespaces: Vec<&str> = several.iter().map(|pod| namespace(pod)).collect();
            namespaces.sort_unstable();
            format!("pods {wanted:?} are in several namespaces, say which with -n: {}", namespaces.join(", "))
        }),
    }
}

fn names<'a>(pod: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    list(pod, pointer).iter().map(|container| text(container, "/name"))
}

/// Every container, in the order in which kubectl shows their logs.
pub(super) fn containers(pod: &Value) -> Vec<&str> {
    let of = |sort: &str| names(pod, sort);
    of("/spec/initContainers").chain(of("/spec/containers")).chain(of("/spec/ephemeralContainers")).collect()
}

/// Every container for people, with its sort.
fn shown(pod: &Value) -> String {
    let plain = names(pod, "/spec/containers").map(str::to_owned);
    let ephemeral = names(pod, "/spec/ephemeralContainers").map(|name| format!("{name} (ephem)"));
    let init = names(pod, "/spec/initContainers").map(|name| format!("{name} (init)"));
    plain.chain(ephemeral).chain(init).collect::<Vec<_>>().join(", ")
}

/// The container that is asked for; else the one that the pod's annotation names; else the first.
///
/// # Errors
/// The pod has no such container, or none at all.
pub(super) fn container<'a>(pod: &'a Value, asked: Option<&str>, what: For) -> Result<Chosen<'a>, String> {
    let all = containers(pod);
    let find = |wanted: &str| all.iter().find(|name| **name == wanted).copied();
    let mut notes = Vec::new();
    let annotated = Some(text(pod, DEFAULT_CONTAINER)).filter(|name| !name.is_empty());
    if let Some(wanted) = asked.or(annotated) {
        match (find(wanted), asked, what) {
            (Some(name), _, _) => return Ok(Chosen { name, notes }),
            (None, None, For::Logs) => {
                notes.push(format!("Default container name {wanted:?} not found in pod {}", name(pod)));
            }
            (None, Some(_), _) | (None, None, For::Exec) => {
                let whose = format!("container {wanted} is not valid for pod {}", name(pod));
                return Err(format!("{whose} out of: {}", shown(pod)));
            }
        }
    }
    let first = names(pod, "/spec/containers").next();
    let first = first.ok_or_else(|| format!("pod {} does not have any containers", name(pod)))?;
    if all.len() > 1 {
        notes.push(format!("Defaulted container {first:?} out of: {}", shown(pod)));
    }
    Ok(Chosen { name: first, notes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(namespace: &str, name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace}})
    }

    #[test]
    fn the_pod_that_is_meant() {
        let pods = [at("a", "one"), at("a", "two"), at("b", "two"), at("b", "three"), at("default", "three")];
        let meant = |within, name: &str| pod(&pods, within, name).map(namespace);
        assert_eq!(meant(None, "one"), Ok("a"));
        assert_eq!(meant(None, "pod/one"), Ok("a"));
        assert_eq!(meant(None, "three"), Ok("default"));
        assert_eq!(meant(Some("b"), "two"), Ok("b"));
        for (within, name, words) in [
            (Some("b"), "one", "pods \"one\" not found in namespace \"b\" on this node"),
            (None, "four", "pods \"four\" not found in any namespace on this node"),
            (None, "two", "pods \"two\" are in several namespaces, say which with -n: a, b"),
            (None, "deployment/one", "\"deployment\" is no kind that edgecore knows; only pods are"),
        ] {
            assert_eq!(meant(within, name), Err(words.to_owned()));
        }
    }

    #[test]
    fn the_container_that_is_meant() {
        let of = |annotation: &str| {
            json!({
                "metadata": {"name": "p", "annotations": {"kubectl.kubernetes.io/default-container": annotation}},
                "spec": {
                    "initContainers": [{"name": "i"}],
                    "containers": [{"name": "a"}, {"name": "b"}],
                    "ephemeralContainers": [{"name": "e"}],
                },
            })
        };
        let (plain, annotated, wrong) = (of(""), of("b"), of("x"));
        assert_eq!(containers(&plain), ["i", "a", "b", "e"]);
        let quiet = |name| Ok(Chosen { name, notes: Vec::new() });
        let invalid =
            |name| Err(format!("container {name} is not valid for pod p out of: a, b, e (ephem), i (init)"));
        let defaulted = "Defaulted container \"a\" out of: a, b, e (ephem), i (init)".to_owned();
        for what in [For::Logs, For::Exec] {
            assert_eq!(container(&plain, Some("i"), what), quiet("i"));
            assert_eq!(container(&plain, Some("z"), what), invalid("z"));
            assert_eq!(container(&annotated, None, what), quiet("b"));
            assert_eq!(container(&annotated, Some("a"), what), quiet("a"));
            let notes = vec![defaulted.clone()];
            assert_eq!(container(&plain, None, what), Ok(Chosen { name: "a", notes }));
        }
        assert_eq!(container(&wrong, None, For::Exec), invalid("x"));
        let notes = vec!["Default container name \"x\" not found in pod p".to_owned(), defaulted];
        assert_eq!(container(&wrong, None, For::Logs), Ok(Chosen { name: "a", notes }));
        let only = json!({"spec": {"containers": [{"name": "a"}]}});
        assert_eq!(container(&only, None, For::Exec), quiet("a"));
        let none = json!({"metadata": {"name": "p"}});
        assert_eq!(container(&none, None, For::Exec), Err("pod p does not have any containers".to_owned()));
    }
}
