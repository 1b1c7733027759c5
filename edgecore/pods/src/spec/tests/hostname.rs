//! Names, and the file they stand in.

use super::*;
use serde_json::{Value, json};

fn pod(name: &str, spec: &Value) -> Pod {
    let mut spec = spec.clone();
    spec["containers"] = json!([]);
    let pod = json!({"metadata": {"name": name, "namespace": "shop", "uid": "u"}, "spec": spec});
    serde_json::from_str(&pod.to_string()).unwrap()
}

fn node() -> NodeFacts {
    NodeFacts {
        cluster_domain: "cluster.local".to_owned(),
        hosts: "127.0.0.1 localhost edge-1\n".to_owned(),
        ..NodeFacts::default()
    }
}

fn kernel(name: &str, spec: &Value) -> Result<String, String> {
    kernel_name(&pod(name, spec), &node()).map_err(|error| error.message)
}

#[test]
fn a_pod_is_called_by_its_name_or_as_it_says() {
    assert_eq!(kernel("web-0", &json!({})).unwrap(), "web-0");
    assert_eq!(kernel("web-0", &json!({"hostname": "own"})).unwrap(), "own");
    let long = format!("{}.-{}", "x".repeat(61), "y".repeat(20));
    assert_eq!(kernel(&long, &json!({})).unwrap(), "x".repeat(61));
    assert!(
        kernel("p", &json!({"hostname": "Not.A.Label"})).unwrap_err().contains("is not a valid DNS label")
    );
    assert!(kernel("p", &json!({"subdomain": "-x"})).unwrap_err().contains("Subdomain"));
    assert!(kernel(&".".repeat(70), &json!({})).unwrap_err().contains("was invalid"));
}

#[test]
fn the_full_name_only_where_asked_and_short_enough() {
    let spec = |subdomain: &str, full: bool| json!({"subdomain": subdomain, "setHostnameAsFQDN": full});
    assert_eq!(kernel("web-0", &spec("web", false)).unwrap(), "web-0");
    assert_eq!(kernel("web-0", &spec("web", true)).unwrap(), "web-0.web.shop.svc.cluster.local");
    assert_eq!(kernel("web-0", &json!({"setHostnameAsFQDN": true})).unwrap(), "web-0");
    let error = kernel("web-0", &spec(&"x".repeat(60), true)).unwrap_err();
    assert!(error.ends_with("is too long (64 characters is the max, 89 characters requested)"), "{error}");
}

#[test]
fn a_name_that_stands_above_all_others_is_taken_as_it_is() {
    let spec = |name: &str| json!({"hostname": "own", "subdomain": "web", "hostnameOverride": name});
    assert_eq!(kernel("web-0", &spec("db")).unwrap(), "db");
    assert_eq!(kernel("web-0", &spec("db.example.host")).unwrap(), "db.example.host");
    let text = etc_hosts(&pod("web-0", &spec("db.example.host")), &node(), &["10.1.0.5".to_owned()]);
    assert!(text.unwrap().unwrap().ends_with("fe00::2\tip6-allrouters\n10.1.0.5\tdb.example.host\n"));
    // The API server takes 64 characters; the kubelet keeps 63, and no dot at their end.
    let long = format!("{}.{}", "x".repeat(62), "y");
    assert_eq!(kernel("web-0", &spec(&long)).unwrap(), "x".repeat(62));
    assert_eq!(kernel("web-0", &spec(&"x".repeat(64))).unwrap(), "x".repeat(63));
    for wrong in ["", "Not-RFC1123", "a..b", ".a", "a.", "a.-b", "a_b"] {
        let want = format!("pod HostnameOverride {wrong:?} is not a valid DNS subdomain");
        assert_eq!(kernel("web-0", &spec(wrong)).unwrap_err(), want);
    }
}

#[test]
fn hosts_hold_the_pods_addresses_and_aliases() {
    let spec = json!({
        "subdomain": "web",
        "hostAliases": [{"ip": "192.0.2.9", "hostnames": ["db", "db.example"]}, {"ip": "192.0.2.8"}],
    });
    let ips = ["10.1.0.5".to_owned(), "fd00::5".to_owned()];
    let text = etc_hosts(&pod("web-0", &spec), &node(), &ips).unwrap().unwrap();
    assert_eq!(
        text,
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n\
         10.1.0.5\tweb-0.web.shop.svc.cluster.local\tweb-0\nfd00::5\tweb-0.web.shop.svc.cluster.local\tweb-0\n\
         \n# Entries added by HostAliases.\n192.0.2.9\tdb\tdb.example\n192.0.2.8\t\n"
    );
    let plain = etc_hosts(&pod("web-0", &json!({})), &node(), &ips[..1]).unwrap().unwrap();
    assert!(plain.ends_with("fe00::2\tip6-allrouters\n10.1.0.5\tweb-0\n"));
    assert_eq!(etc_hosts(&pod("web-0", &json!({})), &node(), &[]).unwrap(), None);
}

#[test]
fn on_the_hosts_network_they_are_the_hosts() {
    let text = etc_hosts(&pod("p", &json!({"hostNetwork": true})), &node(), &[]).unwrap().unwrap();
    assert_eq!(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost edge-1\n");
}
