//! What comes of a request, by the API server's answer: one table. Pure.
//!
//! | answer | to a write of the reported object | to the creation of an Event |
//! |---|---|---|
//! | 2xx | taken | taken |
//! | none: connection refused, broken, timed out; or 2xx that cannot be read | again: it may have been done, and the next plan sees it | again: done, the name exists |
//! | cannot be sent at all | refused | refused |
//! | 400, 405, 406, 413, 415, 422, any other 4xx | refused | refused |
//! | 401, and 403 on what cloudcore itself may | again: none of the edge's fault | the same |
//! | 403 because the namespace is being terminated | refused | refused |
//! | any other 403 (RBAC, admission, quota) | again a few times, as the authorizer learns of a new pod late; then refused | the same |
//! | 404 | planned anew: gone, or refused | refused: its namespace is gone |
//! | 409 | planned anew; another UID is refused by the plan | ours exists: taken; else again |
//! | 410 | planned anew | again |
//! | 408, 425, 429, 5xx | again, not before `Retry-After` | the same |
//! | 500 as etcd finds the object too large | refused | refused |
//!
//! *Again* is with back-off and jitter, for this key alone; the latest value of the key takes its place meanwhile. After a
//! 429 the whole node waits. *Refused* is for good: the edge records it with the reason and counts it.

use std::time::Duration;

use cloudcore_kube::{ApiStatus, KubeError};

/// Times a refusal for want of rights is tried again.
const FORBIDDEN: u32 = 3;
/// The longest `Retry-After` that is believed.
const LONGEST: Duration = Duration::from_mins(5);

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// A look at an object, by cloudcore's own right.
    Read,
    /// A write of the reported object, as the node.
    Object,
    /// A write of the reported object, by cloudcore's own right.
    OwnObject,
    /// The creation of an Event, as the node.
    Event,
    /// The creation of an Event, by cloudcore's own right.
    OwnEvent,
}

impl Request {
    const fn is_own(self) -> bool {
        matches!(self, Self::Read | Self::OwnObject | Self::OwnEvent)
    }

    const fn is_event(self) -> bool {
        matches!(self, Self::Event | Self::OwnEvent)
    }

    const fn writes_object(self) -> bool {
        matches!(self, Self::Object | Self::OwnObject)
    }
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The API server has it already.
    Taken,
    /// What we know of the object is old: read it and plan anew.
    Replan,
    /// It may yet be taken.
    Again {
        /// Not before so long.
        after: Duration,
        /// We ask too much: everything of the node waits so long.
        throttled: bool,
    },
    /// It never will be.
    Refused,
}

impl Verdict {
    const SOON: Self = Self::Again { after: Duration::ZERO, throttled: false };
}

/// Judges an error, after `failures` tries that failed before.
pub(crate) fn judge(error: &KubeError, request: Request, failures: u32) -> Verdict {
    match error {
        KubeError::Api { status, .. } => answered(status, request, failures),
        KubeError::Request { .. } | KubeError::Encode { .. } => Verdict::Refused,
        KubeError::Transport { .. }
        | KubeError::Timeout { .. }
        | KubeError::Decode { .. }
        | KubeError::TooLong { .. }
        | KubeError::Kubeconfig { .. }
        | KubeError::InCluster(_)
        | KubeError::Setup(_) => Verdict::SOON,
    }
}

fn answered(status: &ApiStatus, request: Request, failures: u32) -> Verdict {
    let after = status.retry_after.unwrap_or_default().min(LONGEST);
    let again = Verdict::Again { after, throttled: status.code == 429 };
    match status.code {
        500 if too_large(status) => Verdict::Refused,
        403 => forbidden(status, request, failures, again),
        404 | 409 | 410 if request.writes_object() => Verdict::Replan,
        409 if request.is_event() && status.reason == "AlreadyExists" => Verdict::Taken,
        // Our own credentials; too early, or too much; an Event that met something else than itself.
        401 | 408 | 409 | 410 | 425 | 429 => again,
        400..500 => Verdict::Refused,
        // 5xx; and what no API server says, but somebody between it and us may.
        _ => again,
    }
}

fn forbidden(status: &ApiStatus, request: Request, failures: u32, again: Verdict) -> Verdict {
    if request.is_own() || status.message.contains("cannot impersonate") {
        return again;
    }
    let terminating = status.message.contains("because it is being terminated");
    if terminating || failures >= FORBIDDEN { Verdict::Refused } else { again }
}

