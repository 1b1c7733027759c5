//! Objects in memory, with resourceVersions as the API server keeps them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cloudcore_join::Api;
use cloudcore_kube::{ApiStatus, KubeError};
use serde_json::{Value, json};

#[derive(Debug, Clone, Default)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    down: bool,
    writes: usize,
}

impl Fake {
    /// No request succeeds from now on, or again.
    pub(crate) fn down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    pub(crate) fn writes(&self) -> usize {
        self.state.lock().unwrap().writes
    }

    pub(crate) fn peek(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }
}

impl State {
    fn put(&mut self, path: &str, object: &Value) -> Value {
        self.version += 1;
        self.writes += 1;
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    /// One page of two objects, as the API server pages: the token is where to go on.
    fn list(&self, collection: &str, query: &str) -> Value {
        let of = |key: &str| {
            query.split('&').find_map(|part| part.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
        };
        let wanted = of("fieldSelector").strip_prefix("type%3D").unwrap().replace("%2F", "/");
        let from: usize = of("continue").parse().unwrap_or(0);
        let all: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(path, object)| path.starts_with(&format!("{collection}/")) && object["type"] == *wanted)
            .map(|(_, object)| object)
            .collect();
        let items: Vec<&Value> = all.iter().skip(from).take(2).copied().collect();
        let proceed = if from + 2 < all.len() { (from + 2).to_string() } else { String::new() };
        json!({"metadata": {"resourceVersion": "1", "continue": proceed}, "items": items})
    }

    fn up(&self) -> Result<(), KubeError> {
        if self.down { Err(refused(500, "InternalError")) } else { Ok(()) }
    }
}

impl Api for Fake {
    async fn get(&self, path: &str) -> Result<Value, KubeError> {
        tokio::task::yield_now().await;
        let state = self.state.lock().unwrap();
        state.up()?;
        if let Some((collection, query)) = path.split_once('?') {
            return Ok(state.list(collection, query));
        }
        state.objects.get(path).cloned().ok_or_else(|| refused(404, "NotFound"))
    }

    async fn create(&self, path: &str, object: &Value) -> Result<Value, KubeError> {
        tokio::task::yield_now().await;
        let mut state = self.state.lock().unwrap();
        state.up()?;
        let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
        if state.objects.contains_key(&path) {
            return Err(refused(409, "AlreadyExists"));
        }
        Ok(state.put(&path, object))
    }

    async fn replace(&self, path: &str, object: &Value) -> Result<Value, KubeError> {
        tokio::task::yield_now().await;
        let mut state = self.state.lock().unwrap();
        state.up()?;
        let held = state.objects.get(path).ok_or_else(|| refused(404, "NotFound"))?;
        if held["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return Err(refused(409, "Conflict"));
        }
        Ok(state.put(path, object))
    }

    async fn delete(&self, path: &str, options: &Value) -> Result<(), KubeError> {
        tokio::task::yield_now().await;
        let mut state = self.state.lock().unwrap();
        state.up()?;
        let held = state.objects.get(path).ok_or_else(|| refused(404, "NotFound"))?;
        if held["metadata"]["resourceVersion"] != options["preconditions"]["resourceVersion"] {
            return Err(refused(409, "Conflict"));
        }
        state.objects.remove(path);
        Ok(())
    }
}

fn refused(code: u16, reason: &str) -> KubeError {
    let status = ApiStatus { code, reason: reason.to_owned(), message: String::new(), retry_after: None };
    KubeError::Api { request: "fake".to_owned(), status }
}
