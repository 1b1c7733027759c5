//! The steps, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Failed, Options, Story, say};
use crate::token::{self, TOKEN_FILE, claims};
use crate::view::PodSeen;
use crate::{Edge, Lab, Traffic, UpOptions, host};

const WEB: &str = include_str!("web.yaml");
const SELECTOR: &str = "app=web";
const EDGE: &str = "edge-1";
/// Nothing here takes longer; a step that does has failed.
const PATIENCE: Duration = Duration::from_mins(2);
/// Written by the cloud on a pod soon after it was bound.
const TOLERATIONS: &str = "/metadata/annotations/skerry.io~1toleration-seconds";

/// What the hub has sent in all, by its own counters.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sent {
    upserts: u64,
    deletes: u64,
}

pub(super) fn tell(story: &mut Story, options: &Options) -> Result<(), Failed> {
    let lab = bring_up(story, options)?;
    let edge = lab.edge(EDGE);
    let before = run_pods(story, &lab, &edge)?;
    let cut = lose_link_and_power(story, &lab, &edge, &before)?;
    heal(story, &lab, &edge, &cut)?;
    if options.keep {
        tell_what_to_try(&lab);
        return Ok(());
    }
    story.step("remove", "the Deployment goes, then everything the demo made", || {
        lab.kubectl(&[
            "delete",
            "deployment,service,configmap,secret",
            "web",
            "site",
            "key",
            "--ignore-not-found",
        ])?;
        host::wait("every container of the demo gone from containerd", PATIENCE, || {
            Ok(edge.containers()?.iter().all(|container| container.name != "httpd"))
        })?;
        host::wait("every pod of the demo gone from the cluster", PATIENCE, || {
            Ok(lab.pods("default", SELECTOR)?.is_empty())
        })?;
        lab.down()
    })
}

fn bring_up(story: &mut Story, options: &Options) -> Result<Lab, Failed> {
    let lab = story.step("cluster", "a control plane of its own, and cloudcore beside it", || {
        // A demo that was kept, or broken off, is cleared away first: the story begins at the beginning.
        Lab::at(&options.dir)?.down()?;
        let wanted = UpOptions { edges: Some(0), runtime: options.runtime, ..UpOptions::default() };
        Lab::up(&options.dir, &wanted)
    })?;
    story.step("join", "an edge with its own network, disk and containerd joins with a token", || {
        let edge = lab.edge(EDGE);
        edge.add()?;
        let node = lab.get(&["node", EDGE])?;
        let version = node.pointer("/status/nodeInfo/containerRuntimeVersion").and_then(Value::as_str);
        say(&format!("    node {EDGE} is Ready, runs {}", version.unwrap_or("an unnamed runtime")));
        ensure!(
            node.pointer("/metadata/labels/node-role.kubernetes.io~1edge").is_some(),
            "the node has no label node-role.kubernetes.io/edge"
        );
        Ok(())
    })?;
    Ok(lab)
}

fn run_pods(story: &mut Story, lab: &Lab, edge: &Edge) -> Result<Vec<PodSeen>, Failed> {
    let pods = story.step(
        "apply",
        "a Deployment of 3, a readiness probe, a ConfigMap, a Secret, a Service",
        || {
            lab.apply(WEB)?;
            let pods = lab.wait_ready("default", SELECTOR, 3, PATIENCE)?;
            for pod in &pods {
                say(&format!("    {} runs at {}", pod.name, pod.ip));
                ensure!(
                    pod.node == EDGE && !pod.ip.is_empty(),
                    "{} runs on '{}' at '{}'",
                    pod.name,
                    pod.node,
                    pod.ip
                );
            }
            Ok(pods)
        },
    )?;
    story.step("reach", "each pod answers over HTTP from the edge and holds its Secret", || {
        for pod in &pods {
            expect_page(edge, &pod.ip, "first edition\n")?;
            let container = pod.containers.get("httpd").context("no container httpd")?;
            ensure!(
                edge.exec_in(container, &["cat", "/key/key"])? == "open-sesame",
                "the Secret's file is wrong"
            );
            let key = edge.exec_in(container, &["sh", "-c", "printf %s \"$KEY\""])?;
            ensure!(key == "open-sesame", "the Secret's variable is '{key}'");
        }
        settled(lab, 3, 0)
    })?;
    Ok(pods)
}

