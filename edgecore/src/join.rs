//! `edgecore join`: from a token to a certificate and a configuration, told step by step.
//!
//! The node's key is made here and written down before anybody is asked, so that an answer that was lost, or a
//! power cut at any moment, is made good by joining again with the same token: the same key may come again. Key and
//! certificate then go into one file, which is the node's identity; the configuration comes last.

mod ask;
mod io;
mod place;
mod retry;

use anyhow::{Context, bail};
use kit::Clock;
use pki::{Authority, Bound, JoinAnswer, JoinRequest, JoinToken, NodeIdentity, NodeKey, check_node_name};

use crate::cli::JoinArgs;
use crate::config::EdgeConfig;
use crate::lock;

/// Joins. Each step is one line to `say`; the error, if any, is the reason in one line.
pub(crate) async fn run(args: &JoinArgs, clock: Clock, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let token: JoinToken = args.token.parse()?;
    let node = node_name(args.node_name.as_deref(), &token.bound, &io::host_name())?;
    say(&format!("joining as node {node} with token {}", token.id));
    let place = place::Place::new(&args.state_dir, &args.config);
    let config = place.check(&node)?;
    let _lock = lock::take(&args.state_dir)?;
    if let Err(why) = io::reach(&args.containerd).await {
        say(&format!("warning: container runtime {} does not answer yet: {why}", args.containerd));
    }
    let key = place.key()?;
    say(&format!("key {} is ready", place::shown(key.spki())));
    let answer = ask::ask(&token, &request(&token, &node, &key)?, &clock, say).await?;
    let (identity, endpoints) = judge(&answer, &token, &node, &key)?;
    place.keep(&identity, &answer.trust_bundle)?;
    say(&format!("certificate written to {}", place.identity.display()));
    let config = EdgeConfig {
        node_name: node.clone(),
        state_dir: args.state_dir.clone(),
        endpoints,
        containerd: args.containerd.clone(),
        ..config
    };
    crate::config::write(&args.config, &config)?;
    say(&format!("configuration written to {}", args.config.display()));
    place.done()?;
    say(&format!("node {node} joined; run it with: edgecore run --config {}", args.config.display()));
    Ok(())
}

/// The name asked for, or the one the token is bound to, or the machine's; checked against the token, so that a
/// mistake is told before anything is made or sent.
fn node_name(asked: Option<&str>, bound: &Bound, host: &str) -> anyhow::Result<String> {
    let name = match (asked, bound) {
        (Some(name), _) => name.to_owned(),
        (None, Bound::Node(name)) => name.clone(),
        (None, Bound::Pattern(_)) => host.to_lowercase(),
    };
    check_node_name(&name)?;
    if !bound.admits(&name) {
        match bound {
            Bound::Node(other) => bail!("the join token is for node {other:?}, not for {name:?}"),
            Bound::Pattern(pattern) => {
                bail!(
                    "the join token is for nodes named like {pattern:?}, not for {name:?} (see --node-name)"
                )
            }
        }
    }
    Ok(name)
}

fn request(token: &JoinToken, node: &str, key: &NodeKey) -> anyhow::Result<JoinRequest> {
    Ok(JoinRequest {
        token_id: token.id.clone(),
        token_secret: kit::Masked(token.secret.0.expose().to_owned()),
        node_name: node.to_owned(),
        csr: key.request(node)?,
    })
}

/// What the cloud answered, judged before anything of it is written.
fn judge(
    answer: &JoinAnswer,
    token: &JoinToken,
    node: &str,
    key: &NodeKey,
) -> anyhow::Result<(NodeIdentity, Vec<String>)> {
    let identity = NodeIdentity::new(key, &answer.certificate).context("the cloud's answer is not usable")?;
    if identity.identity().node != node {
        bail!("the cloud signed a certificate for node {:?}", identity.identity().node);
    }
    if !Authority::bundle_pins(&answer.trust_bundle)?.contains(&token.pin) {
        bail!("the cloud's trust bundle lacks the CA that the join token names");
    }
    let endpoints = if answer.endpoints.is_empty() { &token.endpoints } else { &answer.endpoints };
    if endpoints.is_empty() {
        bail!("neither the cloud nor the join token says where to connect");
    }
    for endpoint in endpoints {
        endpoint.parse::<link::Endpoint>().context("the cloud's answer is not usable")?;
    }
    Ok((identity, endpoints.clone()))
}

#[cfg(test)]
mod tests;
