//! One side of a twin: a value that somebody wants, or that a device said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A value with what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TwinProperty {
    /// The value as text, whatever the property's type is.
    pub value: String,
    /// What is known about it; KubeEdge's clients write `timestamp`, in milliseconds since 1970, and `type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
}
