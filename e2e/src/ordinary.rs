//! An ordinary node: made as an edge is, with upstream's kubelet and kube-proxy instead of edgecore. It joins by a
//! bootstrap token, as kubeadm's nodes do. What its configuration says beyond upstream's defaults is what this machine wants
//! (control groups of version 1, swap, no right to lower OOM scores) or what keeps a small disk from playing a part.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::edge::Edge;
use crate::host;
use crate::lab::Lab;

mod relay;

use relay::Relay;

/// Its folder on the node.
const HOME: &str = "/etc/kubernetes";

/// The node; what it reaches the API server through ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Ordinary {
    /// The node.
    pub(crate) edge: Edge,
    _relay: Relay,
}

/// What the control plane is told so that it finds the node: its first address is its host name, which nobody here can look
/// up. An edge has no such address.
pub(crate) const BY_ADDRESS: &str = "kube-apiserver=--kubelet-preferred-address-types=InternalIP";

/// Makes the node and returns when it is Ready.
///
/// # Errors
/// Some part does not come up; the message names it.
pub(crate) fn add(lab: &Lab, name: &str) -> Result<Ordinary> {
    let mut kubeconfig: Value = serde_json::from_str(&lab.kubectl(&[
        "config",
        "view",
        "--raw",
        "--minify",
        "--flatten",
        "-o",
        "json",
    ])?)?;
    let api = Api::of(lab)?;
    let relay = Relay::start(lab.id()?.host_address(), ([127, 0, 0, 1], api.port).into())?;
    kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://{}:{}", api.address, api.port));

    let token = Token::random()?;
    lab.kubectl_with_input(&["apply", "-f", "-"], &token.manifest().to_string())?;
    let edge = lab.edge(name);
    host::progress(&format!("{name}: adding an ordinary node"));
    edge.add_bare()?;
    let address = lab.id()?.address(edge.state()?.index).to_string();
    let home = edge.path(HOME);
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let write = |file: &str, text: &str| {
        fs::write(home.join(file), text).with_context(|| format!("cannot write {file} on {name}"))
    };
    fs::copy(lab.dir().join("cluster/pki/ca.crt"), home.join("ca.crt"))
        .context("no certificate of the cluster's CA")?;
    write("proxy.kubeconfig", &kubeconfig.to_string())?;
    kubeconfig["users"][0]["user"] = json!({"token": token.text()});
    write("bootstrap.kubeconfig", &kubeconfig.to_string())?;
    write("kubelet.yaml", &kubelet().to_string())?;
    write("kube-proxy.yaml", &kube_proxy(name).to_string())?;
    fs::copy(edge.path("/etc/resolv.conf"), home.join("resolv.conf")).context("no resolv.conf")?;

    let node = edge.node()?;
    let mut nft = node.command(&["nft", "-f", "-"])?;
    host::finish_with_input(&mut nft, api.way(relay.address).as_bytes())?;
    let kubelet = [
        "kubelet".to_owned(),
        format!("--config={HOME}/kubelet.yaml"),
        format!("--bootstrap-kubeconfig={HOME}/bootstrap.kubeconfig"),
        format!("--kubeconfig={HOME}/kubelet.kubeconfig"),
        format!("--hostname-override={name}"),
        format!("--node-ip={address}"),
    ];
    let process = node.daemon(&kubelet, "/var/log/kubelet.log")?;
    host::progress(&format!("{name}: waiting for Ready"));
    let range = host::wait_for("range of pod addresses", Duration::from_mins(1), || {
        anyhow::ensure!(
            process.alive(),
            "kubelet ended; see {}",
            edge.path("/var/log/kubelet.log").display()
        );
        let found = lab.get(&["node", name])?;
        Ok(found["spec"]["podCIDR"].as_str().map(str::to_owned))
    })?;
    fs::write(edge.path("/etc/cni/net.d/10-bridge.conflist"), network(&range).to_string())?;
    node.daemon(&["kube-proxy", &format!("--config={HOME}/kube-proxy.yaml")], "/var/log/kube-proxy.log")?;
    let object = format!("node/{name}");
    lab.kubectl(&["wait", "--for=condition=Ready", &object, "--timeout=120s"])?;
    Ok(Ordinary { edge, _relay: relay })
}

