//! The loop of a watch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kit::faults::{self, Fault};
use kit::{Backoff, Clock, Elapsed, Shutdown};
use tokio::sync::Notify;

use super::event::{self, Event};
use super::page::{self, Page};
use super::{Named, Observer, Source, name};
use crate::client::{Client, Line};
use crate::error::{ApiStatus, KubeError};
use crate::metrics::{KindLabel, Metrics};
use crate::path::query_value;

/// Longest page of a list, in bytes.
const MAX_PAGE: usize = 512 << 20;
/// How long the API server is asked to keep a watch open, in seconds.
const WATCH_SECONDS: u64 = 290;
/// One that lasted so long ended because it was to. Before that, the API server may have been stopped, and its database put
/// back to an earlier time meanwhile: its resourceVersions would then say nothing about ours, even where they are higher.
const IN_TIME: Duration = Duration::from_secs(WATCH_SECONDS - 10);
/// A watch on which nothing came for so long is taken for dead: bookmarks come about every minute.
const IDLE: Duration = Duration::from_secs(150);
/// After a loss that no next event heals, the kind is listed again in this time; doubling where it stays.
const HEAL_FIRST: Duration = Duration::from_secs(30);
/// The longest such time.
const HEAL_MOST: Duration = Duration::from_mins(15);

/// Makes a running watch list its kind again.
#[derive(Debug, Clone, Default)]
pub struct WatchHandle {
    relist: Arc<Notify>,
}

impl WatchHandle {
    /// Asks for a fresh list, because this replica seems to lag behind.
    pub fn relist(&self) {
        self.relist.notify_one();
    }
}

/// One kind being watched.
#[derive(Debug)]
pub struct Watch<O: ?Sized> {
    client: Client,
    source: Source,
    observer: Arc<O>,
    metrics: Metrics,
    clock: Clock,
    handle: WatchHandle,
    backoff: Backoff,
    heal: Backoff,
}

/// Why a watch ended.
enum End {
    /// When it was to end: go on from the same resourceVersion.
    InTime,
    /// Before it began: the API server is there, and does not let us watch. A list would change nothing.
    Refused(KubeError),
    /// List again.
    Relist,
}

impl<O: Observer + ?Sized> Watch<O> {
    /// A watch that does not run yet.
    pub fn new(client: Client, source: Source, observer: Arc<O>, metrics: Metrics, clock: Clock) -> Self {
        Self {
            client,
            source,
            observer,
            metrics,
            clock,
            handle: WatchHandle::default(),
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
            heal: Backoff::new(HEAL_FIRST, HEAL_MOST),
        }
    }

    /// To ask it for a fresh list.
    pub fn handle(&self) -> WatchHandle {
        self.handle.clone()
    }

