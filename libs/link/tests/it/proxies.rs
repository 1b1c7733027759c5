//! Through a proxy, and what a proxy may do instead.

use std::net::SocketAddr;
use std::time::Duration;

use link::{Config, ConnectError, Proxies, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{Rig, soon};

/// What the proxy answers: leads on, or says this.
#[derive(Clone, Copy)]
enum Manner {
    Leads,
    Says(&'static str),
    Hangs,
}

/// A proxy for those who know the password; its address.
async fn proxy(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async move {
        let (mut edge, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(edge.read_buf(&mut request).await.unwrap(), 0);
        }
        let request = String::from_utf8(request).unwrap();
        let target =
            request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        let knows = request.contains("\r\nProxy-Authorization: Basic dXNlcjpodXNo\r\n");
        match manner {
            _ if !knows => {
                edge.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
            }
            Manner::Says(answer) => edge.write_all(answer.as_bytes()).await.unwrap(),
            Manner::Hangs => std::future::pending().await,
            Manner::Leads => {
                let mut cloud = TcpStream::connect(&target).await.unwrap();
                edge.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                // Either end may go first.
                let _ = tokio::io::copy_bidirectional(&mut edge, &mut cloud).await;
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the proxy ends with the test's runtime")]
    tokio::spawn(serving);
    address
}

fn through(address: SocketAddr, user: &str) -> Config {
    let url = format!("http://{user}@{address}");
    let proxies = Proxies::from_variables(|name| (name == "HTTPS_PROXY").then(|| url.clone())).unwrap();
    Config { proxies, handshake_within: Duration::from_secs(1), ..Config::default() }
}

async fn fails(manner: Manner, user: &str) -> ConnectError {
    let rig = Rig::new(Config::default()).await;
    let config = through(proxy(manner).await, user);
    soon(connect(&rig.endpoint(), rig.client("edge-1"), &config)).await.unwrap_err()
}

#[tokio::test]
async fn a_session_goes_through_a_proxy_that_wants_a_password() {
    let mut rig = Rig::new(Config::default()).await;
    let config = through(proxy(Manner::Leads).await, "user:hush");
    let (edge, cloud) = rig.pair(&config).await;
    assert_eq!(cloud.peer.identity.as_ref().map(|identity| identity.node.as_str()), Some("edge-1"));
    let ((sender, _edge, _a), (_cloud, mut receiver, _b)) = (edge.split(), cloud.split());
    sender.send(vec![7; 100_000]).await.unwrap();
    assert_eq!(soon(receiver.recv()).await.unwrap(), Some(vec![7; 100_000]));
}

#[tokio::test]
async fn what_a_proxy_says_is_told_with_its_name_and_without_the_password() {
    let closed = fails(Manner::Leads, "user:guess").await;
    assert!(matches!(&closed, ConnectError::Refused { reason, .. } if reason.contains("407")), "{closed}");
    let beyond = fails(Manner::Says("HTTP/1.1 503 Service Unavailable\r\n\r\n"), "user:hush").await;
    assert!(matches!(&beyond, ConnectError::NoAnswer { reason, .. } if reason.contains("503")), "{beyond}");
    let other = fails(Manner::Says("SSH-2.0-OpenSSH\r\n\r\n"), "user:hush").await;
    assert!(matches!(&other, ConnectError::Refused { reason, .. } if reason.contains("no HTTP")), "{other}");
    let silent = fails(Manner::Hangs, "user:hush").await;
    assert!(
        matches!(&silent, ConnectError::NoAnswer { reason, .. } if reason.contains("no answer")),
        "{silent}"
    );
    let endless: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(9_000)).into_boxed_str());
    let long = fails(Manner::Says(endless), "user:hush").await;
    assert!(
        matches!(&long, ConnectError::Refused { reason, .. } if reason.contains("longer than")),
        "{long}"
    );
    for error in [closed, beyond, other, silent, long] {
        let text = error.to_string();
        assert!(
            text.contains("proxy 127.0.0.1:") && !text.contains("hush") && !text.contains("guess"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let rig = Rig::new(Config::default()).await;
    let gone = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let error = connect(&rig.endpoint(), rig.client("edge-1"), &through(gone, "u:p")).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Refused { reason, .. } if reason.contains(&format!("proxy {gone}"))),
        "{error}"
    );
}
