//! Who does not get in, and what both sides say about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use link::{Config, ConnectError, LinkError, connect};
use pki::Authority;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Rig, endpoint, identity, soon};

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused_with_a_reason_on_both_sides() {
    let mut rig = Rig::new(Config::default()).await;
    let other = Authority::create(rig.clock.wall()).unwrap();
    let stranger = identity(&other, "edge-1", rig.clock.wall());
    let client = pki::link_client(&stranger, rig.authority.certificate_pem(), &rig.clock).unwrap();
    let endpoint = rig.endpoint();
    let config = Config::default();
    let accepted = async { rig.listener.accept().await.handshake().await.unwrap_err() };
    let (edge, cloud) = soon(async { tokio::join!(connect(&endpoint, client, &config), accepted) }).await;
    let ConnectError::Refused { reason, .. } = edge.unwrap_err() else { panic!("not refused") };
    assert!(reason.contains("alert"), "{reason}");
    assert!(cloud.reason.contains("certificate"), "{}", cloud.reason);
}

#[tokio::test]
async fn a_cloud_of_another_ca_is_refused_by_the_edge() {
    let mut rig = Rig::new(Config::default()).await;
    let other = Authority::create(rig.clock.wall()).unwrap();
    let client = pki::link_client(&rig.identity("edge-1"), other.certificate_pem(), &rig.clock).unwrap();
    let endpoint = rig.endpoint();
    let config = Config::default();
    let accepted = async { rig.listener.accept().await.handshake().await.unwrap_err() };
    let (edge, _cloud) = soon(async { tokio::join!(connect(&endpoint, client, &config), accepted) }).await;
    let ConnectError::Refused { reason, .. } = edge.unwrap_err() else { panic!("not refused") };
    assert!(reason.contains("UnknownIssuer"), "{reason}");
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let mut rig = Rig::new(Config::default()).await;
    let old = ClientConfig::builder_with_provider(pki::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let address = rig.listener.address();
    let connecting = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(old)).connect(name, tcp).await.unwrap_err().to_string()
    };
    let accepting = async { rig.listener.accept().await.handshake().await.unwrap_err().reason };
    let (edge, cloud) = soon(async { tokio::join!(connecting, accepting) }).await;
    assert!(edge.contains("ProtocolVersion") && cloud.contains("TLS"), "{edge}, {cloud}");
}

#[tokio::test]
async fn any_other_path_is_not_found() {
    let mut rig = Rig::new(Config::default()).await;
    let client = rig.client("edge-1");
    let address = rig.listener.address();
    let asking = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(client).connect(name, tcp).await.unwrap();
        tokio_tungstenite::client_async("wss://127.0.0.1/v1/other", stream).await.unwrap_err().to_string()
    };
    let accepting = async { rig.listener.accept().await.handshake().await.unwrap_err().reason };
    let (edge, _cloud) = soon(Box::pin(async { tokio::join!(asking, accepting) })).await;
    assert!(edge.contains("404"), "{edge}");
}

#[tokio::test]
async fn nobody_there_and_a_closed_port_are_told_apart() {
    let rig = Rig::new(Config::default()).await;
    let config = Config { connect_within: Duration::from_millis(200), ..Config::default() };
    // Bound and dropped: the port answers with a reset.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = soon(connect(&endpoint(free), rig.client("edge-1"), &config)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    let error =
        soon(connect(&"wss://name.invalid:1/v1/connect".parse().unwrap(), rig.client("e"), &config)).await;
    assert!(matches!(error, Err(ConnectError::NoAnswer { .. })), "{error:?}");
}

/// Takes one TCP connection and answers its first bytes with these, or never.
async fn answering(answer: Option<&'static [u8]>) -> (SocketAddr, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        if let Some(answer) = answer {
            stream.write_all(answer).await.unwrap();
        }
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
    })
}

#[tokio::test]
async fn a_peer_that_hangs_in_the_handshake_does_not_answer_and_one_that_speaks_nonsense_refuses() {
    let rig = Rig::new(Config::default()).await;
    let config = Config { handshake_within: Duration::from_millis(200), ..Config::default() };
    let (address, silent) = answering(None).await;
    let to = endpoint(address);
    let (edge, ()) = soon(async { tokio::join!(connect(&to, rig.client("edge-1"), &config), silent) }).await;
    assert!(matches!(edge, Err(ConnectError::NoAnswer { .. })), "{edge:?}");
    let (address, nonsense) = answering(Some(b"SSH-2.0-x\r\n")).await;
    let to = endpoint(address);
    let (edge, ()) =
        soon(async { tokio::join!(connect(&to, rig.client("edge-1"), &config), nonsense) }).await;
    assert!(matches!(edge, Err(ConnectError::Refused { .. })), "{edge:?}");
}