    /// Lists and watches until shutdown is asked for.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), KubeError> {
        kit::select! {
            () = shutdown.requested() => Ok(()),
            never = self.forever() => match never {},
        }
    }

    async fn forever(&mut self) -> std::convert::Infallible {
        loop {
            let (mut version, mut heal_at) = match self.list().await {
                Ok(listed) => listed,
                Err(error) => {
                    self.failed(&error).await;
                    continue;
                }
            };
            loop {
                let goes_on = match self.watch(&mut version, &mut heal_at).await {
                    Ok(End::InTime) => self.went_back(&version).await.map(|back| !back),
                    Ok(End::Refused(error)) => {
                        self.failed(&error).await;
                        self.went_back(&version).await.map(|back| !back)
                    }
                    Ok(End::Relist) => Ok(false),
                    Err(error) => Err(error),
                };
                match goes_on {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => self.failed(&error).await,
                }
                break;
            }
        }
    }

    /// Whether the API server is not as far as we were: its database was put back to an earlier time. It would take a
    /// watch from a resourceVersion that it has not reached, and tell of nothing until it has.
    async fn went_back(&self, version: &str) -> Result<bool, KubeError> {
        let path = self.list_path(1, "");
        let bytes = self.client.get_bytes(&path, MAX_PAGE).await?;
        let page = page::parse(&bytes).map_err(|error| unreadable(&path, &error.to_string()))?;
        let newest = page.resource_version;
        let back =
            matches!((newest.parse(), version.parse::<u128>()), (Ok(newest), Ok(seen)) if seen > newest);
        if back {
            tracing::warn!(
                kind = self.source.kind,
                newest,
                seen = version,
                "the cluster went back to an earlier state; everything is listed again"
            );
        }
        Ok(back)
    }

    /// Says that the kind is broken, and waits.
    async fn failed(&mut self, error: &KubeError) {
        self.metrics.failures.get_or_create(&self.label()).inc();
        if error.is_gone() {
            tracing::debug!(kind = self.source.kind, "watch is too old and starts over with a list");
        } else {
            tracing::warn!(
                kind = self.source.kind,
                error = kit::errors::chain(error),
                "list or watch failed"
            );
            self.observer.broken(error);
        }
        let wait = self.backoff.next(kit::random::unit());
        let wait = error.status().and_then(|status| status.retry_after).map_or(wait, |asked| asked.max(wait));
        self.clock.sleep(wait.min(Duration::from_mins(1))).await;
    }

    /// Reads all pages. Answers the resourceVersion to watch from, and when to list again to heal what was lost.
    async fn list(&mut self) -> Result<(String, Option<Elapsed>), KubeError> {
        let mut seen = BTreeSet::new();
        let mut unnamed = false;
        let mut proceed = String::new();
        let mut limit = self.source.page;
        let version = loop {
            let path = self.list_path(limit, &proceed);
            let bytes = match self.client.get_bytes(&path, MAX_PAGE).await {
                Err(_) if !proceed.is_empty() && faults::on(Fault::PartOfAListIsAll) => {
                    break "0".to_owned();
                }
                got => got?,
            };
            let page = page::parse(&bytes).map_err(|error| unreadable(&path, &error.to_string()))?;
            if page.unbalanced.is_some() && limit > 1 {
                // Somewhere in this page an item swallows its neighbours: one by one from here on.
                limit = 1;
                continue;
            }
            self.observer.coming(&page.resource_version);
            unnamed |= self.take(&page, &mut seen);
            if page.proceed.is_empty() {
                break page.resource_version;
            }
            proceed = page.proceed;
        };
        self.observer.listed((!unnamed).then_some(&seen));
        self.observer.progressed(&version);
        self.metrics.lists.get_or_create(&self.label()).inc();
        let heal_at = unnamed.then(|| self.heal_time());
        if !unnamed {
            self.heal.reset();
        }
        Ok((version, heal_at))
    }

    /// Takes the items of a page; `true` where the UID of one is not known for sure.
    fn take(&self, page: &Page<'_>, seen: &mut BTreeSet<String>) -> bool {
        let mut unnamed = false;
        let damaged = page.unbalanced.map(|raw| (raw, Err("brackets or quotes do not match".to_owned())));
        let items = page.items.iter().map(|raw| (*raw, self.observer.applied(raw))).chain(damaged);
        for (raw, applied) in items {
            let named = match applied {
                Ok(()) => uid_of(raw).unwrap_or_default(),
                Err(reason) => {
                    let named = name::name(raw);
                    self.malformed(&named, &reason);
                    named.uid
                }
            };
            if named.is_empty() {
                unnamed = true;
            } else {
                seen.insert(named);
            }
        }
        unnamed
    }

    /// Watches until the watch ends, advancing the resourceVersion.
    async fn watch(&mut self, version: &mut String, heal_at: &mut Option<Elapsed>) -> Result<End, KubeError> {
        let path = self.watch_path(version);
        let mut lines = match self.client.lines(&path).await {
            Ok(lines) => lines,
            Err(error) if error.status().is_some() && !error.is_gone() => return Ok(End::Refused(error)),
            Err(error) => return Err(error),
        };
        self.observer.healthy();
        let opened = self.clock.elapsed();
        let relist = Arc::clone(&self.handle.relist);
        loop {
            let healing = async {
                match *heal_at {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let line = kit::select! {
                line = lines.next() => line?,
                () = healing => return Ok(End::Relist),
                () = relist.notified() => return Ok(End::Relist),
                () = self.clock.sleep(IDLE) => None,
            };
            let Some(line) = line else { break };
            self.backoff.reset();
            self.line(&line, version, heal_at, &path)?;
        }
        let lasted = self.clock.elapsed().since(opened);
        if lasted >= IN_TIME {
            return Ok(End::InTime);
        }
        // A watch that ends as soon as it is opened must not become a storm of requests.
        if lasted < Duration::from_secs(10) {
            let wait = self.backoff.next(kit::random::unit());
            self.clock.sleep(wait).await;
        }
        Ok(End::Relist)
    }

    fn line(
        &mut self,
        line: &Line,
        version: &mut String,
        heal_at: &mut Option<Elapsed>,
        path: &str,
    ) -> Result<(), KubeError> {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::TooLong => {
                self.malformed(&Named::default(), "event is too long");
                heal_at.get_or_insert(self.heal_time());
                return Ok(());
            }
        };
        let passed = match event::parse(bytes) {
            Event::Applied { raw, resource_version } => {
                self.observer.coming(&resource_version);
                if let Err(reason) = self.observer.applied(raw) {
                    self.malformed(&name::name(raw), &reason);
                    heal_at.get_or_insert(self.heal_time());
                }
                resource_version
            }
            Event::Deleted { uid, resource_version } => {
                self.observer.coming(&resource_version);
                self.observer.deleted(&uid);
                resource_version
            }
            Event::Bookmark { resource_version } => resource_version,
            Event::Error { code, message } => return Err(ended(path, code, message)),
            Event::Malformed { named, reason } => {
                self.malformed(&named, &reason);
                heal_at.get_or_insert(self.heal_time());
                return Ok(());
            }
        };
        if !passed.is_empty() {
            self.observer.progressed(&passed);
            *version = passed;
        }
        Ok(())
    }

    fn malformed(&self, named: &Named, reason: &str) {
        self.metrics.malformed.get_or_create(&self.label()).inc();
        self.observer.skipped(named);
        tracing::warn!(kind = self.source.kind, object = %named, reason, "object cannot be read and is skipped");
    }

    fn heal_time(&mut self) -> Elapsed {
        self.clock.elapsed().plus(self.heal.next(kit::random::unit()))
    }

    const fn label(&self) -> KindLabel {
        KindLabel { kind: self.source.kind }
    }

    fn list_path(&self, limit: u32, proceed: &str) -> String {
        let mut path = format!("{}?limit={limit}", self.source.collection.all());
        if !proceed.is_empty() {
            path.push_str("&continue=");
            path.push_str(&query_value(proceed));
        }
        self.select(path)
    }

    fn watch_path(&self, version: &str) -> String {
        let path = self.source.collection.all();
        let version = query_value(version);
        self.select(format!(
            "{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}"
        ))
    }

    fn select(&self, mut path: String) -> String {
        if !self.source.field_selector.is_empty() {
            path.push_str("&fieldSelector=");
            path.push_str(&query_value(self.source.field_selector));
        }
        path
    }
}

fn uid_of(raw: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Object {
        metadata: Meta,
    }
    #[derive(serde::Deserialize)]
    struct Meta {
        uid: String,
    }
    serde_json::from_slice::<Object>(raw).ok().map(|object| object.metadata.uid)
}

fn unreadable(path: &str, reason: &str) -> KubeError {
    KubeError::Decode { request: format!("GET {path}"), source: serde::de::Error::custom(reason) }
}

fn ended(path: &str, code: u16, message: String) -> KubeError {
    let status = ApiStatus { code, reason: String::new(), message, retry_after: None };
    KubeError::Api { request: format!("GET {path}"), status }
}
