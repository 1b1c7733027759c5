//! ServiceAccounts: imagePullSecrets, automountServiceAccountToken.

use crate::object::{Detail, Fields};

/// The list of the account's token Secrets, which no node uses, is left out.
#[expect(clippy::unnecessary_wraps, reason = "all kinds have one shape")]
pub(super) fn project(object: &mut Fields) -> Result<Detail, String> {
    object.remove("secrets");
    Ok(Detail::Plain)
}
