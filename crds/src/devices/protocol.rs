//! Which driver speaks with a device, and how it finds the device and each of its properties.

use serde::{Deserialize, Serialize};

use crate::devices::FreeForm;

/// How a device is reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProtocolConfig {
    /// The driver: a protocol that a mapper registered, or one of the built-in ones, `virtual`, `modbus`, `mqtt` and
    /// `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_name: Option<String>,
    /// What the driver needs to reach the device. Over the model's `protocolConfigData`, key by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_data: Option<FreeForm>,
}

/// How a property is read and written.
// Atomic, as every property has one: the API server would note for each of its fields who wrote it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-map-type" = "atomic")))]
pub struct VisitorConfig {
    /// The driver, as in `spec.protocol`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_name: Option<String>,
    /// What the driver needs to find the property on the device. A device's is laid over its model's, key by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_data: Option<FreeForm>,
}
