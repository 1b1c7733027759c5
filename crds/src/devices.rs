//! `devices.kubeedge.io/v1beta1`: devices, what they have in common, and what was last heard of them.

pub mod device;
pub mod device_model;
pub mod device_status;
mod free_form;
mod protocol;
mod twin;

pub use device::Device;
pub use device_model::DeviceModel;
pub use device_status::DeviceStatus;
pub use free_form::FreeForm;
pub use protocol::{ProtocolConfig, VisitorConfig};
pub use twin::TwinProperty;

use serde::{Deserialize, Serialize};

/// The one version of the group that these types read. An object of another one is refused by its name rather than
/// read with its fields missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiVersion {
    /// KubeEdge's, since its 1.15.
    #[default]
    #[serde(rename = "devices.kubeedge.io/v1beta1")]
    V1Beta1,
}
