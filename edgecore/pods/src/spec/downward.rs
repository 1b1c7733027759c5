//! Values of the downward API.

use edgecore_volumes::Downward;
use k8s_openapi::api::core::v1::{ObjectFieldSelector, Pod, ResourceFieldSelector};

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
        Err(format!("unsupported fieldPath: {}", field.field_path))
    }

    fn resource(&self, resource: &ResourceFieldSelector) -> Result<String, String> {
        Err(format!("unsupported container resource: {}", resource.resource))
    }
}
