//! The names a serving certificate needs.

use http::Uri;

use crate::errors::JoinError;

/// DNS names and IP addresses of everything that is advertised, and those configured besides; each once.
pub fn serving_names(
    endpoints: &[String],
    join_endpoints: &[String],
    server_names: &[String],
) -> Result<Vec<String>, JoinError> {
    let mut names = std::collections::BTreeSet::new();
    for (key, urls) in [("endpoints", endpoints), ("joinEndpoints", join_endpoints)] {
        for url in urls {
            let wrong = || JoinError::Endpoint { key, value: url.clone() };
            let uri: Uri = url.parse().map_err(|_| wrong())?;
            let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            names.insert(host.to_owned());
        }
    }
    names.extend(server_names.iter().cloned());
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_from_urls_once() {
        let list = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let names = serving_names(
            &list(&["wss://a.example:1/v1/connect", "wss://[fd00::1]:1/v1/connect"]),
            &list(&["https://a.example:2", "https://10.0.0.1:2"]),
            &list(&["b.example"]),
        );
        assert_eq!(names.unwrap(), ["10.0.0.1", "a.example", "b.example", "fd00::1"]);
        let error = serving_names(&[], &list(&["/x"]), &[]).unwrap_err().to_string();
        assert!(error.contains("joinEndpoints"), "{error}");
    }
}
