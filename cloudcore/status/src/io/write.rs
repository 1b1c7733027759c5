//! One write: from a report to the API server.

use std::sync::Arc;
use std::time::Duration;

use cloudcore_index::{Index, Object};
use cloudcore_kube::path::{EVENTS, NODES, PODS};
use cloudcore_kube::{Client, KubeError, Patch};
use kit::errors::chain;
use kit::{Clock, WallTime};
use serde_json::{Value, json};
use wire::{Entry, Kind, Rejected, Report, Version, owned};

use super::{Fence, Session};
use crate::event::{self, Event};
use crate::queue::Key;
use crate::{node, pod};

/// Writes based on what is read afresh, before the job waits its turn again.
const FRESH_TRIES: usize = 3;
/// After a 403 the cluster's rules must change first.
const FORBIDDEN: Duration = Duration::from_secs(5);

/// A write, and who asked for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) session: Session,
    pub(super) work: Work,
    pub(super) tries: u32,
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Work {
    /// A pod's status, and, where nothing of it is left, the end of its deletion.
    Pod { id: u64, pod: Arc<Object>, body: Value },
    /// The Node.
    Node { id: u64, report: Box<node::Report>, body: Value },
    /// A journal entry.
    Entry { seq: u64, event: Event },
    /// An Event of cloudcore's own about this node.
    Rejection { event: Event },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The API server has it.
    Written,
    /// It never will.
    Refused(String),
    /// A newer session holds the node.
    Superseded,
    /// Not now.
    Again { reason: String, after: Duration },
}

impl Work {
    /// Reads a report and checks that it is this node's to give. `None` where nothing is left to be done.
    pub(super) fn of_report(
        index: &Index,
        name: &str,
        report: &Report,
    ) -> Result<Option<(Key, Self)>, String> {
        let body =
            report.body.as_ref().ok_or("the report has no body")?.unpack().map_err(|error| chain(&error))?;
        let body: Value =
            serde_json::from_slice(&body).map_err(|error| format!("the report is no JSON: {error}"))?;
        match Kind::parse(&report.kind) {
            Some(Kind::Node) if report.name == name => {
                let read = node::Report::read(&body)?;
                Ok(Some((Key::Node, Self::Node { id: report.id, report: Box::new(read), body })))
            }
            Some(Kind::Node) => Err(format!("node {name} may not report on node {}", report.name)),
            Some(Kind::Pod) => {
                let Some(pod) = index.object(Kind::Pod, &report.uid) else {
                    // Its end is what a deleted pod's report asks for.
                    let deleted = body.get("deleted").and_then(Value::as_bool) == Some(true);
                    return if deleted {
                        Ok(None)
                    } else {
                        Err("there is no such pod (any more)".to_owned())
                    };
                };
                let bound = pod.pod().map(|detail| &*detail.node);
                if bound != Some(name) {
                    return Err(format!("pod {} is not bound to node {name}", pod.key));
                }
                if !body.get("status").is_none_or(Value::is_object) {
                    return Err("status is no object".to_owned());
                }
                Ok(Some((Key::Pod(Arc::clone(&pod.uid)), Self::Pod { id: report.id, pod, body })))
            }
            _ => Err(format!("reports on {:?} are not known", report.kind)),
        }
    }

    /// Reads a journal entry and checks that the node may speak of what it is about.
    pub(super) fn of_entry(index: &Index, session: &Session, entry: &Entry) -> Result<Self, String> {
        if entry.stream != "events" {
            return Err(format!("stream {:?} is not known", entry.stream));
        }
        let body =
            entry.body.as_ref().ok_or("the entry has no body")?.unpack().map_err(|error| chain(&error))?;
        let body: Value =
            serde_json::from_slice(&body).map_err(|error| format!("the entry is no JSON: {error}"))?;
        let (event, regarding) =
            event::of_entry(&body, &session.node, &session.store_id, entry.seq, entry.time_ms)?;
        let own = match regarding.kind {
            Kind::Node => regarding.name == *session.node,
            // A pod that is gone already may still be spoken of.
            Kind::Pod | Kind::Service | Kind::ServiceAccount | Kind::ConfigMap | Kind::Secret => index
                .object(Kind::Pod, &regarding.uid)
                .is_none_or(|pod| pod.pod().is_some_and(|detail| *detail.node == *session.node)),
        };
        if own {
            Ok(Self::Entry { seq: entry.seq, event })
        } else {
            Err(format!("{} {} is not this node's", regarding.kind, regarding.name))
        }
    }

