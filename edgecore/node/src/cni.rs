//! Pure: the network configuration of pods, from the addresses that the cluster gave the node.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::{Value, json};

/// Name of the file, in the directory of CNI configurations.
pub const FILE: &str = "10-skerry.conflist";
/// The bridge that pods hang on.
pub const BRIDGE: &str = "skerry0";
/// Where addresses given out are remembered. Not on the disk: no pod's network outlives a boot, so neither may these,
/// or a node that loses power often runs out of addresses.
const ADDRESSES: &str = "/run/skerry-cni";

/// A range of addresses: `10.244.3.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// No range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no range of addresses")]
pub struct NoCidr(String);

impl FromStr for Cidr {
    type Err = NoCidr;

    fn from_str(text: &str) -> Result<Self, NoCidr> {
        let parsed = || {
            let (address, bits) = text.split_once('/')?;
            let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            // The plugin that gives out addresses wants room for network, gateway, broadcast and one pod.
            (bits <= most - 2).then_some(Self { address, bits })
        };
        parsed().ok_or_else(|| NoCidr(text.to_owned()))
    }
}

/// The ranges that a Node object carries, first the one of its primary family: `spec.podCIDRs`, or `spec.podCIDR`.
/// Empty where the cluster has given it none (yet).
pub(crate) fn ranges(node: &[u8]) -> Result<Vec<Cidr>, NoCidr> {
    let node: Value = serde_json::from_slice(node).unwrap_or_default();
    let many = node["spec"]["podCIDRs"].as_array().filter(|many| !many.is_empty());
    let texts: Vec<&Value> =
        many.map_or_else(|| vec![&node["spec"]["podCIDR"]], |many| many.iter().collect());
    texts.into_iter().filter_map(Value::as_str).filter(|text| !text.is_empty()).map(str::parse).collect()
}

/// The configuration: a bridge whose first address is the gateway, addresses given out locally, host ports.
pub fn conflist(ranges: &[Cidr]) -> String {
    let subnets: Vec<Value> = ranges.iter().map(|range| json!([{"subnet": range.to_string()}])).collect();
    let mut routes = Vec::new();
    for (v4, everywhere) in [(true, "0.0.0.0/0"), (false, "::/0")] {
        if ranges.iter().any(|range| range.address.is_ipv4() == v4) {
            routes.push(json!({"dst": everywhere}));
        }
    }
    let list = json!({
        "cniVersion": "0.4.0",
        "name": "skerry",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": true,
                // A bridge left over from other addresses gets these, instead of refusing every pod.
                "forceAddress": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {"type": "host-local", "dataDir": ADDRESSES, "ranges": subnets, "routes": routes},
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    format!("{list:#}\n")
}

/// What is to be done about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing: it is as it should be, or nothing is known.
    Leave,
    /// Nothing: somebody else configures the network, by this file.
    Yield(String),
    /// Write this.
    Write(String),
}

/// Decides about the file. `ours` is its content where it is there, `others` the names of the other files there.
pub(crate) fn plan(ranges: &[Cidr], ours: Option<&str>, others: &[String]) -> Action {
    if ranges.is_empty() {
        // The network of what runs stays: a Node object that went away takes no address from a pod.
        return Action::Leave;
    }
    let wanted = conflist(ranges);
    match (ours, others.iter().find(|name| is_configuration(name))) {
        (Some(ours), _) if ours == wanted => Action::Leave,
        (None, Some(foreign)) => Action::Yield(foreign.clone()),
        _ => Action::Write(wanted),
    }
}

/// Whether the runtime would read a file of that name.
fn is_configuration(name: &str) -> bool {
    name != FILE && [".conf", ".conflist", ".json"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_come_from_the_node_object() {
        let check = |node: &str, wanted: &[&str]| {
            let found: Vec<String> = ranges(node.as_bytes()).unwrap().iter().map(Cidr::to_string).collect();
            assert_eq!(found, wanted, "{node}");
        };
        check(r#"{"spec":{"podCIDR":"10.244.1.0/24"}}"#, &["10.244.1.0/24"]);
        check(
            r#"{"spec":{"podCIDR":"10.1.0.0/24","podCIDRs":["10.1.0.0/24","fd00::/64"]}}"#,
            &["10.1.0.0/24", "fd00::/64"],
        );
        check(r#"{"spec":{"podCIDRs":[]}}"#, &[]);
        check("{}", &[]);
        check("", &[]);
        for wrong in ["10.244.1.0", "10.244.1.0/33", "10.244.1.0/31", "x/24", "fd00::/127"] {
            let node = format!(r#"{{"spec":{{"podCIDR":"{wrong}"}}}}"#);
            assert!(ranges(node.as_bytes()).unwrap_err().to_string().contains(wrong));
        }
    }

    #[test]
    fn the_configuration_routes_each_family_it_has() {
        let list: Value =
            serde_json::from_str(&conflist(&[range("10.1.0.0/24"), range("fd00::/64")])).unwrap();
        let ipam = &list["plugins"][0]["ipam"];
        assert_eq!(ipam["ranges"], json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]));
        assert_eq!(ipam["routes"], json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]));
        let list: Value = serde_json::from_str(&conflist(&[range("10.1.0.0/24")])).unwrap();
        assert_eq!(list["plugins"][0]["ipam"]["routes"], json!([{"dst": "0.0.0.0/0"}]));
    }

    #[test]
    fn only_an_empty_directory_gets_a_configuration_and_only_ours_is_replaced() {
        let (now, then) = ([range("10.1.0.0/24")], [range("10.2.0.0/24")]);
        let wanted = conflist(&now);
        let calico = ["10-calico.conflist".to_owned()];
        let readme = ["README".to_owned(), ".10-skerry.conflist.new".to_owned(), FILE.to_owned()];
        assert_eq!(plan(&now, None, &[]), Action::Write(wanted.clone()));
        assert_eq!(plan(&now, None, &readme), Action::Write(wanted.clone()));
        assert_eq!(plan(&now, Some(&wanted), &[]), Action::Leave);
        assert_eq!(plan(&now, Some(&conflist(&then)), &[]), Action::Write(wanted.clone()));
        assert_eq!(plan(&now, None, &calico), Action::Yield(calico[0].clone()));
        assert_eq!(plan(&now, Some(&wanted), &calico), Action::Leave);
        assert_eq!(plan(&[], None, &[]), Action::Leave);
        assert_eq!(plan(&[], Some(&wanted), &[]), Action::Leave);
    }
}
