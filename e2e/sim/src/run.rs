//! One run: a seed, and perhaps a planted fault.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use edgecore_sync::{LinkStatus, Phase};
use kit::Shutdown;
use kit::faults::Fault;
use kit::sim::World;
use tokio::time::Instant;

use crate::api::Api;
use crate::chaos::{Order, Orders, Script, furnish};
use crate::edge::{Around, Credentials, Machine};
use crate::exec::{Actor, Executor, Fuse, Handle};
use crate::judge::Judge;
use crate::net::Net;
use crate::points::Stacks;
use crate::rng::Rng;
use crate::trace::{Trace, say};
use crate::{cloud, edge};

/// A run with more steps than this turns in circles.
const MOST_STEPS: u64 = 200_000;
/// How often, of a thousand times, a process that is to be killed is killed where it stands for the first time.
const AT_ONCE: u64 = 400;
/// When it all begins, milliseconds since 1970.
const DAWN_MS: i64 = 1_767_225_600_000;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was wrong; `None` where nothing was.
    pub wrong: Option<String>,
    /// Hash of everything that happened: the same seed has the same.
    pub hash: u64,
    /// Steps of tasks.
    pub steps: u64,
    /// Processes killed.
    pub kills: u64,
    /// The awaits at which they were killed, each with whose process it was.
    pub points: BTreeSet<String>,
}

impl Outcome {
    /// Of a run that could not be made.
    pub(crate) const fn broken(seed: u64, wrong: String) -> Self {
        Self { seed, wrong: Some(wrong), hash: 0, steps: 0, kills: 0, points: BTreeSet::new() }
    }
}

/// Makes runs.
#[derive(Clone)]
pub struct Runner {
    credentials: Arc<Credentials>,
    /// Where stores are kept: memory, where there is such a folder.
    folder: Arc<tempfile::TempDir>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl Runner {
    /// Makes what all runs share.
    pub fn new() -> anyhow::Result<Self> {
        let memory = std::path::Path::new("/dev/shm");
        let name = "skerry-sim-";
        let mut builder = tempfile::Builder::new();
        builder.prefix(name);
        let folder = if memory.is_dir() { builder.tempdir_in(memory)? } else { builder.tempdir()? };
        Ok(Self { credentials: Arc::new(Credentials::make()?), folder: Arc::new(folder) })
    }

    /// One run. `print` tells what happens.
    pub fn run(&self, seed: u64, fault: Option<Fault>, print: bool) -> anyhow::Result<Outcome> {
        let dir = tempfile::tempdir_in(self.folder.path())?;
        self.credentials.put(dir.path())?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let mut run = Run::new(seed, fault, print, dir.path(), &self.credentials);
            let world = Rc::new(Seeded {
                rng: run.rng.fork(),
                fault,
                handle: run.around.handle.clone(),
                stacks: Rc::clone(&run.stacks),
            });
            let entered = kit::sim::enter(world);
            let wrong = tokio::task::unconstrained(poll_fn(|cx| run.poll(cx))).await.err();
            let outcome = run.outcome(wrong);
            // Tasks end inside the world they were made in.
            drop(run);
            drop(entered);
            Ok(outcome)
        })
    }
}

/// What the product asks of the machine.
struct Seeded {
    rng: Rng,
    fault: Option<Fault>,
    handle: Handle,
    stacks: Rc<RefCell<Stacks>>,
}

