//! What has to be written so that the cluster shows a report. Pure: one step at a time, planned again on what each
//! step answered.

mod merge;
mod node;
mod pod;

use kit::WallTime;
use serde_json::{Map, Value, json};
use wire::Kind;

use crate::report::Reported;

/// What kind of write a step is; each succeeds at most once per report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Write {
    /// The object, with its status.
    Create,
    /// Its status.
    Status,
    /// Labels and annotations that a node may set on itself.
    Metadata,
    /// The role label, which no node may set: by cloudcore itself.
    Role,
    /// The deletion's end.
    Delete,
}

impl Write {
    /// As the API calls it.
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Status | Self::Metadata | Self::Role => "patch",
            Self::Delete => "delete",
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Send this body.
    Write(Write, Value),
    /// The cluster shows the report.
    Done,
    /// There is nothing to show it on, and that is as it should be.
    Gone,
    /// It will never be shown.
    Refuse(String),
}

/// The next step towards showing `reported`, where the API server has `current`, the writes of `done` have
/// succeeded, and it is `now`.
pub(crate) fn plan(
    node: &str,
    current: Option<&Value>,
    reported: &Reported,
    done: &[Write],
    now: WallTime,
) -> Step {
    if reported.object.kind == Kind::Node {
        node::plan(current, reported, done, now)
    } else {
        pod::plan(node, current, reported, done)
    }
}

/// UID of an object.
fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

/// The patch of a status that makes `status` of the current one; `None` where they are equal.
fn status_patch(current: &Value, status: &Map<String, Value>) -> Option<Value> {
    let shown = current.get("status").cloned().unwrap_or_else(|| json!({}));
    let wanted = Value::Object(status.clone());
    if merge::same(&shown, &wanted) {
        return None;
    }
    let change = merge::patch(&shown, &wanted);
    let metadata = json!({
        "uid": uid(current),
        "resourceVersion": current.pointer("/metadata/resourceVersion").cloned().unwrap_or(Value::Null),
    });
    Some(json!({"metadata": metadata, "status": change}))
}
