//! Where to connect.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The one path that is served.
pub const PATH: &str = "/v1/connect";
const MAX: usize = 300;

/// `wss://HOST:PORT/v1/connect`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Why a text is no endpoint.
#[derive(Debug, Error)]
#[error("endpoint {text:?}: {why} (wanted is wss://HOST:PORT{PATH})")]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl Endpoint {
    /// A name or an IP address, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = |why| EndpointError { text: text.chars().take(MAX).collect(), why };
        if text.len() > MAX {
            return Err(wrong("too long"));
        }
        let uri: http::Uri = text.parse().map_err(|_| wrong("not a URL"))?;
        if uri.scheme_str() != Some("wss") {
            return Err(wrong("not wss"));
        }
        if uri.path_and_query().map(http::uri::PathAndQuery::as_str) != Some(PATH) {
            return Err(wrong("another path"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("user names are not supported"));
        }
        let host = uri.host().ok_or_else(|| wrong("no host"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if rustls_pki_types::ServerName::try_from(host).is_err() {
            return Err(wrong("host is neither a DNS name nor an IP address"));
        }
        let port = uri.port_u16().ok_or_else(|| wrong("no port"))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "wss://[{}]:{}{PATH}", self.host, self.port)
        } else {
            write!(f, "wss://{}:{}{PATH}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_come_back_as_they_were_written() {
        for (text, host, port) in [
            ("wss://cloud.example:10000/v1/connect", "cloud.example", 10000),
            ("wss://10.0.0.1:1/v1/connect", "10.0.0.1", 1),
            ("wss://[fd00::1]:443/v1/connect", "fd00::1", 443),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.to_string().as_str()), (host, port, text));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("ws://a:1/v1/connect", "not wss"),
            ("wss://a:1/", "another path"),
            ("wss://a:1/v1/connect?x", "another path"),
            ("wss://a/v1/connect", "no port"),
            ("wss://u@a:1/v1/connect", "user names"),
            ("wss://a_b..c:1/v1/connect", "neither"),
            ("nonsense", "not wss"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
