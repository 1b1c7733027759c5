//! What a pod is called in its network.

use std::fmt::Write;

use k8s_openapi::api::core::v1::Pod;

use crate::spec::context::NodeFacts;
use crate::spec::error::SpecError;

/// Longest host name.
const LONGEST: usize = 63;
/// Longest name of several parts, in DNS.
const LONGEST_SUBDOMAIN: usize = 253;
/// Longest name the kernel keeps.
const LONGEST_FQDN: usize = 64;

/// Host name and domain (empty where the pod has no subdomain).
pub(crate) fn name_and_domain(pod: &Pod, node: &NodeFacts) -> Result<(String, String), SpecError> {
    let spec = pod.spec.as_ref();
    let name = pod.metadata.name.clone().unwrap_or_default();
    if let Some(hostname) = spec.and_then(|spec| spec.hostname_override.as_ref()) {
        // It is the whole name: it may have dots, and no domain follows it.
        if !is_subdomain(hostname) {
            let why = format!("pod HostnameOverride {hostname:?} is not a valid DNS subdomain");
            return Err(SpecError::sandbox(why));
        }
        return Ok((cut(&name, hostname.clone())?, String::new()));
    }
    let given = |name: Option<&String>| name.filter(|name| !name.is_empty()).cloned();
    let label = |what: &str, name: String| {
        if is_label(&name) {
            Ok(name)
        } else {
            Err(SpecError::sandbox(format!("pod {what} {name:?} is not a valid DNS label")))
        }
    };
    let hostname = match given(spec.and_then(|spec| spec.hostname.as_ref())) {
        Some(hostname) => label("Hostname", hostname)?,
        None => name.clone(),
    };
    let hostname = cut(&name, hostname)?;
    let Some(subdomain) = given(spec.and_then(|spec| spec.subdomain.as_ref())) else {
        return Ok((hostname, String::new()));
    };
    let subdomain = label("Subdomain", subdomain)?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    Ok((hostname, format!("{subdomain}.{namespace}.svc.{}", node.cluster_domain)))
}

/// The name the kernel of the pod's containers tells.
pub(crate) fn kernel_name(pod: &Pod, node: &NodeFacts) -> Result<String, SpecError> {
    let (hostname, domain) = name_and_domain(pod, node)?;
    let fqdn = pod.spec.as_ref().and_then(|spec| spec.set_hostname_as_fqdn) == Some(true);
    if domain.is_empty() || !fqdn {
        return Ok(hostname);
    }
    let full = format!("{hostname}.{domain}");
    if full.len() > LONGEST_FQDN {
        return Err(SpecError::sandbox(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long \
             ({LONGEST_FQDN} characters is the max, {} characters requested)",
            full.len()
        )));
    }
    Ok(full)
}

/// Content of the pod's `/etc/hosts`; `None` where the pod has no address yet. On the host's network it is the
/// node's, with the pod's aliases.
pub fn etc_hosts(pod: &Pod, node: &NodeFacts, pod_ips: &[String]) -> Result<Option<String>, SpecError> {
    let spec = pod.spec.as_ref();
    let mut text = if spec.and_then(|spec| spec.host_network).unwrap_or(false) {
        format!("# Kubernetes-managed hosts file (host network).\n{}", node.hosts)
    } else if pod_ips.is_empty() {
        return Ok(None);
    } else {
        let (hostname, domain) = name_and_domain(pod, node)?;
        let names = if domain.is_empty() { hostname } else { format!("{hostname}.{domain}\t{hostname}") };
        let own = pod_ips.iter().fold(String::new(), |mut lines, ip| {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{ip}\t{names}");
            lines
        });
        format!(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n{own}"
        )
    };
    let aliases = spec.and_then(|spec| spec.host_aliases.as_deref()).unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        let _ = writeln!(text, "{}\t{names}", alias.ip);
    }
    Ok(Some(text))
}

fn cut(pod: &str, hostname: String) -> Result<String, SpecError> {
    let Some(first) = hostname.get(..LONGEST).filter(|_| hostname.len() > LONGEST) else {
        return Ok(hostname);
    };
    let first = first.trim_end_matches(['-', '.']);
    if first.is_empty() {
        return Err(SpecError::sandbox(format!("hostname for pod {pod:?} was invalid: {hostname:?}")));
    }
    Ok(first.to_owned())
}

/// RFC 1123: letters in lower case, digits and dashes, no dash at the ends.
fn is_label(name: &str) -> bool {
    name.len() <= LONGEST && is_part(name)
}

/// RFC 1123, parts with dots between them. As upstream's check, it bounds the whole and no part.
fn is_subdomain(name: &str) -> bool {
    name.len() <= LONGEST_SUBDOMAIN && name.split('.').all(is_part)
}

fn is_part(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = !name.starts_with('-') && !name.ends_with('-');
    !name.is_empty() && ends && name.bytes().all(inner)
}

#[cfg(test)]
#[path = "tests/hostname.rs"]
mod tests;
