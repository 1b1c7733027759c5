//! One question to `grpc.health.v1.Health`, on a connection of its own.
//!
//! Upstream's `pkg/probe/grpc`; the messages are those of
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.

use std::time::Duration;

use http::uri::PathAndQuery;
use kit::Clock;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::http::authority;
use crate::restart::go_duration;

/// Longest answer; the longest that the protocol knows is eleven bytes.
const MAX_ANSWER: usize = 4 << 10;
/// Bytes that a server may send before any are taken: the least that HTTP/2 has for a connection.
const WINDOW: u32 = (64 << 10) - 1;
/// Between two attempts to connect. Upstream's client waits a second; a container that comes up is found sooner here.
const REDIAL: Duration = Duration::from_millis(500);
/// What is asked.
const CHECK: &str = "/grpc.health.v1.Health/Check";
/// The one answer that is success.
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    /// Empty means the server as a whole.
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    /// A number: enumerations are open.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Asks for the health of a service. Connecting and the answer have `timeout` together; as with upstream's client,
/// nobody there is no answer yet, and is tried again until then. `Err` is in upstream's words.
pub(super) async fn check(
    clock: &Clock,
    (host, port): (&str, u16),
    service: &str,
    timeout: Duration,
) -> Result<(), String> {
    let address = authority(host, port);
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent("kube-probe/1.37"))
        .map_err(|error| format!("error: failed to connect service at {address:?}: {error}"))?
        // The channel dials anew by itself where a server hangs up at once; that ends too.
        .connect_timeout(timeout)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let mut connected = false;
    let answer = async {
        let channel = connect(clock, &endpoint).await;
        connected = true;
        ask(channel, service).await
    };
    let answer = tokio::select! {
        answer = answer => Some(answer),
        () = clock.sleep(timeout) => None,
    };
    let within = go_duration(timeout);
    match answer {
        Some(Ok(status)) => healthy(status),
        Some(Err(status)) => Err(failure(&status, &within)),
        None if connected => Err(failure(&Status::deadline_exceeded(""), &within)),
        None => Err(format!(
            "timeout: failed to connect service {address:?} within {within}: context deadline exceeded"
        )),
    }
}

/// Whoever calls this limits its time.
async fn connect(clock: &Clock, endpoint: &Endpoint) -> Channel {
    loop {
        match endpoint.connect().await {
            Ok(channel) => return channel,
            Err(error) => tracing::trace!(error = kit::errors::chain(&error), "nobody there yet"),
        }
        clock.sleep(REDIAL).await;
    }
}

/// The channel ends with this call, and its connection with it.
async fn ask(channel: Channel, service: &str) -> Result<i32, Status> {
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX_ANSWER);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let request = Request::new(HealthCheckRequest { service: service.to_owned() });
    let codec = ProstCodec::<_, HealthCheckResponse>::default();
    let answer = client.unary(request, PathAndQuery::from_static(CHECK), codec).await?;
    Ok(answer.into_inner().status)
}

fn healthy(status: i32) -> Result<(), String> {
    match status {
        SERVING => Ok(()),
        other => Err(format!("service unhealthy (responded with {:?})", name(other))),
    }
}

/// A status as protobuf prints it: one without a name by its number.
fn name(status: i32) -> String {
    match status {
        0 => "UNKNOWN".to_owned(),
        SERVING => "SERVING".to_owned(),
        2 => "NOT_SERVING".to_owned(),
        3 => "SERVICE_UNKNOWN".to_owned(),
        other => other.to_string(),
    }
}

/// A call that came to nothing.
fn failure(status: &Status, within: &str) -> String {
    let (code, message) = (status.code(), status.message());
    if code == Code::Unimplemented {
        let words = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)";
        return format!("{words}: {message}");
    }
    if code == Code::DeadlineExceeded {
        return format!("timeout: health rpc did not complete within {within}");
    }
    // The one code that Go spells otherwise.
    let code = if code == Code::Cancelled { "Canceled".to_owned() } else { format!("{code:?}") };
    format!("error: health rpc probe failed: rpc error: code = {code} desc = {message}")
}

#[cfg(test)]
#[path = "tests/grpc.rs"]
mod tests;
