//! Join tokens: what `cloudcore token create` prints and `edgecore join` takes.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kit::Masked;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::names::{check_node_name, check_pattern, matches_pattern};
use crate::spki::Spki;

/// Longest token, in characters.
pub const MAX_TOKEN: usize = 4096;
const PREFIX: &str = "skerry1.";
const MAX_ENDPOINTS: usize = 16;
const MAX_ENDPOINT: usize = 300;
const ID_LENGTH: usize = 16;
/// 32 bytes in base64url without padding.
const SECRET_LENGTH: usize = 43;

/// Why a text is no join token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// Does not begin as tokens of this release do.
    #[error("join token: must begin with {PREFIX:?}")]
    Prefix,
    /// Too long.
    #[error("join token: longer than {MAX_TOKEN} characters")]
    TooLong,
    /// The rest is no base64url, or no JSON of the right shape: characters are missing or were added.
    #[error("join token: damaged (was it copied whole?)")]
    Damaged,
    /// One of its fields cannot be.
    #[error("join token: {0} is not valid")]
    Field(&'static str),
}

/// Whom a token lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// Exactly this node.
    Node(String),
    /// Nodes whose names fit (`*` and `?`).
    Pattern(String),
}

impl Bound {
    /// Whether a node of that name is let in.
    pub fn admits(&self, node: &str) -> bool {
        match self {
            Self::Node(name) => name == node,
            Self::Pattern(pattern) => matches_pattern(pattern, node),
        }
    }
}

/// A join token. `Debug` masks the secret; [`JoinToken::encode`] does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Id: 16 lower-case hexadecimal digits; names the Secret that keeps the hash.
    pub id: String,
    /// The secret.
    pub secret: Masked<TokenSecret>,
    /// Where to join, `https://HOST:PORT`, best first.
    pub join_endpoints: Vec<String>,
    /// Where to connect afterwards, `wss://HOST:PORT/v1/connect`; the answer to the join says it again.
    pub endpoints: Vec<String>,
    /// SHA-256 of the CA's public key.
    pub pin: Spki,
    /// Whom it lets in.
    pub bound: Bound,
}

/// The JSON inside. Unknown fields are skipped, so that a newer cloud may add some.
#[derive(Serialize, Deserialize)]
struct Fields {
    id: String,
    secret: String,
    join: Vec<String>,
    #[serde(default)]
    link: Vec<String>,
    pin: Spki,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

impl JoinToken {
    /// A fresh id.
    pub fn new_id() -> Result<String, kit::random::NoRandomness> {
        let number = u64::from_be_bytes(kit::random::bytes()?);
        Ok(format!("{number:0ID_LENGTH$x}"))
    }

    /// The token as text, secret and all.
    pub fn encode(&self) -> String {
        let (node, pattern) = match &self.bound {
            Bound::Node(name) => (Some(name.clone()), None),
            Bound::Pattern(pattern) => (None, Some(pattern.clone())),
        };
        let fields = Fields {
            id: self.id.clone(),
            secret: self.secret.0.0.clone(),
            join: self.join_endpoints.clone(),
            link: self.endpoints.clone(),
            pin: self.pin,
            node,
            pattern,
        };
        // Strings and lists of strings: serialising cannot fail.
        let json = serde_json::to_vec(&fields).unwrap_or_default();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let inner = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let json = URL_SAFE_NO_PAD.decode(inner).map_err(|_| TokenError::Damaged)?;
        let fields: Fields = serde_json::from_slice(&json).map_err(|_| TokenError::Damaged)?;
        let bound = match (fields.node, fields.pattern) {
            (Some(node), None) if check_node_name(&node).is_ok() => Bound::Node(node),
            (None, Some(pattern)) if check_pattern(&pattern).is_ok() => Bound::Pattern(pattern),
            _ => return Err(TokenError::Field("its node or pattern")),
        };
        if !valid_id(&fields.id) {
            return Err(TokenError::Field("its id"));
        }
        if !endpoints_fit(&fields.join, "https://") || fields.join.is_empty() {
            return Err(TokenError::Field("its list of join endpoints"));
        }
        if !endpoints_fit(&fields.link, "wss://") {
            return Err(TokenError::Field("its list of endpoints"));
        }
        Ok(Self {
            id: fields.id,
            secret: Masked(TokenSecret::parse(&fields.secret).ok_or(TokenError::Field("its secret"))?),
            join_endpoints: fields.join,
            endpoints: fields.link,
            pin: fields.pin,
            bound,
        })
    }
}

fn valid_id(id: &str) -> bool {
    id.len() == ID_LENGTH && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn endpoints_fit(endpoints: &[String], scheme: &str) -> bool {
    endpoints.len() <= MAX_ENDPOINTS
        && endpoints.iter().all(|e| {
            e.len() <= MAX_ENDPOINT && e.starts_with(scheme) && e.bytes().all(|b| b.is_ascii_graphic())
        })
}

/// The secret half of a token: 256 random bits as base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// A fresh one.
    pub fn generate() -> Result<Self, kit::random::NoRandomness> {
        Ok(Self(URL_SAFE_NO_PAD.encode(kit::random::bytes::<32>()?)))
    }

    /// From text; `None` where it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == SECRET_LENGTH
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    /// As text, to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the cluster keeps of it. A plain hash is enough: there are 256 random bits to guess.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Spki::of_key_info(self.0.as_bytes()).0)
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[masked]")
    }
}

