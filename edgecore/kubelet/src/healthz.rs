//! `GET /healthz`.

use http::{Response, StatusCode};

use crate::answer::{Body, text};

/// Tells what does not live.
pub trait Alive: Send + Sync + 'static {
    /// Names of the parts of the agent that should live and do not, in words for people; empty when all is well.
    fn dead(&self) -> Vec<String>;
}

impl<F: Fn() -> Vec<String> + Send + Sync + 'static> Alive for F {
    fn dead(&self) -> Vec<String> {
        self()
    }
}

/// 200 `ok`, or 500 and what is dead, one a line.
pub(crate) fn answer(alive: &dyn Alive) -> Response<Body> {
    let dead = alive.dead();
    if dead.is_empty() {
        return text(StatusCode::OK, "ok");
    }
    let mut lines = dead.join("\n");
    lines.push('\n');
    text(StatusCode::INTERNAL_SERVER_ERROR, lines)
}
