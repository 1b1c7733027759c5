//! Requests over a pipe.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn ask(kubelet: &Kubelet, request: &[u8], shut: bool) -> String {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    kubelet.serve(far);
    near.write_all(request).await.unwrap();
    if shut {
        near.shutdown().await.unwrap();
    }
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn healthz_tells_what_is_dead() {
    let well = Kubelet::new(Vec::new);
    for shut in [false, true] {
        let answer = ask(&well, b"GET /healthz HTTP/1.1\r\nhost: edge\r\n\r\n", shut).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
    }
    let ill = Kubelet::new(|| vec!["pod engine: no round for 3 min".to_owned()]);
    let answer = ask(&ill, b"GET /healthz HTTP/1.1\r\nhost: edge\r\n\r\n", false).await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("pod engine: no round"), "{answer}");
}

#[tokio::test]
async fn one_request_a_stream_and_nothing_else_is_answered() {
    let kubelet = Kubelet::new(Vec::new);
    let two = b"GET /nothing HTTP/1.1\r\nhost: e\r\n\r\nGET /healthz HTTP/1.1\r\nhost: e\r\n\r\n";
    let answer = ask(&kubelet, two, true).await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
    assert!(ask(&kubelet, b"\x00\x01nonsense\r\n\r\n", true).await.starts_with("HTTP/1.1 400 "));
    assert!(
        ask(&kubelet, b"DELETE /healthz HTTP/1.1\r\nhost: e\r\n\r\n", true)
            .await
            .starts_with("HTTP/1.1 405 ")
    );
}

#[tokio::test]
async fn too_many_are_refused_and_room_comes_back() {
    let kubelet = Kubelet::new(Vec::new);
    let mut open = Vec::new();
    for _ in 0..MAX_REQUESTS {
        let (near, far) = tokio::io::duplex(64);
        kubelet.serve(far);
        open.push(near);
    }
    let (mut near, far) = tokio::io::duplex(64);
    kubelet.serve(far);
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0, "dropped");
    drop(open);
    while !kubelet.requests.is_empty() {
        tokio::task::yield_now().await;
    }
    let answer = ask(&kubelet, b"GET /healthz HTTP/1.1\r\nhost: e\r\n\r\n", false).await;
    assert!(answer.starts_with("HTTP/1.1 200 "));
}
