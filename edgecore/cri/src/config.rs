//! Where the runtime is, and how long it may take.

use std::time::Duration;

use crate::error::ConnectError;

/// How to reach the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its socket, as `unix:///run/containerd/containerd.sock` or as an absolute path.
    pub endpoint: String,
    /// How long calls may take.
    pub deadlines: Deadlines,
}

impl Config {
    /// The runtime at that socket, with the usual deadlines.
    pub fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), deadlines: Deadlines::default() }
    }

    /// The socket's path.
    pub(crate) fn path(&self) -> Result<&str, ConnectError> {
        let path = self.endpoint.strip_prefix("unix://").unwrap_or(&self.endpoint);
        if path.starts_with('/') && path.len() > 1 {
            Ok(path)
        } else {
            Err(ConnectError::Endpoint(self.endpoint.clone()))
        }
    }
}

/// How long calls may take before the runtime counts as not answering. A call that waits for something outside the
/// runtime (a grace, a command) may take that much longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Status and version.
    pub status: Duration,
    /// Lists and details.
    pub look: Duration,
    /// What makes, starts, stops or removes a container. Upstream's `runtime-request-timeout`.
    pub change: Duration,
    /// What makes or stops a sandbox: network plugins are called. Upstream's too.
    pub sandbox: Duration,
    /// Fetching an image. Upstream has none; this bounds a download that stands still without an error.
    pub pull: Duration,
    /// The runtime counts as gone when it has not answered for so long. Restarts of it are shorter.
    pub silence: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            status: Duration::from_secs(5),
            look: Duration::from_secs(15),
            change: Duration::from_mins(2),
            sandbox: Duration::from_mins(4),
            pull: Duration::from_hours(2),
            silence: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_socket_by_uri_or_path() {
        assert_eq!(Config::new("unix:///run/c.sock").path().unwrap(), "/run/c.sock");
        assert_eq!(Config::new("/run/c.sock").path().unwrap(), "/run/c.sock");
        for wrong in ["", "/", "unix://", "run/c.sock", "tcp://127.0.0.1:1"] {
            let error = Config::new(wrong).path().unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
