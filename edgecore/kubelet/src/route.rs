//! Which path is answered by whom. Pure.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Whether the agent is well.
    Healthz,
    /// A path that nobody answers.
    NotFound,
    /// A path that is answered, but not to this method.
    MethodNotAllowed,
}

/// Finds the route of a request.
pub(crate) fn route(method: &Method, path: &str) -> Route {
    match (path, method) {
        ("/healthz", &Method::GET | &Method::HEAD) => Route::Healthz,
        ("/healthz", _) => Route::MethodNotAllowed,
        _ => Route::NotFound,
    }
}

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        for (method, path, expected) in [
            (Method::GET, "/healthz", Route::Healthz),
            (Method::HEAD, "/healthz", Route::Healthz),
            (Method::POST, "/healthz", Route::MethodNotAllowed),
            (Method::GET, "/", Route::NotFound),
            (Method::GET, "/healthz/", Route::NotFound),
            (Method::GET, "/containerLogs/a/b/c", Route::NotFound),
        ] {
            assert_eq!(route(&method, path), expected, "{method} {path}");
        }
    }
}
