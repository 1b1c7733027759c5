//! The wires between the host and the nodes. Per edge, from left to right:
//!
//! ```text
//! host          | the lab's own namespace               | the node's namespace
//! sk0a1b2c-2 ═══ h2 ── bridge p2 ───────────────── n2 ═══ eth0 198.18.N.2      as a rule
//! sk0a1b2c-2 ═══ h2 ── p2 ── a2 ─[relay]─ b2 ── q2 ── n2 ═══ eth0              while shaped
//! ```
//!
//! A cut takes `eth0` and `h2` down, so both ends see it. A hole takes `n2` out of its bridge: frames end in
//! a namespace that has no address, and nobody hears of it. Neighbour entries are fixed and IPv6 is off on
//! these links, so an idle link carries nothing but what the two programs say. A packet-filter table on the
//! host's end counts IP bytes. The host forwards nothing between edges.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::host;
use crate::names::LabId;
use crate::state::{EdgeState, LinkState};

fn ip(line: &str) -> Result<String> {
    let mut argv = vec!["ip"];
    argv.extend(line.split_whitespace());
    host::run(&argv)
}

/// Runs one `ip` command per line in a namespace, in one process.
fn ip_in(netns: &str, lines: &str) -> Result<String> {
    let mut command = std::process::Command::new("ip");
    host::finish_with_input(command.args(["-n", netns, "-batch", "-"]), lines.as_bytes())
}

fn exists(netns: &str) -> bool {
    std::path::Path::new("/run/netns").join(netns).exists()
}

/// Makes the lab's own namespace and the host's address in it, if they are not there.
///
/// # Errors
/// The kernel or `ip` refuses.
pub fn create_lab(lab: &LabId) -> Result<()> {
    let wires = lab.wires();
    if !exists(&wires) {
        ip(&format!("netns add {wires}"))?;
        let quiet = "for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6 || true; done";
        host::run(&["ip", "netns", "exec", &wires, "sh", "-c", quiet])?;
    }
    let address = lab.host_address();
    ip(&format!("address replace {address}/32 dev lo"))?;
    // What has no way to its edge ends here and never leaves by the machine's default route.
    ip(&format!("route replace blackhole {}/24 metric 4096", lab.address(0)))?;
    Ok(())
}

/// Removes everything of the lab on the host's network, also what a crash left behind.
///
/// # Errors
/// Something that is there cannot be removed.
pub fn remove_lab(lab: &LabId) -> Result<()> {
    let wires = lab.wires();
    let of_lab = |name: &str| *name == *wires || name.starts_with(&format!("{wires}-"));
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        if let Some(name) = entry.file_name().to_str().filter(|name| of_lab(name)) {
            ip(&format!("netns delete {name}"))?;
        }
    }
    let prefix = format!("sk{}-", lab.id);
    for entry in fs::read_dir("/sys/class/net")?.flatten() {
        if let Some(name) = entry.file_name().to_str().filter(|name| name.starts_with(&prefix)) {
            // The other end's namespace may be taking it away at this moment.
            if let Err(error) = ip(&format!("link delete {name}")) {
                host::wait(&format!("end of {name}"), std::time::Duration::from_secs(3), || {
                    Ok(!entry.path().exists())
                })
                .context(error)?;
            }
        }
    }
    let tables = host::run(&["nft", "list", "tables", "inet"])?;
    for name in tables.lines().filter_map(|line| line.strip_prefix("table inet ")).filter(|name| of_lab(name))
    {
        host::run(&["nft", "delete", "table", "inet", name])?;
    }
    let address = lab.host_address();
    if ip("-4 address show dev lo")?.contains(&format!(" {address}/32 ")) {
        ip(&format!("address delete {address}/32 dev lo"))?;
    }
    let network = format!("{}/24", lab.address(0));
    if !ip(&format!("route show type blackhole {network}"))?.trim().is_empty() {
        ip(&format!("route delete blackhole {network} metric 4096"))?;
    }
    Ok(())
}

