//! Configuration whose fields only its reader knows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object of any fields, as configuration of a driver is.
///
/// Numbers are kept as the API server keeps them and never pass a narrower type: integers of 64 bits exactly, all
/// others as the double that they were written as.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FreeForm(pub Map<String, Value>);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for FreeForm {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FreeForm".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}
