//! One GET, by hand: no pool, no task, no connection that outlives it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::handler::Http;

/// Requests made where one redirect leads to the next, as upstream's; Go counts the first one too.
const MAX_REQUESTS: usize = 10;
/// Bytes read of a body, as upstream's.
const MAX_BODY: usize = 10 << 10;

/// Makes requests.
#[derive(Clone)]
pub(super) struct Web {
    tls: TlsConnector,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Web")
    }
}

impl Web {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Success is a status from 200 to 399. A redirect to another host is not followed and counts as success, with a
    /// warning for people, and so does one that leads nowhere.
    pub(super) async fn get(&self, asked: &Http, host: &str) -> Result<Option<String>, String> {
        let mut request = asked.clone();
        let mut made = 1;
        loop {
            let Said { status, location, body } = self.once(&request, host).await?;
            let location = location.filter(|_| is_followed(status)).unwrap_or_default();
            let Some(next) = follow(&request, host, &location)? else {
                return judged(status, body, asked.whole);
            };
            if made == MAX_REQUESTS {
                return Err(format!("Get \"{location}\": stopped after {MAX_REQUESTS} redirects"));
            }
            request = next;
            made += 1;
        }
    }

    async fn once(&self, request: &Http, host: &str) -> Result<Said, String> {
        let failed = |error: &dyn std::fmt::Display| format!("Get \"{}\": {error}", url(request, host));
        let stream = TcpStream::connect((host, request.port))
            .await
            .map_err(|error| failed(&format_args!("dial tcp {}: {error}", authority(host, request.port))))?;
        if !request.tls {
            return exchange(stream, request, host).await.map_err(|error| failed(&error));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| failed(&error))?;
        exchange(stream, request, host).await.map_err(|error| failed(&error))
    }
}

/// What a server said.
struct Said {
    status: StatusCode,
    /// Where a redirect leads.
    location: Option<String>,
    /// As much of the body as is read; an error where it broke off before.
    body: Result<String, String>,
}

async fn exchange<S>(stream: S, request: &Http, host: &str) -> Result<Said, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(16 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| text(&error))?;
    let message = message(request, host)?;
    let answer = async {
        let response = sender.send_request(message).await?;
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let (status, location) = (response.status(), location.map(str::to_owned));
        let body = beginning(response.into_body()).await.map_err(|_| "unexpected EOF".to_owned());
        Ok::<_, hyper::Error>(Said { status, location, body })
    };
    tokio::pin!(answer);
    // The connection only moves while it is polled; it ends with this call. Where the server closes at once, it may
    // end in the same instant in which the answer is there, so its end alone says nothing.
    let answered = tokio::select! {
        biased;
        answered = &mut answer => answered,
        _ended = connection => answer.await,
    };
    answered.map_err(|error| {
        if error.is_incomplete_message() || error.is_canceled() { "EOF".to_owned() } else { text(&error) }
    })
}

/// As much of a body as is read.
async fn beginning(mut body: hyper::body::Incoming) -> Result<String, hyper::Error> {
    let mut read = Vec::new();
    while read.len() < MAX_BODY
        && let Some(frame) = body.frame().await
    {
        read.extend_from_slice(frame?.data_ref().map(Bytes::as_ref).unwrap_or_default());
    }
    read.truncate(MAX_BODY);
    Ok(String::from_utf8_lossy(&read).into_owned())
}

fn message(request: &Http, host: &str) -> Result<Request<Empty<Bytes>>, String> {
    let mut message = Request::builder()
        .uri(&request.path)
        .body(Empty::new())
        .map_err(|error| format!("invalid path {:?}: {error}", request.path))?;
    let headers = message.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static("kube-probe/1.37"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Ok(host) = HeaderValue::from_str(&authority(host, request.port)) {
        headers.insert(header::HOST, host);
    }
    let mut own = http::HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).map_err(|error| format!("invalid header {name:?}: {error}"))?;
        let value =
            HeaderValue::try_from(value).map_err(|error| format!("invalid header {name}: {error}"))?;
        own.append(name, value);
    }
    for name in own.keys() {
        headers.remove(name);
    }
    for (name, value) in &own {
        headers.append(name, value.clone());
    }
    Ok(message)
}

/// What the last answer comes to.
fn judged(status: StatusCode, body: Result<String, String>, whole: bool) -> Result<Option<String>, String> {
    let body = if whole { body? } else { body.unwrap_or_default() };
    match status.as_u16() {
        200..300 => Ok(None),
        300..400 => Ok(Some(format!("Probe terminated redirects, Response body: {body}"))),
        other => Err(format!("HTTP probe failed with statuscode: {other}")),
    }
}

