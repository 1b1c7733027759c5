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
    let gateway = "10.244.7.1";
    for address in [format!("{}:8080", ips[0]), format!("{gateway}:18080")] {
        let command = ["wget", "-q", "-O", "-", "-T", "2", &format!("http://{address}/")].map(str::to_owned);
        let page = daemon
            .eventually("page", async || {
                let result = cri.exec(&id, &command, Duration::from_secs(10)).await.unwrap();
                (result.exit_code == 0).then_some(result.stdout)
            })
            .await;
        assert_eq!(page, b"page\n", "{address}");
    }
    cri.stop_sandbox(&sandbox).await.unwrap();
    assert!(cri.sandbox_ips(&sandbox).await.unwrap().is_empty());
}
