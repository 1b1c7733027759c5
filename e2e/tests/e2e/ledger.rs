//! What the edge says it produced, delivered, dropped and holds, against what the API server shows: after an API server
//! that was away, throttled and lost answers, and after agents that were killed and machines that lost power.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skerry_e2e::{Edge, host};

use crate::api_relay::{ApiRelay, Rules};
use crate::world::{EDGE, World};

/// Pods that crash, each time with a few events.
const PODS: [&str; 3] = ["crash-0", "crash-1", "crash-2"];
/// Where each of them leaves a line per run.
pub(crate) const RUNS: &str = "/var/lib/skerry-runs";

/// The accounts of one stream, as `edgecore status --json` tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    produced: u64,
    delivered: u64,
    superseded: u64,
    expired: u64,
    dropped: BTreeMap<String, u64>,
    queued: u64,
}

impl Account {
    fn lost(&self) -> u64 {
        self.expired + self.dropped.values().sum::<u64>()
    }
}

/// The state of the link and the accounts by stream, each of them in balance.
fn status(edge: &Edge) -> Result<(String, BTreeMap<String, Account>)> {
    let line = edge.exec(&["edgecore", "status", "--json"])?;
    ensure!(line.trim_end().lines().count() == 1, "not one line: {line}");
    let status: Value = serde_json::from_str(&line)?;
    ensure!(status["node"] == EDGE, "{status}");
    let number = |value: &Value| value.as_u64().with_context(|| format!("no number in {status}"));
    let mut accounts = BTreeMap::new();
    for stream in status["streams"].as_array().context("no streams")? {
        let dropped = stream["dropped"].as_object().context("no dropped")?;
        let account = Account {
            produced: number(&stream["produced"])?,
            delivered: number(&stream["delivered"])?,
            superseded: number(&stream["superseded"])?,
            expired: number(&stream["expired"])?,
            dropped: dropped.iter().map(|(why, n)| Ok((why.clone(), number(n)?))).collect::<Result<_>>()?,
            queued: number(&stream["queued"])?,
        };
        let accounted = account.delivered + account.superseded + account.lost() + account.queued;
        assert_eq!(account.produced, accounted, "out of balance: {stream}");
        accounts.insert(stream["name"].as_str().context("no name")?.to_owned(), account);
    }
    let state = status.pointer("/link/state").and_then(Value::as_str).context("no link.state")?;
    Ok((state.to_owned(), accounts))
}

pub(crate) fn account(edge: &Edge, stream: &str) -> Result<Account> {
    let (_, mut accounts) = status(edge)?;
    accounts.remove(stream).with_context(|| format!("no stream {stream}"))
}

/// Events in the test's namespace that the edge told of.
fn told(world: &World) -> Result<u64> {
    let events = world.lab.get(&["events", "-n", &world.namespace])?;
    let events = events["items"].as_array().context("no list")?;
    let ours =
        |event: &&Value| event.pointer("/source/component").is_some_and(|by| by == "skerry.io/edgecore");
    Ok(events.iter().filter(ours).count() as u64)
}

/// Starts the pods that crash, and waits until each has run twice.
pub(crate) fn crash(world: &World) {
    world.edge.exec(&["rm", "-rf", RUNS]).unwrap();
    for name in PODS {
        world.apply(&include_str!("manifests/crashing.yaml").replace("NAME", name).replace("NODE", EDGE));
    }
    world.wait("restarts", || Ok(PODS.iter().all(|name| restarts(world, name).is_ok_and(|n| n >= 1))));
}

/// Restarts of a pod's container, as the API server shows them.
fn restarts(world: &World, name: &str) -> Result<u64> {
    let pod = world.pod(name)?;
    let count = pod.object.pointer("/status/containerStatuses/0/restartCount");
    count.and_then(Value::as_u64).context("no restart count")
}

/// How often a pod's container ran, as it says itself.
fn runs(world: &World, name: &str) -> Result<u64> {
    let lines = world.edge.exec(&["cat", &format!("{RUNS}/{name}")])?;
    Ok(lines.lines().count() as u64)
}

