//! The task beside the client: asks how the runtime does, and keeps the event stream open.

use std::sync::Arc;
use std::time::Duration;

use edgecore_pods::runtime::RuntimeVersion;
use kit::{Clock, Elapsed, Shutdown};
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::error::Failure;
use crate::generated::cri;
use crate::health::{Answer, Health, Said, Watch, pause};
use crate::io::call::Client;
use crate::io::listen;

/// The monitor never fails: a runtime that is gone is health, not an error.
#[derive(Debug, Error)]
pub enum MonitorError {}

/// Watches the runtime. One per client.
#[derive(Debug)]
pub struct Monitor {
    client: Client,
    health: Arc<watch::Sender<Health>>,
    hints: Arc<watch::Sender<u64>>,
    clock: Clock,
    /// The connection broke: the runtime may be another one now.
    broke: Notify,
}

/// What a runtime says of itself that only a restart changes.
type Identity = (RuntimeVersion, Option<String>);

impl Monitor {
    pub(crate) fn new(
        client: Client,
        health: Arc<watch::Sender<Health>>,
        hints: Arc<watch::Sender<u64>>,
        clock: Clock,
    ) -> Self {
        Self { client, health, hints, clock, broke: Notify::new() }
    }

    /// Runs until shutdown is asked for.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), MonitorError> {
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.follow() => {}
            () = listen::listen(&self.client, &self.hints, &self.broke) => {}
        }
        Ok(())
    }

    /// Asks again and again.
    async fn follow(&self) {
        let mut watch = Watch::new(self.client.deadlines.silence, self.clock.elapsed());
        let mut identity = None;
        let mut trouble: Option<Elapsed> = Some(self.clock.elapsed());
        let mut silent = false;
        loop {
            let asked = self.ask(&mut identity).await;
            let now = self.clock.elapsed();
            let before = self.health.borrow().clone();
            let answered = asked.is_ok();
            let after = watch.step(&before, asked, now);
            let calm = answered && after.is_good();
            // A new trouble starts a new count, and so does every change within one.
            if calm {
                trouble = None;
            } else if trouble.is_none() || before != after {
                trouble = Some(now);
            }
            self.tell(&before, after.clone());
            if answered && silent {
                // Back before it counted as gone: no news, but whoever failed to look meanwhile can look now.
                listen::hint(&self.hints);
            }
            silent = !answered;
            let pause = pause(answered, &after, trouble.map_or(Duration::ZERO, |since| now.since(since)));
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = self.broke.notified() => identity = None,
            }
        }
    }

    fn tell(&self, before: &Health, after: Health) {
        if *before == after {
            return;
        }
        match &after.answer {
            Answer::No(why) if before.answer != after.answer => {
                tracing::error!(why, "container runtime does not answer");
            }
            Answer::Yes if before.answer != Answer::Yes => {
                let version = after.version.as_ref().map(|v| format!("{} {}", v.name, v.version));
                tracing::info!(version, "container runtime answers");
            }
            Answer::NotYet | Answer::Yes | Answer::No(_) => {}
        }
        self.health.send_replace(after);
        listen::hint(&self.hints);
    }

    async fn ask(&self, identity: &mut Option<Identity>) -> Result<Said, String> {
        let said = self.ask_all(identity).await;
        if said.is_err() {
            *identity = None;
        }
        said.map_err(|failure| match failure {
            Failure::Silent(why) => why,
            Failure::Said(status) => status.message().to_owned(),
        })
    }

    async fn ask_all(&self, identity: &mut Option<Identity>) -> Result<Said, Failure> {
        let (version, image_fs) = if let Some(known) = identity {
            known.clone()
        } else {
            let version = self.client.version().await?;
            identity.insert((version, self.image_fs().await)).clone()
        };
        let status = self.client.probe(self.client.runtime().status(cri::StatusRequest {})).await?;
        let conditions = status.status.map(|status| status.conditions).unwrap_or_default();
        Ok(Said { version, conditions, image_fs })
    }

    /// Where images lie. A runtime that cannot say is none the worse.
    async fn image_fs(&self) -> Option<String> {
        let answer = self.client.probe(self.client.images().image_fs_info(cri::ImageFsInfoRequest {})).await;
        let path = answer.ok()?.image_filesystems.into_iter().next()?.fs_id?.mountpoint;
        Some(path).filter(|path| path.starts_with('/'))
    }
}
