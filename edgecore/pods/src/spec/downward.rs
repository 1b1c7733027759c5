//! Values of the downward API.

use std::collections::BTreeMap;
use std::fmt::Write;

use edgecore_volumes::{Downward, Quantity};
use k8s_openapi::api::core::v1::{ObjectFieldSelector, Pod, ResourceFieldSelector, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::spec::context::NodeFacts;

/// Values of one pod.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The node.
    pub node: &'a NodeFacts,
    /// The pod's addresses; empty as long as there are none.
    pub pod_ips: &'a [String],
}

impl Downward for Values<'_> {
    fn field(&self, field: &ObjectFieldSelector) -> Result<String, String> {
        let version = field.api_version.as_deref().filter(|version| !version.is_empty()).unwrap_or("v1");
        if version != "v1" {
            return Err(format!("unsupported pod version: {version}"));
        }
        let metadata = &self.pod.metadata;
        let spec = self.pod.spec.as_ref();
        let text = |value: Option<&String>| Ok(value.cloned().unwrap_or_default());
        let path = field.field_path.as_str();
        if let Some((path, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
            return match path {
                "metadata.annotations" => Ok(at(metadata.annotations.as_ref(), key)),
                "metadata.labels" => Ok(at(metadata.labels.as_ref(), key)),
                _ => Err(format!("field label does not support subscript: {}", field.field_path)),
            };
        }
        match path {
            "metadata.annotations" => Ok(lines(metadata.annotations.as_ref())),
            "metadata.labels" => Ok(lines(metadata.labels.as_ref())),
            "metadata.name" => text(metadata.name.as_ref()),
            "metadata.namespace" => text(metadata.namespace.as_ref()),
            "metadata.uid" => text(metadata.uid.as_ref()),
            "spec.nodeName" | "spec.host" => text(spec.and_then(|spec| spec.node_name.as_ref())),
            "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
            "status.hostIP" => text(self.node.host_ips.first()),
            "status.hostIPs" => Ok(self.node.host_ips.join(",")),
            "status.podIP" => text(self.pod_ips.first()),
            "status.podIPs" => Ok(self.pod_ips.join(",")),
            _ => Err(format!("unsupported fieldPath: {path}")),
        }
    }

    fn resource(&self, resource: &ResourceFieldSelector) -> Result<String, String> {
        let name = resource.container_name.as_deref().unwrap_or_default();
        let named = self.resources().find(|(found, _)| *found == name);
        let (_, resources) = named.ok_or_else(|| format!("container {name} not found"))?;
        let unsupported = || format!("unsupported container resource : {}", resource.resource);
        let (list, kind) = resource.resource.split_once('.').ok_or_else(unsupported)?;
        if !["cpu", "memory", "ephemeral-storage"].contains(&kind) {
            return Err(unsupported());
        }
        let amount = match list {
            "requests" => amount(resources.and_then(|resources| resources.requests.as_ref()), kind)?,
            "limits" => {
                let limit = amount(resources.and_then(|resources| resources.limits.as_ref()), kind)?;
                // Without a limit a container may use what the node gives to pods.
                let node = || self.node.allocatable.get(kind).copied().unwrap_or_default();
                if limit.is_zero() { node() } else { limit }
            }
            _ => return Err(unsupported()),
        };
        let divisor = match &resource.divisor {
            Some(divisor) => parse(&divisor.0)?,
            None => Quantity::default(),
        };
        let divisor = if divisor.is_zero() { Quantity::from_units(1) } else { divisor };
        let (amount, divisor) = match kind {
            "cpu" => (amount.milli(), divisor.milli()),
            _ => (amount.value(), divisor.value()),
        };
        Ok(parts(amount, divisor).to_string())
    }
}

impl<'a> Values<'a> {
    /// What each container asks for; an ephemeral one asks for nothing.
    fn resources(&self) -> impl Iterator<Item = (&'a str, Option<&'a ResourceRequirements>)> {
        let spec = self.pod.spec.iter();
        spec.flat_map(|spec| {
            let own = spec.containers.iter().chain(spec.init_containers.iter().flatten());
            let own = own.map(|container| (container.name.as_str(), container.resources.as_ref()));
            let ephemeral = spec.ephemeral_containers.iter().flatten();
            own.chain(ephemeral.map(|container| (container.name.as_str(), None)))
        })
    }
}

/// How many whole parts it takes to hold an amount. The divisor is not zero.
fn parts(amount: i64, divisor: i64) -> i64 {
    let (whole, rest) = (amount.wrapping_div(divisor), amount.wrapping_rem(divisor));
    whole + i64::from(rest != 0 && (rest < 0) == (divisor < 0))
}

fn amount(list: Option<&BTreeMap<String, ApiQuantity>>, kind: &str) -> Result<Quantity, String> {
    list.and_then(|list| list.get(kind)).map_or_else(|| Ok(Quantity::default()), |amount| parse(&amount.0))
}

fn parse(text: &str) -> Result<Quantity, String> {
    Quantity::parse(text).map_err(|error| error.to_string())
}

fn at(map: Option<&BTreeMap<String, String>>, key: &str) -> String {
    map.and_then(|map| map.get(key)).cloned().unwrap_or_default()
}

/// One line for each entry, sorted: `key="value"`, the value quoted as Go quotes.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> =
        map.into_iter().flatten().map(|(key, value)| format!("{key}={}", go_quoted(value))).collect();
    lines.join("\n")
}

fn go_quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if printable(c) => out.push(c),
            // Writing to a string cannot fail.
            c if c < '\u{80}' => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c if c < '\u{10000}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => drop(write!(out, "\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// Whether a character shows. The standard library tells by what it escapes; marks that combine with the letter
/// before them are escaped only where there is none, so one goes in front.
fn printable(c: char) -> bool {
    let pair: String = ['a', c].iter().collect();
    pair.escape_debug().nth(1) != Some('\\')
}

#[cfg(test)]
#[path = "tests/downward.rs"]
mod tests;
