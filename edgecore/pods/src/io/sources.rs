//! What pods are made from, out of the store.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use edgecore_store::{Store, StoreError, TokenKey};
use edgecore_volumes::{Sources, TokenWant, Wants, wants};
use k8s_openapi::api::core::v1::{Secret, Service};
use kit::Masked;
use serde::de::DeserializeOwned;
use thiserror::Error;
use wire::{Kind, ObjectKey};

use crate::desired::Desired;
use crate::event::Event;
use crate::io::shared::Shared;
use crate::runtime::Runtime;

/// Why what a pod is made from cannot be read.
#[derive(Debug, Error)]
pub(super) enum SourceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object is not of its kind's shape. The parser's words are left out: they may quote a secret.
    #[error("{0} does not parse (line {1}, column {2})")]
    Parse(ObjectKey, usize, usize),
}

/// The key of a token that a pod wants.
pub(super) fn token_key(desired: &Desired, want: &TokenWant) -> TokenKey {
    let account = desired.spec().and_then(|spec| spec.service_account_name.clone());
    TokenKey {
        pod_uid: desired.uid.clone(),
        namespace: desired.namespace.clone(),
        pod_name: desired.name.clone(),
        service_account: account.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned()),
        audiences: if want.audience.is_empty() { Vec::new() } else { vec![want.audience.clone()] },
        expiration_seconds: want.expiration_seconds,
    }
}

/// Says which tokens a pod wants, so that they are asked for as long as the link is there.
pub(super) async fn want_tokens<R: Runtime>(shared: &Shared<R>, desired: &Desired) -> Result<(), StoreError> {
    for want in wants(&desired.pod).tokens {
        shared.store.want_token(token_key(desired, &want)).await?;
    }
    Ok(())
}

/// A mark for each pod of what the cloud said about its tokens: another one where a token came, or was refused.
pub(super) fn token_marks(store: &Store) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut marks: BTreeMap<String, DefaultHasher> = BTreeMap::new();
    for wanted in store.wanted_tokens()? {
        let refusal = store.token_refusal(&wanted.key);
        let token = wanted.token.map(|token| token.token.0);
        if token.is_none() && refusal.is_none() {
            continue;
        }
        let key = &wanted.key;
        (&key.service_account, &key.audiences, key.expiration_seconds, token, refusal)
            .hash(marks.entry(key.pod_uid.clone()).or_default());
    }
    Ok(marks.into_iter().map(|(uid, hasher)| (uid, hasher.finish())).collect())
}

/// Tells of tokens that are past their expiry: they are given to the pod all the same.
pub(super) fn tell_expired<R: Runtime>(shared: &Shared<R>, desired: &Desired) -> Result<(), SourceError> {
    let now = shared.store.stamp();
    for want in wants(&desired.pod).tokens {
        let token = shared.store.token(&token_key(desired, &want))?;
        if token.is_some_and(|token| token.expired(&now)) {
            let note =
                "the service account token is past its expiry and cannot be renewed while the cloud is away";
            shared.events.tell(Event::pod(desired, true, "TokenExpired", note));
        }
    }
    Ok(())
}

/// Everything a pod's volumes and environment are made from.
pub(super) fn sources<R: Runtime>(shared: &Shared<R>, desired: &Desired) -> Result<Sources, SourceError> {
    let Wants { config_maps, secrets, tokens, .. } = wants(&desired.pod);
    let mut found = Sources::default();
    for name in config_maps {
        if let Some((map, deleted)) = get(shared, Kind::ConfigMap, &desired.namespace, &name)? {
            found.deleted_config_maps.extend(deleted.then(|| name.clone()));
            found.config_maps.insert(name, map);
        }
    }
    for name in secrets {
        if let Some((secret, deleted)) = get(shared, Kind::Secret, &desired.namespace, &name)? {
            found.deleted_secrets.extend(deleted.then(|| name.clone()));
            found.secrets.insert(name, Masked(secret));
        }
    }
    for want in tokens {
        let key = token_key(desired, &want);
        if let Some(token) = shared.store.token(&key)? {
            found.tokens.insert(want, token.token);
        } else if let Some(reason) = shared.store.token_refusal(&key) {
            found.refusals.insert(want, reason);
        }
    }
    Ok(found)
}

/// The pod's pull secrets, those that exist.
pub(super) fn pull_secrets<R: Runtime>(
    shared: &Shared<R>,
    desired: &Desired,
) -> Result<Vec<(String, Secret)>, SourceError> {
    let mut found = Vec::new();
    for name in wants(&desired.pod).pull_secrets {
        if let Some((secret, _)) = get(shared, Kind::Secret, &desired.namespace, &name)? {
            found.push((name, secret));
        }
    }
    Ok(found)
}

/// Services whose variables the pod may want: those of its namespace, and the API server's.
pub(super) fn services<R: Runtime>(
    shared: &Shared<R>,
    desired: &Desired,
) -> Result<Vec<Service>, SourceError> {
    let mut found = Vec::new();
    for object in shared.store.objects(Kind::Service)? {
        let api = object.key.namespace == "default" && object.key.name == "kubernetes";
        if api || object.key.namespace == desired.namespace {
            found.push(parse(&object.key, &object.body)?);
        }
    }
    Ok(found)
}

/// An object, and whether the cluster has deleted it.
fn get<R: Runtime, T: DeserializeOwned>(
    shared: &Shared<R>,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<Option<(T, bool)>, SourceError> {
    let key = ObjectKey::new(kind, namespace, name);
    match shared.store.object(&key)? {
        Some(object) => parse(&key, &object.body).map(|parsed| Some((parsed, object.deleting))),
        None => Ok(None),
    }
}

fn parse<T: DeserializeOwned>(key: &ObjectKey, body: &[u8]) -> Result<T, SourceError> {
    serde_json::from_slice(body)
        .map_err(|error| SourceError::Parse(key.clone(), error.line(), error.column()))
}
