//! What a policy makes of a pod's tolerations: pure.
//!
//! The API server's admission gives every pod two tolerations, of the taints that node-lifecycle sets on a Node it does not
//! hear from; their `tolerationSeconds` decide when the taint-eviction controller deletes the pod. Of a toleration of a
//! pod that exists the API lets nothing be changed but these seconds (or their being there), and new ones be added. So only
//! the two are changed: key, `operator: Exists`, `effect: NoExecute`, with seconds. Any other toleration is the user's and
//! is left alone, also one of the same taint without seconds, which keeps the pod for ever.
//!
//! A pod that was just bound is not changed at once ([`patience`]): what lives for seconds costs no write, and whoever follows a
//! pod's `generation` does not see two where its user wrote one. An eviction can be due only when its seconds have passed; so
//! nothing is risked, but where no cloudcore at all runs from then on until after that.
//!
//! What a changed toleration came with stands in the annotation [`CAME_WITH`], so that it is told from a user's, and put
//! back where the policy is `off`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::policy::Autonomy;

/// What node-lifecycle taints a Node with: not Ready, and not heard from.
pub(crate) const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
/// Annotation of a pod: seconds of its tolerations before they were changed, such as `not-ready=300,unreachable=300`.
pub(crate) const CAME_WITH: &str = "skerry.io/toleration-seconds";

/// Longest that a pod's tolerations stay as they came while its node is connected.
const PATIENCE: Duration = Duration::from_secs(20);
/// A pod's change is made before this part of the seconds that it tolerates has passed.
const PART: u32 = 5;

/// A pod, and what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) tolerations: &'a [Value],
    /// The annotation [`CAME_WITH`].
    pub(crate) came_with: Option<&'a str>,
    pub(crate) autonomy: Autonomy,
    /// Its Node bears one of [`TAINTS`] now.
    pub(crate) tainted: bool,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) tolerations: Vec<Value>,
    /// The annotation [`CAME_WITH`]; `None` removes it.
    pub(crate) came_with: Option<String>,
    /// A second change follows, once the taint-eviction controller has seen this one.
    pub(crate) again: bool,
}

/// What has to change, if anything.
pub(crate) fn plan(asked: &Asked<'_>) -> Option<Change> {
    let mut tolerations = asked.tolerations.to_vec();
    let mut before = read(asked.came_with);
    let mut again = false;
    for (n, taint) in TAINTS.into_iter().enumerate() {
        let current = match find(&tolerations, taint) {
            Found::Default(at) => at,
            Found::Users => continue,
            Found::Nothing if asked.autonomy == Autonomy::Off => continue,
            // Admission was told not to add them: without one the pod goes at once.
            Found::Nothing => {
                before[n] = Some(0);
                tolerations.push(json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}));
                tolerations.len() - 1
            }
        };
        let Some(toleration) = tolerations.get_mut(current).and_then(Value::as_object_mut) else { continue };
        let shown = toleration.get("tolerationSeconds").and_then(Value::as_i64);
        // For ever, and not by us: the user's word.
        let Some(own) = before[n].or(shown) else { continue };
        let wanted = match asked.autonomy {
            Autonomy::Forever => None,
            Autonomy::Off => Some(own),
            Autonomy::Seconds(seconds) => Some(i64::from(seconds)),
        };
        // A deletion that is scheduled already is not moved by other seconds, only called off by none.
        let first = if asked.tainted && shown.is_some() && shown != wanted { None } else { wanted };
        again |= first != wanted;
        match first {
            Some(seconds) => toleration.insert("tolerationSeconds".to_owned(), Value::from(seconds)),
            None => toleration.remove("tolerationSeconds"),
        };
        before[n] = (asked.autonomy != Autonomy::Off || again).then_some(own);
    }
    let came_with = written(before);
    let differs = tolerations != asked.tolerations || came_with.as_deref() != asked.came_with;
    differs.then_some(Change { tolerations, came_with, again })
}

/// How long after it was bound a pod may wait for its change while nothing taints its node: a part of the seconds it
/// tolerates, some seconds at most.
pub(crate) fn patience(tolerations: &[Value]) -> Duration {
    let tolerated = |taint| match find(tolerations, taint) {
        Found::Default(at) => tolerations.get(at).and_then(|one| one.get("tolerationSeconds")?.as_i64()),
        Found::Users => None,
        Found::Nothing => Some(0),
    };
    let shortest = TAINTS.into_iter().filter_map(tolerated).min();
    shortest.map_or(PATIENCE, |seconds| {
        (Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) / PART).min(PATIENCE)
    })
}

/// The merge patch of a change, on that version of that pod only.
pub(crate) fn patch(change: &Change, uid: &str, version: &str) -> Value {
    json!({
        "metadata": {"uid": uid, "resourceVersion": version, "annotations": {(CAME_WITH): change.came_with}},
        "spec": {"tolerations": change.tolerations},
    })
}

/// Who tolerates a taint.
enum Found {
    /// The one that admission adds, at this place.
    Default(usize),
    /// Something else.
    Users,
    Nothing,
}

fn find(tolerations: &[Value], taint: &str) -> Found {
    let mut of_taint = tolerations.iter().enumerate().filter(|(_, toleration)| tolerates(toleration, taint));
    match (of_taint.next(), of_taint.next()) {
        (None, _) => Found::Nothing,
        (Some((at, toleration)), None) if is_default(toleration, taint) => Found::Default(at),
        // Among several the shortest counts, and who wrote several meant it.
        _ => Found::Users,
    }
}

/// Whether it is as admission writes it.
fn is_default(toleration: &Value, taint: &str) -> bool {
    let text = |field: &str| toleration.get(field).and_then(Value::as_str).unwrap_or_default();
    text("key") == taint
        && text("operator") == "Exists"
        && text("effect") == "NoExecute"
        && text("value").is_empty()
}

/// Whether it tolerates the taint, with `NoExecute` and without a value.
fn tolerates(toleration: &Value, taint: &str) -> bool {
    let text = |field: &str| toleration.get(field).and_then(Value::as_str).unwrap_or_default();
    let effect = matches!(text("effect"), "" | "NoExecute");
    let key = text("key") == taint || (text("key").is_empty() && text("operator") == "Exists");
    let value = text("operator") == "Exists" || text("value").is_empty();
    effect && key && value
}

/// The part of a taint's name that stands in [`CAME_WITH`].
fn short(taint: &str) -> &str {
    taint.rsplit('/').next().unwrap_or(taint)
}

/// Reads [`CAME_WITH`]; what cannot be read counts as not there.
fn read(came_with: Option<&str>) -> [Option<i64>; 2] {
    let parts: Map<String, Value> = came_with
        .unwrap_or_default()
        .split(',')
        .filter_map(|part| part.split_once('='))
        .filter_map(|(name, seconds)| Some((name.to_owned(), Value::from(seconds.parse::<i64>().ok()?))))
        .collect();
    TAINTS.map(|taint| parts.get(short(taint)).and_then(Value::as_i64))
}

fn written(before: [Option<i64>; 2]) -> Option<String> {
    let parts: Vec<String> = TAINTS
        .iter()
        .zip(before)
        .filter_map(|(taint, seconds)| seconds.map(|seconds| format!("{}={seconds}", short(taint))))
        .collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
#[path = "tests/tolerations.rs"]
mod tests;
