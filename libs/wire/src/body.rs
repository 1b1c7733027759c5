//! Bodies of objects: canonical JSON, compressed for the wire.

use std::borrow::Cow;
use std::io::Read;

use serde_json::Value;
use thiserror::Error;

use crate::dictionary;

/// Longest body after decompression, in bytes: etcd takes 1.5 MiB per object by default, and 3 MiB leaves room for
/// clusters that raised it a little, and for JSON being longer than protobuf.
pub const MAX_BODY: usize = 3 << 20;

/// Below this many bytes compression costs more than it saves.
const PLAIN_BELOW: usize = 128;

/// How a body is packed. The number stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Encoding {
    /// As it is.
    Plain = 0,
    /// One zstd frame, no dictionary.
    Zstd = 1,
    /// One zstd frame by the dictionary `kubernetes-1`. Only for peers that say [`crate::FEATURE_DICTIONARY`].
    ZstdKubernetes1 = 2,
}

/// A body as it travels. Cloning is for the sender's caches, which hold it behind an `Arc`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Body {
    /// How `data` is packed.
    #[prost(enumeration = "Encoding", tag = "1")]
    pub encoding: i32,
    /// Length of the JSON text in bytes; the receiver allocates no more than this.
    #[prost(uint32, tag = "2")]
    pub length: u32,
    /// The packed text.
    #[prost(bytes = "vec", tag = "3")]
    pub data: Vec<u8>,
}

/// Why a body could not be packed or unpacked.
#[derive(Debug, Error)]
pub enum BodyError {
    /// Longer than [`MAX_BODY`].
    #[error("body of {0} bytes is longer than the limit of {MAX_BODY}")]
    TooLong(usize),
    /// Packed in a way that this release does not know.
    #[error("body encoding {0} is unknown")]
    UnknownEncoding(i32),
    /// The bytes do not unpack.
    #[error("body does not decompress")]
    Damaged(#[source] std::io::Error),
    /// Unpacks to another length than it says.
    #[error("body says {said} bytes and holds {found}")]
    Length {
        /// What the message said.
        said: u32,
        /// What it held (at most one byte more than said was read).
        found: usize,
    },
}

impl Body {
    /// Packs a JSON text so that every release can read it.
    pub fn pack(text: &[u8]) -> Result<Self, BodyError> {
        Self::pack_by(text, Encoding::Zstd, |text| zstd::bulk::compress(text, dictionary::LEVEL))
    }

    /// Packs a JSON text by the dictionary: shorter, and faster too.
    pub fn pack_by_dictionary(text: &[u8]) -> Result<Self, BodyError> {
        Self::pack_by(text, Encoding::ZstdKubernetes1, dictionary::compress)
    }

    fn pack_by(
        text: &[u8],
        encoding: Encoding,
        compress: impl Fn(&[u8]) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, BodyError> {
        let length = u32::try_from(text.len())
            .ok()
            .filter(|_| text.len() <= MAX_BODY)
            .ok_or(BodyError::TooLong(text.len()))?;
        let plain = || Self { encoding: Encoding::Plain.into(), length, data: text.to_vec() };
        if text.len() < PLAIN_BELOW {
            return Ok(plain());
        }
        let data = compress(text).map_err(BodyError::Damaged)?;
        if data.len() >= text.len() {
            return Ok(plain());
        }
        Ok(Self { encoding: encoding.into(), length, data })
    }

    /// The same body for a peer that knows no dictionary: packed anew where it was packed by one.
    pub fn without_dictionary(&self) -> Result<Cow<'_, Self>, BodyError> {
        match Encoding::try_from(self.encoding) {
            Ok(Encoding::ZstdKubernetes1) => Ok(Cow::Owned(Self::pack(&self.unpack()?)?)),
            Ok(Encoding::Plain | Encoding::Zstd) | Err(_) => Ok(Cow::Borrowed(self)),
        }
    }

    /// The JSON text. Never allocates more than the message says, and never more than [`MAX_BODY`].
    pub fn unpack(&self) -> Result<Vec<u8>, BodyError> {
        if self.length as usize > MAX_BODY {
            return Err(BodyError::TooLong(self.length as usize));
        }
        let text = match Encoding::try_from(self.encoding) {
            Ok(Encoding::Plain) => self.data.clone(),
            Ok(Encoding::Zstd) => self.read(zstd::Decoder::new(self.data.as_slice()))?,
            Ok(Encoding::ZstdKubernetes1) => self.read(dictionary::decompress(&self.data))?,
            Err(_) => return Err(BodyError::UnknownEncoding(self.encoding)),
        };
        if text.len() != self.length as usize {
            return Err(BodyError::Length { said: self.length, found: text.len() });
        }
        Ok(text)
    }