    pub(super) fn of_rejection(rejected: &Rejected, node: &str, now: WallTime) -> Self {
        Self::Rejection { event: event::of_rejection(rejected, node, now) }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Pod { .. } => "Pod",
            Self::Node { .. } => "Node",
            Self::Entry { .. } | Self::Rejection { .. } => "Event",
        }
    }

    /// Of which object this says what, by hash.
    pub(super) fn reported(&self, index: &Index, name: &str) -> Option<(Kind, Arc<str>, Version)> {
        match self {
            Self::Pod { pod, body, .. } => {
                Some((Kind::Pod, Arc::clone(&pod.uid), owned::report_hash(Kind::Pod, body)))
            }
            Self::Node { body, .. } => {
                let node = index.named(Kind::Node, "", name)?;
                Some((Kind::Node, Arc::clone(&node.uid), owned::report_hash(Kind::Node, body)))
            }
            Self::Entry { .. } | Self::Rejection { .. } => None,
        }
    }
}

/// Performs a write.
pub(super) async fn perform<F: Fence>(
    client: &Client,
    index: &Index,
    fence: &F,
    clock: &Clock,
    job: &Job,
) -> Outcome {
    let writer =
        Writer { own: client, as_node: client.as_node(&job.session.node), fence, session: &job.session };
    let result = match &job.work {
        Work::Pod { pod, body, .. } => writer.pod(index, pod, body).await,
        Work::Node { report, .. } => writer.node(report, clock.wall()).await,
        Work::Entry { event, .. } | Work::Rejection { event } => writer.event(event).await,
    };
    result.unwrap_or_else(|outcome| outcome)
}

struct Writer<'a, F> {
    own: &'a Client,
    as_node: Client,
    fence: &'a F,
    session: &'a Session,
}

/// What an error means where nothing more special is known of it.
fn judge(error: &KubeError) -> Outcome {
    let reason = chain(error);
    match error.code() {
        Some(403) => Outcome::Again { reason, after: FORBIDDEN },
        Some(_) if !error.is_transient() && !error.is_conflict() => {
            Outcome::Refused(error.status().map_or(reason, |status| status.message.clone()))
        }
        _ => {
            let after = error.status().and_then(|status| status.retry_after).unwrap_or_default();
            Outcome::Again { reason, after: after.min(Duration::from_mins(1)) }
        }
    }
}

