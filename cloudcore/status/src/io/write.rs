//! Requests to the API server, as the node they are for.

use std::time::Duration;

use cloudcore_kube::{Client, KubeError, Patch, node_lease, path};
use kit::Clock;
use kit::faults::{self, Fault};
use serde_json::Value;
use wire::Kind;

use crate::event::Draft;
use crate::metrics::Metrics;
use crate::plan::{Step, Write, plan};
use crate::report::Reported;
use crate::verdict::{Request, Verdict, judge};

/// Requests for one report before it goes back to the queue: others change the object faster than we read it.
const MAX_STEPS: usize = 12;

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
        /// It asks for it because we ask too much.
        throttled: bool,
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
    /// What an error comes to; `None` where the object has to be looked at again.
    fn judge(&self, error: &KubeError, request: Request) -> Option<Outcome> {
        let reason = || kit::errors::chain(error);
        match judge(error, request, self.failures) {
            Verdict::Taken => Some(Outcome::Taken("unchanged")),
            Verdict::Replan => None,
            Verdict::Again { after, throttled } => {
                Some(Outcome::Later { reason: reason(), after, throttled })
            }
            Verdict::Refused => Some(Outcome::Refused(reason())),
        }
    }

    /// The same where looking again is no answer.
    fn settle(&self, error: &KubeError, request: Request) -> Outcome {
        self.judge(error, request).unwrap_or_else(|| Outcome::Later {
            reason: kit::errors::chain(error),
            after: Duration::ZERO,
            throttled: false,
        })
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
                Err(error) => return writer.settle(&error, Request::Read),
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
                Err(error) => return writer.settle(&error, Request::Object),
            }
        }
        let error = match counted(writer, &node, &at, (kind, write), &body).await {
            Ok(answer) => {
                done.push(write);
                current = answer.or(current);
                continue;
            }
            Err(error) => error,
        };
        let request = if write == Write::Role { Request::OwnObject } else { Request::Object };
        if let Some(outcome) = writer.judge(&error, request) {
            return outcome;
        }
        // Somebody was faster. What we know is old: read and plan again.
        writer.metrics.count(kind, "conflict");
        read = true;
    }
    let reason = format!("{} changes faster than it can be written", reported.object);
    Outcome::Later { reason, after: Duration::ZERO, throttled: false }
}

/// Sends one write, timed and counted under the object's kind.
async fn counted(
    writer: &Writer<'_>,
    node: &Client,
    at: &Place,
    (kind, write): (&'static str, Write),
    body: &Value,
) -> Result<Option<Value>, KubeError> {
    let since = writer.clock.elapsed();
    let sent = send(writer.client, node, at, write, body).await;
    let took = writer.clock.elapsed().since(since);
    writer.metrics.written(kind, write.verb(), code(&sent), took);
    sent
}

/// The code that a request is counted under: 0 where there was no answer.
fn code<T>(sent: &Result<T, KubeError>) -> u16 {
    sent.as_ref().map_or_else(|error| error.code().unwrap_or(0), |_| 200)
}

/// Whether the session is still the one that the node's Lease names. Asked after the object was read, and before it is
/// written: a session that opened elsewhere before the read is seen here, and whatever one that opens later writes moves
/// the resourceVersion that this write insists on. So a replica that was stopped at any point and wakes up cannot put an
/// older status over a newer one, however fresh the object is that it planned on.
async fn holds(writer: &Writer<'_>, node: &Client) -> Result<bool, KubeError> {
    if faults::on(Fault::OlderEpochAccepted) {
        return Ok(true);
    }
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
    let (client, request) = if as_node {
        (writer.client.as_node(writer.node), Request::Event)
    } else {
        (writer.client.clone(), Request::OwnEvent)
    };
    let since = writer.clock.elapsed();
    let path = CORE_EVENTS.of(&draft.namespace);
    let sent = client.create::<serde::de::IgnoredAny>(&path, &draft.body).await;
    writer.metrics.written("Event", "create", code(&sent), writer.clock.elapsed().since(since));
    match sent {
        Ok(_) => Outcome::Taken("created"),
        Err(error) => writer.settle(&error, request),
    }
}

/// Events in their core/v1 form.
const CORE_EVENTS: path::Collection = path::Collection { group: "", version: "v1", plural: "events" };
