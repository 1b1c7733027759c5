//! The way from a replica's client to the API server and back.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use tokio::sync::oneshot;
use tower::{BoxError, Service};

use super::requests::Request;
use super::{Api, Regime};
use crate::exec::{Actor, Handle};
use crate::trace::say;

/// One replica's way to the API server.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) api: Api,
    pub(crate) replica: usize,
    pub(crate) handle: Handle,
}

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

impl Service<http::Request<Body>> for Way {
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let way = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            let request = Request::parse(parts.method.as_str(), &parts.uri, &body);
            let (told, answer) = oneshot::channel();
            // What was sent goes its way, whether or not the sender lives to hear of it.
            let handle = way.handle.clone();
            handle.spawn(Actor::Api, async move {
                // Nobody may be there any more.
                drop(told.send(way.travel(request).await));
            });
            answer.await.map_err(|_| BoxError::from("the connection broke"))?
        })
    }
}

impl Way {
    fn regime(&self) -> Regime {
        self.api.state().regimes.get(self.replica).copied().unwrap_or_default()
    }

    async fn pass(&self) {
        let slow = self.regime().slow_ms;
        tokio::time::sleep(Duration::from_millis(self.api.rng.below(slow + 1))).await;
    }

    async fn travel(self, request: Request) -> Result<Answer, BoxError> {
        self.pass().await;
        let regime = self.regime();
        let chance = &self.api.rng;
        if regime.cut {
            tokio::time::sleep(Duration::from_secs(3)).await;
            return Err("no route to host".into());
        }
        if chance.per_mille(regime.fails) {
            return if chance.per_mille(regime.throttles) {
                Ok(refused(429, Some(chance.between(1, 3))))
            } else if chance.per_mille(500) {
                Ok(refused(503, None))
            } else {
                Err("connection reset by peer".into())
            };
        }
        if request.is_watch() {
            return Ok(self.open(&request));
        }
        let (code, answer) = self.api.serve(&request, self.replica);
        if request.method != "GET" {
            let (plural, _, name) = &request.key;
            say!(self.api.trace, "api", "{} {plural}/{name} {}: {code}", request.method, request.sub);
        }
        self.pass().await;
        if chance.per_mille(regime.loses) {
            return Err("connection reset by peer, after the effect".into());
        }
        Ok(whole(code, answer, None))
    }

    fn open(&self, request: &Request) -> Answer {
        let from = request.query("resourceVersion").and_then(|rv| rv.parse().ok()).unwrap_or(0);
        match self.api.watch(&request.key.0, from, self.replica) {
            Some(body) => Response::new(body.boxed_unsync()),
            None => whole(410, "{\"code\":410,\"reason\":\"Expired\"}".to_owned(), None),
        }
    }
}

fn refused(code: u16, after: Option<u64>) -> Answer {
    whole(code, "{\"message\":\"not now\"}".to_owned(), after)
}

fn whole(code: u16, text: String, after: Option<u64>) -> Answer {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    if let Some(after) = after.and_then(|after| after.to_string().parse().ok()) {
        answer.headers_mut().insert(http::header::RETRY_AFTER, after);
    }
    answer
}
