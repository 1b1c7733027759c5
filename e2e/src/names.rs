//! Names and addresses of a lab: pure functions of its directory, of an edge's number, and of what other
//! labs on this machine already took.
//!
//! Every lab has six hex digits (`id`), which are in the name of everything it makes on the host, and one
//! /24 of 198.18.0.0/15, the range set aside for testbeds: .1 is the host, the rest are edges.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Result, bail};
use ring::digest::{SHA256, digest};

/// The number of /24 networks in 198.18.0.0/15.
pub const NETWORKS: u16 = 512;

/// The id of the lab in `dir`: from a hash of the path, stepping on while another lab has it.
pub fn pick_id(dir: &Path, taken: &BTreeSet<String>) -> String {
    let mut salt = 0_u32;
    loop {
        let seed = format!("{salt}:{}", dir.display());
        let hash = digest(&SHA256, seed.as_bytes());
        let id = hex(&hash.as_ref()[..3]);
        if !taken.contains(&id) {
            return id;
        }
        salt += 1;
    }
}

/// Bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The first free network from the one that the id names, `None` when all are taken.
pub fn pick_network(id: &str, taken: &BTreeSet<u16>) -> Option<u16> {
    let start = u16::from_str_radix(id.get(..4).unwrap_or("0"), 16).unwrap_or(0) % NETWORKS;
    (0..NETWORKS).map(|step| (start + step) % NETWORKS).find(|network| !taken.contains(network))
}

/// The number of the /24 that `address` lies in, if it lies in the testbeds' range.
pub fn network_of(address: Ipv4Addr) -> Option<u16> {
    let [a, b, c, _] = address.octets();
    (a == 198 && (b == 18 || b == 19)).then(|| (u16::from(b) - 18) * 256 + u16::from(c))
}

/// The lowest free number for a new edge: 2 to 254, which is also the last byte of its address.
///
/// # Errors
/// The lab is full.
pub fn pick_index(taken: &BTreeSet<u8>) -> Result<u8> {
    match (2..=254).find(|index| !taken.contains(index)) {
        Some(index) => Ok(index),
        None => bail!("a lab holds 253 edges"),
    }
}

/// What a lab is called on the host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LabId {
    /// Six hex digits.
    pub id: String,
    /// The number of its /24.
    pub network: u16,
}

impl LabId {
    /// The address of the host as every edge of this lab sees it.
    pub fn host_address(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The address of the edge with this number.
    pub fn address(&self, index: u8) -> Ipv4Addr {
        let [high, low] = self.network.to_be_bytes();
        Ipv4Addr::new(198, 18 + high, low, index)
    }

    /// The network namespace that the lab's wires lie in, between the host and the nodes.
    pub fn wires(&self) -> String {
        format!("skerry-{}", self.id)
    }

    /// The network namespace of a node.
    pub fn netns(&self, edge: &str) -> String {
        format!("skerry-{}-{edge}", self.id)
    }

    /// The host's end of a node's link.
    pub fn veth(&self, index: u8) -> String {
        format!("sk{}-{index}", self.id)
    }

    /// The packet filter's table and the control group of this lab.
    pub fn group(&self) -> String {
        format!("skerry-{}", self.id)
    }

    /// The hardware address of one end of an edge's link: locally administered, so it is nobody's.
    pub fn mac(&self, index: u8, node_side: bool) -> String {
        let pair = |at: usize| self.id.get(at..at + 2).unwrap_or("00");
        format!("02:{}:{}:{}:{index:02x}:{:02x}", pair(0), pair(2), pair(4), u8::from(node_side))
    }
}

/// An edge's name: a DNS label, as a Node's name must be one, and short enough for a socket path.
///
/// # Errors
/// It is not; the message says what is wrong.
pub fn check_edge_name(name: &str) -> Result<()> {
    let fits = (1..=40).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !fits {
        bail!("edge name {name:?}: 1 to 40 of a-z, 0-9 and -, beginning and ending with a letter or digit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(network: u16) -> LabId {
        LabId { id: "0a1b2c".into(), network }
    }

    #[test]
    fn an_id_depends_on_the_directory_and_avoids_the_taken() {
        let dir = Path::new("/somewhere/target/lab");
        let first = pick_id(dir, &BTreeSet::new());
        assert_eq!(first, pick_id(dir, &BTreeSet::new()));
        assert_ne!(first, pick_id(Path::new("/elsewhere"), &BTreeSet::new()));
        assert_ne!(first, pick_id(dir, &BTreeSet::from([first.clone()])));
        assert_eq!(first.len(), 6);
    }

    #[test]
    fn networks_are_found_until_none_is_left() {
        let mut taken = BTreeSet::new();
        for _ in 0..NETWORKS {
            let network = pick_network("ffffff", &taken).expect("one is free");
            assert!(taken.insert(network), "{network} twice");
        }
        assert_eq!(pick_network("ffffff", &taken), None);
    }

    #[test]
    fn addresses_stay_in_the_testbeds_range() {
        assert_eq!(lab(0).host_address(), Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(lab(511).address(254), Ipv4Addr::new(198, 19, 255, 254));
        assert_eq!(network_of(lab(300).address(7)), Some(300));
        assert_eq!(network_of(Ipv4Addr::new(198, 20, 0, 1)), None);
    }

    #[test]
    fn interface_names_fit_the_kernels_15_bytes() {
        assert!(lab(0).veth(254).len() <= 15);
        assert_eq!(lab(0).mac(16, true), "02:0a:1b:2c:10:01");
    }

    #[test]
    fn indexes_are_reused_from_below() {
        assert_eq!(pick_index(&BTreeSet::from([2, 4])).unwrap(), 3);
        assert!(pick_index(&(2..=254).collect()).is_err());
    }

    #[test]
    fn edge_names_are_dns_labels() {
        for good in ["edge-1", "a", "0", &"x".repeat(40)] {
            check_edge_name(good).expect(good);
        }
        for bad in ["", "-a", "a-", "Edge", "a.b", "a/b", &"x".repeat(41)] {
            assert!(check_edge_name(bad).is_err(), "{bad:?}");
        }
    }
}