/// The pods' restarts as shown; they must never go back.
#[derive(Default)]
struct Shown(BTreeMap<&'static str, u64>);

impl Shown {
    fn look(&mut self, world: &World) -> Result<()> {
        for name in PODS {
            let now = restarts(world, name)?;
            let before = self.0.insert(name, now).unwrap_or(0);
            assert!(now >= before, "{name}: {now} restarts are shown after {before}");
        }
        Ok(())
    }
}

/// Waits until nothing is queued, and the cluster shows each event that was delivered, once; none was lost since.
fn all_delivered(world: &World, before: &Account) {
    world.wait("everything delivered", || delivered(world, before));
}

/// Nothing is queued, and the cluster shows each event that was delivered since, once; none was lost. The error says what
/// is not so.
pub(crate) fn delivered(world: &World, before: &Account) -> Result<bool> {
    let (state, accounts) = status(&world.edge)?;
    let queued: Vec<_> = accounts.iter().map(|(name, account)| (name, account.queued)).collect();
    ensure!(accounts.values().all(|account| account.queued == 0), "{state}: queued {queued:?}");
    let now = accounts.get("events").context("no events")?;
    ensure!(now.lost() == before.lost(), "events were lost: {now:?}");
    let (delivered, shown) = (now.delivered - before.delivered, told(world)?);
    ensure!(delivered == shown, "{delivered} events delivered, {shown} shown");
    Ok(true)
}

#[test]
fn an_api_server_that_is_away_throttles_and_loses_answers_costs_nothing() {
    let world = World::new("api-trouble");
    let relay = ApiRelay::start(&world.lab, Rules::default()).unwrap();
    world.lab.kill_cloud(None).unwrap();
    world.lab.start_cloud(None).unwrap();
    world.wait("the session back", || Ok(world.sessions() == 1));
    let before = account(&world.edge, "events").unwrap();
    crash(&world);
    let mut shown = Shown::default();

    // Throttled: every write is answered with 429 and a second to wait.
    relay.obey(Rules { writes: Some(429), ..Rules::default() });
    // Of all writes, Leases and what is asked of the API server about callers among them: at least half are of reports.
    world.wait("writes throttled", || Ok(relay.refused() >= 40));
    shown.look(&world).unwrap();
    // Away, for a minute.
    let begun = host::now();
    relay.obey(Rules { down: true, ..Rules::default() });
    world.wait("something waits", || {
        shown.look(&world)?;
        let waiting = account(&world.edge, "events")?.queued;
        ensure!(waiting > 0, "nothing");
        Ok(true)
    });
    std::thread::sleep(Duration::from_mins(1).saturating_sub(begun.elapsed()));
    // Back, and for a while its answers to writes are lost: what was written must not be written twice.
    relay.obey(Rules { lose_answers: true, ..Rules::default() });
    world.wait("answers lost", || Ok(relay.lost() >= 5));
    relay.obey(Rules::default());
    world.wait("the session back", || {
        shown.look(&world)?;
        Ok(world.sessions() == 1)
    });
    all_delivered(&world, &before);
    world.wait("every restart shown", || {
        shown.look(&world)?;
        for name in PODS {
            let (shown, ran) = (restarts(&world, name)?, runs(&world, name)?);
            ensure!(shown + 1 == ran, "{name}: {shown} restarts shown, {ran} runs");
        }
        Ok(true)
    });
    world.edge.exec(&["rm", "-rf", RUNS]).unwrap();
    let metrics = world.lab.metrics(1).unwrap();
    assert!(metrics.count("skerry_status_writes_total", &["code=\"429\""]) >= 20, "{}", metrics.0);
    assert!(metrics.count("skerry_status_patches_total", &["result=\"refused\""]) == 0, "{}", metrics.0);
}

#[test]
fn accounts_are_true_after_kills_and_power_cuts_while_the_link_is_cut() {
    let world = World::new("ledger");
    let before = account(&world.edge, "events").unwrap();
    crash(&world);
    world.edge.cut().unwrap();
    let queued = |edge: &Edge| account(edge, "events").map(|account| account.queued);
    world.wait("events wait", || Ok(queued(&world.edge)? >= 3));

    // Of an agent that was killed the store tells, and it is what the next one starts from.
    world.edge.kill().unwrap();
    let (state, stopped) = status(&world.edge).unwrap();
    assert_eq!(state, "stopped");
    assert!(stopped["events"].queued >= 3, "{stopped:?}");
    world.edge.start().unwrap();
    let (state, _) = status(&world.edge).unwrap();
    assert_eq!(state, "disconnected");
    let more = stopped["events"].produced;
    world.wait("more events", || Ok(account(&world.edge, "events")?.produced > more));

    // On a disk that is full the accounts are told as well.
    let fill = "cd /var/lib/skerry; dd if=/dev/zero of=fill bs=64k 2>/dev/null; \
        dd if=/dev/zero of=crumbs bs=1k 2>/dev/null; df -k --output=avail . | tail -1";
    let left = world.edge.exec(&["sh", "-c", fill]);
    let told = status(&world.edge);
    // Synced, or the next power cut brings them back.
    world.edge.exec(&["sh", "-c", "rm -f /var/lib/skerry/fill /var/lib/skerry/crumbs; sync"]).unwrap();
    let left: u64 = left.unwrap().trim().parse().unwrap();
    assert!(left < 64, "{left} KiB were left");
    told.unwrap();

    for _ in 0..2 {
        let known = account(&world.edge, "events").unwrap();
        world.edge.power_off().unwrap();
        world.edge.power_on().unwrap();
        let found = host::wait_for("the agent to tell", crate::world::PATIENCE, || {
            account(&world.edge, "events").map(Some)
        })
        .unwrap();
        assert!(found.produced >= known.produced, "{known:?} before the power was cut, {found:?} after");
        assert!(found.queued + found.lost() >= known.queued + known.lost(), "{known:?} {found:?}");
    }
    world.edge.heal().unwrap();
    world.wait("in sync", || Ok(status(&world.edge)?.0 == "in_sync"));
    all_delivered(&world, &before);
    world.edge.exec(&["rm", "-rf", RUNS]).unwrap();
}
