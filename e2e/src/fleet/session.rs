//! One session of a simulated edge: Hello, then frames and heartbeats until it ends.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kit::Elapsed;
use link::reconnect::Outcome;
use link::{Connection, FrameReceiver, FrameSender};
use wire::{
    DownFrame, Heartbeat, Hello, KINDS, PROJECTION_VERSION, PROTOCOL_MAX, PROTOCOL_MIN, UpFrame, Version,
    Welcome, down_frame::Content,
};

use super::edge::SimulatedEdge;
use super::held::Effects;
use super::tally::Part;

/// A cloud that says nothing for so long opens no session; a real edge waits as long.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// One heartbeat in so many carries the digest, as a real edge's.
const DIGEST_EVERY: u64 = 30;

/// Why a session is over, or did not begin.
#[derive(Debug)]
struct End {
    outcome: Outcome,
    reason: String,
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn lost(reason: impl ToString) -> End {
    End { outcome: Outcome::Ended(None), reason: reason.to_string() }
}

fn milliseconds(said: u32) -> Option<Duration> {
    (said > 0).then(|| Duration::from_millis(said.into()))
}

/// Opens a session on a connection and stays in it to its end.
pub(super) async fn run(edge: &mut SimulatedEdge, connection: Connection) -> Outcome {
    let (sender, mut receiver, _) = connection.split();
    edge.place.connected(&sender);
    let end = match open(edge, &sender, &mut receiver).await {
        Ok(welcome) => {
            let fleet = Arc::clone(&edge.fleet);
            let mut part = Part::enter(&fleet.tally, edge.epoch == 0);
            edge.epoch = welcome.epoch;
            edge.cluster_id = welcome.cluster_id;
            serve(edge, welcome.heartbeat_ms, &sender, &mut receiver, &mut part).await
        }
        Err(end) => end,
    };
    edge.place.disconnected();
    if !end.reason.is_empty() {
        edge.fleet.tally.trouble(format!("{}: {}", edge.reporter.node, end.reason));
    }
    end.outcome
}

async fn open(
    edge: &mut SimulatedEdge,
    sender: &FrameSender,
    receiver: &mut FrameReceiver,
) -> Result<Welcome, End> {
    // What ended before it was open counts as refused, as it does for a real edge.
    let refused = |reason: String| End { outcome: Outcome::Refused(None), reason };
    edge.held.begin();
    let hello = hello(edge);
    sender.send(encode(hello.clone().short())).await.map_err(|error| refused(error.to_string()))?;
    let answer = tokio::time::timeout(ANSWER_WITHIN, receiver.recv()).await;
    let answer = answer.map_err(|_| refused("no answer to Hello".to_owned()))?;
    let answer = answer.map_err(|error| refused(error.to_string()))?;
    let answer = answer.ok_or_else(|| refused(receiver.close_reason().unwrap_or_default()))?;
    match wire::decode_down(&answer).map_err(|error| refused(error.to_string()))?.content {
        Some(Content::Welcome(welcome)) => Ok(welcome.with_what_was_said(&hello)),
        Some(Content::Refused(no)) => {
            Err(End { outcome: Outcome::Refused(milliseconds(no.retry_after_ms)), reason: no.reason })
        }
        Some(Content::GoAway(no)) => {
            Err(End { outcome: Outcome::Refused(milliseconds(no.retry_after_ms)), reason: no.reason })
        }
        _ => Err(refused("the first frame was neither Welcome nor Refused".to_owned())),
    }
}

fn hello(edge: &SimulatedEdge) -> Hello {
    let (objects, reports) = (edge.held.digest(), edge.reporter.digest(&edge.held));
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        features: wire::FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
        kinds: KINDS.iter().map(|kind| kind.name().to_owned()).collect(),
        node_name: edge.reporter.node.clone(),
        node_uid: edge.reporter.node_uid.clone(),
        cluster_id: edge.cluster_id.clone(),
        store_id: edge.store_id.clone(),
        boot_id: "simulated".to_owned(),
        last_epoch: edge.epoch,
        seen: edge.held.seen().to_vec(),
        projection_version: PROJECTION_VERSION,
        digest: objects.0.to_vec(),
        count: objects.1,
        agent_version: "simulated".to_owned(),
        reports_digest: reports.0.to_vec(),
        reports_count: reports.1,
        trust_bundle: Version::of(edge.fleet.bundle.as_bytes()).to_vec(),
        ..Hello::default()
    }
}

