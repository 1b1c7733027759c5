//! The few requests that joining makes, so that tests can stand a small working store in for the API server.

use std::future::Future;

use cloudcore_kube::{Client, KubeError};
use serde_json::Value;

use crate::errors::JoinError;

/// Attempts at a compare-and-swap before it is given up.
pub(crate) const ATTEMPTS: usize = 8;

/// Objects by path, with resourceVersions that make `replace` a compare-and-swap.
pub trait Api: Clone + Send + Sync + 'static {
    /// Reads an object; 404 is an error.
    fn get(&self, path: &str) -> impl Future<Output = Result<Value, KubeError>> + Send;
    /// Creates an object; 409 `AlreadyExists` where one of that name is there.
    fn create(&self, path: &str, object: &Value) -> impl Future<Output = Result<Value, KubeError>> + Send;
    /// Replaces the version named in the object; 409 where it is another by now.
    fn replace(&self, path: &str, object: &Value) -> impl Future<Output = Result<Value, KubeError>> + Send;
    /// Deletes an object, as far as it fits the preconditions of these DeleteOptions; 404 and 409 are errors.
    fn delete(&self, path: &str, options: &Value) -> impl Future<Output = Result<(), KubeError>> + Send;
}

impl Api for Client {
    async fn get(&self, path: &str) -> Result<Value, KubeError> {
        Self::get(self, path).await
    }

    async fn create(&self, path: &str, object: &Value) -> Result<Value, KubeError> {
        Self::create(self, path, object).await
    }

    async fn replace(&self, path: &str, object: &Value) -> Result<Value, KubeError> {
        Self::replace(self, path, object).await
    }

    async fn delete(&self, path: &str, options: &Value) -> Result<(), KubeError> {
        Self::delete(self, path, options).await
    }
}

/// Reads an object; `None` where there is none.
pub(crate) async fn find<A: Api>(api: &A, path: &str, what: &str) -> Result<Option<Value>, JoinError> {
    match api.get(path).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(source) => Err(JoinError::Kube { what: format!("read {what}"), source }),
    }
}

/// The resourceVersion of an object that was read.
pub(crate) fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str)
}
