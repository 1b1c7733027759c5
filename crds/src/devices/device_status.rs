//! The kind DeviceStatus.
//!
//! Source of fields and types: KubeEdge's definition `devices_v1beta1_devicestatus.yaml`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::devices::{ApiVersion, FreeForm, TwinProperty};

/// What was last heard of the Device of the same name and namespace, which owns it.
///
/// Its status is written with the object, not through a subresource: KubeEdge creates the object with its status and
/// merges patches into the object itself, and a subresource would drop both without a word.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceStatus {
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub api_version: ApiVersion,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub kind: Kind,
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub metadata: ObjectMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Spec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

crate::resource::namespaced!(DeviceStatus, "devicestatuses");

/// This kind's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    #[default]
    DeviceStatus,
}

/// Nothing: which device this tells of is in its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spec {}

/// What the edge reported. Nothing here is validated beyond its type: a report is never refused for what it says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// Per property, what is wanted and what the device said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub twins: Option<Vec<Twin>>,
    /// How the device is; KubeEdge's mappers say `ok`, `online`, `offline`, `unhealthy` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When it was last known to be online. KubeEdge empties this when a device goes offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_online_time: Option<String>,
    /// What else is told about the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<FreeForm>,
}

/// What is wanted of a property and what the device said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Twin {
    /// The property, as the device and its model call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_name: Option<String>,
    /// The last value that the device said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported: Option<TwinProperty>,
    /// The wanted value that the edge last knew of; it lags behind the Device while the node is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_desired: Option<TwinProperty>,
}
