//! TCP to a host, directly or through the tunnel of a proxy.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::late::Late;
use crate::proxy::{Proxies, Proxy, authority};

/// Names being resolved.
static RESOLVING: Semaphore = Semaphore::const_new(2);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// Longest answer of a proxy, in bytes.
const MAX_ANSWER: usize = 8 * 1024;
/// Most header lines in it.
const MAX_HEADERS: usize = 64;

/// Why there is no TCP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialError {
    /// Nobody answers: no such name (now), no route, no answer in time; or a proxy says so of the host.
    NoAnswer(String),
    /// Somebody answers, and refuses.
    Refused(String),
}

impl std::fmt::Display for DialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::NoAnswer(reason) | Self::Refused(reason)) = self;
        f.write_str(reason)
    }
}

/// Connects to a host. Reaching whoever is asked first, the host or its proxy, takes `connect_within` at most (names and
/// TCP together); a proxy then has `tunnel_within` to get through. What was asked for and not answered in that time stays in
/// `late`, for the next attempt.
///
/// # Errors
/// See [`DialError`]; where a proxy was asked, the reason names it.
pub async fn dial(
    host: &str,
    port: u16,
    proxies: &Proxies,
    connect_within: Duration,
    tunnel_within: Duration,
    late: &mut Late,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let Some(proxy) = proxies.to(host, port) else { return reach(host, port, connect_within, late).await };
    let through = |error: DialError| match error {
        DialError::NoAnswer(reason) => DialError::NoAnswer(format!("{proxy}: {reason}")),
        DialError::Refused(reason) => DialError::Refused(format!("{proxy}: {reason}")),
    };
    let (mut stream, address) =
        reach(&proxy.host, proxy.port, connect_within, late).await.map_err(through)?;
    let tunnel =
        tokio::time::timeout(tunnel_within, tunnel(&mut stream, &proxy, &authority(host, port))).await;
    let silent = || DialError::NoAnswer(format!("no answer within {} s", tunnel_within.as_secs()));
    tunnel.unwrap_or_else(|_| Err(silent())).map_err(through)?;
    Ok((stream, address))
}

async fn reach(
    host: &str,
    port: u16,
    limit: Duration,
    late: &mut Late,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let reached = tokio::time::timeout(limit, attempt(host, port, limit, late)).await;
    reached.unwrap_or_else(|_| Err(DialError::NoAnswer(format!("no answer within {} ms", limit.as_millis()))))
}

async fn attempt(
    host: &str,
    port: u16,
    limit: Duration,
    late: &mut Late,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let addresses = resolve(host, port)
        .await
        .map_err(|error| DialError::NoAnswer(format!("name does not resolve: {error}")))?;
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = DialError::NoAnswer("name has no addresses".to_owned());
    for address in addresses {
        match within(share, late.connect(address)).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = judge(&error),
        }
    }
    Err(last)
}

/// The addresses of a host. The machine's resolver blocks, for half a minute where its servers are gone, and cannot be
/// called off; attempts follow each other faster than that. So each lookup holds its permit until its thread is free
/// again, or the threads of the whole agent would end up here.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let permit = RESOLVING.acquire().await.map_err(io::Error::other)?;
    let host = host.to_owned();
    let looked_up = tokio::task::spawn_blocking(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(|found| found.take(MAX_ADDRESSES).collect());
        drop(permit);
        found
    });
    looked_up.await.map_err(io::Error::other)?
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A reset is an answer; silence and unreachability are none.
fn judge(error: &io::Error) -> DialError {
    let answered = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    );
    if answered { DialError::Refused(error.to_string()) } else { DialError::NoAnswer(error.to_string()) }
}

/// Asks a proxy to lead on to `target` (RFC 9110, section 9.3.6). Afterwards the stream is the target's.
async fn tunnel(stream: &mut TcpStream, proxy: &Proxy, target: &str) -> Result<(), DialError> {
    let broken = |error: io::Error| DialError::Refused(format!("the connection broke: {error}"));
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(broken)?;
    let mut answer = Vec::new();
    loop {
        if answer.len() >= MAX_ANSWER {
            return Err(DialError::Refused(format!("its answer is longer than {MAX_ANSWER} bytes")));
        }
        if stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
            return Err(DialError::Refused("it closed the connection without an answer".to_owned()));
        }
        if let Some(judged) = read(&answer) {
            return judged;
        }
    }
}

/// What a proxy's answer means; `None` while it is not complete.
pub(crate) fn read(answer: &[u8]) -> Option<Result<(), DialError>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(answer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return None,
        Err(error) => return Some(Err(DialError::Refused(format!("its answer is no HTTP: {error}")))),
    };
    let code = response.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_or_else(|_| code.to_string(), |status| status.to_string());
    Some(match code {
        // In the tunnel we speak first: whatever lies behind the answer is not the cloud's.
        200..=299 if length < answer.len() => {
            Err(DialError::Refused("it says more than that the tunnel stands".to_owned()))
        }
        200..=299 => Ok(()),
        // The proxy is well, and whoever is behind it does not answer.
        502..=504 => Err(DialError::NoAnswer(format!("HTTP status {status}"))),
        _ => Err(DialError::Refused(format!("HTTP status {status}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_judged_when_it_is_whole() {
        let whole = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
        assert_eq!(read(whole), Some(Ok(())));
        let refused = |text: &str| read(text.as_bytes()).unwrap().unwrap_err();
        let more = refused("HTTP/1.1 200 OK\r\n\r\nhello");
        assert!(matches!(&more, DialError::Refused(why) if why.contains("says more")), "{more:?}");
        let closed = refused("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        assert_eq!(closed, DialError::Refused("HTTP status 407 Proxy Authentication Required".to_owned()));
        let beyond = refused("HTTP/1.0 504 Gateway Timeout\r\n\r\n");
        assert_eq!(beyond, DialError::NoAnswer("HTTP status 504 Gateway Timeout".to_owned()));
        assert!(matches!(refused("SSH-2.0-x\r\n\r\n"), DialError::Refused(_)));
    }

    proptest! {
        #[test]
        fn no_answer_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let mut lead = b"HTTP/1.1 200 ".to_vec();
            lead.extend(bytes);
            let _ = read(&lead);
        }
    }
}
