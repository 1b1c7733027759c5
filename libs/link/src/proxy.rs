//! HTTP proxies between an edge and the cloud, named by the usual environment variables: `HTTPS_PROXY` or `ALL_PROXY` (also
//! in lower case) says which, `NO_PROXY` for which hosts none is used. Everything goes through a tunnel (`CONNECT`), so
//! a proxy sees where an edge connects to and nothing of what is said.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use thiserror::Error;

/// The variables that name a proxy, the first that is set counts; and those that name exceptions.
const NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Port of a proxy that names none.
const PORT: u16 = 80;

/// Which proxy leads to which host. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Proxies {
    matcher: Option<Arc<Matcher>>,
}

/// A variable of the environment names no proxy that can be used. The value is not shown: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{variable}: {why} (wanted is http://[USER:PASSWORD@]HOST[:PORT])")]
pub struct ProxyError {
    variable: &'static str,
    why: &'static str,
}

/// A proxy that leads somewhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`, where the proxy wants one.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Proxies {
    /// From the environment, given as a function so that tests need none.
    ///
    /// # Errors
    /// A variable is set to what is no proxy, or to one that is not spoken to: over TLS, or SOCKS.
    pub fn from_variables(get: impl Fn(&'static str) -> Option<String>) -> Result<Self, ProxyError> {
        let set = |names: &[&'static str]| {
            names
                .iter()
                .find_map(|name| get(name).filter(|value| !value.is_empty()).map(|value| (*name, value)))
        };
        let Some((variable, value)) = set(&NAMES) else { return Ok(Self::default()) };
        check(&value).map_err(|why| ProxyError { variable, why })?;
        let exceptions = set(&EXCEPTIONS).map(|(_, value)| value).unwrap_or_default();
        let matcher = Matcher::builder().https(value).no(exceptions).build();
        Ok(Self { matcher: Some(Arc::new(matcher)) })
    }

    /// The proxy to a host; `None` where it is reached directly.
    pub(crate) fn to(&self, host: &str, port: u16) -> Option<Proxy> {
        let found = self.matcher.as_ref()?.intercept(&target(host, port)?)?;
        let proxy = found.uri();
        Some(Proxy {
            host: bare(proxy.host()?).to_owned(),
            port: proxy.port_u16().unwrap_or(PORT),
            authorization: found.basic_auth().cloned(),
        })
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.matcher.is_some() { "Proxies(of the environment)" } else { "Proxies(none)" })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy {}:{}", self.host, self.port)
    }
}

fn check(value: &str) -> Result<(), &'static str> {
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => return Err("a proxy that is itself spoken to over TLS is not supported"),
        "socks4" | "socks4a" | "socks5" | "socks5h" => return Err("SOCKS proxies are not supported"),
        _ => return Err("it is no URL of a proxy"),
    }
    let uri: Uri = format!("http://{rest}").parse().map_err(|_| "it is no URL of a proxy")?;
    if uri.host().is_none_or(str::is_empty) { Err("it names no host") } else { Ok(()) }
}

/// What a tunnel leads to, as the matcher wants it.
fn target(host: &str, port: u16) -> Option<Uri> {
    format!("https://{}", authority(host, port)).parse().ok()
}

/// `HOST:PORT`, an IPv6 address in brackets.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn to(variables: &[(&str, &str)], host: &str) -> Option<String> {
        proxies(variables).unwrap().to(host, 10_000).map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_usual_variables_name_it() {
        let proxy = Some("proxy p.example:3128".to_owned());
        for name in NAMES {
            assert_eq!(to(&[(name, "http://p.example:3128")], "cloud.example"), proxy, "{name}");
        }
        assert_eq!(to(&[("HTTPS_PROXY", "p.example:3128")], "10.0.0.1"), proxy);
        assert_eq!(to(&[("HTTPS_PROXY", "http://p.example")], "a").as_deref(), Some("proxy p.example:80"));
        assert_eq!(
            to(&[("HTTPS_PROXY", "http://[fd00::1]:8080")], "fd00::2").as_deref(),
            Some("proxy fd00::1:8080")
        );
        assert_eq!(
            to(&[("ALL_PROXY", "http://other:1"), ("HTTPS_PROXY", "http://p.example:3128")], "a"),
            proxy
        );
        // A variable for plain HTTP is none for what always is TLS.
        assert_eq!(to(&[("HTTP_PROXY", "http://p.example:3128")], "a"), None);
        assert_eq!(to(&[], "a"), None);
        assert_eq!(to(&[("HTTPS_PROXY", "")], "a"), None);
    }

    #[test]
    fn exceptions_are_reached_directly() {
        let with = |exceptions| [("https_proxy", "http://p:3128"), ("no_proxy", exceptions)];
        for (exceptions, host) in [
            ("cloud.example", "cloud.example"),
            (".example", "cloud.example"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("a, fd00::1", "fd00::1"),
            ("*", "cloud.example"),
        ] {
            assert_eq!(to(&with(exceptions), host), None, "{exceptions}");
        }
        assert!(to(&with("other.example,10.0.0.0/8"), "cloud.example").is_some());
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_password() {
        for (value, why) in [
            ("socks5://u:hush@p:1", "SOCKS"),
            ("https://u:hush@p:1", "over TLS"),
            ("ftp://u:hush@p:1", "no URL"),
            ("http://", "no"),
            ("http://u:hush@ p", "no URL"),
        ] {
            let error = proxies(&[("HTTPS_PROXY", value)]).unwrap_err().to_string();
            assert!(
                error.starts_with("HTTPS_PROXY: ") && error.contains(why) && !error.contains("hush"),
                "{error}"
            );
        }
        let proxy = proxies(&[("HTTPS_PROXY", "http://user:hush@p:1")]).unwrap();
        let found = proxy.to("a", 1).unwrap();
        assert_eq!(found.authorization.as_ref().unwrap(), "Basic dXNlcjpodXNo");
        assert!(!format!("{proxy:?} {found}").contains("hush"));
    }
}
