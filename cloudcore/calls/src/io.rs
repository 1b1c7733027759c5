//! Calls under way.

use std::sync::Arc;
use std::time::Duration;

use cloudcore_index::{Index, Object};
use cloudcore_kube::{Client, KubeError, path};
use kit::tasks::Group;
use kit::{Backoff, Clock};
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::sync::Semaphore;
use wire::call_reply::{Failure, Result as Answer};
use wire::{Call, CallReply, Kind, TokenRequest, call};

use crate::metrics::Metrics;
use crate::token::{self, Denied, PodFacts};

/// Calls under way of all edges together.
const CALLS: usize = 1024;
/// Longest deadline granted, and the one of a call that names none.
const LONGEST: Duration = Duration::from_secs(30);
/// First wait before a request that failed is tried again, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Times a refusal for want of rights is tried again: the API server's authorizer learns of a new pod on a node a
/// little later than the edge does.
const FORBIDDEN: u32 = 4;

/// Answers calls. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Calls {
    inner: Arc<Inner>,
    tasks: Group,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    index: Index,
    clock: Clock,
    metrics: Metrics,
}

impl Calls {
    /// Answers by the index and the API server.
    pub fn new(client: Client, index: Index, clock: Clock) -> Self {
        let metrics = Metrics::default();
        Self { inner: Arc::new(Inner { client, index, clock, metrics }), tasks: Group::new("calls", CALLS) }
    }

    /// Registers the counters.
    pub fn register(&self, registry: &mut Registry) {
        self.inner.metrics.register(registry);
    }

    /// Takes a call of a node and returns at once; `reply` gets the answer. `permits` are the node's: without a free
    /// one the answer is 429.
    pub fn take(
        &self,
        node: &str,
        permits: &Arc<Semaphore>,
        call: Call,
        reply: impl FnOnce(CallReply) + Send + 'static,
    ) {
        let (id, inner) = (call.id, Arc::clone(&self.inner));
        let Some(call::Request::Token(asked)) = call.request else {
            inner.metrics.count("unknown", 400);
            reply(failed(id, 400, "this cloudcore does not know what is asked".to_owned()));
            return;
        };
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            inner.metrics.count("token", 429);
            reply(failed(id, 429, "too many calls of this node are under way".to_owned()));
            return;
        };
        let deadline = match call.deadline_ms {
            0 => LONGEST,
            millis => Duration::from_millis(millis.into()).min(LONGEST),
        };
        let node = node.to_owned();
        let answering = Answering { id, reply: Some(Box::new(reply)), metrics: inner.metrics.clone() };
        // Where there is no room the task is dropped, and with it `answering`, which then says so.
        self.tasks.spawn(async move {
            let _permit = permit;
            let answer = tokio::select! {
                answer = inner.token(&node, &asked) => answer,
                () = inner.clock.sleep(deadline) => {
                    Err(Denied { status: 504, reason: "the API server did not answer in time".to_owned() })
                }
            };
            if let Err(Denied { status, reason }) = &answer {
                tracing::info!(
                    node,
                    pod = asked.pod_name,
                    namespace = asked.namespace,
                    status,
                    reason,
                    "no token"
                );
            }
            answering.end(answer);
        });
    }
}

/// A call that must be answered, whatever happens.
struct Answering {
    id: u64,
    reply: Option<Box<dyn FnOnce(CallReply) + Send>>,
    metrics: Metrics,
}

impl Answering {
    fn end(mut self, answer: Result<Vec<u8>, Denied>) {
        let Some(reply) = self.reply.take() else { return };
        match answer {
            Ok(body) => {
                self.metrics.count("token", 200);
                reply(CallReply { id: self.id, result: Some(Answer::Ok(body)) });
            }
            Err(Denied { status, reason }) => {
                self.metrics.count("token", status);
                reply(failed(self.id, status, reason));
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.metrics.count("token", 503);
            reply(failed(self.id, 503, "the call was given up".to_owned()));
        }
    }
}

fn failed(id: u64, status: u32, reason: String) -> CallReply {
    CallReply { id, result: Some(Answer::Err(Failure { status, reason })) }
}

impl Inner {
    /// The token, as the API server's whole TokenRequest.
    async fn token(&self, node: &str, asked: &TokenRequest) -> Result<Vec<u8>, Denied> {
        let path = path::SERVICE_ACCOUNTS.sub(&asked.namespace, &asked.service_account, "token");
        let client = self.client.as_node(node);
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut forbidden = 0;
        loop {
            // Each time anew: the pod may have ended since.
            self.check(node, asked).await?;
            let error = match client.create::<Value>(&path, &token::request(asked)).await {
                Ok(answer) => {
                    return serde_json::to_vec(&answer).map_err(|_| Denied {
                        status: 503,
                        reason: "the API server's answer is no JSON".to_owned(),
                    });
                }
                Err(error) => error,
            };
            let is_forbidden = error.code() == Some(403);
            forbidden += u32::from(is_forbidden);
            let may_pass = error.is_transient() || (is_forbidden && forbidden <= FORBIDDEN);
            if !may_pass {
                return Err(denied(&error));
            }
            let asked_for = error.status().and_then(|status| status.retry_after).unwrap_or_default();
            self.clock.sleep(backoff.next(kit::random::unit()).max(asked_for)).await;
        }
    }

    async fn check(&self, node: &str, asked: &TokenRequest) -> Result<(), Denied> {
        let pod = self.index.object(Kind::Pod, &asked.pod_uid);
        let Some((object, detail)) = pod.as_ref().and_then(|pod| Some((pod, pod.pod()?))) else {
            return Err(Denied { status: 404, reason: format!("pod {} does not exist", asked.pod_uid) });
        };
        // What is asked must not tell whether a pod of another node exists, nor cost a request.
        let own = *detail.node == *node;
        let body = match object.json() {
            Some(body) => body.map_err(|error| unavailable(&error))?,
            None if own => self.read(object).await?,
            None => Vec::new(),
        };
        let pod = PodFacts {
            key: &object.key,
            node: &detail.node,
            service_account: &detail.service_account,
            terminal: detail.terminal,
            body: &body,
        };
        token::check(node, asked, &pod)
    }
}

impl Inner {
    /// The pod as the API server has it: its body is kept only where it had to be sent. Another one of that name is none.
    async fn read(&self, pod: &Object) -> Result<Vec<u8>, Denied> {
        let path = path::PODS.object(&pod.key.namespace, &pod.key.name);
        let found: Value = match self.client.get(&path).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => Value::Null,
            Err(error) => return Err(unavailable(&error)),
        };
        if found.pointer("/metadata/uid").and_then(Value::as_str) != Some(&*pod.uid) {
            return Err(Denied { status: 404, reason: format!("pod {} does not exist", pod.uid) });
        }
        serde_json::to_vec(&found).map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Denied {
    Denied { status: 503, reason: kit::errors::chain(error) }
}

/// The API server's refusal, as one of the statuses that a call may end in.
fn denied(error: &KubeError) -> Denied {
    let status = match error.code() {
        Some(code @ (400 | 403 | 404 | 409 | 422)) => u32::from(code),
        _ => 503,
    };
    Denied { status, reason: kit::errors::chain(error) }
}
