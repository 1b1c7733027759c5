//! The kind Device.
//!
//! Source of fields and types: KubeEdge's definition `devices_v1beta1_device.yaml`.

mod push;

pub use push::{
    Database, Http, InfluxDb, InfluxDbClient, InfluxDbData, Mqtt, MySql, MySqlClient, OpenTelemetry,
    PushMethod, Redis, RedisClient, TdEngine, TdEngineClient,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::devices::{ApiVersion, ProtocolConfig, TwinProperty, VisitorConfig};

/// A device at a node: how it is reached, which of its properties are read, and which values are wanted.
///
/// Its status is written with the object, not through a subresource: KubeEdge's manifests say in `status` how a
/// device reports its state, and with a subresource the API server would drop that without a word.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Device {
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

crate::resource::namespaced!(Device, "devices");

/// This kind's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    #[default]
    Device,
}

/// Where a device is, how it is reached, and what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spec {
    /// The model that the device follows, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_model_ref: Option<ModelReference>,
    /// The node that the device is attached to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The properties that are read or written. Names are unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))
    )]
    pub properties: Option<Vec<Property>>,
    /// How the device is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolConfig>,
    /// What the device can be told to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<Method>>,
    /// How its state is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_report: Option<StateReport>,
}

/// The name of a DeviceModel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-map-type" = "atomic")))]
pub struct ModelReference {
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// A property of a device, and how it is read, reported and pushed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Property {
    /// Its name, unique in the device, and as the model calls it.
    #[serde(default)]
    pub name: String,
    /// The value that the device should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<TwinProperty>,
    /// How it is read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visitors: Option<VisitorConfig>,
    /// How often it is reported, in milliseconds; 0 leaves it to the driver, as KubeEdge's do, with one second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_cycle: Option<i64>,
    /// How often it is read from the device, in milliseconds; 0 as in `reportCycle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collect_cycle: Option<i64>,
    /// Whether what is read goes to the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_to_cloud: Option<bool>,
    /// Where else what is read goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_method: Option<PushMethod>,
}

/// Something that the device can be told to do: a write to properties.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Method {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The properties that it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_names: Option<Vec<String>>,
}

/// How a device's state is reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StateReport {
    /// Whether it goes to the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_to_cloud: Option<bool>,
    /// How often it is reported, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_cycle: Option<i64>,
}

/// How the device reports its state, where `spec.stateReport` does not say, and in short how it is. What it said in
/// full is in the DeviceStatus of its name. Fields that are not named here are kept, as KubeEdge keeps them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-preserve-unknown-fields" = true)))]
pub struct Status {
    /// Whether the device's state goes to the cluster. Written by whoever wrote the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_to_cloud: Option<bool>,
    /// How often the state is reported, in milliseconds. Written by whoever wrote the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_cycle: Option<i64>,
    /// How the device is, as in its DeviceStatus, for `kubectl get`. Skerry's, as KubeEdge had it before its 1.23.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When the device was last known to be online, for `kubectl get`. Skerry's, as KubeEdge had it before its 1.23.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_online_time: Option<String>,
    /// What else stands there: twins, where a KubeEdge before 1.23 wrote them.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub rest: Map<String, Value>,
}