async fn serve(
    edge: &mut SimulatedEdge,
    heartbeat_ms: u32,
    sender: &FrameSender,
    receiver: &mut FrameReceiver,
    part: &mut Part<'_>,
) -> End {
    let clock = edge.fleet.clock.clone();
    let place = Arc::clone(&edge.place);
    let mut beats = Beats::new(heartbeat_ms, clock.elapsed());
    loop {
        let step = tokio::select! {
            frame = receiver.recv() => match frame {
                Ok(Some(bytes)) => take(edge, bytes, receiver, sender, part, &mut beats).await,
                Ok(None) => Err(lost(receiver.close_reason().unwrap_or_default())),
                Err(error) => Err(lost(error)),
            },
            () = clock.sleep_until(beats.due) => {
                let beat = beats.next(edge, clock.elapsed());
                sender.send_urgent(encode(beat)).await.map_err(lost)
            }
            () = place.paused() => {
                sender.close("the simulation pauses this edge").await;
                Err(lost(""))
            }
        };
        if let Err(end) = step {
            return end;
        }
    }
}

/// Applies a frame and everything that is there with it, and answers.
async fn take(
    edge: &mut SimulatedEdge,
    first: Vec<u8>,
    receiver: &mut FrameReceiver,
    sender: &FrameSender,
    part: &mut Part<'_>,
    beats: &mut Beats,
) -> Result<(), End> {
    let mut effects = Effects::default();
    let mut next = Some(first);
    while let Some(bytes) = next {
        let frame: DownFrame = wire::decode_down(&bytes).map_err(lost)?;
        let whole = edge.held.take(frame, &mut effects).map_err(|broken| lost(broken.0))?;
        if whole {
            break;
        }
        // What is there already is one batch; an end shows at the next look.
        next = receiver.recv().now_or_never().and_then(Result::ok).flatten();
    }
    effects.commit();
    edge.place.holds(edge.held.objects().len());
    edge.fleet.applied(edge.number, &effects.applied);
    beats.digest_wanted |= effects.doubted;
    for answer in std::mem::take(&mut effects.answers) {
        sender.send(wire::encode(&answer)).await.map_err(lost)?;
    }
    if let Some(equal) = effects.in_sync {
        part.compared(equal);
    }
    report(edge, &effects, sender).await?;
    match effects.goodbye {
        None => Ok(()),
        Some(goodbye) => {
            sender.close(&goodbye.reason).await;
            let outcome = Outcome::Ended(milliseconds(goodbye.retry_after_ms));
            Err(End { outcome, reason: goodbye.reason })
        }
    }
}

/// Sends the reports that were asked for, and those on pods that are to go.
async fn report(edge: &mut SimulatedEdge, effects: &Effects, sender: &FrameSender) -> Result<(), End> {
    for wanted in &effects.wants {
        if wanted.inventory {
            sender.send(encode(edge.reporter.inventory(&edge.held))).await.map_err(lost)?;
        }
    }
    let wanted = effects.wants.iter().flat_map(|wanted| &wanted.uids);
    for uid in wanted.chain(&effects.deleting) {
        edge.reports += 1;
        let report = edge.reporter.report(&edge.held, uid, edge.reports).map_err(lost)?;
        if let Some(report) = report {
            sender.send(encode(report)).await.map_err(lost)?;
        }
    }
    Ok(())
}

fn encode(frame: impl Into<UpFrame>) -> Vec<u8> {
    wire::encode(&frame.into())
}

/// When the next heartbeat is due, and what it carries.
struct Beats {
    every: Duration,
    due: Elapsed,
    seq: u64,
    digest_wanted: bool,
}

impl Beats {
    fn new(heartbeat_ms: u32, now: Elapsed) -> Self {
        let every = milliseconds(heartbeat_ms).unwrap_or(Duration::from_secs(10));
        // As a real edge: within half an interval.
        let due = now.plus(every.mul_f64(kit::random::unit() / 2.0));
        Self { every, due, seq: 0, digest_wanted: false }
    }

    fn next(&mut self, edge: &SimulatedEdge, now: Elapsed) -> Heartbeat {
        self.due = now.plus(self.every);
        self.seq += 1;
        let with_digest = self.seq.is_multiple_of(DIGEST_EVERY) || std::mem::take(&mut self.digest_wanted);
        let digest = if with_digest { edge.held.digest().0.to_vec() } else { Vec::new() };
        Heartbeat { seq: self.seq, engine_alive: true, digest, applied: edge.held.frame() }
    }
}
