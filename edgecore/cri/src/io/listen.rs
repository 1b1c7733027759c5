//! Hearing that containers end: by the runtime's events where it has any, else by comparing lists.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tonic::{Code, Status};

use crate::events;
use crate::generated::{cri, events as native};
use crate::health::Answer;
use crate::io::call::Client;

/// Between two tries to listen.
const AGAIN: Duration = Duration::from_millis(500);
/// Between two looks at a runtime without events.
const LOOK: Duration = Duration::from_secs(2);
/// containerd's own event of an end comes before its CRI plugin has taken note: it must first ask the shim. A look
/// right away would see the container run; these are the times of two later ones.
const SETTLE: [Duration; 2] = [Duration::from_millis(40), Duration::from_millis(400)];

/// Listens for ever.
pub(crate) async fn listen(client: &Client, hints: &watch::Sender<u64>, broke: &Notify) {
    let mut health = client.health.subscribe();
    loop {
        if health.wait_for(|health| health.answer == Answer::Yes).await.is_err() {
            return;
        }
        // What ended before the stream was open was said to nobody.
        let late = async {
            tokio::time::sleep(AGAIN).await;
            hint(hints);
            std::future::pending::<Status>().await
        };
        let ended = tokio::select! {
            ended = follow(client, hints) => ended,
            ended = late => ended,
        };
        tracing::debug!(reason = ended.message(), "event stream of the container runtime ended");
        broke.notify_one();
        hint(hints);
        tokio::time::sleep(AGAIN).await;
    }
}

/// Says that a look may be worth it.
pub(crate) fn hint(hints: &watch::Sender<u64>) {
    hints.send_modify(|hint| *hint = hint.wrapping_add(1));
}

/// Follows the best source this runtime has, until it ends.
async fn follow(client: &Client, hints: &watch::Sender<u64>) -> Status {
    let ended = follow_cri(client, hints).await;
    if ended.code() != Code::Unimplemented {
        return ended;
    }
    let ended = follow_native(client, hints).await;
    if ended.code() != Code::Unimplemented {
        return ended;
    }
    compare(client, hints).await
}

/// CRI's own events (containerd 1.7 and newer): sent after the runtime took note.
async fn follow_cri(client: &Client, hints: &watch::Sender<u64>) -> Status {
    // The answer's head comes with the first event, so waiting for it has no deadline; a broken connection ends it.
    let mut stream = match client.runtime().get_container_events(cri::GetEventsRequest {}).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status,
    };
    loop {
        match stream.message().await {
            Ok(Some(event)) if events::ends(&event) => hint(hints),
            Ok(Some(_)) => {}
            Ok(None) => return Status::unavailable("the runtime closed its event stream"),
            Err(status) => return status,
        }
    }
}

/// containerd's own events.
async fn follow_native(client: &Client, hints: &watch::Sender<u64>) -> Status {
    let request = native::SubscribeRequest { filters: events::filters() };
    let mut stream = match client.events().subscribe(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status,
    };
    let ended = Notify::new();
    let read = async {
        loop {
            match stream.message().await {
                Ok(Some(envelope)) if events::ends_a_container(&envelope) => ended.notify_one(),
                Ok(Some(_)) => {}
                Ok(None) => return Status::unavailable("the runtime closed its event stream"),
                Err(status) => return status,
            }
        }
    };
    tokio::select! {
        status = read => status,
        () = settle(&ended, hints) => Status::unavailable("nobody listens any more"),
    }
}

/// Turns each event into hints a little later. Events that come meanwhile make one more round, so that a storm of them
/// delays nothing.
async fn settle(ended: &Notify, hints: &watch::Sender<u64>) {
    loop {
        ended.notified().await;
        for wait in SETTLE {
            tokio::time::sleep(wait).await;
            hint(hints);
        }
    }
}

/// Looks at the runtime's lists.
async fn compare(client: &Client, hints: &watch::Sender<u64>) -> Status {
    let mut before = None;
    loop {
        let request = cri::ListContainersRequest {};
        let listed = match client.probe(client.runtime().list_containers(request)).await {
            Ok(listed) => listed.containers,
            Err(failure) => return failure.into_status(),
        };
        let now: BTreeSet<(String, i32)> = listed.into_iter().map(|c| (c.id, c.state)).collect();
        if before.as_ref().is_some_and(|before| *before != now) {
            hint(hints);
        }
        before = Some(now);
        tokio::time::sleep(LOOK).await;
    }
}
