//! What a request does: as the real API server does it, as far as the product asks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Api, Key, State, uid};

/// A request, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) key: Key,
    pub(crate) sub: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
}

/// Items in one page, whatever is asked for: so that lists have several.
const PAGE: usize = 3;

impl Request {
    /// Takes a path apart: `/api/v1/…` or `/apis/GROUP/VERSION/…`.
    pub(crate) fn parse(method: &str, uri: &http::Uri, body: &[u8]) -> Self {
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        let skipped = if parts.next() == Some("apis") { 2 } else { 1 };
        let mut rest: Vec<&str> = parts.skip(skipped).collect();
        let mut namespace = String::new();
        if rest.first() == Some(&"namespaces") && rest.len() > 2 {
            rest[1].clone_into(&mut namespace);
            rest.drain(..2);
        }
        let part = |at: usize| rest.get(at).copied().unwrap_or_default().to_owned();
        let query = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self {
            method: method.to_owned(),
            key: (part(0), namespace, part(1)),
            sub: part(2),
            query: query.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            body: serde_json::from_slice(body).unwrap_or_default(),
        }
    }

    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.query("watch") == Some("true")
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}))
}

impl Api {
    /// Does it: status and answer.
    pub(crate) fn serve(&self, request: &Request, replica: usize) -> (u16, String) {
        let (code, answer) = {
            let mut state = self.state();
            match request.method.as_str() {
                "GET" if request.query("resourceVersion") == Some("0") => {
                    let lag = state.regimes.get(replica).map_or(0, |regime| regime.lag_ms);
                    let age = Duration::from_millis(self.rng.below(lag + 1));
                    return (200, state.cached(request, age));
                }
                "GET" if request.key.2.is_empty() => return state.list(request, replica),
                "GET" => match state.objects.get(&request.key) {
                    Some(object) => (200, object.clone()),
                    None => not_found(&request.key),
                },
                "POST" => state.post(request),
                "PUT" => state.change(request, |_, new| new.clone()),
                "PATCH" => state.patch(request),
                "DELETE" => state.delete(request),
                other => refusal(405, "MethodNotAllowed", other),
            }
        };
        self.changed.notify_waiters();
        (code, answer.to_string())
    }
}

fn not_found(key: &Key) -> (u16, Value) {
    refusal(404, "NotFound", &format!("{} {:?} not found", key.0, key.2))
}

/// RFC 6902, as far as it is used: `test`, and `add` and `replace` of fields. `None` where it does not apply.
fn patched(mut object: Value, operations: &[Value]) -> Option<Value> {
    for operation in operations {
        let text = |field: &str| operation.get(field).and_then(Value::as_str);
        let (path, value) = (text("path")?, operation.get("value")?);
        let (parent, field) = path.rsplit_once('/')?;
        let field = field.replace("~1", "/").replace("~0", "~");
        let parent = object.pointer_mut(parent)?.as_object_mut()?;
        match text("op")? {
            "test" if parent.get(&field) == Some(value) => {}
            "replace" if parent.contains_key(&field) => drop(parent.insert(field, value.clone())),
            "add" => drop(parent.insert(field, value.clone())),
            _ => return None,
        }
    }
    Some(object)
}

/// RFC 7396.
fn merged(mut old: Value, change: &Value) -> Value {
    let Value::Object(changes) = change else { return change.clone() };
    if !old.is_object() {
        old = Value::Object(Map::new());
    }
    if let Some(fields) = old.as_object_mut() {
        for (key, value) in changes {
            if value.is_null() {
                fields.remove(key);
            } else {
                let before = fields.remove(key).unwrap_or_default();
                fields.insert(key.clone(), merged(before, value));
            }
        }
    }
    old
}

impl State {
    fn list(&mut self, request: &Request, replica: usize) -> (u16, String) {
        let token = request.query("continue").unwrap_or_default();
        let (mut items, rv) = if token.is_empty() {
            let of_kind = self.objects.iter().filter(|(key, _)| key.0 == request.key.0);
            (of_kind.map(|(_, object)| object.to_string()).collect::<Vec<_>>(), self.rv)
        } else {
            match self.lists.get(token) {
                Some(list) => list.clone(),
                None => return (410, "{\"code\":410,\"reason\":\"Expired\"}".to_owned()),
            }
        };
        let limit = request.query("limit").and_then(|limit| limit.parse::<usize>().ok()).unwrap_or(PAGE);
        let rest = items.split_off(items.len().min(limit.min(PAGE)));
        let mut metadata = json!({"resourceVersion": rv.to_string()});
        if !rest.is_empty() {
            let token = format!("t{}", self.lists.len() + 1);
            metadata["continue"] = token.clone().into();
            self.lists.insert(token, (rest, rv));
        }
        for item in items.iter().filter_map(|item| serde_json::from_str::<Value>(item).ok()) {
            self.told(replica, uid(&item));
        }
        // In the order in which the real one writes.
        (200, format!("{{\"kind\":\"List\",\"metadata\":{metadata},\"items\":[{}]}}", items.join(",")))
    }

