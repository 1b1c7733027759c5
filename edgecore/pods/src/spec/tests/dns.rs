//! resolv.conf, policy by policy.

use super::*;
use serde_json::{Value, json};

const HOST: &str = "# made by hand\nnameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch old.example\n\
                    search lan.example. corp.example .\noptions timeout:2 edns0\noptions timeout:3\nsortlist x\n";

fn of(spec: &Value, cluster: &[&str]) -> (Dns, Vec<Warning>) {
    let mut spec = spec.clone();
    spec["containers"] = json!([]);
    let pod = json!({"metadata": {"name": "p", "namespace": "shop", "uid": "u"}, "spec": spec});
    let node = NodeFacts {
        cluster_dns: cluster.iter().map(|ip| (*ip).to_owned()).collect(),
        cluster_domain: "cluster.local".to_owned(),
        resolv_conf: HOST.to_owned(),
        ..NodeFacts::default()
    };
    dns(&serde_json::from_str(&pod.to_string()).unwrap(), &node)
}

fn host() -> Dns {
    Dns {
        servers: vec!["192.0.2.53".to_owned(), "192.0.2.54".to_owned()],
        searches: vec!["lan.example".to_owned(), "corp.example".to_owned()],
        options: vec!["timeout:3".to_owned(), "edns0".to_owned()],
    }
}

#[test]
fn the_hosts_configuration_is_read_as_resolvers_do() {
    assert_eq!(of(&json!({"dnsPolicy": "Default"}), &["10.96.0.10"]), (host(), Vec::new()));
}

#[test]
fn the_clusters_server_comes_with_its_domains() {
    let (dns, warnings) = of(&json!({"dnsPolicy": "ClusterFirst"}), &["10.96.0.10"]);
    assert_eq!(dns.servers, ["10.96.0.10"]);
    assert_eq!(
        dns.searches,
        ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "lan.example", "corp.example"]
    );
    assert_eq!(dns.options, ["ndots:5"]);
    assert_eq!(warnings, []);
}

#[test]
fn without_a_cluster_server_it_is_the_hosts_and_said_so() {
    let (dns, warnings) = of(&json!({}), &[]);
    assert_eq!(dns, host());
    assert_eq!(warnings[0].reason, "MissingClusterDNS");
    assert!(warnings[0].message.contains(r#"pod: "p_shop(u)""#), "{}", warnings[0].message);
}

#[test]
fn on_the_hosts_network_it_is_the_hosts_unless_asked_otherwise() {
    let spec = |policy: &str| json!({"hostNetwork": true, "dnsPolicy": policy});
    assert_eq!(of(&spec("ClusterFirst"), &["10.96.0.10"]).0, host());
    assert_eq!(of(&spec("ClusterFirstWithHostNet"), &["10.96.0.10"]).0.servers, ["10.96.0.10"]);
    assert_eq!(of(&spec("ClusterFirst"), &[]).1, []);
}

#[test]
fn what_the_pod_says_is_added() {
    let config = json!({
        "nameservers": ["192.0.2.54", "1.1.1.1"],
        "searches": ["my.example", "lan.example"],
        "options": [{"name": "timeout", "value": "9"}, {"name": "rotate"}],
    });
    let (dns, _) = of(&json!({"dnsPolicy": "Default", "dnsConfig": config}), &[]);
    assert_eq!(dns.servers, ["192.0.2.53", "192.0.2.54", "1.1.1.1"]);
    assert_eq!(dns.searches, ["lan.example", "corp.example", "my.example"]);
    assert_eq!(dns.options, ["timeout:9", "edns0", "rotate"]);
    let (dns, _) = of(&json!({"dnsPolicy": "None", "dnsConfig": config}), &[]);
    assert_eq!(dns.servers, ["192.0.2.54", "1.1.1.1"]);
}

#[test]
fn what_resolvers_do_not_take_is_cut_off_and_said_so() {
    let many: Vec<String> = (0..40).map(|n| format!("{n}.{}.example", "x".repeat(60))).collect();
    let config = json!({"nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"], "searches": many});
    let (dns, warnings) = of(&json!({"dnsPolicy": "None", "dnsConfig": config}), &[]);
    assert_eq!(dns.servers.len(), 3);
    assert!(dns.searches.len() < 32 && dns.searches.join(" ").len() <= 2048);
    assert_eq!(warnings.iter().map(|warning| warning.reason).collect::<Vec<_>>(), ["DNSConfigForming"; 2]);
    assert_eq!(
        warnings[0].message,
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: \
         1.1.1.1 2.2.2.2 3.3.3.3"
    );
    let prefix = "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: 0.x";
    assert!(warnings[1].message.starts_with(prefix), "{}", warnings[1].message);
    let long = json!({"searches": ["x".repeat(254), "ok.example"]});
    let (dns, warnings) = of(&json!({"dnsPolicy": "None", "dnsConfig": long}), &[]);
    assert_eq!((dns.searches, warnings.len()), (vec!["ok.example".to_owned()], 1));
}
