//! The CustomResourceDefinitions of this crate's kinds, made from their types.
//!
//! Fields, types and descriptions come from the structs by `schemars`; [`structural`] turns that into the dialect
//! that the API server takes. What belongs to a kind as a whole, as its columns, stands here.

pub(crate) mod rules;
pub mod structural;

use k8s_openapi::{NamespaceResourceScope, Resource};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::devices::{Device, DeviceModel, DeviceStatus};
use structural::NotStructural;

/// A definition that can be applied to a cluster.
#[derive(Debug)]
pub struct Definition {
    /// Its name, as in `devices.devices.kubeedge.io`.
    pub name: String,
    /// The name of its file among this crate's, as in `devices.kubeedge.io_devices.yaml`.
    pub file: String,
    /// The object, of `apiextensions.k8s.io/v1`.
    pub object: Value,
}

/// Every definition of this crate.
///
/// # Errors
///
/// A type that has no structural schema: a defect of this crate.
pub fn definitions() -> Result<Vec<Definition>, NotStructural> {
    let node = column("Node", ".spec.nodeName");
    let protocol = column("Protocol", ".spec.protocol.protocolName");
    // Text, not times: KubeEdge writes them in a form of its own, which a column of times would call invalid.
    let online = column("Last Online", ".status.lastOnlineTime");
    let state = column("State", ".status.state");
    Ok(vec![
        definition::<Device>("device", &[node, protocol, state.clone(), online.clone(), age()])?,
        definition::<DeviceModel>("devicemodel", &[column("Protocol", ".spec.protocol"), age()])?,
        definition::<DeviceStatus>("devicestatus", &[state, online, age()])?,
    ])
}

fn column(name: &str, path: &str) -> Value {
    json!({ "name": name, "type": "string", "jsonPath": path })
}

fn age() -> Value {
    json!({ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" })
}

/// The definition of a namespaced kind without subresources.
fn definition<K>(singular: &str, columns: &[Value]) -> Result<Definition, NotStructural>
where
    K: Resource<Scope = NamespaceResourceScope> + JsonSchema,
{
    let (group, plural) = (K::GROUP, K::URL_PATH_SEGMENT);
    let name = format!("{plural}.{group}");
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
        "spec": {
            "group": group,
            "names": {
                "kind": K::KIND,
                "listKind": format!("{}List", K::KIND),
                "plural": plural,
                "singular": singular,
            },
            "scope": "Namespaced",
            "versions": [{
                "name": K::VERSION,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": whole::<K>()? },
                "additionalPrinterColumns": columns,
            }],
        },
    });
    Ok(Definition { name, file: format!("{group}_{plural}.yaml"), object })
}

/// The schema of whole objects. What every object has, the API server checks by itself.
fn whole<K: JsonSchema>() -> Result<Value, NotStructural> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let generated = settings.into_generator().into_root_schema_for::<K>();
    let mut schema = structural::of(generated.as_value())?;
    schema["properties"]["apiVersion"] = json!({ "type": "string" });
    schema["properties"]["kind"] = json!({ "type": "string" });
    schema["properties"]["metadata"] = json!({ "type": "object" });
    Ok(schema)
}

#[cfg(test)]
mod tests;
