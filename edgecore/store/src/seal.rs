//! Sealing of Secret bodies and tokens: ChaCha20-Poly1305 under a key that lies beside the database.
//!
//! It keeps secrets out of copies of the database file; whoever can read the whole state directory can read them. The
//! key file holds a version byte, the key's id and the key. A lost or damaged key file means a new key: what was
//! sealed under the old one is absent from then on and comes again from the cloud.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::error::StoreError;

const FORMAT: u8 = 1;
const KEY_LEN: usize = 32;

/// The key in use.
pub(crate) struct Seal {
    id: i64,
    key: LessSafeKey,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({:x})", self.id)
    }
}

impl Seal {
    /// Reads the key, or makes one where there is none or it is damaged.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("seal.key");
        match std::fs::read(&path) {
            Ok(file) => {
                if let Some(seal) = Self::decode(&file) {
                    return Ok(seal);
                }
                tracing::error!(path = %path.display(), "the key of sealed rows is damaged: making a new one");
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(open_error(path, error)),
        }
        let id = kit::random::bytes::<8>().map_err(|error| open_error(path.clone(), error))?;
        let key = kit::random::bytes::<KEY_LEN>().map_err(|error| open_error(path.clone(), error))?;
        let mut file = vec![FORMAT];
        file.extend(id);
        file.extend(key);
        kit::files::write_atomic(&path, &file, 0o600).map_err(|error| open_error(path.clone(), error))?;
        Self::decode(&file).ok_or_else(|| open_error(path, "a new key does not fit the cipher".to_owned()))
    }

    fn decode(file: &[u8]) -> Option<Self> {
        let (format, rest) = file.split_first()?;
        let (id, key) = rest.split_first_chunk::<8>()?;
        if *format != FORMAT || key.len() != KEY_LEN {
            return None;
        }
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).ok()?;
        Some(Self { id: i64::from_be_bytes(*id), key: LessSafeKey::new(key) })
    }

    /// Id of the key, for the row.
    pub(crate) const fn id(&self) -> i64 {
        self.id
    }

    /// Seals under a fresh random nonce, which stands in front. `about` binds the result to its row.
    pub(crate) fn seal(&self, about: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let failed = |reason: &str| StoreError::Value { what: "a secret", reason: reason.to_owned() };
        let nonce = kit::random::bytes::<NONCE_LEN>().map_err(|_| failed("no randomness"))?;
        let mut body = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(about.as_bytes()),
                &mut body,
            )
            .map_err(|_| failed("it cannot be sealed"))?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// The plain text, or `None` where the row was sealed under another key or about another row, or is damaged.
    pub(crate) fn open_sealed(&self, key_id: i64, about: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        if key_id != self.id {
            return None;
        }
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key.open_in_place(nonce, Aad::from(about.as_bytes()), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

fn open_error(path: PathBuf, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Open { path, source: Arc::from(source.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_here_and_only_for_its_row() {
        let dir = tempfile::tempdir().unwrap();
        let seal = Seal::open(dir.path()).unwrap();
        let sealed = seal.seal("Secret/a", b"hush").unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"hush"));
        // The same file gives the same key.
        let again = Seal::open(dir.path()).unwrap();
        assert_eq!(again.open_sealed(seal.id(), "Secret/a", &sealed).unwrap(), b"hush");
        assert_eq!(again.open_sealed(seal.id(), "Secret/b", &sealed), None);
        assert_eq!(again.open_sealed(seal.id() ^ 1, "Secret/a", &sealed), None);
        let mut bent = sealed;
        *bent.last_mut().unwrap() ^= 1;
        assert_eq!(again.open_sealed(seal.id(), "Secret/a", &bent), None);
    }

    #[test]
    fn a_damaged_key_file_is_replaced_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let first = Seal::open(dir.path()).unwrap();
        std::fs::write(dir.path().join("seal.key"), b"short").unwrap();
        let second = Seal::open(dir.path()).unwrap();
        assert_ne!(first.id(), second.id());
        let mode = std::fs::metadata(dir.path().join("seal.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
