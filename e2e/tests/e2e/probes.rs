//! Probes over TLS, against a server whose certificate nobody vouches for, as upstream's kubelet allows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use http_body_util::Full;
use hyper::{Response, StatusCode};
use kit::Clock;
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use crate::server::Server;
use crate::world::{EDGE, World};

#[test]
fn a_probe_over_https_asks_whoever_answers_and_takes_its_word() {
    let world = World::new("https-probe");
    let address = world.lab.id().unwrap().host_address();
    let clock = Clock::system();
    let serving = pki::Authority::create(clock.wall()).unwrap();
    let serving = serving.issue_serving(&["elsewhere.example".to_owned()], clock.wall()).unwrap();
    let tls = TlsAcceptor::from(pki::join_server(&serving, &clock).unwrap());
    let (status, asked) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU64::new(0)));
    let (told, counted) = (Arc::clone(&status), Arc::clone(&asked));
    let server = Server::start(address.into(), Some(tls), move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::from_u16(told.load(Ordering::SeqCst)).unwrap_or_default();
        response
    })
    .unwrap();
    let probe = json!({
        "httpGet": {"scheme": "HTTPS", "host": address.to_string(), "port": server.address.port(), "path": "/well"},
        "periodSeconds": 1, "failureThreshold": 1,
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probed", "labels": {"app": "probed"}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": EDGE}, "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": "docker.io/library/busybox:latest", "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "1000000"], "readinessProbe": probe,
            }],
        },
    });
    world.apply(&pod.to_string());
    let before = world.ready("app=probed", 1).remove(0);
    assert!(asked.load(Ordering::SeqCst) > 0, "Ready because the server said so");
    status.store(503, Ordering::SeqCst);
    world.wait("not Ready", || Ok(!world.pod("probed")?.ready));
    status.store(200, Ordering::SeqCst);
    assert_eq!(world.ready("app=probed", 1).remove(0).life(), before.life());
}
