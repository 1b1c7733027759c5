//! Secrets: data, type, immutable.

use crate::kinds::string_map;
use crate::object::{Detail, Fields};

/// Nothing is left out.
pub(super) fn project(object: &mut Fields) -> Result<Detail, String> {
    string_map(object, "data")?;
    Ok(Detail::Plain)
}
