//! Pods: the status, and the end of a deletion.

use serde_json::{Map, Value, json};
use wire::owned::{POD_CONDITIONS, POD_FIELDS};

use super::{Step, Write, merge, status_patch, uid};
use crate::report::Reported;

/// The next step for a pod of `node`.
pub(super) fn plan(node: &str, current: Option<&Value>, reported: &Reported, done: &[Write]) -> Step {
    let Some(current) = current.filter(|current| uid(current) == &*reported.uid) else {
        if reported.deleted || done.contains(&Write::Delete) {
            return Step::Gone;
        }
        return Step::Refuse(format!("{} with uid {} does not exist", reported.object, reported.uid));
    };
    if done.contains(&Write::Delete) {
        // Finalizers of others may hold it.
        return Step::Gone;
    }
    let bound = current.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if bound != node {
        let object = &reported.object;
        return Step::Refuse(format!("spec.nodeName of {object} is {bound:?}, and {node} reports on it"));
    }
    if merge::text(reported.status(), "phase").is_empty() {
        // What an edge never ran it has no status of, and may be rid of all the same.
        if !reported.deleted {
            return Step::Refuse(format!("{}: status.phase is missing", reported.object));
        }
    } else if let Some(patch) =
        status_patch(current, &status(current, reported.status())).filter(|_| !done.contains(&Write::Status))
    {
        return Step::Write(Write::Status, patch);
    }
    if !reported.deleted {
        return Step::Done;
    }
    if current.pointer("/metadata/deletionTimestamp").is_none_or(Value::is_null) {
        return Step::Refuse(format!("{} is not being deleted", reported.object));
    }
    Step::Write(
        Write::Delete,
        json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "gracePeriodSeconds": 0, "preconditions": {"uid": *reported.uid},
        }),
    )
}

/// The status to be shown.
fn status(current: &Value, report: &Value) -> Map<String, Value> {
    let mut status = current.get("status").and_then(Value::as_object).cloned().unwrap_or_default();
    let shown = Value::Object(status.clone());
    merge::fields(&mut status, report, &POD_FIELDS);
    let phase = |status: &Value| merge::text(status, "phase").to_owned();
    if matches!(&*phase(&shown), "Succeeded" | "Failed") && phase(report) != phase(&shown) {
        // The end of a pod is final, whoever said so: the garbage collector of a node that was away, for one.
        merge::fields(&mut status, &shown, &["phase", "reason", "message"]);
    }
    merge::conditions(&mut status, report, &POD_CONDITIONS, |told, shown| {
        let mut condition = told.as_object().cloned().unwrap_or_default();
        // As reported, since the edge knows when it changed; the cluster's, where the report does not say.
        if merge::text(told, "lastTransitionTime").is_empty() {
            let unchanged = shown.filter(|shown| merge::text(shown, "status") == merge::text(told, "status"));
            if let Some(time) = unchanged.and_then(|shown| shown.get("lastTransitionTime")) {
                condition.insert("lastTransitionTime".to_owned(), time.clone());
            }
        }
        if let Some(probe) = shown.and_then(|shown| shown.get("lastProbeTime")) {
            condition.entry("lastProbeTime").or_insert_with(|| probe.clone());
        }
        Value::Object(condition)
    });
    status
}
