//! Services: names, cluster IPs and ports, of which environment variables are made.

use crate::kinds;
use crate::object::{Detail, Fields};

/// Nothing is left out.
pub(super) fn project(object: &mut Fields) -> Result<Detail, String> {
    let spec = kinds::object_mut(object, "spec")?;
    kinds::text(spec, "spec", "clusterIP")?;
    kinds::items(spec, "spec", "ports")?;
    Ok(Detail::Plain)
}
