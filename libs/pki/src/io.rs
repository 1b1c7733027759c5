//! The files of a node's identity.

use std::path::Path;

use crate::errors::PkiError;
use crate::identity::{NodeIdentity, chain};

/// Longest identity or trust bundle read, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Reads `identity.pem`; `None` where there is none.
pub fn load_identity(path: &Path) -> Result<Option<NodeIdentity>, PkiError> {
    read(path)?.map(|text| NodeIdentity::from_pem(&text)).transpose()
}

/// Writes `identity.pem`, whole or not at all, for its owner only.
pub fn store_identity(path: &Path, identity: &NodeIdentity) -> Result<(), PkiError> {
    write(path, identity.to_pem().0.as_bytes(), 0o600)
}

/// Reads the trust bundle (PEM), checked to hold at least one certificate; `None` where there is none.
pub fn load_bundle(path: &Path) -> Result<Option<String>, PkiError> {
    let Some(text) = read(path)? else { return Ok(None) };
    chain(&text)?;
    Ok(Some(text))
}

/// Writes the trust bundle (PEM), whole or not at all; refuses one that holds no certificate.
pub fn store_bundle(path: &Path, bundle: &str) -> Result<(), PkiError> {
    chain(bundle)?;
    write(path, bundle.as_bytes(), 0o644)
}

fn read(path: &Path) -> Result<Option<String>, PkiError> {
    let failed = |source| PkiError::File { what: "read", path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(found) if found.len() > MAX_FILE => {
            Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, "longer than 256 KiB")))
        }
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), PkiError> {
    kit::files::write_atomic(path, content, mode).map_err(|source| PkiError::File {
        what: "write",
        path: path.to_owned(),
        source,
    })
}
