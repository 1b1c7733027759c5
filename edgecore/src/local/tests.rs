//! A real socket, a real store, and a runtime in memory.

use super::*;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use edgecore_pods::fake::Fake;
use edgecore_sync::Phase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A user who is nobody here.
const SOMEBODY: u32 = 65_534;

fn local(dir: &Path) -> Local<Fake> {
    let clock = Clock::system();
    let store = Store::open(&dir.join("state"), clock.clone()).unwrap().store;
    let about = edgecore_kubelet::About {
        node_name: "edge-1".to_owned(),
        kubelet_version: "v1".to_owned(),
        state_dir: dir.join("state"),
        pod_logs_dir: dir.join("logs"),
        machine: edgecore_kubelet::Machine::default(),
        configuration: edgecore_kubelet::Configuration::default(),
        probes: edgecore_pods::probe_counts::ProbeCounts::default(),
        own_metrics: Box::new(String::new),
    };
    let parts = edgecore_kubelet::Parts::new(store.clone(), Fake::default(), clock.clone(), Vec::new, about);
    Local {
        path: dir.join("run/edgecore.sock"),
        node: "edge-1".to_owned(),
        store,
        link: LinkStatus::default(),
        clock,
        kubelet: Kubelet::new(parts),
    }
}

/// Serves for as long as the work takes.
async fn beside<T>(local: Local<Fake>, work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        () = local.forever() => panic!("it ended"),
    }
}

/// A connection, once somebody listens.
async fn connect(path: &Path) -> UnixStream {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => break stream,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn get(path: &Path, page: &str) -> String {
    let mut stream = connect(path).await;
    stream.write_all(format!("GET {page} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn root_and_the_own_user_are_let_in() {
    assert!(may(0, 0) && may(0, 1000) && may(1000, 1000));
    assert!(!may(1000, 0) && !may(1001, 1000));
}

#[tokio::test]
async fn the_status_is_served_and_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let local = local(dir.path());
    let (path, id) = (local.path.clone(), local.store.meta().store_id);
    assert!(status(&path).await.unwrap().is_none(), "nobody serves yet");
    let shutdown = Shutdown::new();
    let serving = local.serve(shutdown.clone());
    tokio::pin!(serving);
    let asking = async {
        loop {
            match status(&path).await.unwrap() {
                Some(view) => break view,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let view = tokio::select! {
        view = asking => view,
        _ = &mut serving => panic!("it ended"),
    };
    assert_eq!((view.status.node.as_str(), &view.ledger), ("edge-1", &id));
    assert_eq!(view.status.link.state, Phase::Disconnected.name());
    let names: Vec<_> = view.status.streams.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(names, ["events", "messages", "readings", "reports"]);
    shutdown.request("the test ends");
    serving.await.unwrap();
    assert!(status(&path).await.unwrap().is_none(), "what was left answers nobody");
}

#[tokio::test]
async fn the_kubelets_pages_are_there_beside_the_agents_own() {
    let dir = tempfile::tempdir().unwrap();
    let local = local(dir.path());
    let path = local.path.clone();
    beside(local, async {
        for (page, status, words) in [
            ("/pods", "200", r#""kind":"PodList""#),
            ("/healthz", "200", "ok"),
            ("/v1/now", "200", "Z"),
            ("/containerLogs/n/p/c", "404", "pod \"p\" does not exist"),
            ("/v1/else", "404", "not found"),
        ] {
            let answer = get(&path, page).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words), "{answer}");
        }
        let time = now(&path).await.unwrap().unwrap();
        assert!((Clock::system().wall().0 - time.0).abs() < 60_000);
    })
    .await;
}

/// What somebody else than root is answered, on a thread of his own: the kernel keeps users by the thread.
fn as_somebody(path: &Path) -> std::io::Result<String> {
    let user = rustix::thread::Uid::from_raw(SOMEBODY);
    rustix::thread::set_thread_res_uid(user, user, user)?;
    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.write_all(b"GET /pods HTTP/1.1\r\nhost: x\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn somebody_else_is_kept_out_by_the_file_and_by_the_kernels_word() {
    let dir = tempfile::tempdir().unwrap();
    let local = local(dir.path());
    let path = local.path.clone();
    let ask = || {
        let path = path.clone();
        tokio::task::spawn_blocking(move || {
            let asked = std::thread::spawn(move || as_somebody(&path));
            asked.join().unwrap()
        })
    };
    beside(local, async {
        drop(connect(&path).await);
        let error = ask().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
        // Whatever becomes of the modes, the kernel says who it is.
        for (path, mode) in [(dir.path(), 0o755), (path.parent().unwrap(), 0o755), (&path, 0o666)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let answer = ask().await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("PodList"), "{answer}");
        assert!(answer.ends_with("only root and user 0 may ask, and this is user 65534"), "{answer}");
        assert!(get(&path, "/pods").await.starts_with("HTTP/1.1 200 "), "others are served on");
    })
    .await;
}

#[tokio::test]
async fn too_many_are_told_so_and_room_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let local = local(dir.path());
    let path = local.path.clone();
    beside(local, async {
        let mut open = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            open.push(connect(&path).await);
        }
        let answer = get(&path, "/pods").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("requests run already"), "{answer}");
        drop(open);
        while !get(&path, "/pods").await.starts_with("HTTP/1.1 200 ") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