    /// What comes of unpacking, and no more than one byte beyond the length said.
    fn read(&self, unpacking: std::io::Result<impl Read>) -> Result<Vec<u8>, BodyError> {
        let mut text = Vec::with_capacity(self.length as usize);
        unpacking
            .and_then(|unpacking| unpacking.take(u64::from(self.length) + 1).read_to_end(&mut text))
            .map_err(BodyError::Damaged)?;
        Ok(text)
    }
}

/// Why a text has no canonical form.
#[derive(Debug, Error)]
#[error("not a JSON object")]
pub struct CanonicalError(#[source] Option<serde_json::Error>);

/// The canonical form of a JSON object: keys sorted, no white space. Versions are hashes of this form.
pub fn canonical(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    if !value.is_object() {
        return Err(CanonicalError(None));
    }
    // serde_json's map is a BTreeMap (feature `preserve_order` is off), so keys come out sorted.
    serde_json::to_vec(value).map_err(|error| CanonicalError(Some(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_unpacks(text in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let (plain, by_dictionary) = (Body::pack(&text).unwrap(), Body::pack_by_dictionary(&text).unwrap());
            prop_assert_eq!(plain.unpack().unwrap(), text.clone());
            prop_assert_eq!(by_dictionary.unpack().unwrap(), text);
            prop_assert_eq!(by_dictionary.without_dictionary().unwrap().into_owned(), plain);
        }

        #[test]
        fn damage_is_an_error_or_bounded(data in proptest::collection::vec(any::<u8>(), 0..512), length in 0_u32..5_000_000, encoding in -1_i32..4) {
            if let Ok(text) = (Body { encoding, length, data }).unpack() {
                prop_assert_eq!(text.len(), length as usize);
            }
        }
    }

    #[test]
    fn a_canonical_form_is_its_own() {
        for number in [
            "4.11111111111111116e+200",
            "-0",
            "0.1",
            "5e-324",
            "1.7976931348623157e308",
            "18446744073709551616",
        ] {
            let value: Value = serde_json::from_str(&format!(r#"{{"n":{number}}}"#)).unwrap();
            let first = canonical(&value).unwrap();
            let again = canonical(&serde_json::from_slice(&first).unwrap()).unwrap();
            assert_eq!(String::from_utf8(first), String::from_utf8(again), "{number}");
        }
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_length_it_said() {
        let text = vec![b'a'; 1 << 20];
        for mut body in [Body::pack(&text).unwrap(), Body::pack_by_dictionary(&text).unwrap()] {
            assert!(body.data.len() < 1 << 10 && body.encoding != i32::from(Encoding::Plain));
            body.length = 10;
            assert!(matches!(body.unpack(), Err(BodyError::Length { said: 10, found: 11 })));
        }
    }

    const CONFIG: &[u8] = br#"{"apiVersion":"v1","data":{"level":"info"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-29T06:32:18Z","labels":{"app.kubernetes.io/name":"shelf"},"name":"shelf","namespace":"hall","uid":"0ac77b53-4ec5-4d8d-8c4a-dd5d04995064"}}"#;

    #[test]
    fn the_dictionary_saves_half_of_a_small_object_and_is_needed_to_read_it() {
        let (plain, mut packed) = (Body::pack(CONFIG).unwrap(), Body::pack_by_dictionary(CONFIG).unwrap());
        assert_eq!(packed.encoding(), Encoding::ZstdKubernetes1);
        assert!(packed.data.len() * 2 <= plain.data.len(), "{} of {}", packed.data.len(), plain.data.len());
        packed.set_encoding(Encoding::Zstd);
        assert_ne!(packed.unpack().ok().as_deref(), Some(CONFIG));
    }

    #[test]
    fn an_older_peer_gets_what_it_can_read_and_what_it_can_read_stays_as_it_is() {
        let packed = Body::pack_by_dictionary(CONFIG).unwrap();
        assert_eq!(packed.without_dictionary().unwrap().encoding(), Encoding::Zstd);
        for readable in [Body::pack(CONFIG).unwrap(), Body::pack(b"{}").unwrap()] {
            assert!(
                matches!(readable.without_dictionary().unwrap(), Cow::Borrowed(same) if *same == readable)
            );
        }
        let damaged = Body { length: packed.length + 1, ..packed };
        assert!(damaged.without_dictionary().is_err());
    }

    #[test]
    fn keys_are_sorted_whatever_their_order_was() {
        let left: Value = serde_json::from_str(r#"{"b":1,"a":{"d":[1,2],"c":null}}"#).unwrap();
        let right: Value = serde_json::from_str(r#"{ "a": {"c":null,"d":[1,2]}, "b":1}"#).unwrap();
        assert_eq!(canonical(&left).unwrap(), canonical(&right).unwrap());
        assert!(canonical(&Value::Null).is_err());
    }
}
