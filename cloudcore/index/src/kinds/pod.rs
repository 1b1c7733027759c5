//! Pods: everything but the status, of which only an end that is final and the conditions of readiness gates are kept;
//! and what a pod names.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wire::owned::POD_CONDITIONS;
use wire::{Kind, owned};

use crate::kinds::{self, items, object, required, text};
use crate::object::{Detail, Fields, PodDetail};

/// Keeps `status.phase` where it is `Succeeded` or `Failed`, whoever said so: such a pod is never started again.
pub(super) fn project(object: &mut Fields, status: &Value) -> Result<Detail, String> {
    let metadata = kinds::object_mut(object, "metadata")?;
    let deleting = !text(metadata, "metadata", "deletionTimestamp")?.is_empty();
    let spec = kinds::object_mut(object, "spec")?;
    let mut detail = read(spec)?;
    let mut kept = Fields::new();
    let gates = gates(spec, status)?;
    if !gates.is_empty() {
        kept.insert("conditions".to_owned(), Value::Array(gates));
    }
    detail.deleting = deleting;
    detail.status_hash = owned::status_hash(Kind::Pod, status);
    let phase = match status.get("phase") {
        None | Some(Value::Null) => "",
        Some(Value::String(phase)) => phase,
        Some(_) => return Err("status.phase is no string".to_owned()),
    };
    if matches!(phase, "Succeeded" | "Failed") {
        detail.terminal = true;
        kept.insert("phase".to_owned(), Value::from(phase));
    }
    if !kept.is_empty() {
        object.insert("status".to_owned(), Value::Object(kept));
    }
    Ok(Detail::Pod(Box::new(detail)))
}

/// Types and values of the conditions that the pod's readiness gates name, in the order of the gates. What the edge
/// itself reports is none of them: it would go round in a circle.
fn gates(spec: &Fields, status: &Value) -> Result<Vec<Value>, String> {
    let shown =
        status.as_object().map_or_else(|| Ok(Vec::new()), |status| items(status, "status", "conditions"))?;
    let mut kept = Vec::new();
    for gate in items(spec, "spec", "readinessGates")? {
        let kind = required(gate, "spec.readinessGates", "conditionType")?;
        let foreign = shown.iter().find(|condition| condition.get("type").is_some_and(|is| is == kind));
        if let Some(condition) = foreign.filter(|_| !POD_CONDITIONS.contains(&kind)) {
            kept.push(json!({"type": kind, "status": text(condition, "status.conditions", "status")?}));
        }
    }
    Ok(kept)
}

fn read(spec: &Fields) -> Result<PodDetail, String> {
    let service_account = match text(spec, "spec", "serviceAccountName")? {
        "" => "default",
        name => name,
    };
    let service_links = match spec.get("enableServiceLinks") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(links)) => *links,
        Some(_) => return Err("spec.enableServiceLinks is no boolean".to_owned()),
    };
    let mut named = Named::default();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(spec, "spec", list)? {
            container_names(container, &format!("spec.{list}"), &mut named)?;
        }
    }
    for volume in items(spec, "spec", "volumes")? {
        volume_names(volume, &mut named)?;
    }
    for secret in items(spec, "spec", "imagePullSecrets")? {
        named.secret(secret, "spec.imagePullSecrets", "name")?;
    }
    Ok(PodDetail {
        node: text(spec, "spec", "nodeName")?.into(),
        service_account: service_account.into(),
        config_maps: named.config_maps,
        secrets: named.secrets,
        service_links,
        deleting: false,
        terminal: false,
        status_hash: wire::Version::default(),
    })
}

/// Names found so far.
#[derive(Default)]
struct Named {
    config_maps: BTreeSet<Box<str>>,
    secrets: BTreeSet<Box<str>>,
}

impl Named {
    fn config_map(&mut self, fields: &Fields, at: &str) -> Result<(), String> {
        let name = text(fields, at, "name")?;
        if !name.is_empty() {
            self.config_maps.insert(name.into());
        }
        Ok(())
    }

    fn secret(&mut self, fields: &Fields, at: &str, field: &str) -> Result<(), String> {
        let name = text(fields, at, field)?;
        if !name.is_empty() {
            self.secrets.insert(name.into());
        }
        Ok(())
    }
}

fn container_names(container: &Fields, at: &str, named: &mut Named) -> Result<(), String> {
    let env = format!("{at}.env");
    for variable in items(container, at, "env")? {
        let Some(from) = object(variable, &env, "valueFrom")? else { continue };
        if let Some(reference) = object(from, &env, "configMapKeyRef")? {
            named.config_map(reference, &env)?;
        }
        if let Some(reference) = object(from, &env, "secretKeyRef")? {
            named.secret(reference, &env, "name")?;
        }
    }
    let env_from = format!("{at}.envFrom");
    for source in items(container, at, "envFrom")? {
        if let Some(reference) = object(source, &env_from, "configMapRef")? {
            named.config_map(reference, &env_from)?;
        }
        if let Some(reference) = object(source, &env_from, "secretRef")? {
            named.secret(reference, &env_from, "name")?;
        }
    }
    Ok(())
}

fn volume_names(volume: &Fields, named: &mut Named) -> Result<(), String> {
    let at = "spec.volumes";
    if let Some(source) = object(volume, at, "configMap")? {
        named.config_map(source, at)?;
    }
    if let Some(source) = object(volume, at, "secret")? {
        named.secret(source, at, "secretName")?;
    }
    if let Some(projected) = object(volume, at, "projected")? {
        for source in items(projected, at, "sources")? {
            if let Some(source) = object(source, at, "configMap")? {
                named.config_map(source, at)?;
            }
            if let Some(source) = object(source, at, "secret")? {
                named.secret(source, at, "name")?;
            }
        }
    }
    Ok(())
}
