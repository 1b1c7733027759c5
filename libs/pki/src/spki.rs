//! The hash of a public key: what a pin and an identity record hold.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use x509_parser::prelude::FromDer;

use crate::errors::PkiError;

/// SHA-256 of a SubjectPublicKeyInfo, as RFC 7469 pins keys. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spki(pub [u8; 32]);

/// Not 64 hexadecimal digits.
#[derive(Debug, Error)]
#[error("not the SHA-256 of a public key (64 hexadecimal digits)")]
pub struct BadSpki;

impl Spki {
    /// Of a certificate's public key.
    pub fn of_certificate(der: &[u8]) -> Result<Self, PkiError> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der)
            .map_err(|_| PkiError::Certificate("not a certificate"))?;
        Ok(Self::of_key_info(certificate.public_key().raw))
    }

    /// Of a SubjectPublicKeyInfo in DER.
    pub fn of_key_info(der: &[u8]) -> Self {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest(&SHA256, der).as_ref()) {
            *to = *from;
        }
        Self(hash)
    }
}

impl fmt::Display for Spki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Spki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Spki {
    type Err = BadSpki;

    fn from_str(text: &str) -> Result<Self, BadSpki> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(BadSpki);
        }
        let mut hash = [0; 32];
        for (to, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| BadSpki)?;
            *to = u8::from_str_radix(pair, 16).map_err(|_| BadSpki)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for Spki {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spki {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let spki = Spki::of_key_info(b"key");
        assert_eq!(spki.to_string().parse::<Spki>().unwrap(), spki);
        assert!("00".parse::<Spki>().is_err());
        assert!("G".repeat(64).parse::<Spki>().is_err());
        assert!("+f".repeat(32).parse::<Spki>().is_err());
    }
}
