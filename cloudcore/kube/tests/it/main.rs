//! Watches against a server that says what a test tells it to.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its setup fails")]

mod server;
mod watch;
