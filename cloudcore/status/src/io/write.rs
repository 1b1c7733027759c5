//! Requests to the API server, as the node they are for.

use std::time::Duration;

use cloudcore_kube::{Client, KubeError, Patch, node_lease, path};
use kit::Clock;
use serde_json::Value;
use wire::Kind;

use crate::event::Draft;
use crate::metrics::Metrics;
use crate::plan::{Step, Write, plan};
use crate::report::Reported;

/// Requests for one report before it goes back to the queue: others change the object faster than we read it.
const MAX_STEPS: usize = 12;
/// Times a refusal for want of rights is tried again: the API server's authorizer learns of a new pod on a node a
/// little later than we do.
const FORBIDDEN: u32 = 3;

/// What came of a write.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The API server has it; the result, for the count.
    Taken(&'static str),
    /// It never will; by the API server's words where they are its.
    Refused(String),
    /// It may yet.
    Later {
        /// Why not now.
        reason: String,
        /// The wait that the API server asks for.
        after: Duration,
    },
    /// The session is over; nothing more is written for it.
    Over,
}

/// What a write needs.
pub(super) struct Writer<'a> {
    pub(super) client: &'a Client,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Metrics,
    pub(super) node: &'a str,
    /// Number of the session that the report came by.
    pub(super) epoch: u64,
    /// Times it failed already.
    pub(super) failures: u32,
    /// Whether its session is still the node's.
    pub(super) is_open: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Writer<'_> {
    /// What an error comes to. What is wrong with cloudcore's own rights (`own`, or that it may not act as a node)
    /// is none of the edge's fault and may be put right at any time.
    fn judge(&self, error: &KubeError, own: bool) -> Outcome {
        let acting = error.status().is_some_and(|status| status.message.contains("cannot impersonate"));
        let later = || Outcome::Later {
            reason: kit::errors::chain(error),
            after: error.status().and_then(|status| status.retry_after).unwrap_or_default(),
        };
        match error.code() {
            _ if error.is_transient() => later(),
            // Our own credentials, or an answer that is none: nothing that the edge could help.
            None | Some(401 | 409) => later(),
            Some(403) if own || acting || self.failures < FORBIDDEN => later(),
            Some(_) => Outcome::Refused(kit::errors::chain(error)),
        }
    }
}

/// Brings a report into the cluster.
pub(super) async fn report(writer: &Writer<'_>, reported: &Reported) -> Outcome {
    let node = writer.client.as_node(writer.node);
    let kind = reported.object.kind.name();
    let collection = if reported.object.kind == Kind::Node { path::NODES } else { path::PODS };
    let at = Place {
        collection: collection.of(&reported.object.namespace),
        object: collection.object(&reported.object.namespace, &reported.object.name),
        status: collection.sub(&reported.object.namespace, &reported.object.name, "status"),
    };
    let mut current = None;
    let mut read = true;
    let mut fenced = false;
    let mut done = Vec::new();
    for _ in 0..MAX_STEPS {
        if !(writer.is_open)() {
            return Outcome::Over;
        }
        if read {
            // By cloudcore's own right to read: to the node's the API server would not tell "it is gone" from
            // "it is none of yours", and the edge must be told.
            current = match get(writer.client, &at.object).await {
                Ok(found) => found,
                Err(error) => return writer.judge(&error, true),
            };
            read = false;
            fenced = false;
            continue;
        }
        let step = plan(writer.node, current.as_ref(), reported, &done, writer.clock.wall());
        let (write, body) = match step {
            Step::Done => return Outcome::Taken(result(&done)),
            Step::Gone if done.contains(&Write::Delete) => return Outcome::Taken("deleted"),
            Step::Gone => return Outcome::Taken("gone"),
            Step::Refuse(reason) => return Outcome::Refused(reason),
            Step::Write(write, body) => (write, body),
        };
        if !fenced {
            match holds(writer, &node).await {
                Ok(true) => fenced = true,
                Ok(false) => return Outcome::Over,
                Err(error) => return writer.judge(&error, false),
            }
        }
        match send(writer.client, &node, &at, write, &body).await {
            Ok(answer) => {
                done.push(write);
                current = answer.or(current);
            }
            // Somebody was faster. What we know is old: read and plan again.
            Err(error) if error.is_conflict() || error.is_not_found() => {
                writer.metrics.count(kind, "conflict");
                read = true;
            }
            Err(error) => return writer.judge(&error, write == Write::Role),
        }
    }
    let reason = format!("{} changes faster than it can be written", reported.object);
    Outcome::Later { reason, after: Duration::ZERO }
}

/// Whether the session is still the one that the node's Lease names. Asked after the object was read, and before it is
/// written: a session that opened elsewhere before the read is seen here, and whatever one that opens later writes moves
/// the resourceVersion that this write insists on. So a replica that was stopped at any point and wakes up cannot put an
/// older status over a newer one, however fresh the object is that it planned on.
async fn holds(writer: &Writer<'_>, node: &Client) -> Result<bool, KubeError> {
    let lease: Option<Value> = get(node, &path::LEASES.object(node_lease::NAMESPACE, writer.node)).await?;
    Ok(lease.is_some_and(|lease| node_lease::epoch(&lease) == writer.epoch))
}

/// Paths of one object.
struct Place {
    collection: String,
    object: String,
    status: String,
}

fn result(done: &[Write]) -> &'static str {
    match done.first() {
        None => "unchanged",
        Some(Write::Create) => "created",
        Some(_) => "written",
    }
}

async fn get(client: &Client, path: &str) -> Result<Option<Value>, KubeError> {
    match client.get(path).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends one write; answers the object as it is afterwards, where the answer tells.
async fn send(
    own: &Client,
    node: &Client,
    at: &Place,
    write: Write,
    body: &Value,
) -> Result<Option<Value>, KubeError> {
    match write {
        Write::Create => node.create(&at.collection, body).await.map(Some),
        Write::Status => node.patch(&at.status, Patch::Merge, body).await.map(Some),
        Write::Metadata => node.patch(&at.object, Patch::Merge, body).await.map(Some),
        Write::Role => own.patch(&at.object, Patch::Merge, body).await.map(Some),
        Write::Delete => node.delete(&at.object, body).await.map(|()| None),
    }
}

/// Creates an Event; one that exists already was created by an earlier try.
pub(super) async fn event(writer: &Writer<'_>, draft: &Draft, as_node: bool) -> Outcome {
    if !(writer.is_open)() {
        return Outcome::Over;
    }
    let client = if as_node { writer.client.as_node(writer.node) } else { writer.client.clone() };
    match client.create::<serde::de::IgnoredAny>(&CORE_EVENTS.of(&draft.namespace), &draft.body).await {
        Ok(_) => Outcome::Taken("created"),
        Err(error) if error.is_already_exists() => Outcome::Taken("unchanged"),
        Err(error) => writer.judge(&error, !as_node),
    }
}

/// Events in their core/v1 form.
const CORE_EVENTS: path::Collection = path::Collection { group: "", version: "v1", plural: "events" };