/// Whether a status sends its reader elsewhere: those that Go follows.
fn is_followed(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301..=303 | 307 | 308)
}

/// The request that a redirect leads to, where it stays on the host. A place that cannot be read is an error, as Go's.
fn follow(request: &Http, host: &str, location: &str) -> Result<Option<Http>, String> {
    if location.is_empty() {
        return Ok(None);
    }
    // A colon before any slash ends a scheme (RFC 3986, 4.2).
    let absolute = location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
    let uri: http::Uri = match (absolute, location.starts_with("//")) {
        (true, _) => location.parse(),
        (false, true) => format!("{}:{location}", scheme(request)).parse(),
        (false, false) => {
            let path = beside(&request.path, location);
            return Ok(Some(Http { path, ..request.clone() }));
        }
    }
    .map_err(|error| format!("Get {location:?}: failed to parse Location header {location:?}: {error}"))?;
    if uri.host().map(|host| host.trim_matches(['[', ']'])) != Some(host) {
        return Ok(None);
    }
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut next = Http { tls, port, path, ..request.clone() };
    if absolute {
        // A name that the probe gave to the host was meant for where it asked.
        next.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
    }
    Ok(Some(next))
}

fn scheme(request: &Http) -> &'static str {
    if request.tls { "https" } else { "http" }
}

/// The path that a reference without a host means, read at another path.
fn beside(path: &str, reference: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let folder = path.rfind('/').map_or("", |end| &path[..end]);
    match reference.chars().next() {
        Some('/') => without_dots(reference),
        Some('?') => format!("{path}{reference}"),
        _ => without_dots(&format!("{folder}/{reference}")),
    }
}

/// The path, which begins with `/`, with its segments `.` and `..` carried out (RFC 3986, 5.2.4); a query stays as it is.
fn without_dots(path: &str) -> String {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let (path, rest) = path.split_at(end);
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    if matches!(path.rsplit('/').next(), Some("." | "..")) {
        segments.push("");
    }
    format!("/{}{rest}", segments.join("/"))
}

/// Host and port, an IPv6 address in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => v6(address, port),
        _ => format!("{host}:{port}"),
    }
}

fn v6(address: Ipv6Addr, port: u16) -> String {
    format!("[{address}]:{port}")
}

/// The URL, for messages.
pub(super) fn url(request: &Http, host: &str) -> String {
    format!("{}://{}{}", scheme(request), authority(host, request.port), request.path)
}

