//! ConfigMaps: data, binaryData, immutable.

use crate::kinds::string_map;
use crate::object::{Detail, Fields};

/// Nothing is left out.
pub(super) fn project(object: &mut Fields) -> Result<Detail, String> {
    string_map(object, "data")?;
    string_map(object, "binaryData")?;
    Ok(Detail::Plain)
}
