//! Logs: text or JSON, to standard error.
//!
//! Levels: `error` wants a person, `warn` is a fault that heals itself, `info` is a change an operator would want to
//! read once, `debug` is for developers.

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors, one object a line.
    Json,
}

/// The least severe level that is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Wants a person.
    Error,
    /// Heals itself.
    Warn,
    /// Changes an operator reads once.
    #[default]
    Info,
    /// For developers.
    Debug,
}

/// Starts logging. A second call in a process changes nothing.
pub fn init(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Libraries at debug would drown our own lines.
    let quiet = level.min(LevelFilter::INFO);
    let quieter = ["h2", "hyper", "hyper_util", "rustls", "tower", "tungstenite"].map(|name| (name, quiet));
    // It logs every failed request as an error; whoever made the request knows better what its failure means.
    let targets =
        Targets::new().with_default(level).with_targets(quieter).with_target("kube_client", LevelFilter::OFF);
    let registry = tracing_subscriber::registry();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let result = match format {
        LogFormat::Text => registry.with(lines.with_filter(targets)).try_init(),
        LogFormat::Json => registry.with(lines.json().with_filter(targets)).try_init(),
    };
    // Only fails where logging was started already, as in tests.
    drop(result);
}
