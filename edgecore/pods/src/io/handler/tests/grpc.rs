//! Health, asked of a server of gRPC on loopback, and of what is none.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{FutureExt, StreamExt, stream};
use kit::WallTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{NamedService, UnaryService};
use tonic::transport::Server;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(70);

/// An answer, which may be longer than any that the protocol knows.
#[derive(Clone, PartialEq, prost::Message)]
struct Padded {
    #[prost(int32, tag = "1")]
    status: i32,
    #[prost(bytes = "vec", tag = "2")]
    padding: Vec<u8>,
}

/// A server that answers by the service that is asked for.
#[derive(Clone)]
struct Health(fn(&str) -> Result<Padded, Status>);

impl NamedService for Health {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl UnaryService<HealthCheckRequest> for Health {
    type Response = Padded;
    type Future = std::future::Ready<Result<tonic::Response<Padded>, Status>>;

    fn call(&mut self, request: Request<HealthCheckRequest>) -> Self::Future {
        let agent = request.metadata().get("user-agent").unwrap().to_str().unwrap();
        assert!(agent.starts_with("kube-probe/1.37"), "{agent}");
        ready((self.0)(&request.into_inner().service).map(tonic::Response::new))
    }
}

impl Service<http::Request<Body>> for Health {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert_eq!(request.uri().path(), CHECK);
        let health = self.clone();
        let codec = ProstCodec::<Padded, HealthCheckRequest>::default();
        Box::pin(async move { Ok(tonic::server::Grpc::new(codec).unary(health, request).await) })
    }
}

