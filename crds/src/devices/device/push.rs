//! Where what is read from a device goes beside the cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::devices::FreeForm;

/// Where what is read is pushed to, by the edge, which must reach it.
// Atomic as a visitor is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-map-type" = "atomic")))]
pub struct PushMethod {
    /// A web server, which gets a POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// An MQTT broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<Mqtt>,
    /// A collector of OpenTelemetry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel: Option<OpenTelemetry>,
    /// A database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_method: Option<Database>,
    /// What looks for values out of the ordinary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly_detection: Option<FreeForm>,
}

/// A web server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Http {
    /// Its name or address, with or without a scheme before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 65535)))]
    pub port: Option<i64>,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_path: Option<String>,
    /// How long an answer may take; KubeEdge names no unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// An MQTT broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mqtt {
    /// Its address, as in `tcp://127.0.0.1:1883`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The quality of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 2)))]
    pub qos: Option<i32>,
    /// Whether the broker keeps the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained: Option<bool>,
}

/// A collector of OpenTelemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenTelemetry {
    /// Its address.
    #[serde(rename = "endpointURL", skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
}

/// A database; which one is said by the field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Database {
    /// InfluxDB, version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influxdb2: Option<InfluxDb>,
    /// Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
    /// TDengine.
    #[serde(rename = "TDEngine", skip_serializing_if = "Option::is_none")]
    pub td_engine: Option<TdEngine>,
    /// MySQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mysql: Option<MySql>,
}

/// InfluxDB, version 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfluxDb {
    /// How it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influxdb2_client_config: Option<InfluxDbClient>,
    /// What is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influxdb2_data_config: Option<InfluxDbData>,
}

/// How InfluxDB is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfluxDbClient {
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// The bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
}

/// What is written to InfluxDB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfluxDbData {
    /// The measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurement: Option<String>,
    /// Tags of each point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<BTreeMap<String, String>>,
    /// The field that takes the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_key: Option<String>,
}

/// Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Redis {
    /// How it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_client_config: Option<RedisClient>,
}

/// How Redis is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RedisClient {
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// The number of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db: Option<i64>,
    /// The greatest number of connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poolsize: Option<i64>,
    /// How many connections are kept while nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_idle_conns: Option<i64>,
}

/// TDengine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TdEngine {
    /// How it is reached.
    #[serde(rename = "TDEngineClientConfig", skip_serializing_if = "Option::is_none")]
    pub client_config: Option<TdEngineClient>,
}

/// How TDengine is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TdEngineClient {
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// The database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
}

/// MySQL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MySql {
    /// How it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mysql_client_config: Option<MySqlClient>,
}

/// How MySQL is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MySqlClient {
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// The database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
}
