//! What people, the network, the machines and the API server do in a run: all of it drawn from the seed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::api::{Api, Break, Key, Regime};
use crate::edge::Around;
use crate::exec::Actor;
use crate::judge::NODE;
use crate::rng::Rng;
use crate::trace::say;

/// All must have come to rest so long after the last failure, and stay so.
const PATIENCE: u64 = 1200;
const REST: Duration = Duration::from_secs(50);

/// What the script asks of whoever runs the processes.
#[derive(Debug)]
pub(crate) enum Order {
    /// Kill it now; with the machine's power or without.
    Kill(Actor, bool),
    /// Kill it after so many more of its steps, or before, where it stands somewhere new.
    Light(Actor, u64),
    /// Let it stand still, or go on.
    Stop(Actor, bool),
    /// Let it say goodbye.
    Drain(usize),
    /// Start it.
    Start(Actor),
    /// Kill nobody any more.
    Calm,
    /// The run is over.
    End(Result<(), String>),
}

/// Orders that wait. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    waiting: Arc<Mutex<VecDeque<Order>>>,
}

impl Orders {
    pub(crate) fn give(&self, order: Order) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(order);
    }

    pub(crate) fn next(&self) -> Option<Order> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// The script of a run.
pub(crate) struct Script {
    pub(crate) around: Around,
    pub(crate) orders: Orders,
    pub(crate) rng: Rng,
    pub(crate) wall_ms: Arc<AtomicI64>,
    pub(crate) in_sync: Arc<dyn Fn() -> bool + Send + Sync>,
    /// How many replicas there are.
    pub(crate) replicas: usize,
}

fn key(plural: &str, name: &str) -> Key {
    let namespace = if plural == "nodes" { "" } else { "ns" };
    (plural.to_owned(), namespace.to_owned(), name.to_owned())
}

/// What is there before anything starts.
pub(crate) fn furnish(api: &Api, rng: &Rng) {
    api.make(
        &key("nodes", NODE),
        json!({"metadata": {"labels": {"node-role.kubernetes.io/edge": ""}}, "spec": {}}),
    );
    api.make(
        &("services".to_owned(), "default".to_owned(), "kubernetes".to_owned()),
        json!({"spec": {"clusterIP": "10.1.0.1", "ports": [{"port": 443}]}}),
    );
    api.make(&key("serviceaccounts", "default"), json!({"secrets": [{"name": "x"}]}));
    for n in 0..4 {
        api.make(&key("configmaps", &format!("c{n}")), json!({"data": {"n": "0"}}));
        api.make(&key("secrets", &format!("s{n}")), json!({"data": {"n": "MA=="}}));
    }
    if rng.per_mille(400) {
        api.make(&key("configmaps", "newer"), json!({"data": {"n": "0"}}));
    }
    // Pods of another node, so that lists have pages and the index something to leave out.
    for n in 0..3 {
        api.make(&key("pods", &format!("other-{n}")), pod(rng, "elsewhere", &[]));
    }
    for n in 0..rng.below(4) {
        api.make(&key("pods", &format!("p{n}")), pod(rng, NODE, &names(rng)));
    }
}

/// What a new pod names.
fn names(rng: &Rng) -> Vec<Value> {
    let mut volumes = vec![
        json!({"name": "a", "configMap": {"name": format!("c{}", rng.below(4))}}),
        json!({"name": "b", "secret": {"secretName": format!("s{}", rng.below(4))}}),
    ];
    if rng.per_mille(250) {
        volumes.push(json!({"name": "d", "configMap": {"name": "newer"}}));
    }
    volumes
}