fn said(status: i32) -> Padded {
    Padded { status, padding: Vec::new() }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Asks this address on a clock that nobody moves but the test.
async fn ask_at(clock: &Clock, address: SocketAddr, service: &str) -> Result<(), String> {
    check(clock, (&address.ip().to_string(), address.port()), service, TIMEOUT).await
}

/// Serves a connection until the one who asks has closed it.
async fn serve(mut client: TcpStream, health: Health) {
    let (near, far) = tokio::io::duplex(4096);
    let connections = stream::once(ready(Ok::<_, io::Error>(far))).chain(stream::pending());
    let server = Server::builder().add_service(health).serve_with_incoming(connections);
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = tokio::io::split(near);
    let answers = tokio::io::copy(&mut from_server, &mut to_client).then(|_| std::future::pending::<()>());
    tokio::select! {
        ended = server => panic!("{ended:?}"),
        () = answers => unreachable!("it is never over"),
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
    }
}

/// Asks a server for the health of a service; returns when the connection is closed.
async fn asked(service: &str, health: fn(&str) -> Result<Padded, Status>) -> Result<(), String> {
    let (listener, address) = listen().await;
    let clock = Clock::manual(WallTime(0));
    let server = async { serve(listener.accept().await.unwrap().0, Health(health)).await };
    tokio::join!(ask_at(&clock, address, service), server).0
}

#[tokio::test]
async fn serving_is_success_and_nothing_else_is() {
    let by_name = |service: &str| match service {
        "" | "serving" => Ok(said(1)),
        "unknown" => Ok(said(0)),
        "not-serving" => Ok(said(2)),
        "service-unknown" => Ok(said(3)),
        "of-tomorrow" => Ok(said(7)),
        _ => Err(Status::not_found("unknown service")),
    };
    assert_eq!(asked("", by_name).await, Ok(()));
    assert_eq!(asked("serving", by_name).await, Ok(()));
    for (service, words) in [
        ("unknown", r#"service unhealthy (responded with "UNKNOWN")"#),
        ("not-serving", r#"service unhealthy (responded with "NOT_SERVING")"#),
        ("service-unknown", r#"service unhealthy (responded with "SERVICE_UNKNOWN")"#),
        ("of-tomorrow", r#"service unhealthy (responded with "7")"#),
        ("other", "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"),
    ] {
        assert_eq!(asked(service, by_name).await, Err(words.to_owned()));
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_of_health_is_told_apart() {
    let words = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown method";
    let got = asked("", |_| Err(Status::unimplemented("unknown method"))).await;
    assert_eq!(got, Err(words.to_owned()));
}

#[tokio::test]
async fn a_server_that_gives_up_is_as_one_that_does_not_answer() {
    let got = asked("", |_| Err(Status::deadline_exceeded("busy"))).await;
    assert_eq!(got, Err("timeout: health rpc did not complete within 1m10s".to_owned()));
    let got = asked("", |_| Err(Status::cancelled("bye"))).await;
    let words = "error: health rpc probe failed: rpc error: code = Canceled desc = bye";
    assert_eq!(got, Err(words.to_owned()));
}

#[tokio::test]
async fn a_long_answer_is_not_read() {
    let got = asked("", |_| Ok(Padded { status: 1, padding: vec![0; MAX_ANSWER] })).await;
    let error = got.unwrap_err();
    let words = "error: health rpc probe failed: rpc error: code = OutOfRange desc = ";
    assert!(error.starts_with(words), "{error}");
    assert_eq!(asked("", |_| Ok(Padded { status: 1, padding: vec![0; MAX_ANSWER - 16] })).await, Ok(()));
}

/// Lets time pass, in small steps, as long as it is polled.
async fn time_passes(clock: &Clock) {
    loop {
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn nobody_there_is_waited_for_and_then_a_failure() {
    let (listener, address) = listen().await;
    drop(listener);
    let clock = Clock::manual(WallTime(0));
    let got = tokio::select! {
        got = ask_at(&clock, address, "") => got,
        () = time_passes(&clock) => unreachable!("it passes for ever"),
    };
    let words =
        format!("timeout: failed to connect service \"{address}\" within 1m10s: context deadline exceeded");
    assert_eq!(got, Err(words));
}

#[tokio::test]
async fn a_server_that_comes_up_in_time_is_found() {
    // An address of its own: nobody takes the port in between.
    let address = TcpListener::bind("127.0.46.1:0").await.unwrap().local_addr().unwrap();
    let (host, clock) = (address.ip().to_string(), Clock::manual(WallTime(0)));
    let asked = check(&clock, (&host, address.port()), "", Duration::from_hours(1000));
    let server = async {
        // Whether it was tried before is not seen from here; as a rule it was.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let listener = TcpListener::bind(address).await.unwrap();
        let (client, _) = tokio::select! {
            client = listener.accept() => client.unwrap(),
            () = time_passes(&clock) => unreachable!("it passes for ever"),
        };
        serve(client, Health(|_| Ok(said(1)))).await;
    };
    assert_eq!(tokio::join!(asked, server).0, Ok(()));
}

/// Reads until this was among it.
async fn read_until(stream: &mut TcpStream, wanted: &[u8]) {
    let mut read = Vec::new();
    while !read.windows(wanted.len()).any(|part| part == wanted) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "closed too soon: {read:?}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_fails_in_time_and_is_left() {
    let (listener, address) = listen().await;
    let clock = Clock::manual(WallTime(0));
    let silent = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"liveness").await;
        clock.advance(TIMEOUT);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    };
    let (got, ()) = tokio::join!(ask_at(&clock, address, "liveness"), silent);
    assert_eq!(got, Err("timeout: health rpc did not complete within 1m10s".to_owned()));
}

#[tokio::test]
async fn who_speaks_something_else_fails() {
    let (listener, address) = listen().await;
    let clock = Clock::manual(WallTime(0));
    let old = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"PRI * HTTP/2.0").await;
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let mut rest = Vec::new();
        // Closed or reset: it is left.
        let _ = stream.read_to_end(&mut rest).await;
    };
    let (got, ()) = tokio::join!(ask_at(&clock, address, ""), old);
    let error = got.unwrap_err();
    assert!(error.starts_with("error: health rpc probe failed: rpc error: code = "), "{error}");
}

#[tokio::test]
async fn what_is_no_address_is_no_service() {
    let clock = Clock::manual(WallTime(0));
    let error = check(&clock, ("no host", 5000), "", TIMEOUT).await.unwrap_err();
    assert!(error.starts_with("error: failed to connect service at \"no host:5000\": "), "{error}");
}
