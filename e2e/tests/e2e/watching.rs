//! Everything the API server ever showed of some objects: a watch, kept from its start.

use std::io::BufReader;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;
use skerry_e2e::view::condition;
use skerry_e2e::{Lab, host};

use crate::world::PATIENCE;

/// A watch that runs until it is dropped.
pub(crate) struct Watching {
    child: Child,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Watching {
    /// Watches what `kubectl get` names, and returns when it shows something.
    pub(crate) fn start(lab: &Lab, what: &[&str]) -> Result<Self> {
        let mut words = vec!["get"];
        words.extend(what);
        words.extend(["--watch", "-o", "json"]);
        let mut command = lab.kubectl_command(&words);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("kubectl without output")?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            let shown = serde_json::Deserializer::from_reader(BufReader::new(stdout)).into_iter::<Value>();
            for object in shown.map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(object);
            }
        });
        let watching = Self { child, seen };
        host::wait("the watch's first object", PATIENCE, || Ok(!watching.seen().is_empty()))?;
        Ok(watching)
    }

    /// All that was shown, oldest first.
    pub(crate) fn seen(&self) -> Vec<Value> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Status of the condition Ready in all that was shown, with the object's name.
    pub(crate) fn ready(&self) -> Vec<(String, String)> {
        let of = |object: &Value| {
            let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
            Some((name, condition(object, "Ready")?["status"].as_str()?.to_owned()))
        };
        self.seen().iter().filter_map(of).collect()
    }

    /// Who was shown with another status of Ready than True.
    pub(crate) fn not_ready(&self) -> Vec<(String, String)> {
        self.ready().into_iter().filter(|(_, status)| status != "True").collect()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
