//! The kernel's news of the network, in a network namespace of its own.

use std::process::Command;
use std::task::Poll;

use crate::rig::soon;

/// Re-runs one test of this binary in a new network namespace (and, for those who are not root, user namespace).
#[test]
fn a_change_is_news_and_quiet_is_not() {
    let binary = std::env::current_exe().unwrap();
    let run = Command::new("unshare")
        .args(["--map-root-user", "--net"])
        .arg(binary)
        .args(["--exact", "network::inside_a_namespace", "--ignored"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

#[tokio::test]
#[ignore = "run by a_change_is_news_and_quiet_is_not, where changing the network harms nobody"]
async fn inside_a_namespace() {
    let mut changes = link::network_changes().unwrap();
    assert!(futures::poll!(Box::pin(changes.next())).is_pending(), "nothing has changed yet");
    for change in ["link set lo up", "address add 192.0.2.1/24 dev lo", "route add 198.51.100.0/24 dev lo"] {
        ip(change);
        soon(changes.next()).await.unwrap();
        // What one command did may come as several messages, which are taken at once.
        while let Poll::Ready(more) = futures::poll!(Box::pin(changes.next())) {
            more.unwrap();
        }
    }
}
