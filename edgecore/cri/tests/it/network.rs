//! Pods with an address of their own, by the network configuration that the agent writes.

use std::fs;
use std::time::Duration;

use edgecore_pods::runtime::{PortMapping, Runtime};

use crate::daemon::{Daemon, container};

#[tokio::test]
async fn pods_have_addresses_and_reach_each_other() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let written = edgecore_node::cni::conflist(&["10.244.7.0/24".parse().unwrap()]);
    fs::write(daemon.path("cni/10-skerry.conflist"), written).unwrap();
    daemon.health(edgecore_cri::Health::is_good).await;

    let mut server = daemon.sandbox("u1", false);
    server.ports = vec![PortMapping {
        protocol: "TCP".to_owned(),
        container_port: 8080,
        host_port: 18080,
        host_ip: String::new(),
    }];
    let sandbox = cri.run_sandbox(&server).await.unwrap();
    let ips = cri.sandbox_ips(&sandbox).await.unwrap();
    assert_eq!(ips.len(), 1, "{ips:?}");
    assert!(ips[0].starts_with("10.244.7."), "{ips:?}");
    let line = "mkdir -p /tmp/w; echo page > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w";
    let id = cri.create_container(&sandbox, &server, &container(&server, "web", line)).await.unwrap();
    cri.start_container(&id).await.unwrap();

    let client = daemon.sandbox("u2", false);
    let other = cri.run_sandbox(&client).await.unwrap();
    let id = cri.create_container(&other, &client, &container(&client, "c", "sleep 1000")).await.unwrap();
    cri.start_container(&id).await.unwrap();
    // From pod to pod, and from the node to the pod, by its address and by the port of the node.
    let ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc $0 $1";
    let command = ["/bin/sh", "-c", ask, &ips[0], "8080"].map(str::to_owned);
    daemon
        .eventually("page from pod to pod", async || {
            let result = cri.exec(&id, &command, Duration::from_secs(10)).await.unwrap();
            result.stdout.ends_with(b"page\n").then_some(())
        })
        .await;
    for (address, port) in [(ips[0].as_str(), "8080"), ("10.244.7.1", "18080")] {
        let page = daemon.inside(&[
            "bash",
            "-c",
            "exec 3<>/dev/tcp/$0/$1; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3",
            address,
            port,
        ]);
        assert!(page.ends_with("page\n"), "{address}:{port}: {page}");
    }
    cri.stop_sandbox(&sandbox).await.unwrap();
    assert!(cri.sandbox_ips(&sandbox).await.unwrap().is_empty());
}