#[tokio::test]
async fn a_slow_peer_is_let_go_and_keeps_nobody_waiting() {
    let mut rig =
        Rig::new(Config { handshake_within: Duration::from_millis(300), ..Config::default() }).await;
    let _slow = TcpStream::connect(rig.listener.address()).await.unwrap();
    let slow = rig.listener.accept().await;
    let (edge, _cloud) = rig.pair(&Config::default()).await;
    assert_eq!(edge.peer.address, rig.listener.address());
    let error = soon(slow.handshake()).await.unwrap_err();
    assert!(error.reason.contains("within"), "{error}");
}

/// A websocket that is no edge of ours, towards the cloud's end.
async fn stranger(
    rig: &mut Rig,
) -> (tokio_tungstenite::WebSocketStream<impl AsyncWriteRead>, link::Connection) {
    let address = rig.listener.address();
    let client = rig.client("edge-1");
    let connecting = async move {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(client).connect(name, tcp).await.unwrap();
        tokio_tungstenite::client_async("wss://127.0.0.1/v1/connect", stream).await.unwrap().0
    };
    let accepting = async { rig.listener.accept().await.handshake().await.unwrap() };
    soon(Box::pin(async { tokio::join!(connecting, accepting) })).await
}

trait AsyncWriteRead: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> AsyncWriteRead for T {}

#[tokio::test]
async fn malformed_input_ends_that_session_with_a_reason_and_no_other() {
    let mut rig = Rig::new(Config::default()).await;
    let (edge, cloud) = rig.pair(&Config::default()).await;
    let (edge_out, _edge_in, _edge_streams) = edge.split();
    let (_cloud_out, mut cloud_in, _cloud_streams) = cloud.split();
    let long = vec![3_u8; 20_000];
    for bad in [
        Message::text("text"),
        Message::binary(Vec::new()),
        Message::binary(long),
        // The last half of nothing is a frame; an empty piece with more to come is not.
        Message::binary(vec![2_u8]),
        // Streams that the cloud never opened.
        Message::binary(b"\x04PRI * HTTP/2.0".to_vec()),
    ] {
        let (mut socket, cloud) = Box::pin(stranger(&mut rig)).await;
        let (_out, mut input, _streams) = cloud.split();
        let shown = format!("{:?}", bad.to_string().chars().take(20).collect::<String>());
        socket.send(bad).await.unwrap();
        let error = soon(input.recv()).await.unwrap_err();
        assert!(matches!(error, LinkError::Malformed(_)), "{shown}: {error}");
        let told = soon(async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => break frame.reason.as_str().to_owned(),
                    Some(Ok(_)) => {}
                    other => panic!("{shown}: {other:?}"),
                }
            }
        })
        .await;
        assert!(told.contains("broke the protocol"), "{shown}: {told}");
    }
    // Of a kind that only a newer peer knows: skipped.
    let (mut socket, cloud) = Box::pin(stranger(&mut rig)).await;
    let (_out, mut input, _streams) = cloud.split();
    socket.send(Message::binary(vec![99_u8, 1, 2])).await.unwrap();
    socket.send(Message::binary(vec![3_u8, 42])).await.unwrap();
    assert_eq!(soon(input.recv()).await.unwrap().unwrap(), [42]);
    // The first session lives.
    edge_out.send(b"alive".to_vec()).await.unwrap();
    assert_eq!(soon(cloud_in.recv()).await.unwrap().unwrap(), b"alive");
}

#[tokio::test]
async fn garbage_for_the_multiplexer_ends_that_session() {
    let mut rig = Rig::new(Config::default()).await;
    let (mut socket, cloud) = Box::pin(stranger(&mut rig)).await;
    let (_out, mut input, streams) = cloud.split();
    let opening = async {
        let opened = streams.open().await;
        let failed = input.recv().await.unwrap_err();
        (opened, failed)
    };
    let answering = async {
        socket.send(Message::binary(vec![4_u8; 200])).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    };
    let ((_opened, failed), ()) = soon(async { tokio::join!(opening, answering) }).await;
    assert!(matches!(&failed, LinkError::Malformed(why) if why.contains("streams")), "{failed}");
}