impl World for Seeded {
    fn spawn(&self, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn Fn() + Send + Sync> {
        let handle = self.handle.clone();
        let id = handle.spawn_here(task);
        Box::new(move || handle.abort(id))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.rng.fill(bytes);
    }

    fn branch(&self, branches: u32) -> u32 {
        u32::try_from(self.rng.below(branches.into())).unwrap_or(0)
    }

    fn waits(&self) {
        self.stacks.borrow_mut().waits();
    }

    fn fault(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

/// Runs processes, and kills them.
struct Run {
    seed: u64,
    rng: Rng,
    around: Around,
    executor: Executor,
    orders: Orders,
    machine: Machine,
    /// The link's state of the edge that runs.
    status: Arc<Mutex<Option<LinkStatus>>>,
    shutdowns: [Option<Shutdown>; 2],
    running: BTreeSet<Actor>,
    stacks: Rc<RefCell<Stacks>>,
    points: BTreeSet<String>,
    steps: u64,
    kills: u64,
}

impl Run {
    fn new(
        seed: u64,
        fault: Option<Fault>,
        print: bool,
        dir: &std::path::Path,
        credentials: &Credentials,
    ) -> Self {
        let rng = Rng::new(seed);
        let (handle, trace) = (Handle::new(), Trace::new(print));
        say!(trace, "world", "seed {seed}, fault {fault:?}");
        let judge = Judge::new(Api::new(rng.fork(), trace.clone()));
        furnish(&judge.api, &rng);
        let identity = credentials.identity.identity().clone();
        let net = Net::new(handle.clone(), rng.fork(), trace.clone(), judge.clone(), identity);
        let around = Around { handle, net, judge, rng: rng.fork(), trace };
        let machine = Machine {
            dir: dir.to_owned(),
            boot: (Instant::now(), 0),
            wall_ms: Arc::new(AtomicI64::new(DAWN_MS)),
        };
        let run = Self {
            seed,
            executor: Executor::new(around.handle.clone(), rng.fork()),
            orders: Orders::default(),
            status: Arc::default(),
            shutdowns: [None, None],
            running: BTreeSet::new(),
            stacks: Rc::default(),
            points: BTreeSet::new(),
            steps: 0,
            kills: 0,
            machine,
            around,
            rng,
        };
        run.begin();
        run
    }

    fn begin(&self) {
        let status = Arc::clone(&self.status);
        let in_sync = move || {
            let status = status.lock().unwrap_or_else(PoisonError::into_inner);
            status.as_ref().is_some_and(|status| status.get().phase == Phase::InSync)
        };
        let script = Script {
            around: self.around.clone(),
            orders: self.orders.clone(),
            rng: self.rng.fork(),
            wall_ms: Arc::clone(&self.machine.wall_ms),
            in_sync: Arc::new(in_sync),
            replicas: if self.rng.per_mille(600) { 2 } else { 1 },
        };
        self.around.handle.spawn(Actor::World, script.run());
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.executor.watch(cx);
        loop {
            while let Some(order) = self.orders.next() {
                match self.obey(order) {
                    Ok(None) => {}
                    Ok(Some(end)) => return Poll::Ready(end),
                    Err(error) => return Poll::Ready(Err(format!("{error:#}"))),
                }
            }
            if let Some(wrong) = self.around.judge.wrong() {
                return Poll::Ready(Err(wrong));
            }
            let stacks = Rc::clone(&self.stacks);
            let Some(step) = self.executor.step(|_, last| stacks.borrow_mut().arm(last)) else {
                return Poll::Pending;
            };
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Poll::Ready(Err(format!("turns in circles: {MOST_STEPS} steps")));
            }
            if step.looked_at {
                self.around.judge.look();
            }
            let last = match step.fuse {
                Fuse::Unlit => false,
                Fuse::Burnt => true,
                // Where it stands for the first time it is killed rather than where it often does.
                Fuse::Burning => self.stacks.borrow_mut().are_new() && self.rng.per_mille(AT_ONCE),
            };
            if last {
                let points = self.stacks.borrow_mut().points();
                let name = step.actor.name();
                for point in &points {
                    say!(self.around.trace, name, "is killed at {point}");
                }
                let side = if step.actor == Actor::Edge { "edge" } else { "cloud" };
                self.points.extend(points.into_iter().map(|point| format!("{side}: {point}")));
                let power = self.rng.per_mille(200);
                self.kill(step.actor, power);
            }
        }
    }

    fn obey(&mut self, order: Order) -> anyhow::Result<Option<Result<(), String>>> {
        match order {
            Order::Kill(actor, power) => self.kill(actor, power),
            Order::Light(actor, steps) => self.executor.light(actor, steps),
            Order::Stop(actor, stopped) => self.executor.stop(actor, stopped),
            Order::Drain(replica) => self.drain(replica),
            Order::Start(actor) => self.start(actor)?,
            Order::Calm => {
                self.executor.unlight();
                for replica in 0..2 {
                    self.executor.stop(Actor::Cloud(replica), false);
                }
            }
            Order::End(end) => return Ok(Some(end)),
        }
        Ok(None)
    }

    fn start(&mut self, actor: Actor) -> anyhow::Result<()> {
        if !self.running.insert(actor) {
            return Ok(());
        }
        match actor {
            Actor::Edge => {
                let status = edge::start(&self.machine, &self.around)?;
                *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            }
            Actor::Cloud(replica) => {
                let since = i64::try_from(self.machine.boot.0.elapsed().as_millis()).unwrap_or(0);
                let shutdown = cloud::start(replica, DAWN_MS + since, &self.around);
                if let Some(known) = self.shutdowns.get_mut(replica) {
                    *known = Some(shutdown);
                }
            }
            Actor::World | Actor::Network | Actor::Api => {}
        }
        Ok(())
    }

    /// Kills a process, whatever it is doing, and lets it start again in a while.
    fn kill(&mut self, actor: Actor, power: bool) {
        if !self.running.remove(&actor) {
            return;
        }
        self.kills += 1;
        say!(self.around.trace, actor.name(), "is killed{}", if power { ", with its machine" } else { "" });
        self.around.net.killed(actor, power);
        if actor == Actor::Edge {
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.around.judge.set_store(None);
            if power {
                self.machine.boot = (Instant::now(), self.machine.boot.1 + 1);
            }
        }
        self.executor.kill(actor);
        let (orders, pause) = (self.orders.clone(), Duration::from_millis(self.rng.between(50, 3000)));
        self.around.handle.spawn(Actor::World, async move {
            tokio::time::sleep(pause).await;
            orders.give(Order::Start(actor));
        });
    }

    /// A replica says goodbye to its edges, and ends some seconds later at the latest.
    fn drain(&self, replica: usize) {
        let Some(Some(shutdown)) = self.shutdowns.get(replica) else { return };
        shutdown.request("rolled");
        self.around.net.set_door(replica, None);
        let orders = self.orders.clone();
        self.around.handle.spawn(Actor::World, async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            orders.give(Order::Kill(Actor::Cloud(replica), false));
        });
    }

    fn outcome(&mut self, wrong: Option<String>) -> Outcome {
        if let Some(wrong) = &wrong {
            say!(self.around.trace, "judge", "WRONG: {wrong}");
        }
        say!(self.around.trace, "world", "{} steps, {} kills", self.steps, self.kills);
        let (hash, _) = self.around.trace.digest();
        // The store's file goes with the run's folder, so its handles go first.
        self.around.judge.set_store(None);
        let points = std::mem::take(&mut self.points);
        Outcome { seed: self.seed, wrong, hash, steps: self.steps, kills: self.kills, points }
    }
}
