//! Pure: which addresses a route is asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses named in endpoints such as `wss://192.0.2.1:10000/v1/connect`. Names are left out: they cannot be resolved
/// while the cloud is gone, and the default route serves them.
pub fn route_hints<'a>(endpoints: impl IntoIterator<Item = &'a str>) -> Vec<IpAddr> {
    endpoints.into_iter().filter_map(host).filter_map(|host| host.parse().ok()).collect()
}

fn host(endpoint: &str) -> Option<&str> {
    let rest = endpoint.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    if let Some(bracketed) = authority.strip_prefix('[') {
        return Some(bracketed.split_once(']')?.0);
    }
    Some(authority.split_once(':').map_or(authority, |(host, _)| host))
}

/// Where to ask for a route to, in order: the cloud, then somewhere on the Internet (nothing is sent there).
pub(crate) fn targets(hints: &[IpAddr]) -> Vec<IpAddr> {
    // Addresses for documentation: routed like any foreign one, and nobody's.
    let anywhere =
        [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
    hints.iter().copied().chain(anywhere).collect()
}

/// Whether an address can be a node's.
pub(crate) const fn usable(address: &IpAddr) -> bool {
    !(address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_endpoints_and_names_are_not() {
        let endpoints = [
            "wss://10.1.2.3:10000/v1/connect",
            "wss://[fd00::1]:10000/v1/connect",
            "wss://10.1.2.4/v1/connect",
            "wss://cloud.example.com:10000/v1/connect",
            "nonsense",
        ];
        let wanted: Vec<IpAddr> =
            ["10.1.2.3", "fd00::1", "10.1.2.4"].map(|address| address.parse().unwrap()).into();
        assert_eq!(route_hints(endpoints), wanted);
        assert_eq!(targets(&wanted)[..3], wanted);
    }
}
