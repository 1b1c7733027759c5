//! The kind DeviceModel.
//!
//! Source of fields, types and words: KubeEdge's definition `devices_v1beta1_devicemodel.yaml`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::devices::{ApiVersion, FreeForm, VisitorConfig};

/// What devices of one make have in common: their properties, and how these are reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceModel {
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
}

crate::resource::namespaced!(DeviceModel, "devicemodels");

/// This kind's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    #[default]
    DeviceModel,
}

/// The properties that devices of this model have, and the protocol that they speak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spec {
    /// What can be read from and written to such a device. Names are unique. The number is bounded so that the API
    /// server can tell beforehand what the rules cost; the bound is Skerry's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            length(max = 2000),
            extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
        )
    )]
    pub properties: Option<Vec<Property>>,
    /// The protocol that these devices speak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What a driver needs to reach any of these devices. A device's own `spec.protocol.configData` goes over it, key
    /// by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_config_data: Option<FreeForm>,
}

/// A property that devices of the model have.
///
/// The API server compares `minimum` and `maximum` as doubles where both are plain decimal numbers; two that differ
/// only beyond a double's digits pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = crate::schema::rules::range())))]
pub struct Property {
    /// Its name, unique in the model.
    #[serde(default)]
    pub name: String,
    /// What it means, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The type of its values.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub data_type: Option<DataType>,
    /// Whether it can be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,
    /// The least value that a numeric property takes, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 320)))]
    pub minimum: Option<String>,
    /// The greatest value that a numeric property takes, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 320)))]
    pub maximum: Option<String>,
    /// The unit of its values, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How it is read and written on every device of the model, where the device does not say otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visitors: Option<VisitorConfig>,
}

/// The type of a property's values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DataType {
    Int,
    Float,
    Double,
    String,
    Boolean,
    Bytes,
    Stream,
    /// A word that only a later version knows: an edge that is older than the cloud refuses the property, not the
    /// model.
    #[serde(untagged)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Other(String),
}

/// Whether a property can be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AccessMode {
    ReadWrite,
    ReadOnly,
    /// A word that only a later version knows, as in [`DataType::Other`].
    #[serde(untagged)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Other(String),
}