fn pod(rng: &Rng, node: &str, volumes: &[Value]) -> Value {
    json!({
        "metadata": {"labels": {"n": rng.below(1000).to_string()}},
        "spec": {"nodeName": node, "volumes": volumes, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    })
}

impl Script {
    pub(crate) async fn run(self) {
        self.orders.give(Order::Start(Actor::Edge));
        for replica in 0..self.replicas {
            self.orders.give(Order::Start(Actor::Cloud(replica)));
        }
        if self.rng.per_mille(700) {
            sleep(Duration::from_millis(self.rng.below(4000))).await;
        }
        for _ in 0..self.rng.between(12, 40) {
            sleep(Duration::from_millis(self.rng.below(1600))).await;
            for _ in 0..self.rng.between(1, 3) {
                self.act();
            }
        }
        self.calm();
        let end = self.comes_to_rest().await;
        self.orders.give(Order::End(end));
    }

    /// Waits until both sides agree, and looks again a while later.
    async fn comes_to_rest(&self) -> Result<(), String> {
        let mut last = String::new();
        let mut seconds = 0;
        while seconds < PATIENCE {
            let step = if seconds < 20 { 1 } else { 10 };
            sleep(Duration::from_secs(step)).await;
            seconds += step;
            match self.look() {
                Ok(()) => {
                    say!(self.around.trace, "world", "at rest after {seconds} s");
                    sleep(REST).await;
                    return self.look().map_err(|wrong| format!("at rest, and then: {wrong}"));
                }
                Err(wrong) if wrong != last => {
                    say!(self.around.trace, "world", "not at rest: {wrong}");
                    last = wrong;
                }
                Err(_) => {}
            }
        }
        Err(format!("does not come to rest: {last}"))
    }

    fn look(&self) -> Result<(), String> {
        self.around.judge.rest()?;
        if (self.in_sync)() { Ok(()) } else { Err("the link is not in sync".to_owned()) }
    }

    /// No more failures, and nothing new.
    fn calm(&self) {
        say!(self.around.trace, "world", "calm");
        self.around.judge.be_quiet();
        self.orders.give(Order::Calm);
        for replica in 0..2 {
            self.around.judge.api.set_regime(replica, Regime { slow_ms: 5, lag_ms: 20, ..Regime::default() });
            self.around.net.set_apart(replica, false);
        }
        self.around.net.set_slow(5);
    }

    fn act(&self) {
        match self.rng.below(100) {
            0..=46 => self.people(),
            47..=59 => self.network(),
            60..=77 => self.machines(),
            78..=91 => self.server(),
            _ => self.wall_clock(),
        }
    }

    fn replica(&self) -> usize {
        usize::try_from(self.rng.below(self.replicas as u64)).unwrap_or(0)
    }

    fn people(&self) {
        let (rng, api) = (&self.rng, &self.around.judge.api);
        let name = format!("p{}", rng.below(5));
        let n = rng.below(100_000).to_string();
        match rng.below(16) {
            0..=3 => api.make(&key("pods", &name), pod(rng, NODE, &names(rng))),
            4..=5 => api.edit(&key("pods", &name), |pod| {
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
                pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
            }),
            // By force: the edge is not asked.
            6 => api.remove(&key("pods", &name)),
            // And made again in the same breath.
            7 => {
                api.remove(&key("pods", &name));
                api.make(&key("pods", &name), pod(rng, NODE, &names(rng)));
            }
            8..=9 => {
                api.edit(&key("configmaps", &format!("c{}", rng.below(4))), |map| {
                    map["data"]["n"] = n.into();
                });
            }
            10 => api.edit(&key("secrets", &format!("s{}", rng.below(4))), |map| map["data"]["n"] = n.into()),
            11 => {
                let key = key(
                    if rng.per_mille(500) { "configmaps" } else { "secrets" },
                    &format!("{}{}", "c", rng.below(4)),
                );
                api.remove(&key);
                if rng.per_mille(700) {
                    api.make(&key, json!({"data": {"n": n}}));
                }
            }
            12 => api.edit(&key("configmaps", "newer"), |map| map["data"]["n"] = n.into()),
            13 => api.edit(&key("pods", &name), |pod| pod["metadata"]["labels"]["n"] = n.into()),
            14 => api.make(
                &key("services", &format!("svc-{}", rng.below(2))),
                json!({"spec": {"clusterIP": "10.1.0.2", "ports": []}}),
            ),
            // As node-lifecycle does after 50 s of silence.
            _ => {
                for (plural, name) in [("nodes", NODE), ("pods", name.as_str())] {
                    api.edit(&key(plural, name), |object| {
                        let conditions =
                            object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
                        for condition in
                            conditions.into_iter().flatten().filter(|condition| condition["type"] == "Ready")
                        {
                            condition["status"] = "Unknown".into();
                        }
                    });
                }
            }
        }
    }

    fn network(&self) {
        let net = &self.around.net;
        match self.rng.below(9) {
            0..=3 => net.cut(),
            8 if self.replicas > 1 => self.half_gone(),
            4 => net.set_slow(self.rng.below(1500)),
            5 => net.set_slow(self.rng.below(20)),
            6 => {
                let apart: Vec<bool> = (0..self.replicas).map(|_| self.rng.per_mille(500)).collect();
                say!(self.around.trace, "network", "apart: {apart:?}");
                for (replica, apart) in apart.into_iter().enumerate() {
                    net.set_apart(replica, apart);
                }
            }
            _ => (0..self.replicas).for_each(|replica| net.set_apart(replica, false)),
        }
    }

    /// A replica loses most of its requests, and then the edge; it holds on to its session and to what it was to write.
    fn half_gone(&self) {
        let replica = self.replica();
        let regime = Regime { fails: 700, slow_ms: 300, lag_ms: 300, ..Regime::default() };
        self.around.judge.api.set_regime(replica, regime);
        let (around, pause) = (self.around.clone(), Duration::from_millis(self.rng.between(500, 4000)));
        self.around.handle.spawn(Actor::World, async move {
            sleep(pause).await;
            if around.judge.is_quiet() {
                return;
            }
            say!(around.trace, "network", "the edge loses cloud-{replica}");
            around.net.lose(replica);
            around.net.set_apart(1 - replica, false);
        });
    }

    fn machines(&self) {
        let cloud = Actor::Cloud(self.replica());
        let actor = if self.rng.per_mille(550) { Actor::Edge } else { cloud };
        let order = match self.rng.below(10) {
            0..=5 => Order::Light(actor, self.rng.between(1, 120)),
            6 => Order::Kill(actor, self.rng.per_mille(500)),
            7 => Order::Stop(cloud, true),
            8 => Order::Stop(cloud, false),
            _ => Order::Drain(self.replica()),
        };
        say!(self.around.trace, "world", "{order:?}");
        self.orders.give(order);
    }

    fn server(&self) {
        let (rng, api) = (&self.rng, &self.around.judge.api);
        let replica = self.replica();
        if rng.per_mille(400) {
            let how = *rng.pick(&[Break::End, Break::Gone, Break::Reset]).unwrap_or(&Break::End);
            say!(self.around.trace, "api", "watches of cloud-{replica}: {how:?}");
            if how == Break::Gone {
                // What goes now is only found missing by the next list.
                let (plural, letter) =
                    *rng.pick(&[("pods", "p"), ("configmaps", "c")]).unwrap_or(&("pods", "p"));
                api.remove(&key(plural, &format!("{letter}{}", rng.below(5))));
            }
            return api.break_watches(replica, how);
        }
        let regime = match rng.below(5) {
            0 => Regime { slow_ms: 20, lag_ms: 100, ..Regime::default() },
            1 => Regime { fails: 300, throttles: 300, slow_ms: 50, lag_ms: 50, ..Regime::default() },
            2 => Regime { loses: 300, slow_ms: 300, lag_ms: 50, ..Regime::default() },
            3 => Regime { slow_ms: 500, lag_ms: 6000, fails: 30, ..Regime::default() },
            _ => Regime { cut: true, lag_ms: 100, ..Regime::default() },
        };
        say!(self.around.trace, "api", "for cloud-{replica}: {regime:?}");
        api.set_regime(replica, regime);
    }

    fn wall_clock(&self) {
        let by = i64::try_from(self.rng.below(400_000_000)).unwrap_or(0) - 200_000_000;
        say!(self.around.trace, "edge", "wall clock jumps by {by} ms");
        self.wall_ms.fetch_add(by, Ordering::SeqCst);
    }
}
