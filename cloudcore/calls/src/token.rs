//! Whether a node may have the token it asks for. Pure.

use serde::Deserialize;
use serde_json::{Value, json};
use wire::{ObjectKey, TokenRequest};

/// Seconds of life of a projection that names none: the API's default.
const DEFAULT_SECONDS: i64 = 3600;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denied {
    /// HTTP status that fits.
    pub(crate) status: u32,
    /// Why, naming the field.
    pub(crate) reason: String,
}

impl Denied {
    pub(crate) fn forbidden(reason: String) -> Self {
        Self { status: 403, reason }
    }
}

/// The pod, as the index has it.
#[derive(Debug)]
pub(crate) struct PodFacts<'a> {
    /// Its name.
    pub(crate) key: &'a ObjectKey,
    /// The node it is bound to.
    pub(crate) node: &'a str,
    /// The service account it runs as.
    pub(crate) service_account: &'a str,
    /// Has succeeded or failed.
    pub(crate) terminal: bool,
    /// Its body, JSON.
    pub(crate) body: &'a [u8],
}

/// Judges a question of `node`. `pod` is the pod of the UID asked for.
pub(crate) fn check(node: &str, asked: &TokenRequest, pod: &PodFacts<'_>) -> Result<(), Denied> {
    let deny = |reason: String| Err(Denied::forbidden(format!("pod {}: {reason}", asked.pod_uid)));
    // First of all, so that nothing is told about pods of others.
    if pod.node != node {
        return deny(format!("spec.nodeName is not {node}"));
    }
    if pod.key.namespace != asked.namespace {
        return deny(format!("metadata.namespace is not {:?}", asked.namespace));
    }
    if pod.key.name != asked.pod_name {
        return deny(format!("metadata.name is not {:?}", asked.pod_name));
    }
    if pod.service_account != asked.service_account {
        return deny(format!("spec.serviceAccountName is not {:?}", asked.service_account));
    }
    if pod.terminal {
        return deny("status.phase is final".to_owned());
    }
    let body: Pod = match serde_json::from_slice(pod.body) {
        Ok(body) => body,
        Err(error) => return Err(Denied { status: 503, reason: format!("pod {}: {error}", asked.pod_uid) }),
    };
    let mut projected = body.spec.volumes.iter().flat_map(|volume| &volume.projected.sources);
    if projected.any(|source| source.token.as_ref().is_some_and(|token| token.equals(asked))) {
        return Ok(());
    }
    deny(format!(
        "spec.volumes: no serviceAccountToken projection has audiences {:?} and expirationSeconds {}",
        asked.audiences, asked.expiration_seconds
    ))
}

/// The request to the API server.
pub(crate) fn request(asked: &TokenRequest) -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": asked.audiences,
            "expirationSeconds": asked.expiration_seconds,
            "boundObjectRef": {
                "apiVersion": "v1", "kind": "Pod", "name": asked.pod_name, "uid": asked.pod_uid,
            },
        },
    })
}

#[derive(Deserialize)]
struct Pod {
    #[serde(default)]
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    volumes: Vec<Volume>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Volume {
    projected: Projected,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Projected {
    sources: Vec<Source>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    #[serde(rename = "serviceAccountToken")]
    token: Option<Projection>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Projection {
    audience: String,
    expiration_seconds: Option<i64>,
}

impl Projection {
    fn equals(&self, asked: &TokenRequest) -> bool {
        let audiences: &[&str] = if self.audience.is_empty() { &[] } else { &[&self.audience] };
        let seconds = self.expiration_seconds.unwrap_or(DEFAULT_SECONDS);
        asked.audiences == audiences && asked.expiration_seconds == seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::Kind;

    fn asked() -> TokenRequest {
        TokenRequest {
            namespace: "default".into(),
            service_account: "web".into(),
            pod_name: "web-0".into(),
            pod_uid: "u1".into(),
            audiences: Vec::new(),
            expiration_seconds: 3607,
        }
    }

    fn judge(node: &str, asked: &TokenRequest, terminal: bool) -> Result<(), Denied> {
        let body = json!({"spec": {"volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "kube-api-access", "projected": {"sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt"}}]}},
            {"name": "vault", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "t"}}]}},
        ]}});
        let body = body.to_string().into_bytes();
        let key = ObjectKey::new(Kind::Pod, "default", "web-0");
        let pod = PodFacts { key: &key, node: "edge-1", service_account: "web", terminal, body: &body };
        check(node, asked, &pod)
    }

    #[test]
    fn exactly_the_projections_of_the_spec_are_given() {
        assert_eq!(judge("edge-1", &asked(), false), Ok(()));
        let vault = TokenRequest { audiences: vec!["vault".into()], expiration_seconds: 3600, ..asked() };
        assert_eq!(judge("edge-1", &vault, false), Ok(()));
        // Values of two different projections do not mix.
        let mixed = TokenRequest { expiration_seconds: 3607, ..vault.clone() };
        assert!(judge("edge-1", &mixed, false).unwrap_err().reason.contains("audiences"));
        let both = TokenRequest { audiences: vec!["vault".into(), "vault".into()], ..vault };
        assert!(judge("edge-1", &both, false).is_err());
    }

    #[test]
    fn a_refusal_names_the_field() {
        let refused = |asked: TokenRequest| judge("edge-1", &asked, false).unwrap_err();
        assert!(judge("edge-2", &asked(), false).unwrap_err().reason.contains("spec.nodeName"));
        let wrong = TokenRequest { service_account: "admin".into(), ..asked() };
        assert!(refused(wrong).reason.contains("spec.serviceAccountName"));
        assert!(
            refused(TokenRequest { namespace: "x".into(), ..asked() }).reason.contains("metadata.namespace")
        );
        assert!(refused(TokenRequest { pod_name: "x".into(), ..asked() }).reason.contains("metadata.name"));
        let ended = judge("edge-1", &asked(), true).unwrap_err();
        assert_eq!((ended.status, ended.reason.contains("status.phase")), (403, true));
    }

    #[test]
    fn a_pod_of_another_node_is_not_told_of() {
        let guess = TokenRequest { namespace: "x".into(), ..asked() };
        assert_eq!(
            judge("edge-2", &guess, true),
            judge("edge-2", &asked(), false),
            "the answer must not depend on what the other node's pod is like"
        );
    }

    proptest! {
        #[test]
        fn no_other_values_are_given(audiences in proptest::collection::vec("(vault|api|)", 0..3), seconds in 3590_i64..3620) {
            let allowed = (audiences.is_empty() && seconds == 3607) || (audiences == ["vault"] && seconds == 3600);
            let question = TokenRequest { audiences, expiration_seconds: seconds, ..asked() };
            prop_assert_eq!(judge("edge-1", &question, false).is_ok(), allowed);
        }
    }
}
