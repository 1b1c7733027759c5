//! `/etc/resolv.conf` of a pod.

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};

use crate::runtime::Dns;
use crate::spec::context::NodeFacts;
use crate::spec::sandbox::Warning;
use crate::spec::security::label;

/// Most servers that resolvers take.
const MOST_SERVERS: usize = 3;
/// Most search domains that the API takes.
const MOST_SEARCHES: usize = 32;
/// Most characters of all search domains, spaces between them included.
const LONGEST_SEARCH_LINE: usize = 2048;
/// Longest search domain; some resolvers crash on longer ones.
const LONGEST_SEARCH: usize = 253;

/// What the pod's resolv.conf says, and what to tell its owner about it.
pub(crate) fn dns(pod: &Pod, node: &NodeFacts) -> (Dns, Vec<Warning>) {
    let mut warnings = Vec::new();
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let host_network = spec.and_then(|spec| spec.host_network).unwrap_or(false);
    let host = parse(&node.resolv_conf);
    let mut dns = match policy {
        "None" => Dns::default(),
        "Default" => host,
        "ClusterFirst" if host_network => host,
        _ if node.cluster_dns.is_empty() => {
            warnings.push(Warning {
                reason: "MissingClusterDNS",
                message: format!(
                    "pod: {:?}. the node does not have ClusterDNS IP configured and cannot create Pod using \
                     \"ClusterFirst\" policy. Falling back to \"Default\" policy.",
                    label(pod)
                ),
            });
            host
        }
        _ => cluster(pod, node, host),
    };
    if let Some(config) = spec.and_then(|spec| spec.dns_config.as_ref()) {
        add(&mut dns, config);
    }
    limit(&mut dns, &mut warnings);
    (dns, warnings)
}

/// The cluster's servers only: they forward what they do not know.
fn cluster(pod: &Pod, node: &NodeFacts, host: Dns) -> Dns {
    let domain = &node.cluster_domain;
    let mut searches = Vec::new();
    if !domain.is_empty() {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    }
    searches.extend(host.searches);
    Dns { servers: node.cluster_dns.clone(), searches: once(searches), options: vec!["ndots:5".to_owned()] }
}

/// Adds what the pod says. Servers and domains come after those that are there; an option replaces one of its name.
fn add(dns: &mut Dns, config: &PodDNSConfig) {
    dns.servers.extend(config.nameservers.iter().flatten().cloned());
    dns.servers = once(std::mem::take(&mut dns.servers));
    dns.searches.extend(config.searches.iter().flatten().cloned());
    dns.searches = once(std::mem::take(&mut dns.searches));
    for option in config.options.iter().flatten() {
        let name = option.name.clone().unwrap_or_default();
        let text = match option.value.as_deref() {
            Some(value) if !value.is_empty() => format!("{name}:{value}"),
            _ => name,
        };
        set_option(&mut dns.options, text);
    }
}

/// Cuts off what resolvers do not take, and says so.
fn limit(dns: &mut Dns, warnings: &mut Vec<Warning>) {
    let warn = |what: &str, line: &str, applied: &[String]| Warning {
        reason: "DNSConfigForming",
        message: format!(
            "{what} limits were exceeded, some {line} have been omitted, the applied {} line is: {}",
            what.to_lowercase().trim_end_matches(" line"),
            applied.join(" ")
        ),
    };
    if dns.servers.len() > MOST_SERVERS {
        dns.servers.truncate(MOST_SERVERS);
        warnings.push(warn("Nameserver", "nameservers", &dns.servers));
    }
    let before = dns.searches.len();
    dns.searches.truncate(MOST_SEARCHES);
    dns.searches.retain(|search| search.len() <= LONGEST_SEARCH);
    while dns.searches.join(" ").len() > LONGEST_SEARCH_LINE {
        dns.searches.pop();
    }
    if dns.searches.len() < before {
        warnings.push(warn("Search Line", "search paths", &dns.searches));
    }
}

/// Reads a resolv.conf: servers add up, the last `search` counts, options add up by name.
fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut fields = line.split_whitespace();
        match fields.next() {
            Some("nameserver") => dns.servers.extend(fields.next().map(str::to_owned)),
            Some("search") => {
                let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_owned();
                dns.searches = fields.filter(|name| *name != ".").map(plain).collect();
            }
            Some("options") => fields.for_each(|option| set_option(&mut dns.options, option.to_owned())),
            _ => {}
        }
    }
    dns
}

fn set_option(options: &mut Vec<String>, option: String) {
    let name = |option: &str| option.split(':').next().unwrap_or_default().to_owned();
    let wanted = name(&option);
    match options.iter_mut().find(|found| name(found) == wanted) {
        Some(found) => *found = option,
        None => options.push(option),
    }
}

/// Each once, where it first stood.
fn once(list: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(list.len());
    for item in list {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

#[cfg(test)]
#[path = "tests/dns.rs"]
mod tests;
