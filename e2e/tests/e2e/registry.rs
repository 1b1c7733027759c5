//! An image registry that the edges reach over their links: the part of the distribution specification that a pull
//! needs, open or behind a name and a password, and a memory of what was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use skerry_e2e::image::{Image, MANIFEST, Parts, sha256};
use skerry_e2e::{Edge, Lab};

use crate::server::Server;

/// The name that opens a closed registry.
pub(crate) const USER: &str = "puller";
/// The password that opens a closed registry; a colon belongs to it, as it may.
pub(crate) const PASSWORD: &str = "pass:word";

/// A registry; it ends when this is dropped.
pub(crate) struct Registry {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What a request must bear, where the registry is closed.
    authorization: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Digests of manifests by `repository:tag`.
    tags: BTreeMap<String, String>,
    /// Everything by digest: content and media type.
    blobs: BTreeMap<String, (Bytes, &'static str)>,
    /// Tags that were resolved, in order.
    resolved: Vec<String>,
}

impl Registry {
    /// A registry of the lab's host that anybody may pull from.
    pub(crate) fn open(lab: &Lab) -> Result<Self> {
        Self::start(lab, None)
    }

    /// A registry that wants [`USER`] and [`PASSWORD`].
    pub(crate) fn closed(lab: &Lab) -> Result<Self> {
        Self::start(lab, Some(format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))))
    }

    fn start(lab: &Lab, authorization: Option<String>) -> Result<Self> {
        let shared = Arc::new(Shared { authorization, ..Shared::default() });
        let serving = Arc::clone(&shared);
        let address = lab.id()?.host_address().into();
        Ok(Self { server: Server::start(address, None, move |request| serving.answer(request))?, shared })
    }

    /// The registry as image names call it: `ADDRESS:PORT`.
    pub(crate) fn host(&self) -> String {
        self.server.address.to_string()
    }

    /// Keeps an image under a tag such as `app:1`, in place of what had it; its full name.
    pub(crate) fn push(&self, tag: &str, image: &Image) -> Result<String> {
        let Parts { config, manifest, layer } = image.parts()?;
        let digest = sha256(&manifest);
        let mut state = self.shared.state();
        for (blob, kind) in [
            (config, "application/vnd.oci.image.config.v1+json"),
            (manifest, MANIFEST),
            (layer, "application/octet-stream"),
        ] {
            state.blobs.insert(sha256(&blob), (blob.into(), kind));
        }
        state.tags.insert(tag.to_owned(), digest);
        Ok(format!("{}/{tag}", self.host()))
    }

    /// Tells an edge's containerd that this registry speaks plain HTTP.
    pub(crate) fn introduce(&self, edge: &Edge) -> Result<()> {
        let folder = edge.path(&format!("/etc/containerd/certs.d/{}", self.host()));
        std::fs::create_dir_all(&folder)?;
        let host = self.host();
        let text = format!(
            "server = \"http://{host}\"\n\n[host.\"http://{host}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
        );
        Ok(std::fs::write(folder.join("hosts.toml"), text)?)
    }

    /// How often a tag was resolved to its digest.
    pub(crate) fn resolved(&self, tag: &str) -> usize {
        self.shared.state().resolved.iter().filter(|resolved| *resolved == tag).count()
    }
}

/// The content of a `.dockerconfigjson` for this registry.
pub(crate) fn docker_config(host: &str, user: &str, password: &str) -> String {
    json!({"auths": {host: {"auth": STANDARD.encode(format!("{user}:{password}"))}}}).to_string()
}

/// A Secret of type `kubernetes.io/dockerconfigjson`.
pub(crate) fn pull_secret(name: &str, config: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": name}, "stringData": {".dockerconfigjson": config},
    })
    .to_string()
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let given = request.headers().get(AUTHORIZATION).and_then(|given| given.to_str().ok());
        if self.authorization.is_some() && given != self.authorization.as_deref() {
            let mut response = refusal(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"registry\""));
            return response;
        }
        let path = request.uri().path();
        let Some(rest) = path.strip_prefix("/v2/") else {
            return refusal(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
        };
        if rest.is_empty() {
            return Response::new(Full::default());
        }
        let found = if let Some((repository, reference)) = rest.split_once("/manifests/") {
            self.manifest(repository, reference)
        } else if let Some((_, digest)) = rest.split_once("/blobs/") {
            Some(digest.to_owned())
        } else {
            None
        };
        let state = self.state();
        let Some((digest, (blob, kind))) =
            found.and_then(|digest| Some((digest.clone(), state.blobs.get(&digest)?)))
        else {
            return refusal(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
        };
        let head = request.method() == Method::HEAD;
        let mut response = Response::new(if head { Full::default() } else { Full::new(blob.clone()) });
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert("content-length", HeaderValue::from(blob.len()));
        if let Ok(digest) = HeaderValue::from_str(&digest) {
            headers.insert("docker-content-digest", digest);
        }
        response
    }

    /// The digest of a manifest by tag or digest.
    fn manifest(&self, repository: &str, reference: &str) -> Option<String> {
        if reference.starts_with("sha256:") {
            return Some(reference.to_owned());
        }
        let tag = format!("{repository}:{reference}");
        let mut state = self.state();
        let digest = state.tags.get(&tag).cloned();
        state.resolved.push(tag);
        digest
    }
}

fn refusal(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body: Value = json!({"errors": [{"code": code, "message": "the registry refuses this"}]});
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
