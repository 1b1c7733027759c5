//! Token calls: which are due, what came of them, when to try again. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use edgecore_store::{Stamp, TokenKey, WantedToken};
use kit::{Backoff, Elapsed, Masked, WallTime};
use serde::Deserialize;
use wire::{TokenRequest, call_reply};

/// Calls in flight at once: a node that starts a hundred pods asks in turn.
const MOST: usize = 16;
/// An answer that takes longer than this will not come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// After a success the same token is not asked for again at once, whatever its life is said to be.
const REST: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const MOST_RETRY: Duration = Duration::from_mins(1);

/// The calls of one session.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    last_id: u64,
    flying: BTreeMap<u64, Flight>,
    /// Answered, and on its way to the disk: not asked for a second time meanwhile.
    storing: BTreeSet<TokenKey>,
    /// Not before this time, and how often it failed.
    resting: BTreeMap<TokenKey, (Elapsed, Backoff)>,
}

#[derive(Debug)]
struct Flight {
    key: TokenKey,
    deadline: Elapsed,
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Calls to send, with their ids.
    pub(crate) send: Vec<(u64, TokenKey)>,
    /// Calls whose answer did not come.
    pub(crate) late: Vec<TokenKey>,
    /// When to look again, if nothing happens before.
    pub(crate) wake: Option<Elapsed>,
}

impl Calls {
    /// Looks at what is wanted. `random` in [0, 1).
    pub(crate) fn step(&mut self, wanted: &[WantedToken], now: &Stamp, random: f64) -> Due {
        let mut due = Due::default();
        self.give_up_late(now.elapsed, random, &mut due);
        let known: BTreeSet<&TokenKey> = wanted.iter().map(|token| &token.key).collect();
        self.resting.retain(|key, _| known.contains(key));
        let flying: BTreeSet<TokenKey> = self.flying.values().map(|flight| flight.key.clone()).collect();
        for want in wanted {
            let at = self.when(want, now);
            if flying.contains(&want.key) || self.storing.contains(&want.key) {
                continue;
            }
            if at > now.elapsed {
                due.wake = Some(earliest(due.wake, at));
            } else if self.flying.len() < MOST {
                self.last_id += 1;
                let deadline = now.elapsed.plus(DEADLINE);
                self.flying.insert(self.last_id, Flight { key: want.key.clone(), deadline });
                due.send.push((self.last_id, want.key.clone()));
            }
        }
        for flight in self.flying.values() {
            due.wake = Some(earliest(due.wake, flight.deadline));
        }
        due
    }

    /// The call with that id is over; `None` where nobody waits for it any more. Whoever takes the answer says what came
    /// of it, by [`Calls::succeeded`] or [`Calls::failed`].
    pub(crate) fn answered(&mut self, id: u64) -> Option<TokenKey> {
        let key = self.flying.remove(&id).map(|flight| flight.key)?;
        self.storing.insert(key.clone());
        Some(key)
    }

    /// The token is on the disk.
    pub(crate) fn succeeded(&mut self, key: TokenKey, now: Elapsed) {
        self.storing.remove(&key);
        self.resting.insert(key, (now.plus(REST), Backoff::new(FIRST_RETRY, MOST_RETRY)));
    }

    /// There is no token this time.
    pub(crate) fn failed(&mut self, key: TokenKey, now: Elapsed, random: f64) {
        self.storing.remove(&key);
        let rest = self.resting.entry(key).or_insert((now, Backoff::new(FIRST_RETRY, MOST_RETRY)));
        rest.0 = now.plus(rest.1.next(random));
    }

    fn give_up_late(&mut self, now: Elapsed, random: f64, due: &mut Due) {
        let late: Vec<u64> =
            self.flying.iter().filter(|(_, flight)| flight.deadline <= now).map(|(id, _)| *id).collect();
        for key in late.into_iter().filter_map(|id| self.answered(id)).collect::<Vec<_>>() {
            self.failed(key.clone(), now, random);
            due.late.push(key);
        }
    }

    /// When this token is to be asked for: at once where there is none, at four fifths of its life where there is.
    fn when(&self, want: &WantedToken, now: &Stamp) -> Elapsed {
        let rest = self.resting.get(&want.key).map_or_else(Elapsed::default, |(at, _)| *at);
        let renewal = match &want.token {
            Some(token) if !token.wants_renewal(now) => {
                let age = token.issued.age(now).unwrap_or_default();
                now.elapsed.plus(token.life.mul_f64(0.8).saturating_sub(age))
            }
            Some(_) | None => now.elapsed,
        };
        renewal.max(rest)
    }
}

/// The earlier of a time there may be and another.
fn earliest(known: Option<Elapsed>, at: Elapsed) -> Elapsed {
    known.map_or(at, |known| known.min(at))
}

/// The question for a token.
pub(crate) fn question(key: &TokenKey) -> TokenRequest {
    TokenRequest {
        namespace: key.namespace.clone(),
        service_account: key.service_account.clone(),
        pod_name: key.pod_name.clone(),
        pod_uid: key.pod_uid.clone(),
        audiences: key.audiences.clone(),
        expiration_seconds: key.expiration_seconds,
    }
}

/// A token as the API server issued it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) token: Masked<String>,
    pub(crate) expires: WallTime,
    /// From now on.
    pub(crate) life: Duration,
}

#[derive(Deserialize)]
struct Answer {
    status: AnswerStatus,
}

#[derive(Deserialize)]
struct AnswerStatus {
    token: String,
    #[serde(rename = "expirationTimestamp")]
    expires: String,
}

/// Reads an answer; the error says why there is no token. `now` is the cloud's wall time.
pub(crate) fn read(result: Option<call_reply::Result>, now: WallTime) -> Result<Issued, String> {
    let json = match result {
        Some(call_reply::Result::Ok(json)) => json,
        Some(call_reply::Result::Err(failure)) => {
            return Err(format!("{} ({})", failure.reason, failure.status));
        }
        None => return Err("the cloud's answer is of a kind unknown here".to_owned()),
    };
    let Answer { status } =
        serde_json::from_slice(&json).map_err(|error| format!("the answer is no TokenRequest: {error}"))?;
    if status.token.is_empty() {
        return Err("the answer holds no token".to_owned());
    }
    let expires = WallTime::parse(&status.expires)
        .ok_or_else(|| format!("status.expirationTimestamp {:?} is no time", status.expires))?;
    let life = Duration::from_millis(u64::try_from(expires.0.saturating_sub(now.0)).unwrap_or(0));
    Ok(Issued { token: Masked(status.token), expires, life })
}

#[cfg(test)]
mod tests;
