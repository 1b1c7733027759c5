//! An object as the index keeps it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use wire::{Body, Kind, ObjectKey, Version};

use crate::kinds;

/// An object, projected to what the edge acts on.
#[derive(Debug, Clone)]
pub struct Object {
    /// Kind, namespace, name.
    pub key: ObjectKey,
    /// UID.
    pub uid: Arc<str>,
    /// Hash of the canonical body.
    pub version: Version,
    /// The body, packed for the wire; `None` where no node that is connected here wanted it when it was read.
    pub body: Option<Arc<Body>>,
    /// ResourceVersion it was last seen at: a hint, and the precondition of status writes.
    pub resource_version: Box<str>,
    /// What else is known of it.
    pub detail: Detail,
}

/// What is known of an object beside its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Plain,
    /// Of a pod.
    Pod(Box<PodDetail>),
    /// Of a node.
    Node(NodeDetail),
}

/// What is known of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodDetail {
    /// The node it is bound to; empty before it is bound.
    pub node: Arc<str>,
    /// ServiceAccount it runs as.
    pub service_account: Box<str>,
    /// ConfigMaps it names.
    pub config_maps: BTreeSet<Box<str>>,
    /// Secrets it names.
    pub secrets: BTreeSet<Box<str>>,
    /// Wants environment variables of the Services of its namespace.
    pub service_links: bool,
    /// Is being deleted.
    pub deleting: bool,
    /// Has succeeded or failed.
    pub terminal: bool,
    /// Hash of what the edge owns of its status.
    pub status_hash: Version,
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDetail {
    /// Hash of what the edge owns of its status.
    pub status_hash: Version,
    /// Carries the label `node-role.kubernetes.io/edge`.
    pub edge: bool,
}

impl Object {
    /// What is known of it as a pod.
    pub fn pod(&self) -> Option<&PodDetail> {
        if let Detail::Pod(pod) = &self.detail { Some(pod) } else { None }
    }

    /// What is known of it as a node.
    pub const fn node(&self) -> Option<&NodeDetail> {
        if let Detail::Node(node) = &self.detail { Some(node) } else { None }
    }

    /// Hash of what the edge owns of its status; `None` for kinds that have none.
    pub fn status_hash(&self) -> Option<Version> {
        match &self.detail {
            Detail::Plain => None,
            Detail::Pod(pod) => Some(pod.status_hash),
            Detail::Node(node) => Some(node.status_hash),
        }
    }

    /// The body as JSON text; `None` where it is not kept here.
    pub fn json(&self) -> Option<Result<Vec<u8>, wire::BodyError>> {
        self.body.as_ref().map(|body| body.unpack())
    }
}

/// An object that was read but is not packed yet.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Arc<str>,
    pub(crate) version: Version,
    canonical: Vec<u8>,
    resource_version: Box<str>,
    detail: Detail,
}

impl Draft {
    /// Reads an object of the API server. The error says which field is not as it must be.
    pub(crate) fn read(kind: Kind, raw: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(raw).map_err(|error| error.to_string())?;
        let Value::Object(mut object) = value else { return Err("is no object".to_owned()) };
        let status = object.remove("status").unwrap_or(Value::Null);
        let metadata = kinds::object_mut(&mut object, "metadata")?;
        let name = kinds::required(metadata, "metadata", "name")?;
        let uid: Arc<str> = kinds::required(metadata, "metadata", "uid")?.into();
        let namespace = kinds::text(metadata, "metadata", "namespace")?;
        let resource_version = kinds::required(metadata, "metadata", "resourceVersion")?.into();
        if namespace.is_empty() != (kind == Kind::Node) {
            return Err(format!("metadata.namespace is {namespace:?}, which does not fit the kind"));
        }
        let key = ObjectKey::new(kind, namespace, name);
        kinds::strip(kind, metadata)?;
        let detail = kinds::project(kind, &mut object, &status)?;
        object.insert("apiVersion".to_owned(), Value::from("v1"));
        object.insert("kind".to_owned(), Value::from(kind.name()));
        let canonical = wire::canonical(&Value::Object(object)).map_err(|error| error.to_string())?;
        if canonical.len() > wire::MAX_BODY {
            return Err(format!("is {} bytes long, more than an edge takes", canonical.len()));
        }
        let version = Version::of(&canonical);
        Ok(Self { key, uid, version, canonical, resource_version, detail })
    }

    /// The node it belongs to, where it is a pod.
    pub(crate) fn pod_node(&self) -> Option<&str> {
        if let Detail::Pod(pod) = &self.detail { Some(&pod.node) } else { None }
    }

    /// The body, packed; an equal one that is packed already is shared.
    pub(crate) fn pack(&self, old: Option<&Object>) -> Result<Arc<Body>, String> {
        let old = old.filter(|old| old.version == self.version);
        if let Some(body) = old.and_then(|old| old.body.clone()) {
            return Ok(body);
        }
        // For all sessions once; those of older releases have it packed anew as it is sent.
        let body = Body::pack_by_dictionary(&self.canonical).map_err(|error| kit::errors::chain(&error))?;
        Ok(Arc::new(body))
    }

    /// The object with this body, or without one.
    pub(crate) fn finish(self, body: Option<Arc<Body>>) -> Object {
        let Self { key, uid, version, resource_version, detail, .. } = self;
        Object { key, uid, version, body, resource_version, detail }
    }
}

/// Fields of a JSON object.
pub(crate) type Fields = Map<String, Value>;