/// SHA-256 of a token's secret. Written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// From what [`SecretHash`] displays; `None` where it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Spki>().ok().map(|hash| Self(hash.0))
    }

    /// Whether a secret has this hash, in a time that tells nothing about where they differ.
    pub fn fits(&self, secret: &str) -> bool {
        let other = digest(&SHA256, secret.as_bytes());
        let differing = self.0.iter().zip(other.as_ref()).fold(0_u8, |seen, (a, b)| seen | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Spki(self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(bound: Bound) -> JoinToken {
        JoinToken {
            id: JoinToken::new_id().unwrap(),
            secret: Masked(TokenSecret::generate().unwrap()),
            join_endpoints: vec!["https://10.0.0.1:10002".to_owned()],
            endpoints: vec!["wss://10.0.0.1:10000/v1/connect".to_owned()],
            pin: Spki::of_key_info(b"ca"),
            bound,
        }
    }

    #[test]
    fn a_token_comes_back_and_is_one_word() {
        for bound in [Bound::Node("edge-1".to_owned()), Bound::Pattern("edge-*".to_owned())] {
            let token = token(bound);
            let text = token.encode();
            assert!(text.starts_with("skerry1.") && text.bytes().all(|b| b.is_ascii_graphic()));
            assert_eq!(format!(" {text}\n").parse::<JoinToken>().unwrap(), token);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = token(Bound::Node("a".to_owned()));
        let shown = format!("{token:?} {:?}", token.secret.0);
        assert!(!shown.contains(token.secret.0.expose()), "{shown}");
    }

    #[test]
    fn a_secret_fits_its_hash_only() {
        let secret = TokenSecret::generate().unwrap();
        let hash = SecretHash::parse(&secret.hash().to_string()).unwrap();
        assert!(hash.fits(secret.expose()));
        assert!(!hash.fits(TokenSecret::generate().unwrap().expose()) && !hash.fits(""));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let change = |edit: fn(&mut JoinToken)| {
            let mut token = token(Bound::Node("a".to_owned()));
            edit(&mut token);
            token.encode().parse::<JoinToken>().unwrap_err().to_string()
        };
        assert!(change(|t| t.id = "x".to_owned()).contains("id"));
        assert!(change(|t| t.bound = Bound::Node("A".to_owned())).contains("node"));
        assert!(change(|t| t.join_endpoints.clear()).contains("join endpoints"));
        assert!(change(|t| t.endpoints = vec!["ws://x".to_owned()]).contains("endpoints"));
        assert!(change(|t| t.secret = Masked(TokenSecret("short".to_owned()))).contains("secret"));
        assert!(matches!("x".parse::<JoinToken>(), Err(TokenError::Prefix)));
        assert!(matches!("skerry1.e30".parse::<JoinToken>(), Err(TokenError::Damaged)));
        assert!(matches!("a".repeat(5000).parse::<JoinToken>(), Err(TokenError::TooLong)));
    }

    proptest! {
        #[test]
        fn a_cut_token_is_refused(cut in 0_usize..300) {
            let text = token(Bound::Pattern("*".to_owned())).encode();
            let cut = cut.min(text.len() - 1);
            prop_assert!(text[..cut].parse::<JoinToken>().is_err());
        }
    }
}
