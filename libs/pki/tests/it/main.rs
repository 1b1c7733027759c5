//! What the CA signs and how TLS judges it, without sockets.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test ends where its setup fails")]

mod handshake;
mod issuing;

use kit::{Clock, WallTime};
use pki::{Authority, NodeIdentity, NodeKey};

/// 2026-01-01, when every CA of these tests is made.
const NOW: WallTime = WallTime(1_767_225_600_000);
const DAY: i64 = 24 * 3600 * 1000;

fn clock_at(wall: WallTime) -> Clock {
    Clock::manual(wall)
}

fn authority() -> Authority {
    Authority::create(NOW).unwrap()
}

fn node(authority: &Authority, name: &str) -> NodeIdentity {
    let key = NodeKey::generate().unwrap();
    let request = Authority::check_request(&key.request(name).unwrap()).unwrap();
    NodeIdentity::new(&key, &authority.issue_node(name, &request, NOW).unwrap()).unwrap()
}
