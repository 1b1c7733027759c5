//! Watches: in order, late, sometimes twice, and ended in every way there is.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{Stream, unfold};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::BoxError;

use super::Api;

/// Between two bookmarks.
const BOOKMARK: Duration = Duration::from_secs(12);
/// A watch ends after so long; the product asks for 290 s.
const LIFE: Duration = Duration::from_secs(290);

/// How a watch ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// In good order.
    End,
    /// What it would go on from is too old.
    Gone,
    /// The connection breaks.
    Reset,
}

struct Watching {
    api: Api,
    replica: usize,
    plural: String,
    /// Everything up to here was told.
    at: u64,
    /// Where the log is read on.
    place: usize,
    breaks: u64,
    ends: Instant,
    bookmark: Instant,
    /// The event that is on its way, and when it arrives.
    due: Option<(usize, Instant)>,
    over: bool,
}

type Line = Result<Frame<Bytes>, BoxError>;

/// The last that is heard of a watch, if anything.
struct Ended(Option<Line>);

impl Api {
    /// The answer to a watch from a resourceVersion; `None` where that is too old.
    pub(crate) fn watch(
        &self,
        plural: &str,
        from: u64,
        replica: usize,
    ) -> Option<StreamBody<impl Stream<Item = Line> + use<>>> {
        let now = Instant::now();
        let state = self.state();
        if state.floor.get(plural).is_some_and(|floor| from < *floor) {
            return None;
        }
        let breaks = state.breaks.get(replica).map_or(0, |(n, _)| *n);
        drop(state);
        let watching = Watching {
            api: self.clone(),
            replica,
            plural: plural.to_owned(),
            at: from,
            place: 0,
            breaks,
            ends: now + LIFE,
            bookmark: now + BOOKMARK,
            due: None,
            over: false,
        };
        Some(StreamBody::new(unfold(watching, |mut watching| async move {
            let line = watching.next().await?;
            Some((line, watching))
        })))
    }
}

impl Watching {
    async fn next(&mut self) -> Option<Line> {
        let changed_at = std::sync::Arc::clone(&self.api.changed);
        loop {
            if self.over {
                return None;
            }
            let changed = changed_at.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(Ended(last)) = self.broken() {
                return last;
            }
            if self.due.is_none() {
                self.due = self.look();
            }
            let now = Instant::now();
            match self.due {
                Some((place, at)) if at <= now => {
                    self.due = None;
                    return Some(Ok(self.tell(place)));
                }
                None if self.bookmark <= now => {
                    self.bookmark = now + BOOKMARK;
                    let rv = self.api.state().rv;
                    self.at = rv;
                    return Some(Ok(Frame::data(line(
                        "BOOKMARK",
                        &json!({"metadata": {"resourceVersion": rv.to_string()}}).to_string(),
                    ))));
                }
                _ if self.ends <= now => return None,
                _ => {}
            }
            let wake = self.due.map_or(self.bookmark, |(_, at)| at).min(self.ends);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(wake) => {}
                () = changed => {}
            }
        }
    }

    /// The next change to tell of, and when.
    fn look(&mut self) -> Option<(usize, Instant)> {
        let state = self.api.state();
        let lag = state.regimes.get(self.replica).map_or(0, |regime| regime.lag_ms);
        let (at, plural) = (self.at, &self.plural);
        let found = state
            .log
            .iter()
            .enumerate()
            .skip(self.place)
            .find(|(_, change)| change.rv > at && change.plural == *plural);
        let (place, change) = found?;
        self.place = place;
        Some((place, change.at + Duration::from_millis(self.api.rng.below(lag + 1))))
    }

    fn tell(&mut self, place: usize) -> Frame<Bytes> {
        let mut state = self.api.state();
        let Some(change) = state.log.get(place) else { return Frame::data(Bytes::new()) };
        self.at = change.rv;
        let (uid, told) = (change.uid.clone(), line(change.event, &change.object));
        state.told(self.replica, &uid);
        drop(state);
        // Now and then the same again.
        if self.api.rng.per_mille(20) {
            return Frame::data([&told[..], &told[..]].concat().into());
        }
        Frame::data(told)
    }

    /// Whether it was broken, and how it ends.
    fn broken(&mut self) -> Option<Ended> {
        let mut state = self.api.state();
        let (n, how) = state.breaks.get(self.replica).copied()?;
        if n == self.breaks {
            return None;
        }
        self.breaks = n;
        self.over = true;
        Some(Ended(match how {
            Break::End => None,
            Break::Reset => Some(Err("connection reset".into())),
            Break::Gone => {
                let rv = state.rv;
                state.floor.insert(self.plural.clone(), rv);
                let status = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"});
                Some(Ok(Frame::data(line("ERROR", &Value::to_string(&status)))))
            }
        }))
    }
}

fn line(event: &str, object: &str) -> Bytes {
    format!("{{\"type\":\"{event}\",\"object\":{object}}}\n").into()
}
