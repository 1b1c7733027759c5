//! Environment of a container.

use std::collections::BTreeMap;

use edgecore_volumes::Downward;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvFromSource, EnvVarSource, Pod, ResourceFieldSelector, Secret,
};

use crate::spec::context::ContainerContext;
use crate::spec::downward::Values;
use crate::spec::error::SpecError;
use crate::spec::expand::{expand, known};
use crate::spec::services;

/// Environment of a container, all references made out: what `envFrom` gives, then `env` in the pod's order, then
/// the variables of services that neither gave.
pub fn environment(
    pod: &Pod,
    container: &Container,
    context: &ContainerContext<'_>,
) -> Result<Vec<(String, String)>, SpecError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let services = services::variables(context.services, namespace, links);
    let source = Source { pod, container, context, namespace };
    let mut variables = Variables::default();
    for from in container.env_from.iter().flatten() {
        source.all_of(from, &mut variables)?;
    }
    for variable in container.env.iter().flatten() {
        let value = variable.value.as_deref().unwrap_or_default();
        let value = match &variable.value_from {
            _ if !value.is_empty() => {
                Some(expand(value, |name| known(&[&variables.values, &services], name)))
            }
            Some(from) => source.one_of(from)?,
            None => Some(String::new()),
        };
        // Optional, and not there: no variable at all.
        if let Some(value) = value {
            variables.set(variable.name.clone(), value);
        }
    }
    for (name, value) in services {
        if !variables.values.contains_key(&name) {
            variables.set(name, value);
        }
    }
    Ok(variables.in_order())
}

/// Variables in the order in which they were first set.
#[derive(Default)]
struct Variables {
    names: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Variables {
    fn set(&mut self, name: String, value: String) {
        if self.values.insert(name.clone(), value).is_none() {
            self.names.push(name);
        }
    }

    fn in_order(mut self) -> Vec<(String, String)> {
        self.names.into_iter().filter_map(|name| self.values.remove_entry(&name)).collect()
    }
}

/// Where values come from.
struct Source<'a> {
    pod: &'a Pod,
    container: &'a Container,
    context: &'a ContainerContext<'a>,
    namespace: &'a str,
}

impl Source<'_> {
    fn all_of(&self, from: &EnvFromSource, variables: &mut Variables) -> Result<(), SpecError> {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &from.config_map_ref {
            if let Some(object) = self.config_map(&reference.name, reference.optional)? {
                for (key, value) in object.data.iter().flatten() {
                    variables.set(format!("{prefix}{key}"), value.clone());
                }
            }
        } else if let Some(reference) = &from.secret_ref
            && let Some(object) = self.secret(&reference.name, reference.optional)?
        {
            for (key, value) in object.data.iter().flatten() {
                variables.set(format!("{prefix}{key}"), text(&value.0));
            }
        }
        Ok(())
    }

    /// A value, or `None` where it is optional and not there.
    fn one_of(&self, from: &EnvVarSource) -> Result<Option<String>, SpecError> {
        let values = Values { pod: self.pod, node: self.context.node, pod_ips: self.context.pod_ips };
        if let Some(field) = &from.field_ref {
            return values.field(field).map(Some).map_err(SpecError::config);
        }
        if let Some(resource) = &from.resource_field_ref {
            let own = ResourceFieldSelector {
                container_name: resource
                    .container_name
                    .clone()
                    .filter(|name| !name.is_empty())
                    .or_else(|| Some(self.container.name.clone())),
                ..resource.clone()
            };
            return values.resource(&own).map(Some).map_err(SpecError::config);
        }
        if let Some(reference) = &from.config_map_key_ref {
            let object = self.config_map(&reference.name, reference.optional)?;
            let Some(object) = object else { return Ok(None) };
            let value = object.data.as_ref().and_then(|data| data.get(&reference.key)).cloned();
            return self.key(value, &reference.key, "ConfigMap", &reference.name, reference.optional);
        }
        if let Some(reference) = &from.secret_key_ref {
            let object = self.secret(&reference.name, reference.optional)?;
            let Some(object) = object else { return Ok(None) };
            let value = object.data.as_ref().and_then(|data| data.get(&reference.key));
            let value = value.map(|value| text(&value.0));
            return self.key(value, &reference.key, "Secret", &reference.name, reference.optional);
        }
        Ok(Some(String::new()))
    }

    fn key(
        &self,
        value: Option<String>,
        key: &str,
        kind: &str,
        name: &str,
        optional: Option<bool>,
    ) -> Result<Option<String>, SpecError> {
        if value.is_none() && optional != Some(true) {
            let namespace = self.namespace;
            return Err(SpecError::config(format!("couldn't find key {key} in {kind} {namespace}/{name}")));
        }
        Ok(value)
    }

    fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Option<&ConfigMap>, SpecError> {
        match self.context.sources.config_map(name, optional == Some(true)) {
            None if optional != Some(true) => Err(SpecError::config(format!("configmap {name:?} not found"))),
            found => Ok(found),
        }
    }

    fn secret(&self, name: &str, optional: Option<bool>) -> Result<Option<&Secret>, SpecError> {
        match self.context.sources.secret(name, optional == Some(true)) {
            None if optional != Some(true) => Err(SpecError::config(format!("secret {name:?} not found"))),
            found => Ok(found),
        }
    }
}

/// Bytes that are no text come out as they do upstream, where the runtime's own configuration is JSON.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[path = "tests/environment.rs"]
mod tests;