/// What stood when the link healed.
struct Cut {
    /// Container by pod UID, as containerd runs them.
    containers: BTreeMap<String, String>,
    sent: Sent,
    traffic: Traffic,
    restarts: BTreeMap<String, u64>,
}

fn lose_link_and_power(story: &mut Story, lab: &Lab, edge: &Edge, before: &[PodSeen]) -> Result<Cut, Failed> {
    let tokens = story.step("cut", "the link is cut", || {
        let tokens = tokens(edge)?;
        edge.cut()?;
        Ok(tokens)
    })?;
    story.step(
        "meanwhile",
        "in the cloud the ConfigMap changes and the Deployment is scaled to 4",
        || {
            lab.kubectl(&[
                "patch",
                "configmap",
                "site",
                "-p",
                r#"{"data":{"index.html":"second edition\n"}}"#,
            ])?;
            lab.kubectl(&["scale", "deployment", "web", "--replicas=4"])?;
            host::wait("a fourth pod in the cluster", PATIENCE, || {
                Ok(lab.pods("default", SELECTOR)?.len() == 4)
            })
        },
    )?;
    story.step("power-off", "the edge loses its power", || edge.power_off())?;
    let containers =
        story.step("alone", "it boots with the link still cut and runs its 3 pods again", || {
            edge.power_on()?;
            let containers = host::wait_for("3 pods on the edge, each answering", PATIENCE, || {
                let running = web_containers(edge)?;
                ensure!(running.len() == 3, "{} run", running.len());
                for container in running.values() {
                    // The API server cannot say now what address a pod has; the pod itself can.
                    expect_page(edge, &edge.address_in(container)?, "first edition\n")?;
                }
                Ok(Some(running))
            })?;
            ensure!(
                containers.keys().eq(uids(before).iter()),
                "the pods that run are not the three that ran before"
            );
            let now = self::tokens(edge)?;
            for (uid, token) in &tokens {
                let now = now.get(uid).with_context(|| format!("pod {uid} has no token"))?;
                ensure!(now == token, "pod {uid} had the token {} and has {}", claims(token)?, claims(now)?);
            }
            say("    same pods, old ConfigMap, their tokens are where they were and valid");
            Ok(containers)
        })?;
    story.step(
        "meter",
        "the hub's counters and the bytes on the wire are read while the link is still cut",
        || {
            settled(lab, 4, 1)?;
            let pods = lab.pods("default", SELECTOR)?;
            let restarts = pods.iter().map(|pod| (pod.uid.clone(), pod.restarts)).collect();
            Ok(Cut { containers, sent: sent(lab)?, traffic: edge.traffic()?, restarts })
        },
    )
}