impl<F: Fence> Writer<'_, F> {
    /// After a conflict: whether this session may go on writing for the node.
    async fn may_go_on(&self) -> Result<(), Outcome> {
        match self.fence.holds(&self.session.node, self.session.epoch).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Outcome::Superseded),
            Err(reason) => Err(Outcome::Again { reason, after: Duration::ZERO }),
        }
    }

    async fn pod(&self, index: &Index, pod: &Object, body: &Value) -> Result<Outcome, Outcome> {
        let deleted = body.get("deleted").and_then(Value::as_bool) == Some(true);
        let latest = index.object(Kind::Pod, &pod.uid);
        let mut version =
            latest.as_ref().map_or(&*pod.resource_version, |pod| &*pod.resource_version).to_owned();
        let mut deleting = latest.as_ref().and_then(|pod| pod.pod()).is_some_and(|detail| detail.deleting);
        if let Some(status) = body.get("status") {
            let mut tries = 1;
            loop {
                let path = PODS.sub(&pod.key.namespace, &pod.key.name, "status");
                let patch = pod::patch(&pod.uid, Some(&version), status);
                match self.as_node.patch::<Value>(&path, Patch::Strategic, &patch).await {
                    Ok(written) => {
                        deleting = written.pointer("/metadata/deletionTimestamp").is_some();
                        break;
                    }
                    Err(error) if error.is_not_found() => return Ok(gone(deleted)),
                    Err(error) if error.is_conflict() && tries < FRESH_TRIES => {
                        self.may_go_on().await?;
                        match self.fresh(index, pod).await? {
                            Some(fresh) => version = fresh,
                            None => return Ok(gone(deleted)),
                        }
                        tries += 1;
                    }
                    // A successor of the same name has another UID.
                    Err(error) if error.code() == Some(422) && self.fresh(index, pod).await?.is_none() => {
                        return Ok(gone(deleted));
                    }
                    Err(error) => return Err(judge(&error)),
                }
            }
        }
        if !deleted {
            return Ok(Outcome::Written);
        }
        if !deleting {
            return Ok(Outcome::Refused(format!("pod {} is not being deleted", pod.key)));
        }
        let path = PODS.object(&pod.key.namespace, &pod.key.name);
        match self.as_node.delete(&path, &pod::delete_options(&pod.uid)).await {
            Ok(()) => Ok(Outcome::Written),
            // Gone already, or its name is another's by now.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Outcome::Written),
            Err(error) => Err(judge(&error)),
        }
    }

    /// The pod's resourceVersion as it is now; `None` where that pod is gone.
    async fn fresh(&self, index: &Index, pod: &Object) -> Result<Option<String>, Outcome> {
        let path = PODS.object(&pod.key.namespace, &pod.key.name);
        match self.as_node.get::<Value>(&path).await {
            Ok(found) if found.pointer("/metadata/uid").and_then(Value::as_str) == Some(&*pod.uid) => {
                Ok(found.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned))
            }
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            // The Node authorizer knows no such pod on this node: a successor is bound elsewhere.
            Err(error) if error.code() == Some(403) && index.object(Kind::Pod, &pod.uid).is_none() => {
                Ok(None)
            }
            Err(error) => Err(judge(&error)),
        }
    }

    async fn node(&self, report: &node::Report, now: WallTime) -> Result<Outcome, Outcome> {
        let name = &self.session.node;
        let path = NODES.object("", name);
        if !report.refused_labels.is_empty() {
            tracing::debug!(node = %name, labels = ?report.refused_labels, "labels that no node may set are left out");
        }
        let mut tries = 1;
        loop {
            let found = match self.as_node.get::<Value>(&path).await {
                Ok(found) => found,
                Err(error) if error.is_not_found() => {
                    let node = report.create(name, now);
                    match self.as_node.create::<Value>(&NODES.all(), &node).await {
                        Ok(created) => {
                            tracing::info!(node = %name, "Node was created");
                            created
                        }
                        Err(error) if error.is_already_exists() && tries < FRESH_TRIES => {
                            tries += 1;
                            continue;
                        }
                        Err(error) => return Err(judge(&error)),
                    }
                }
                Err(error) => return Err(judge(&error)),
            };
            match self.node_patches(report, &path, &found, now).await {
                Err(error) if error.is_conflict() && tries < FRESH_TRIES => {
                    self.may_go_on().await?;
                    tries += 1;
                }
                Err(error) => return Err(judge(&error)),
                Ok(()) => return Ok(Outcome::Written),
            }
        }
    }

    async fn node_patches(
        &self,
        report: &node::Report,
        path: &str,
        found: &Value,
        now: WallTime,
    ) -> Result<(), KubeError> {
        // The status first: readiness is what others wait for.
        if let Some(patch) = report.status_patch(found, now) {
            self.as_node.patch::<Value>(&format!("{path}/status"), Patch::Strategic, &patch).await?;
        }
        if !node::has_edge_label(found) {
            let patch = json!({"metadata": {"labels": {node::EDGE_LABEL: ""}}});
            self.own.patch::<Value>(path, Patch::Merge, &patch).await?;
        }
        if let Some(patch) = report.metadata_patch(found) {
            self.as_node.patch::<Value>(path, Patch::Merge, &patch).await?;
        }
        Ok(())
    }

    async fn event(&self, event: &Event) -> Result<Outcome, Outcome> {
        match self.as_node.create::<Value>(&EVENTS.of(&event.namespace), &event.object).await {
            Ok(_) => Ok(Outcome::Written),
            // It came before, and the answer was lost.
            Err(error) if error.is_already_exists() => Ok(Outcome::Written),
            // No namespace, or one that is on its way out: its events are of no use to anybody.
            Err(error) if matches!(error.code(), Some(403 | 404)) => Ok(Outcome::Refused(chain(&error))),
            Err(error) => Err(judge(&error)),
        }
    }
}

/// A pod that is gone: its end has arrived, its status never will.
fn gone(deleted: bool) -> Outcome {
    if deleted { Outcome::Written } else { Outcome::Refused("the pod is gone from the cluster".to_owned()) }
}
