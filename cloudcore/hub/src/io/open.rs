//! A connection becomes a session, or is told why not.

use std::sync::Arc;
use std::time::Duration;

use kit::errors::chain;
use link::{Connection, FrameReceiver, FrameSender};
use wire::{Hello, Kind, PROJECTION_VERSION, Refused, RefusedCode, Version, Welcome, up_frame};

use super::door::Entered;
use super::lease::{Held, Keeper};
use super::{Inner, catch_up, live, node, reason, within};
use crate::admit::{Agreed, Terms, admit};
use crate::drain;
use crate::identity::{Denied, Identities};
use crate::upstream::Upstream;

/// How long an edge may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long opening may take: an edge waits 20 s and then goes elsewhere.
const OPENING: Duration = Duration::from_secs(15);
/// How long an edge waits here while everything is listed for the first time.
const LISTING: Duration = Duration::from_secs(5);
/// Shortest time until an edge for which there was no room comes again; the longest is twice that.
const FULL: Duration = Duration::from_secs(20);
/// Between two heartbeats.
const HEARTBEAT_MS: u32 = 10_000;

/// What is known when a session may open.
pub(super) struct Admitted {
    pub(super) identity: pki::Identity,
    pub(super) hello: Hello,
    pub(super) agreed: Agreed,
    pub(super) keeper: Keeper,
    pub(super) held: Held,
}

/// Makes a session of a connection; `None` where there is none, and the edge was told why.
pub(super) async fn open_session<I: Identities, U: Upstream>(
    inner: Arc<Inner<I, U>>,
    connection: Connection,
) -> Option<Box<live::Live<I, U>>> {
    let peer = connection.peer.clone();
    let identity = peer.identity?;
    let (sender, mut receiver, streams) = connection.split();
    let hello = match tokio::time::timeout(HELLO, hello(&mut receiver)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(why)) => {
            turn_away(&inner, &identity.node, &sender, other(why)).await;
            return None;
        }
        Err(_) => {
            turn_away(&inner, &identity.node, &sender, other("no Hello came".to_owned())).await;
            return None;
        }
    };
    if inner.shutdown.is_requested() {
        let wait = Duration::from_millis(drain::retry_after_ms(kit::random::unit()).into());
        turn_away(&inner, &identity.node, &sender, busy("this replica ends", wait)).await;
        return None;
    }
    let turn = kit::select! {
        biased;
        () = sender.ended() => None,
        turn = inner.door.enter() => Some(turn),
    };
    let mut entered = match turn.ok_or(None).and_then(|turn| turn.map_err(Some)) {
        Ok(entered) => entered,
        Err(None) => return gave_up(&inner, &identity.node, &sender),
        Err(Some(wait)) => {
            inner.parts.metrics.refused.get_or_create(&reason("busy")).inc();
            tracing::debug!(node = identity.node, ?wait, "the edge shall come again");
            let refused = busy("too many sessions are being opened", wait);
            part(&sender, refused).await;
            return None;
        }
    };
    let opening = tokio::time::timeout(OPENING, Box::pin(open(&inner, &identity, hello, &mut entered)));
    let admitted = kit::select! {
        biased;
        // Nobody is there to have a session: an open one of the same edge must not give way to it.
        () = sender.ended() => return gave_up(&inner, &identity.node, &sender),
        admitted = opening => admitted,
    };
    drop(entered);
    match admitted.unwrap_or_else(|_| Err(not_ready("the session could not be opened in time".to_owned()))) {
        Ok(admitted) => live::begin(inner, admitted, sender, receiver, streams).await,
        Err(refused) => {
            turn_away(&inner, &identity.node, &sender, refused).await;
            None
        }
    }
}

/// Says that this replica has as many nodes as it can take, before anything was heard.
pub(super) async fn send_on<I: Identities, U: Upstream>(inner: &Inner<I, U>, connection: Connection) {
    let (sender, _receiver, _streams) = connection.split();
    // It stays full for as long as nobody leaves; another replica is tried at once, this one after a while.
    let wait = FULL.mul_f64(1.0 + kit::random::unit());
    let words = format!("this replica has {} nodes, as many as it can take", inner.config.max_sessions);
    part(&sender, busy(&words, wait)).await;
}

fn gave_up<I: Identities, U: Upstream>(
    inner: &Inner<I, U>,
    node: &str,
    sender: &FrameSender,
) -> Option<Box<live::Live<I, U>>> {
    inner.parts.metrics.refused.get_or_create(&reason("gone")).inc();
    tracing::info!(node, reason = sender.close_reason(), "the edge gave up waiting");
    None
}

async fn hello(receiver: &mut FrameReceiver) -> Result<Hello, String> {
    let bytes = receiver.recv().await.map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or_else(|| "the edge closed the connection without a Hello".to_owned())?;
    match wire::decode_up(&bytes).map_err(|error| chain(&error))?.content {
        Some(up_frame::Content::Hello(hello)) => Ok(hello),
        _ => Err("the first frame is no Hello".to_owned()),
    }
}

