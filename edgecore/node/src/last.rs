//! Pure: what the last report said, so that only changes are reported.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::pressure::Pressure;

/// The parts of the last report that the next one goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Last {
    /// The node's own address.
    pub(crate) address: Option<String>,
    /// The container runtime.
    pub(crate) runtime_version: Option<String>,
    /// By type: whether it holds, and since when.
    conditions: BTreeMap<String, (bool, String)>,
}

impl Last {
    /// From a report's body. What does not fit is as if it had not been said.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let status = &body["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten().filter_map(|condition| {
            let holds = match condition["status"].as_str()? {
                "True" => true,
                "False" => false,
                _ => return None,
            };
            Some((text(&condition["type"])?, (holds, text(&condition["lastTransitionTime"])?)))
        });
        Self {
            address: text(&status["addresses"][0]["address"]),
            runtime_version: text(&status["nodeInfo"]["containerRuntimeVersion"]),
            conditions: conditions.collect(),
        }
    }

    /// Since when a condition has had this status, where it had it last.
    pub(crate) fn since(&self, kind: &str, holds: bool) -> Option<&str> {
        self.conditions.get(kind).filter(|(held, _)| *held == holds).map(|(_, since)| since.as_str())
    }

    /// The pressures that held.
    pub(crate) fn pressure(&self) -> Pressure {
        let held = |kind: &str| self.since(kind, true).is_some();
        Pressure { memory: held("MemoryPressure"), disk: held("DiskPressure"), pid: held("PIDPressure") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_report_says_nothing() {
        for body in [&b""[..], b"null", b"[]", br#"{"status":{"conditions":[{}, 1], "addresses":[]}}"#] {
            assert_eq!(Last::parse(body), Last::default());
        }
    }
}
