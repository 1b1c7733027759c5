//! The CA's Secret, and new tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudcore_kube::path::SECRETS;
use kit::{Clock, Masked};
use pki::{Authority, JoinToken, TokenSecret};
use serde_json::{Value, json};

use super::api::{Api, find};
use crate::errors::JoinError;
use crate::grant::{Grant, TokenSpec, to_secret};

const NAME: &str = "skerry-ca";

/// The CA: read from its Secret, or made where there is none. Whoever loses the race to make it takes the winner's.
pub async fn authority<A: Api>(api: &A, namespace: &str, clock: &Clock) -> Result<Authority, JoinError> {
    let path = SECRETS.object(namespace, NAME);
    if let Some(secret) = find(api, &path, "Secret skerry-ca").await? {
        return read(&secret);
    }
    let made = Authority::create(clock.wall())?;
    match api.create(&SECRETS.of(namespace), &secret(&made, namespace)).await {
        Ok(_) => {
            tracing::info!(secret = NAME, namespace, "made a new CA");
            Ok(made)
        }
        Err(error) if error.is_already_exists() => {
            let winner = find(api, &path, "Secret skerry-ca").await?;
            read(&winner.ok_or_else(|| JoinError::Contended("Secret skerry-ca".to_owned()))?)
        }
        Err(source) => Err(JoinError::Kube { what: "create Secret skerry-ca".to_owned(), source }),
    }
}

fn read(secret: &Value) -> Result<Authority, JoinError> {
    let damaged = |why| JoinError::Damaged { object: "Secret skerry-ca".to_owned(), why };
    let text = |key: &str| -> Option<String> {
        let encoded = secret.get("data")?.get(key)?.as_str()?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    };
    let certificate = text("ca.crt").ok_or_else(|| damaged("ca.crt"))?;
    let key = Masked(text("ca.key").ok_or_else(|| damaged("ca.key"))?);
    Ok(Authority::load(&certificate, &key.0)?)
}

fn secret(authority: &Authority, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "skerry.io/ca",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": { "app.kubernetes.io/managed-by": "skerry" },
        },
        "data": {
            "ca.crt": STANDARD.encode(authority.certificate_pem()),
            "ca.key": STANDARD.encode(&authority.key_pem().0),
        },
    })
}

/// Makes a join token and keeps its hash in the cluster. The token itself is nowhere but in the answer.
pub async fn create_token<A: Api>(
    api: &A,
    namespace: &str,
    authority: &Authority,
    (join_endpoints, endpoints): (&[String], &[String]),
    spec: &TokenSpec,
    clock: &Clock,
) -> Result<JoinToken, JoinError> {
    spec.check()?;
    let secret = TokenSecret::generate()?;
    let issued = clock.wall();
    let ttl = i64::try_from(spec.ttl.as_millis()).unwrap_or(i64::MAX);
    let grant = Grant {
        id: JoinToken::new_id()?,
        hash: secret.hash(),
        bound: spec.bound.clone(),
        issued,
        expires: issued.plus_millis(ttl),
        uses: spec.uses,
        used: Vec::new(),
    };
    let token = JoinToken {
        id: grant.id.clone(),
        secret: Masked(secret),
        join_endpoints: join_endpoints.to_vec(),
        endpoints: endpoints.to_vec(),
        pin: authority.pin()?,
        bound: spec.bound.clone(),
    };
    // What no edge would read is not handed out.
    token.encode().parse::<JoinToken>().map_err(|error| JoinError::Token(error.to_string()))?;
    api.create(&SECRETS.of(namespace), &to_secret(&grant, namespace)).await.map_err(|source| {
        JoinError::Kube { what: format!("create Secret join-token-{}", grant.id), source }
    })?;
    Ok(token)
}
