//! One join, from request to answer.

use cloudcore_kube::path::{CONFIG_MAPS, NODES, SECRETS};
use kit::Clock;
use pki::{Authority, Bound, JoinAnswer, JoinRequest, NodeRequest, check_node_name};
use serde_json::Value;

use super::api::{ATTEMPTS, Api, find, version};
use crate::errors::{JoinError, Refusal};
use crate::grant::{self, Asked, Grant, Usage};
use crate::record::{self, Binding, Claim, Record};

/// Longest secret looked at, in bytes.
const MAX_SECRET: usize = 128;

/// What joining needs to know.
#[derive(Debug)]
pub struct Join<A> {
    /// The cluster.
    pub api: A,
    /// Where the CA, tokens and records are kept.
    pub namespace: String,
    /// The CA.
    pub authority: Authority,
    /// What every edge trusts, PEM.
    pub trust_bundle: String,
    /// Where edges connect.
    pub endpoints: Vec<String>,
    /// UID of the `kube-system` namespace.
    pub cluster_id: String,
    /// Time for certificates and tokens.
    pub clock: Clock,
}

/// Why a request was not answered with a certificate.
#[derive(Debug)]
pub(super) enum Failed {
    /// By decision.
    Refused(Refusal),
    /// Something is broken; what exactly is for our log, not for strangers.
    Broken(JoinError),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<JoinError> for Failed {
    fn from(error: JoinError) -> Self {
        Self::Broken(error)
    }
}

impl<A: Api> Join<A> {
    /// Judges a request, records what it uses, and signs. A request that is repeated with the same key, because its
    /// answer was lost, is answered again.
    pub(super) async fn join(&self, request: &JoinRequest) -> Result<JoinAnswer, Failed> {
        let csr = check(request)?;
        let granted = self.use_token(request, &csr).await?;
        let record = self.bind(&granted, &request.node_name, &csr).await?;
        let now = self.clock.wall();
        let certificate = self.authority.issue_node(&request.node_name, &csr, now).map_err(JoinError::Pki)?;
        tracing::info!(
            node = request.node_name,
            key = %csr.spki(),
            token = request.token_id,
            generation = record,
            "node joined"
        );
        Ok(JoinAnswer {
            certificate,
            trust_bundle: self.trust_bundle.clone(),
            endpoints: self.endpoints.clone(),
            cluster_id: self.cluster_id.clone(),
            cloud_time_ms: now.0,
        })
    }

    /// Records this key's use of the token.
    async fn use_token(&self, request: &JoinRequest, csr: &NodeRequest) -> Result<Grant, Failed> {
        let unknown = || Refusal::UnknownToken(request.token_id.chars().take(16).collect());
        let name = grant::secret_name(&request.token_id).ok_or_else(unknown)?;
        let path = SECRETS.object(&self.namespace, &name);
        let asked = Asked { secret: &request.token_secret.0, node: &request.node_name, spki: csr.spki() };
        for _ in 0..ATTEMPTS {
            let mut secret = find(&self.api, &path, &format!("Secret {name}")).await?.ok_or_else(unknown)?;
            let granted = grant::from_secret(&request.token_id, &secret)?;
            let used = match grant::usage(&granted, &asked, self.clock.wall())? {
                Usage::Again => return Ok(granted),
                Usage::Record(used) => used,
            };
            // A use is not spent on a name that this key cannot have.
            self.held(&granted, &request.node_name, csr).await?;
            if let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) {
                data.insert("used".to_owned(), grant::used_data(&used));
            }
            match self.api.replace(&path, &secret).await {
                Ok(_) => return Ok(granted),
                Err(error) if error.is_conflict() => {}
                Err(source) => return Err(kube(format!("write Secret {name}"), source).into()),
            }
        }
        Err(JoinError::Contended(format!("Secret {name}")).into())
    }

    /// Makes this key the node's; its generation.
    async fn bind(&self, granted: &Grant, node: &str, csr: &NodeRequest) -> Result<u64, Failed> {
        let name = record::object_name(node).unwrap_or_default();
        let path = CONFIG_MAPS.object(&self.namespace, &name);
        for _ in 0..ATTEMPTS {
            let (object, binding) = self.held(granted, node, csr).await?;
            let written = match binding {
                Binding::Keep(generation) => return Ok(generation),
                Binding::Create(new) => self.create(&new).await.map(|()| new.generation),
                Binding::Rebind(new) => {
                    let old = object.as_ref().and_then(version);
                    let object = record::to_object(&new, &self.namespace, old);
                    self.api.replace(&path, &object).await.map(|_| new.generation)
                }
            };
            match written {
                Ok(generation) => return Ok(generation),
                Err(error) if error.is_conflict() => {}
                Err(source) => return Err(kube(format!("write ConfigMap {name}"), source).into()),
            }
        }
        Err(JoinError::Contended(format!("ConfigMap {name}")).into())
    }

    /// The record as it is, and what this claim makes of it.
    async fn held(
        &self,
        granted: &Grant,
        node: &str,
        csr: &NodeRequest,
    ) -> Result<(Option<Value>, Binding), Failed> {
        let exact = matches!(&granted.bound, Bound::Node(_)).then_some(granted.issued);
        let name = record::object_name(node).unwrap_or_default();
        let path = CONFIG_MAPS.object(&self.namespace, &name);
        let object = find(&self.api, &path, &format!("ConfigMap {name}")).await?;
        let held = object.as_ref().map(record::from_object).transpose()?;
        let claim = Claim { node, spki: csr.spki(), exact };
        let binding = record::bind(held.as_ref(), &claim, self.clock.wall())?;
        if !matches!(binding, Binding::Keep(_)) {
            let there = find(&self.api, &NODES.object("", node), &format!("Node {node}")).await?;
            record::may_take(there.as_ref(), held.as_ref(), &claim)?;
        }
        Ok((object, binding))
    }

    async fn create(&self, new: &Record) -> Result<(), cloudcore_kube::KubeError> {
        let object = record::to_object(new, &self.namespace, None);
        self.api.create(&CONFIG_MAPS.of(&self.namespace), &object).await.map(drop)
    }
}

const fn kube(what: String, source: cloudcore_kube::KubeError) -> JoinError {
    JoinError::Kube { what, source }
}

/// What of a request can be judged without the cluster.
fn check(request: &JoinRequest) -> Result<NodeRequest, Refusal> {
    if request.token_secret.0.len() > MAX_SECRET {
        return Err(Refusal::Malformed("the secret is too long".to_owned()));
    }
    check_node_name(&request.node_name).map_err(|error| Refusal::Malformed(error.to_string()))?;
    if record::object_name(&request.node_name).is_none() {
        return Err(Refusal::Malformed("the node's name is longer than 239 characters".to_owned()));
    }
    Authority::check_request(&request.csr).map_err(|error| Refusal::Csr(error.to_string()))
}
