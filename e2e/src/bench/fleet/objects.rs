//! Objects that fleets are measured with, and writing many of them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cloudcore_kube::Client;
use cloudcore_kube::path::{CONFIG_MAPS, PODS};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::fleet::insist;
use crate::host;

/// Where all of them are.
pub(super) const NAMESPACE: &str = "fleet";
/// Requests under way at once.
const AT_ONCE: usize = 32;

/// A ConfigMap of 1 KiB, as settings look: no two of the same number and edition alike, and no random bytes.
pub(super) fn config_map(name: &str, edition: usize) -> Value {
    let mut text = format!("# {name}, edition {edition}\n");
    for line in 0_usize.. {
        let (port, seconds) = (8000 + (line * 37 + edition * 13) % 999, (line * 7 + edition) % 60);
        let next = format!(
            "upstream.{line}.address=10.0.{}.{}:{port}\nupstream.{line}.timeout={seconds}s\n",
            line % 256,
            edition % 256
        );
        if text.len() + next.len() > 1024 {
            break;
        }
        text.push_str(&next);
    }
    text.extend(std::iter::repeat_n('#', 1024 - text.len()));
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"settings.properties": text},
    })
}

/// A pod bound to a node, with a volume of each of these ConfigMaps.
pub(super) fn pod(name: &str, node: &str, config_maps: &[String]) -> Value {
    let volumes: Vec<_> =
        config_maps.iter().map(|of| json!({"name": of, "configMap": {"name": of}})).collect();
    let mounts: Vec<_> =
        config_maps.iter().map(|of| json!({"name": of, "mountPath": format!("/etc/{of}")})).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "fleet"}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            // Nobody evicts it, whatever becomes of the fleet.
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "main", "image": "busybox", "command": ["sleep", "infinity"], "volumeMounts": mounts}],
            "volumes": volumes,
        },
    })
}

/// Makes pods as fast as the API server takes them.
pub(super) async fn create_pods(client: &Client, pods: Vec<Value>) -> Result<()> {
    let path = PODS.of(NAMESPACE);
    let one = |pod: Value| {
        let path = &path;
        async move { insist(|| client.create::<Value>(path, &pod)).await }
    };
    let mut writes = futures::stream::iter(pods).map(one).buffer_unordered(AT_ONCE);
    while let Some(done) = writes.next().await {
        done?;
    }
    Ok(())
}

/// Makes a ConfigMap, or replaces it.
pub(super) async fn put_config_map(client: &Client, object: &Value) -> Result<()> {
    let name = object["metadata"]["name"].as_str().context("a ConfigMap without a name")?;
    let path = CONFIG_MAPS.object(NAMESPACE, name);
    match client.replace::<Value>(&path, object).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => {
            let path = CONFIG_MAPS.of(NAMESPACE);
            insist(|| client.create::<Value>(&path, object)).await.map(drop)
        }
        Err(error) => Err(error.into()),
    }
}

/// Creates pods at a steady rate, each at its time, whatever became of those before. Answers when each was begun.
pub(super) async fn offer_pods(
    client: &Client,
    pods: Vec<(String, Value)>,
    rate: f64,
) -> Result<Vec<(String, std::time::Instant)>> {
    let (group, failed) =
        (kit::tasks::Group::new("offered", pods.len()), Arc::new(std::sync::Mutex::new(None)));
    let (start, mut begun) = (host::now(), Vec::with_capacity(pods.len()));
    let path: Arc<str> = PODS.of(NAMESPACE).into();
    for (number, (name, pod)) in pods.into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
        let due = start + Duration::from_secs_f64(number as f64 / rate);
        tokio::time::sleep_until(due.into()).await;
        let (client, path, failed) = (client.clone(), Arc::clone(&path), Arc::clone(&failed));
        begun.push((name, host::now()));
        let started = group.spawn(async move {
            if let Err(error) = client.create::<Value>(&path, &pod).await {
                let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                failed.get_or_insert(kit::errors::chain(&error));
            }
        });
        ensure!(started, "too many pods at once");
    }
    while !group.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    failed.map_or(Ok(begun), |reason| Err(anyhow::Error::msg(reason)))
}

/// Deletes every pod there is, at once, and waits until the cluster has none.
pub(super) async fn delete_pods(client: &Client) -> Result<()> {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
    loop {
        // One that takes too long has deleted a part.
        let asked = client.delete(&PODS.of(NAMESPACE), &options).await;
        let left = client.get_bytes(&format!("{}?limit=1", PODS.of(NAMESPACE)), 16 << 20).await?;
        let left: Value = serde_json::from_slice(&left)?;
        if left["items"].as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        if let Err(error) = asked {
            host::progress(&format!("deleting pods: {}", kit::errors::chain(&error)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_has_a_kib_and_every_edition_is_another() {
        let text = |name: &str, edition| {
            config_map(name, edition)["data"]["settings.properties"].as_str().unwrap().to_owned()
        };
        assert_eq!((text("a", 0).len(), text("longer-name", 7).len()), (1024, 1024));
        assert_ne!(text("a", 0), text("a", 1));
        assert_ne!(text("a", 0), text("b", 0));
    }
}