/// Makes the part of an edge's wire that stays while its node is off: the host's end, the bridge, the
/// counters.
///
/// # Errors
/// The kernel, `ip` or `nft` refuses.
pub fn create_host_side(lab: &LabId, index: u8) -> Result<()> {
    let (wires, veth) = (lab.wires(), lab.veth(index));
    if !std::path::Path::new("/sys/class/net").join(&veth).exists() {
        let mac = lab.mac(index, false);
        ip(&format!("link add {veth} address {mac} type veth peer name h{index} netns {wires}"))?;
    }
    let ipv6 = format!("/proc/sys/net/ipv6/conf/{veth}/disable_ipv6");
    if fs::exists(&ipv6)? {
        fs::write(&ipv6, "1")?;
    }
    if ip_in(&wires, &format!("link show p{index}\n")).is_err() {
        ip_in(
            &wires,
            &format!("link add p{index} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n"),
        )?;
    }
    ip_in(&wires, &format!("link set h{index} master p{index}\nlink set p{index} up\n"))?;
    let (address, host_address) = (lab.address(index), lab.host_address());
    ip(&format!("link set {veth} up"))?;
    ip(&format!("route replace {address}/32 dev {veth} src {host_address}"))?;
    let neighbour = lab.mac(index, true);
    ip(&format!("neighbour replace {address} lladdr {neighbour} nud permanent dev {veth}"))?;
    create_counters(lab, index)
}

/// Removes an edge's whole wire.
///
/// # Errors
/// Something that is there cannot be removed.
pub fn remove_host_side(lab: &LabId, index: u8) -> Result<()> {
    let veth = lab.veth(index);
    if std::path::Path::new("/sys/class/net").join(&veth).exists() {
        ip(&format!("link delete {veth}"))?;
    }
    for bridge in ["p", "q"] {
        // Not there is as good.
        let _ = ip_in(&lab.wires(), &format!("link delete {bridge}{index}\n"));
    }
    let table = counter_table(lab, index);
    let tables = host::run(&["nft", "list", "tables", "inet"])?;
    if tables.lines().any(|line| line == format!("table inet {table}")) {
        host::run(&["nft", "delete", "table", "inet", &table])?;
    }
    Ok(())
}

/// Makes the network of a node that is being powered on.
///
/// # Errors
/// The kernel or `ip` refuses.
pub fn create_node_side(lab: &LabId, edge: &str, index: u8) -> Result<()> {
    let (wires, netns) = (lab.wires(), lab.netns(edge));
    remove_node_side(lab, edge)?;
    ip(&format!("netns add {netns}"))?;
    let (mac, address) = (lab.mac(index, true), lab.address(index));
    ip_in(&wires, &format!("link add n{index} type veth peer name eth0 address {mac} netns {netns}\n"))?;
    let quiet = "if [ -e /proc/sys/net/ipv6 ]; then echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; fi";
    host::run(&["ip", "netns", "exec", &netns, "sh", "-c", quiet])?;
    ip_in(&netns, &format!("link set lo up\naddress add {address}/32 dev eth0\n"))?;
    ip_in(&wires, &format!("link set n{index} up\n"))?;
    Ok(())
}

/// Removes the network of a node; not there is as good.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove_node_side(lab: &LabId, edge: &str) -> Result<()> {
    let netns = lab.netns(edge);
    if exists(&netns) {
        // The link first: a namespace lingers as long as any process is in it, its name does not.
        let _ = ip_in(&netns, "link delete eth0\n");
        ip(&format!("netns delete {netns}"))?;
    }
    Ok(())
}

/// Brings the link into the state that is written down, from whatever state it is in. The relay, if the link
/// is shaped, must be there already; if it is not, gone or to be gone.
///
/// # Errors
/// The kernel or `ip` refuses.
pub fn apply(lab: &LabId, edge: &EdgeState) -> Result<()> {
    let (wires, netns, index) = (lab.wires(), lab.netns(&edge.name), edge.index);
    let shaped = edge.shape.is_some();
    if shaped {
        if ip_in(&wires, &format!("link show q{index}\n")).is_err() {
            ip_in(
                &wires,
                &format!("link add q{index} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n"),
            )?;
        }
        let taps = format!(
            "link set a{index} master p{index}\nlink set a{index} up\nlink set b{index} master q{index}\n\
             link set b{index} up\nlink set q{index} up\n"
        );
        ip_in(&wires, &taps)?;
    }
    let edge_is_on = exists(&netns);
    if edge_is_on {
        let place = match edge.link {
            LinkState::Hole => "nomaster".to_owned(),
            LinkState::Up | LinkState::Cut => format!("master {}{index}", if shaped { "q" } else { "p" }),
        };
        ip_in(&wires, &format!("link set n{index} {place}\n"))?;
    }
    if edge.link == LinkState::Cut {
        if edge_is_on {
            ip_in(&netns, "link set eth0 down\n")?;
        }
        ip_in(&wires, &format!("link set h{index} down\n"))?;
        return Ok(());
    }
    ip_in(&wires, &format!("link set h{index} up\n"))?;
    if edge_is_on {
        // Routes and neighbours leave with an interface that goes down.
        let (host_address, mac) = (lab.host_address(), lab.mac(index, false));
        let lines = format!(
            "link set eth0 up\nroute replace {host_address} dev eth0 scope link\n\
             route replace default via {host_address} dev eth0\n\
             neighbour replace {host_address} lladdr {mac} nud permanent dev eth0\n"
        );
        ip_in(&netns, &lines)?;
    }
    Ok(())
}