/// Where the cluster says that its API server is: nobody has that address, but the server's certificate is valid for it.
#[derive(Debug)]
struct Api {
    address: String,
    port: u16,
}

impl Api {
    fn of(lab: &Lab) -> Result<Self> {
        let slice = lab.get(&["-n", "default", "endpointslice", "kubernetes"])?;
        let address = slice["endpoints"][0]["addresses"][0].as_str().map(str::to_owned);
        let port = slice["ports"][0]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let (address, port) = address.zip(port).context("the Service kubernetes has no endpoint")?;
        Ok(Self { address, port })
    }

    /// The packet filter's rule, in the node's namespace, that leads there.
    fn way(&self, relay: SocketAddr) -> String {
        let Self { address, port } = self;
        format!(
            "table ip api {{\n chain leaving {{\n  type nat hook output priority -100;\n  \
             ip daddr {address} tcp dport {port} dnat to {relay}\n }}\n}}\n"
        )
    }
}

impl Ordinary {
    /// Copies the node's logs to the lab's, before they are lost with it.
    pub(crate) fn save_logs(&self, lab: &Lab) {
        for log in ["kubelet.log", "kube-proxy.log"] {
            let to = lab.dir().join("logs").join(format!("{}-{log}", self.edge.name()));
            // A node that is off has nothing to save.
            let _ = fs::copy(self.edge.path(&format!("/var/log/{log}")), to);
        }
    }
}

/// A bootstrap token.
#[derive(Debug)]
struct Token {
    id: String,
    secret: String,
}

impl Token {
    fn random() -> Result<Self> {
        let text = fs::read_to_string("/proc/sys/kernel/random/uuid").context("no random uuid")?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let part = |from: usize, to: usize| digits.get(from..to).map(str::to_owned).context("a short uuid");
        // The digits in the middle hold the version, which is no secret.
        Ok(Self { id: part(0, 6)?, secret: part(16, 32)? })
    }

    fn text(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    /// The token, and what kubeadm grants those who bear one: to ask for a node's certificate, and to get it.
    fn manifest(&self) -> Value {
        let grant = |name: &str, role: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:bootstrappers"}],
            })
        };
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": format!("bootstrap-token-{}", self.id), "namespace": "kube-system"},
            "stringData": {
                "token-id": self.id, "token-secret": self.secret, "usage-bootstrap-authentication": "true",
            },
        });
        json!({"apiVersion": "v1", "kind": "List", "items": [
            secret,
            grant("bootstrap-may-ask", "system:node-bootstrapper"),
            grant("bootstrap-gets", "system:certificates.k8s.io:certificatesigningrequests:nodeclient"),
        ]})
    }
}

/// The kubelet's configuration.
fn kubelet() -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": false}, "x509": {"clientCAFile": format!("{HOME}/ca.crt")}},
        "containerRuntimeEndpoint": format!("unix://{}", crate::containerd::SOCKET),
        "clusterDomain": "cluster.local",
        "clusterDNS": ["10.96.0.10"],
        "resolvConf": format!("{HOME}/resolv.conf"),
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
    })
}

/// kube-proxy's configuration; the zeros leave the host's connection tracking alone.
fn kube_proxy(name: &str) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": format!("{HOME}/proxy.kubeconfig")},
        "hostnameOverride": name,
        "mode": "iptables",
        "conntrack": {
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
    })
}

/// A bridge for pods, as edges have one.
fn network(range: &str) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "bridge",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": range}]], "routes": [{"dst": "0.0.0.0/0"}]},
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_the_api_server_takes_for_one() {
        let token = Token::random().unwrap();
        let text = token.text();
        let good = |part: &str, length: usize| {
            part.len() == length
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let (id, secret) = text.split_once('.').unwrap();
        assert!(good(id, 6) && good(secret, 16), "{text}");
        assert_ne!(Token::random().unwrap().text(), text);
    }
}
