//! `edgecore pods`: the pods that should be on this node and what was reported of them, as `kubectl get pods` shows them.

use std::fmt::Write as _;

use anyhow::Context;
use clap::{Args, ValueEnum};
use kit::WallTime;
use serde_json::{Value, json};

use super::row::{Row, row};
use super::{client, resolve};
use crate::cli::{ConfigArgs, complain, say};
use crate::config::EdgeConfig;
use crate::local;

/// Longest list, in bytes: 500 pods, each as long as one can be on the average of any cluster.
const MAX_LIST: usize = 64 << 20;

/// Arguments of `edgecore pods`.
#[derive(Debug, Args)]
pub(crate) struct PodsArgs {
    /// Only of this namespace.
    #[arg(short, long, conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// Of every namespace, as without it.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How they are shown.
    #[arg(short, long)]
    output: Option<Form>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// With address and reason.
    Wide,
    /// The objects.
    Json,
}

/// The pods that the agent holds, by namespace and name.
pub(super) async fn list(config: &EdgeConfig) -> anyhow::Result<Vec<Value>> {
    let answer = client::get(client::agent(config).await?, "/pods", MAX_LIST).await?;
    let mut list: Value = serde_json::from_slice(&answer).context("edgecore's answer is not understood")?;
    let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
    let mut items = items.context("edgecore's answer has no items")?;
    items.sort_by(|a, b| {
        (resolve::namespace(a), resolve::name(a)).cmp(&(resolve::namespace(b), resolve::name(b)))
    });
    Ok(items)
}

/// Shows them.
pub(crate) async fn run(args: &PodsArgs, config: &EdgeConfig) -> anyhow::Result<u8> {
    let mut pods = list(config).await?;
    let only = args.namespace.as_deref();
    pods.retain(|pod| only.is_none_or(|only| resolve::namespace(pod) == only));
    if args.output == Some(Form::Json) {
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": pods});
        say(&serde_json::to_string_pretty(&list)?);
        return Ok(0);
    }
    if pods.is_empty() {
        complain(&match only {
            Some(only) => format!("No resources found in {only} namespace."),
            None => "No resources found".to_owned(),
        });
        return Ok(0);
    }
    let now = local::now(&config.local_socket).await?;
    let now = now.unwrap_or_else(|| kit::Clock::system().wall());
    say(&table(&pods, now, args.output == Some(Form::Wide)));
    Ok(0)
}

/// The table, without the end of its last line.
fn table(pods: &[Value], now: WallTime, wide: bool) -> String {
    let heads = ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "REASON"];
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(pods.iter().map(|pod| {
        let Row { namespace, name, ready, status, restarts, age, ip, reason } = row(pod, now);
        [namespace, name, ready, status, restarts, age, ip, reason]
    }));
    let columns = if wide { heads.len() } else { heads.len() - 2 };
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut table = String::new();
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(text, "{cell:width$}   ");
        }
        table.push_str(text.trim_end());
        table.push('\n');
    }
    table.pop();
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned() {
        let pod = |name: &str| {
            json!({
                "metadata": {"namespace": "n", "name": name, "creationTimestamp": "1970-01-01T00:00:00Z"},
                "spec": {"containers": [{"name": "a"}]},
                "status": {"phase": "Running", "podIP": "10.0.0.1"},
            })
        };
        let pods = [pod("a-long-name"), pod("b")];
        let plain = "NAMESPACE   NAME          READY   STATUS    RESTARTS   AGE\n\
                     n           a-long-name   0/1     Running   0          5s\n\
                     n           b             0/1     Running   0          5s";
        assert_eq!(table(&pods, WallTime(5_000), false), plain);
        let wide = table(&pods, WallTime(5_000), true);
        assert!(wide.lines().next().unwrap().ends_with("AGE   IP         REASON"), "{wide}");
        assert!(wide.ends_with("5s    10.0.0.1   <none>"), "{wide}");
    }
}