/// etcd's limit is below that of the API server, which passes its words on as a failure of its own.
fn too_large(status: &ApiStatus) -> bool {
    ["etcdserver: request is too large", "trying to send message larger than max"]
        .iter()
        .any(|words| status.message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Request; 5] =
        [Request::Read, Request::Object, Request::OwnObject, Request::Event, Request::OwnEvent];
    const WRITES: [Request; 4] = [Request::Object, Request::OwnObject, Request::Event, Request::OwnEvent];

    fn said(code: u16, reason: &str, message: &str, retry_after: Option<u64>) -> KubeError {
        let status = ApiStatus {
            code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
        };
        KubeError::Api { request: "PATCH /x".to_owned(), status }
    }

    fn code(code: u16) -> KubeError {
        said(code, "", "", None)
    }

    #[test]
    fn no_answer_is_tried_again_since_it_may_have_been_done() {
        let timeout = || KubeError::Timeout { request: "PATCH /x".to_owned(), limit: Duration::from_secs(1) };
        let unread = || {
            let source = serde_json::from_str::<u8>("x").unwrap_err();
            KubeError::Decode { request: "PATCH /x".to_owned(), source }
        };
        for request in ALL {
            for failures in [0, 99] {
                assert_eq!(judge(&timeout(), request, failures), Verdict::SOON);
                assert_eq!(judge(&unread(), request, failures), Verdict::SOON);
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_never_will_be() {
        let source = serde_json::from_str::<u8>("x").unwrap_err();
        let error = KubeError::Encode { request: "PATCH /x".to_owned(), source };
        assert_eq!(judge(&error, Request::Object, 0), Verdict::Refused);
    }

    #[test]
    fn what_is_wrong_with_it_is_refused_at_once() {
        for wrong in [400, 405, 406, 413, 415, 418, 422] {
            for request in WRITES {
                assert_eq!(judge(&code(wrong), request, 0), Verdict::Refused, "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_us_is_tried_again_for_as_long_as_it_takes() {
        let impersonation = said(403, "Forbidden", "user \"x\" cannot impersonate resource", None);
        for failures in [0, 99] {
            for request in ALL {
                assert_eq!(judge(&code(401), request, failures), Verdict::SOON);
                assert_eq!(judge(&impersonation, request, failures), Verdict::SOON);
            }
            for request in [Request::Read, Request::OwnObject, Request::OwnEvent] {
                assert_eq!(judge(&code(403), request, failures), Verdict::SOON);
            }
        }
    }

    #[test]
    fn forbidden_is_refused_after_a_few_tries_and_in_a_namespace_that_ends_at_once() {
        let quota = said(403, "Forbidden", "exceeded quota: q, requested: count/events=1", None);
        for request in [Request::Object, Request::Event] {
            for failures in 0..FORBIDDEN {
                assert_eq!(judge(&quota, request, failures), Verdict::SOON);
            }
            assert_eq!(judge(&quota, request, FORBIDDEN), Verdict::Refused);
            let words = "unable to create new content in namespace n because it is being terminated";
            let ending = said(403, "Forbidden", words, None);
            assert_eq!(judge(&ending, request, 0), Verdict::Refused);
        }
    }

    #[test]
    fn an_object_that_changed_is_looked_at_again() {
        for answer in [404, 409, 410] {
            for request in [Request::Object, Request::OwnObject] {
                assert_eq!(judge(&code(answer), request, 99), Verdict::Replan, "{answer}");
            }
        }
    }

    #[test]
    fn an_event_that_exists_is_ours_and_one_without_a_namespace_is_refused() {
        for request in [Request::Event, Request::OwnEvent] {
            assert_eq!(judge(&said(409, "AlreadyExists", "", None), request, 0), Verdict::Taken);
            assert_eq!(judge(&said(409, "Conflict", "", None), request, 0), Verdict::SOON);
            assert_eq!(judge(&code(404), request, 0), Verdict::Refused);
            assert_eq!(judge(&code(410), request, 0), Verdict::SOON);
        }
    }

    #[test]
    fn a_server_in_trouble_is_given_the_time_it_asks_for() {
        for request in ALL {
            for trouble in [408, 425, 500, 502, 503, 504, 302] {
                assert_eq!(judge(&code(trouble), request, 99), Verdict::SOON, "{trouble}");
            }
            let after = Duration::from_secs(7);
            let busy = said(503, "", "", Some(7));
            assert_eq!(judge(&busy, request, 0), Verdict::Again { after, throttled: false });
            let throttled = said(429, "TooManyRequests", "", Some(7));
            assert_eq!(judge(&throttled, request, 99), Verdict::Again { after, throttled: true });
            let for_ever = said(429, "TooManyRequests", "", Some(1_000_000));
            assert_eq!(judge(&for_ever, request, 0), Verdict::Again { after: LONGEST, throttled: true });
        }
    }

    #[test]
    fn what_etcd_cannot_hold_is_refused() {
        for words in [
            "etcdserver: request is too large",
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (3 vs. 2)",
        ] {
            assert_eq!(judge(&said(500, "", words, None), Request::Object, 0), Verdict::Refused);
        }
    }
}