    /// A list out of the API server's own cache, which is as old as `age`: what one field selects, in one page.
    fn cached(&self, request: &Request, age: Duration) -> String {
        let (plural, namespace, _) = &request.key;
        let selector = request.query("fieldSelector").unwrap_or_default().replace("%3D", "=");
        let (field, wanted) = selector.split_once('=').unwrap_or_default();
        let pointer = format!("/{}", field.replace('.', "/"));
        let now = Instant::now();
        let known = self.log.iter().take_while(|change| change.at + age <= now);
        let mut objects = BTreeMap::new();
        let mut rv = 0;
        for change in known {
            rv = change.rv;
            if change.event == "DELETED" {
                objects.remove(&change.uid);
            } else if change.plural == *plural {
                objects.insert(&change.uid, &change.object);
            }
        }
        let selected = |text: &str| {
            let object: Value = serde_json::from_str(text).unwrap_or_default();
            let text_at = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default();
            (namespace.is_empty() || text_at("/metadata/namespace") == namespace)
                && text_at(&pointer) == wanted
        };
        let items: Vec<&str> =
            objects.into_values().map(|object| &**object).filter(|object| selected(object)).collect();
        let metadata = json!({"resourceVersion": rv.to_string()});
        format!("{{\"kind\":\"List\",\"metadata\":{metadata},\"items\":[{}]}}", items.join(","))
    }

    /// A replica has an object from now on, if it had not before.
    pub(crate) fn told(&mut self, replica: usize, uid: &str) {
        if let Some(told) = self.history.told.get_mut(replica) {
            told.entry(uid.to_owned()).or_insert_with(Instant::now);
        }
    }

    fn post(&mut self, request: &Request) -> (u16, Value) {
        let name = request.body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let key = (request.key.0.clone(), request.key.1.clone(), name.to_owned());
        match self.create(&key, request.body.clone()) {
            Some(made) => (201, made),
            None => refusal(409, "AlreadyExists", &format!("{} {name:?} already exists", key.0)),
        }
    }

    /// PUT and PATCH, of the object or its status.
    fn change(&mut self, request: &Request, make: impl Fn(&Value, &Value) -> Value) -> (u16, Value) {
        let Some(old) = self.objects.get(&request.key).cloned() else { return not_found(&request.key) };
        for field in ["uid", "resourceVersion"] {
            let wanted = request.body.pointer(&format!("/metadata/{field}"));
            let found = old.pointer(&format!("/metadata/{field}"));
            if wanted.is_some_and(|wanted| !wanted.is_null() && Some(wanted) != found) {
                return refusal(409, "Conflict", &format!("{field} is {found:?}, not {wanted:?}"));
            }
        }
        let new = make(&old, &request.body);
        let mut changed = old;
        if request.sub == "status" {
            changed["status"] = new.get("status").cloned().unwrap_or_default();
        } else {
            let status = changed.get("status").cloned();
            changed = new;
            if let Some(status) = status {
                changed["status"] = status;
            }
        }
        (200, self.put(&request.key, changed))
    }

    /// By a list of operations, or by a tree of what is to be merged.
    fn patch(&mut self, request: &Request) -> (u16, Value) {
        let Value::Array(operations) = &request.body else {
            return self.change(request, |old, change| merged(old.clone(), change));
        };
        let Some(old) = self.objects.get(&request.key).cloned() else { return not_found(&request.key) };
        match patched(old, operations) {
            Some(new) => (200, self.put(&request.key, new)),
            None => refusal(422, "Invalid", "the operations do not apply"),
        }
    }

    fn delete(&mut self, request: &Request) -> (u16, Value) {
        let Some(old) = self.objects.get(&request.key) else { return not_found(&request.key) };
        let wanted = request.body.pointer("/preconditions/uid").and_then(Value::as_str);
        if wanted.is_some_and(|wanted| wanted != uid(old)) {
            return refusal(409, "Conflict", "the UID in the precondition differs");
        }
        if old.pointer("/metadata/deletionTimestamp").is_none() {
            let wrong = format!("{} was deleted by the edge, and nobody had asked for it", uid(old));
            self.history.wrong.push(wrong);
        }
        self.remove(&request.key);
        (200, json!({"kind": "Status", "status": "Success"}))
    }
}