/// Takes any certificate: a probe asks whether somebody answers, not who; upstream does the same.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one connection after the other with these, and returns what was asked.
    async fn asked(
        web: &Web,
        request: &Http,
        answers: &[&str],
    ) -> (Result<Option<String>, String>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = Http { port: listener.local_addr().unwrap().port(), ..request.clone() };
        let serve = async {
            let mut heads = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap();
                heads.push(String::from_utf8_lossy(&head[..length]).into_owned());
                stream
                    .write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n").as_bytes())
                    .await
                    .unwrap();
                stream.write_all(b"\r\nhi").await.unwrap();
            }
            heads
        };
        tokio::join!(web.get(&request, "127.0.0.1"), serve)
    }

    fn request(path: &str) -> Http {
        let headers =
            vec![("Host".to_owned(), "other.example".to_owned()), ("X-A".to_owned(), "b".to_owned())];
        Http { tls: false, host: String::new(), port: 0, path: path.to_owned(), headers, whole: true }
    }

    #[tokio::test]
    async fn statuses_from_200_to_399_are_success() {
        let web = Web::new().unwrap();
        let check = async |status: &str, want: Result<(), &str>| {
            let (got, heads) = asked(&web, &request("/healthz?x=1"), &[status]).await;
            assert_eq!(got, want.map(|()| None).map_err(str::to_owned), "{status}");
            assert!(heads[0].starts_with("GET /healthz?x=1 HTTP/1.1\r\n"), "{}", heads[0]);
            let lower = heads[0].to_lowercase();
            assert!(lower.contains("host: other.example\r\n") && lower.contains("x-a: b\r\n"));
            assert!(lower.contains("user-agent: kube-probe/"));
        };
        check("200 OK", Ok(())).await;
        check("204 No Content", Ok(())).await;
        check("404 Not Found", Err("HTTP probe failed with statuscode: 404")).await;
        check("503 Service Unavailable", Err("HTTP probe failed with statuscode: 503")).await;
    }

    #[tokio::test]
    async fn redirects_are_followed_on_the_host_only() {
        let web = Web::new().unwrap();
        let (got, heads) = asked(&web, &request("/a"), &["302 Found\r\nLocation: /b", "500 No"]).await;
        assert_eq!(got, Err("HTTP probe failed with statuscode: 500".to_owned()));
        assert!(heads[1].starts_with("GET /b "));
        let (got, _) = asked(&web, &request("/a"), &["302 Found\r\nLocation: http://other.example/"]).await;
        assert_eq!(got, Ok(Some("Probe terminated redirects, Response body: hi".to_owned())));
    }

    #[tokio::test]
    async fn a_redirect_that_leads_nowhere_is_told_of() {
        let web = Web::new().unwrap();
        let told = Ok(Some("Probe terminated redirects, Response body: hi".to_owned()));
        // Without a place to go to, and with one that nobody is sent to.
        for answer in ["302 Found", "300 Multiple Choices\r\nLocation: /b"] {
            assert_eq!(asked(&web, &request("/a"), &[answer]).await.0, told, "{answer}");
        }
    }

    #[tokio::test]
    async fn ten_requests_are_made_and_no_more() {
        let web = Web::new().unwrap();
        let mut answers = ["302 Found\r\nLocation: /b"; 10];
        let (got, heads) = asked(&web, &request("/a"), &answers).await;
        assert_eq!((got, heads.len()), (Err("Get \"/b\": stopped after 10 redirects".to_owned()), 10));
        answers[9] = "200 OK";
        assert_eq!(asked(&web, &request("/a"), &answers).await.0, Ok(None));
        answers[9] = "302 Found\r\nLocation: http://other.example/";
        assert!(matches!(asked(&web, &request("/a"), &answers).await.0, Ok(Some(_))));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_failure_unless_enough_was_read() {
        let web = Web::new().unwrap();
        let padding = "x".repeat(MAX_BODY);
        // What `asked` writes after an answer stands in the first chunk, or after it.
        let short = "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n".to_owned();
        let long = format!("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n{padding}");
        let broken = Err("unexpected EOF".to_owned());
        for (answer, want) in [(&short, broken), (&long, Ok(None))] {
            assert_eq!(asked(&web, &request("/a"), &[answer]).await.0, want);
        }
        let hook = Http { whole: false, ..request("/a") };
        assert_eq!(asked(&web, &hook, &[&short]).await.0, Ok(None), "upstream looks at no hook's answer");
    }

    #[test]
    fn where_a_redirect_leads_is_read_as_a_browser_reads_it() {
        let asked = Http { port: 8080, ..request("/a/b?x=1") };
        let check = |location: &str, want: Option<(bool, u16, &str)>| {
            let next = follow(&asked, "10.0.0.1", location).unwrap();
            let got = next.as_ref().map(|next| (next.tls, next.port, next.path.as_str()));
            assert_eq!(got, want, "{location}");
        };
        check("/c?y=http://other", Some((false, 8080, "/c?y=http://other")));
        check("c", Some((false, 8080, "/a/c")));
        check("?y=1", Some((false, 8080, "/a/b?y=1")));
        check("../login?to=..", Some((false, 8080, "/login?to=..")));
        check("/x/./y/../../..", Some((false, 8080, "/")));
        check("//10.0.0.1:81/c", Some((false, 81, "/c")));
        check("http://10.0.0.1/c", Some((false, 80, "/c")));
        check("https://10.0.0.1", Some((true, 443, "/")));
        for elsewhere in
            ["", "//other/c", "http://other/", "http://0.0.0.0/", "http://10.0.0.10/", "mailto:x"]
        {
            check(elsewhere, None);
        }
        let unread = "Get \"http://[x/\": failed to parse Location header \"http://[x/\": ";
        assert!(follow(&asked, "10.0.0.1", "http://[x/").unwrap_err().starts_with(unread));
        let named = |location| follow(&asked, "10.0.0.1", location).unwrap().unwrap().headers;
        assert_eq!(named("/c"), asked.headers);
        assert_eq!(named("http://10.0.0.1/c"), [("X-A".to_owned(), "b".to_owned())]);
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure_with_the_address() {
        let web = Web::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let error = web.get(&Http { port, ..request("/") }, "127.0.0.1").await.unwrap_err();
        assert!(
            error.starts_with(&format!("Get \"http://127.0.0.1:{port}/\": dial tcp 127.0.0.1:{port}")),
            "{error}"
        );
    }

    #[test]
    fn ipv6_stands_in_brackets() {
        assert_eq!(authority("fd00::1", 80), "[fd00::1]:80");
        assert_eq!(authority("10.0.0.1", 80), "10.0.0.1:80");
    }
}