fn heal(story: &mut Story, lab: &Lab, edge: &Edge, cut: &Cut) -> Result<(), Failed> {
    story.step(
        "heal",
        "the link is whole again: the fourth pod starts, the files change in place",
        || {
            edge.heal()?;
            let pods = lab.wait_ready("default", SELECTOR, 4, PATIENCE)?;
            host::wait("the new page on all four pods", PATIENCE, || {
                pods.iter().try_for_each(|pod| expect_page(edge, &pod.ip, "second edition\n"))?;
                Ok(true)
            })?;
            for pod in &pods {
                let before = cut.restarts.get(&pod.uid).copied().unwrap_or(0);
                say(&format!(
                    "    {} serves the second edition (restarts {before} -> {})",
                    pod.name, pod.restarts
                ));
            }
            Ok(())
        },
    )?;
    story.step("untouched", "no pod was restarted by it", || {
        let now = web_containers(edge)?;
        for (uid, container) in &cut.containers {
            ensure!(now.get(uid) == Some(container), "the container of pod {uid} was replaced");
        }
        Ok(())
    })?;
    story.step("difference", "exactly the changed objects were sent: one ConfigMap, one Pod", || {
        let now = sent(lab)?;
        let (upserts, deletes) = (now.upserts - cut.sent.upserts, now.deletes - cut.sent.deletes);
        let bytes = edge.traffic()?.since(cut.traffic).bytes();
        say(&format!(
            "    {upserts} objects sent, {deletes} deleted; {bytes} bytes on the wire, both ways, all told"
        ));
        ensure!((upserts, deletes) == (2, 0), "{upserts} objects were sent and {deletes} deleted");
        Ok(())
    })
}

/// Waits until so many pods have what the cloud writes on new ones, and the edge knows of it, but for so many: that is a change
/// too, and must not be counted with those that follow.
fn settled(lab: &Lab, all: usize, unseen: usize) -> Result<()> {
    host::wait("what the cloud writes on new pods", PATIENCE, || {
        let pods = lab.pods("default", SELECTOR)?;
        let written = pods.iter().filter(|pod| pod.object.pointer(TOLERATIONS).is_some()).count();
        let of = |pod: &PodSeen, pointer: &str| pod.object.pointer(pointer).cloned();
        let seen = |pod: &&PodSeen| of(pod, "/metadata/generation") == of(pod, "/status/observedGeneration");
        Ok(written == all && pods.iter().filter(seen).count() + unseen >= all)
    })
}

fn expect_page(edge: &Edge, ip: &str, page: &str) -> Result<()> {
    let got = edge.http_get(&format!("http://{ip}:8080/index.html"))?;
    if got != page {
        bail!("{ip} serves '{}' and not '{}'", got.trim(), page.trim());
    }
    Ok(())
}

fn uids(pods: &[PodSeen]) -> Vec<String> {
    let mut uids: Vec<_> = pods.iter().map(|pod| pod.uid.clone()).collect();
    uids.sort();
    uids
}

/// The running containers named httpd, by their pod's UID.
fn web_containers(edge: &Edge) -> Result<BTreeMap<String, String>> {
    let all = edge.containers()?.into_iter().filter(|container| container.name == "httpd");
    Ok(all.map(|container| (container.pod_uid, container.id)).collect())
}

/// Each pod's token, checked: bound to that pod, and not past its expiry.
fn tokens(edge: &Edge) -> Result<BTreeMap<String, String>> {
    let now = jiff::Timestamp::now().as_second();
    let mut tokens = BTreeMap::new();
    for (uid, container) in web_containers(edge)? {
        let token = edge.exec_in(&container, &["cat", TOKEN_FILE])?;
        ensure!(token::pod_uid(&token)? == uid, "the token in pod {uid} is bound to another pod");
        ensure!(token::expires(&token)? > now, "the token in pod {uid} has expired");
        tokens.insert(uid, token);
    }
    Ok(tokens)
}

fn sent(lab: &Lab) -> Result<Sent> {
    let metrics = lab.metrics(1)?;
    let sum = |op: &str| metrics.count("skerry_hub_objects_sent_total", &[&format!("op=\"{op}\"")]);
    Ok(Sent { upserts: sum("upsert"), deletes: sum("delete") })
}

fn tell_what_to_try(lab: &Lab) {
    let dir = json!(lab.dir());
    say(&format!("\nLeft running in {dir}. Try:"));
    for line in [
        "kubectl get pods -o wide",
        "link cut edge-1",
        "edge power-off edge-1",
        "edge power-on edge-1",
        "edge exec edge-1 -- ctr -n k8s.io containers ls",
        "link heal edge-1",
        "down",
    ] {
        say(&format!("  hack/lab --dir {dir} {line}"));
    }
}