const fn other(reason: String) -> Refused {
    Refused { code: RefusedCode::Other as i32, reason, retry_after_ms: 0 }
}

async fn turn_away<I: Identities, U: Upstream>(
    inner: &Inner<I, U>,
    node: &str,
    sender: &FrameSender,
    refused: Refused,
) {
    let label = match RefusedCode::try_from(refused.code).unwrap_or(RefusedCode::Other) {
        RefusedCode::Other => "other",
        RefusedCode::Protocol => "protocol",
        RefusedCode::WrongName => "wrong_name",
        RefusedCode::Revoked => "revoked",
        RefusedCode::WrongCluster => "wrong_cluster",
        RefusedCode::NotReady => "not_ready",
        RefusedCode::Superseded => "superseded",
    };
    inner.parts.metrics.refused.get_or_create(&reason(label)).inc();
    tracing::warn!(node, code = label, reason = refused.reason, "session refused");
    part(sender, refused).await;
}

async fn part(sender: &FrameSender, refused: Refused) {
    let text = refused.reason.clone();
    // The peer may be gone already; then there is nobody to tell.
    if sender.send(wire::encode(&wire::DownFrame::from(refused))).await.is_ok() {
        sender.close(&text).await;
    }
}

fn busy(reason: &str, wait: Duration) -> Refused {
    let retry_after_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    Refused { code: RefusedCode::NotReady.into(), reason: reason.to_owned(), retry_after_ms }
}

pub(super) fn not_ready(reason: String) -> Refused {
    Refused { code: RefusedCode::NotReady.into(), reason, retry_after_ms: 1_000 }
}

pub(super) fn revoked(reason: String) -> Refused {
    Refused { code: RefusedCode::Revoked.into(), reason, retry_after_ms: 60_000 }
}

/// Everything that must hold before a session opens, the cheapest first.
async fn open<I: Identities, U: Upstream>(
    inner: &Inner<I, U>,
    identity: &pki::Identity,
    hello: Hello,
    entered: &mut Entered<'_>,
) -> Result<Admitted, Refused> {
    let parts = &inner.parts;
    within(LISTING, parts.index.until(|index| index.unlisted().is_empty())).await;
    entered.begin();
    let terms = Terms { cluster_id: inner.config.cluster_id.clone(), unlisted: parts.index.unlisted() };
    let agreed = admit(&hello, &identity.node, &terms)?;
    match parts.identities.check(identity).await {
        Ok(()) => {}
        Err(Denied::Revoked(reason)) => return Err(revoked(reason)),
        Err(Denied::Unavailable(reason)) => return Err(not_ready(reason)),
    }
    catch_up::catch_up(parts, &inner.newest, &hello.seen).await.map_err(not_ready)?;
    let node = node::own(inner, &identity.node).await?;
    if let Some(node) = &node
        && !hello.node_uid.is_empty()
        && *node.uid != *hello.node_uid
    {
        tracing::info!(node = identity.node, was = hello.node_uid, is = %node.uid, "Node was made anew");
    }
    let keeper = Keeper::new(&parts.client, &identity.node, &inner.config.replica);
    let uid = node.as_ref().map_or("", |node| &*node.uid);
    let held = keeper
        .open(hello.last_epoch, uid, parts.clock.wall())
        .await
        .map_err(|error| not_ready(format!("the node's Lease cannot be written: {}", chain(&error))))?;
    Ok(Admitted { identity: identity.clone(), hello, agreed, keeper, held })
}

/// The trust bundle as the edge needs it: none where it says that it has this one.
fn trust_bundle(bundle: &str, known: &[u8]) -> String {
    let is_known = Version::from_slice(known) == Some(Version::of(bundle.as_bytes()));
    if is_known { String::new() } else { bundle.to_owned() }
}

/// The first frame of an open session.
pub(super) fn welcome<I: Identities, U: Upstream>(inner: &Inner<I, U>, admitted: &Admitted) -> Welcome {
    let node = inner.parts.index.named(Kind::Node, "", &admitted.hello.node_name);
    Welcome {
        protocol: admitted.agreed.protocol,
        features: wire::FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
        epoch: admitted.held.epoch,
        cloud_time_ms: inner.parts.clock.wall().0,
        endpoints: inner.config.endpoints.clone(),
        trust_bundle: trust_bundle(&inner.parts.identities.trust_bundle(), &admitted.hello.trust_bundle),
        cluster_id: inner.config.cluster_id.clone(),
        heartbeat_ms: HEARTBEAT_MS,
        kinds: admitted.agreed.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
        projection_version: PROJECTION_VERSION,
        node_uid: node.map(|node| node.uid.to_string()).unwrap_or_default(),
        replica: inner.config.replica.clone(),
        as_said: false,
    }
    .without_what_was_said(&admitted.hello)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_sent_to_who_has_another_or_none() {
        assert_eq!(trust_bundle("PEM", &Version::of(b"PEM").0), "");
        assert_eq!(trust_bundle("PEM", &Version::of(b"older").0), "PEM");
        assert_eq!(trust_bundle("PEM", &[]), "PEM");
    }
}
