//! Collecting join tokens that are of no use any more.

use cloudcore_kube::path::{SECRETS, query_value};
use kit::Clock;
use kit::errors::chain;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Api;
use crate::errors::JoinError;
use crate::grant::{self, SECRET_TYPE};

/// Secrets asked for at once.
const PAGE: u32 = 200;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Tokens deleted.
    pub deleted: usize,
    /// Tokens that are, or may be, of use.
    pub kept: usize,
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    items: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    proceed: String,
}

/// Deletes the Secrets of tokens that expired a while ago, as long as `may_go_on` says so before each. One that changed
/// since it was read, or that cannot be read, stays.
pub async fn sweep<A: Api>(
    api: &A,
    namespace: &str,
    clock: &Clock,
    may_go_on: impl Fn() -> bool + Send,
) -> Result<Swept, JoinError> {
    let mut swept = Swept::default();
    let mut spent = Vec::new();
    let mut proceed = String::new();
    loop {
        let page = page(api, namespace, &proceed).await?;
        for secret in page.items.unwrap_or_default() {
            match name_if_spent(&secret, clock) {
                Some(name) => spent.push((name, options(&secret))),
                None => swept.kept += 1,
            }
        }
        proceed = page.metadata.proceed;
        if proceed.is_empty() {
            break;
        }
    }
    for (name, options) in spent {
        if !may_go_on() {
            break;
        }
        match api.delete(&SECRETS.object(namespace, &name), &options).await {
            Ok(()) => swept.deleted += 1,
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_conflict() => swept.kept += 1,
            Err(source) => return Err(JoinError::Kube { what: format!("delete Secret {name}"), source }),
        }
    }
    Ok(swept)
}

async fn page<A: Api>(api: &A, namespace: &str, proceed: &str) -> Result<Page, JoinError> {
    let selector = query_value(&format!("type={SECRET_TYPE}"));
    let mut path = format!("{}?limit={PAGE}&fieldSelector={selector}", SECRETS.of(namespace));
    if !proceed.is_empty() {
        path.push_str("&continue=");
        path.push_str(&query_value(proceed));
    }
    let what = "list the Secrets of join tokens";
    let list = api.get(&path).await.map_err(|source| JoinError::Kube { what: what.to_owned(), source })?;
    serde_json::from_value(list)
        .map_err(|_| JoinError::Damaged { object: "list of Secrets".to_owned(), why: "it is no list" })
}

fn name_if_spent(secret: &Value, clock: &Clock) -> Option<String> {
    let name = secret.pointer("/metadata/name").and_then(Value::as_str)?;
    let id = grant::id_of(name)?;
    match grant::from_secret(id, secret) {
        Ok(grant) => grant::is_spent(&grant, clock.wall()).then(|| name.to_owned()),
        Err(error) => {
            tracing::warn!(error = chain(&error), "join token is left alone");
            None
        }
    }
}

/// Only what was read is deleted.
fn options(secret: &Value) -> Value {
    let of = |field: &str| secret.pointer(&format!("/metadata/{field}")).cloned().unwrap_or(Value::Null);
    json!({"preconditions": {"uid": of("uid"), "resourceVersion": of("resourceVersion")}})
}