/// Whether a relay's devices are there.
pub fn has_taps(lab: &LabId, index: u8) -> bool {
    let wires = lab.wires();
    ["a", "b"].iter().any(|side| ip_in(&wires, &format!("link show {side}{index}\n")).is_ok())
}

/// IP bytes and packets that passed the host's end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// From the node, in bytes.
    pub from_edge: u64,
    /// To the node, in bytes.
    pub to_edge: u64,
    /// Packets both ways.
    pub packets: u64,
}

impl Traffic {
    /// What passed since an earlier look.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            from_edge: self.from_edge.saturating_sub(earlier.from_edge),
            to_edge: self.to_edge.saturating_sub(earlier.to_edge),
            packets: self.packets.saturating_sub(earlier.packets),
        }
    }

    /// Bytes both ways.
    pub fn bytes(self) -> u64 {
        self.from_edge + self.to_edge
    }
}

fn counter_table(lab: &LabId, index: u8) -> String {
    format!("{}-{index}", lab.group())
}

fn create_counters(lab: &LabId, index: u8) -> Result<()> {
    let (table, veth) = (counter_table(lab, index), lab.veth(index));
    if host::run(&["nft", "list", "table", "inet", &table]).is_ok() {
        return Ok(());
    }
    let rules = format!(
        "table inet {table} {{\n counter from {{}}\n counter to {{}}\n\
         chain arriving {{ type filter hook prerouting priority -310; iifname \"{veth}\" counter name \"from\"; }}\n\
         chain leaving {{ type filter hook postrouting priority 310; oifname \"{veth}\" counter name \"to\"; }}\n}}\n"
    );
    host::finish_with_input(std::process::Command::new("nft").args(["-f", "-"]), rules.as_bytes())?;
    Ok(())
}

/// Reads the counters of an edge's link; they run from the edge's creation.
///
/// # Errors
/// The edge has none.
pub fn traffic(lab: &LabId, index: u8) -> Result<Traffic> {
    let text = host::run(&["nft", "-j", "list", "counters", "table", "inet", &counter_table(lab, index)])?;
    parse_counters(&text).with_context(|| format!("unexpected answer from nft: {text}"))
}

fn parse_counters(text: &str) -> Option<Traffic> {
    let answer: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut traffic = Traffic::default();
    for counter in answer["nftables"].as_array()?.iter().filter_map(|item| item.get("counter")) {
        let bytes = counter["bytes"].as_u64()?;
        traffic.packets += counter["packets"].as_u64()?;
        match counter["name"].as_str()? {
            "from" => traffic.from_edge = bytes,
            _ => traffic.to_edge = bytes,
        }
    }
    Some(traffic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_by_direction() {
        let text = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"counter": {"family": "inet", "name": "from", "table": "t", "handle": 1, "packets": 2, "bytes": 120}},
            {"counter": {"family": "inet", "name": "to", "table": "t", "handle": 2, "packets": 3, "bytes": 400}}]}"#;
        let traffic = parse_counters(text).expect("it parses");
        assert_eq!(traffic, Traffic { from_edge: 120, to_edge: 400, packets: 5 });
        assert_eq!(traffic.bytes(), 520);
        assert_eq!(traffic.since(Traffic { from_edge: 20, to_edge: 0, packets: 1 }).from_edge, 100);
        assert_eq!(parse_counters("{}"), None);
    }
}
