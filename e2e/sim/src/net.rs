//! The network between the edge and the replicas: connections that are slow, stall, or break at either end first, with
//! what is under way arriving late or never.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use link::{ConnectError, Connection, Dialer, Endpoint, LinkError, MemoryEnd, MemoryFrame, memory_pair};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::exec::{Actor, Handle};
use crate::judge::Judge;
use crate::rng::Rng;
use crate::tap::Tap;
use crate::trace::{Trace, say};

/// Silence after which a connection is dead, as the link's own configuration has it.
const DEAD_AFTER: Duration = Duration::from_secs(25);
/// A close that does not get through is over after this time.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// An attempt that nobody answers gives up.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Frames that are on their way in one direction.
const FLIGHT: usize = 12;

/// Which end of a connection.
pub(crate) const EDGE: usize = 0;
pub(crate) const CLOUD: usize = 1;

/// The network. Clones are one and the same.
#[derive(Clone)]
pub(crate) struct Net {
    state: Arc<Mutex<State>>,
    pub(crate) handle: Handle,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    pub(crate) judge: Judge,
    identity: pki::Identity,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Net")
    }
}

#[derive(Default)]
struct State {
    /// Where a replica that runs takes connections.
    doors: [Option<mpsc::Sender<Connection>>; 2],
    /// No packet gets from the edge to the replica or back.
    apart: [bool; 2],
    /// Longest time that a frame takes, in milliseconds.
    slow_ms: u64,
    links: BTreeMap<u64, Arc<Mutex<Fate>>>,
    last: u64,
}

/// What becomes of one connection.
struct Fate {
    replica: usize,
    /// When an end learns that it is broken.
    breaks: [Option<Instant>; 2],
    /// Packets pass.
    flows: bool,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fate {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Net {
    pub(crate) fn new(handle: Handle, rng: Rng, trace: Trace, judge: Judge, identity: pki::Identity) -> Self {
        Self { state: Arc::default(), handle, rng, trace, judge, identity }
    }

    /// A replica takes connections from now on, or no more.
    pub(crate) fn set_door(&self, replica: usize, door: Option<mpsc::Sender<Connection>>) {
        if let Some(known) = lock(&self.state).doors.get_mut(replica) {
            *known = door;
        }
    }

    pub(crate) fn set_slow(&self, slow_ms: u64) {
        lock(&self.state).slow_ms = slow_ms;
    }

    /// Parts the edge from a replica, or lets them meet again. Open connections stall.
    pub(crate) fn set_apart(&self, replica: usize, apart: bool) {
        let mut state = lock(&self.state);
        if let Some(known) = state.apart.get_mut(replica) {
            *known = apart;
        }
        for fate in state.links.values() {
            let mut fate = lock(fate);
            if fate.replica == replica {
                fate.flows = !apart;
                fate.wake();
            }
        }
    }

    /// Breaks every connection; the ends learn of it at times of their own, and what is under way still arrives at
    /// whoever does not know yet.
    pub(crate) fn cut(&self) {
        let now = Instant::now();
        for (id, fate) in &lock(&self.state).links {
            let late = || now + Duration::from_millis(self.rng.below(1500));
            let breaks = match self.rng.below(4) {
                0 => [Some(now), Some(now)],
                1 => [Some(now), Some(late())],
                2 => [Some(late()), Some(now)],
                // Nobody tells the cloud: it finds out by the silence, or by the next session.
                _ => [Some(now), None],
            };
            say!(self.trace, "network", "link {id} breaks {:?}", breaks.map(|at| at.map(|at| at - now)));
            let mut fate = lock(fate);
            fate.breaks = breaks;
            fate.wake();
        }
    }

    /// A replica is out of the edge's reach, which learns that at once; the replica finds out by the silence.
    pub(crate) fn lose(&self, replica: usize) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Some(apart) = state.apart.get_mut(replica) {
            *apart = true;
        }
        for fate in state.links.values() {
            let mut fate = lock(fate);
            if fate.replica == replica {
                fate.flows = false;
                fate.breaks = [Some(now), None];
                fate.wake();
            }
        }
    }

    /// A process was killed: its ends are gone at once, the others learn of it or not.
    pub(crate) fn killed(&self, actor: Actor, power: bool) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Actor::Cloud(replica) = actor
            && let Some(door) = state.doors.get_mut(replica)
        {
            *door = None;
        }
        for fate in state.links.values() {
            let mut fate = lock(fate);
            let own = match actor {
                Actor::Edge => EDGE,
                Actor::Cloud(replica) if replica == fate.replica => CLOUD,
                Actor::Cloud(_) | Actor::World | Actor::Network | Actor::Api => continue,
            };
            let told = (!power).then(|| now + Duration::from_millis(self.rng.below(50)));
            fate.breaks[own] = Some(now);
            if fate.breaks[1 - own].is_none() {
                fate.breaks[1 - own] = told;
            }
            fate.wake();
        }
    }

    fn delay(&self) -> Duration {
        let slow = lock(&self.state).slow_ms;
        Duration::from_millis(self.rng.below(slow + 1))
    }

    async fn attempt(self, replica: usize, endpoint: String) -> Result<Connection, ConnectError> {
        sleep(self.delay()).await;
        let (apart, door) = {
            let state = lock(&self.state);
            (state.apart.get(replica) == Some(&true), state.doors.get(replica).cloned().flatten())
        };
        if apart {
            sleep(CONNECT_WITHIN).await;
            return Err(ConnectError::NoAnswer { endpoint, reason: "no answer".to_owned() });
        }
        let refused =
            || ConnectError::Refused { endpoint, reason: "nobody listens".to_owned(), retry_after: None };
        let Some(door) = door else { return Err(refused()) };
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        let [(edge, edge_end), (cloud, cloud_end)] =
            memory_pair(&link::Config::default(), address, self.identity.clone());
        if door.try_send(cloud).is_err() {
            return Err(refused());
        }
        let fate = Arc::new(Mutex::new(Fate { replica, breaks: [None, None], flows: true, waker: None }));
        let id = {
            let mut state = lock(&self.state);
            state.last += 1;
            let id = state.last;
            state.links.insert(id, Arc::clone(&fate));
            id
        };
        say!(self.trace, "network", "link {id} to cloud-{replica}");
        let tap = Tap::new(self.judge.clone(), self.trace.clone(), id, replica);
        let carrier = Carrier::new(self.clone(), fate, [edge_end, cloud_end], tap);
        self.handle.spawn(Actor::Network, carrier.run(id));
        Ok(edge)
    }
}

impl Dialer for Net {
    fn dial(&self, endpoint: &Endpoint) -> BoxFuture<'static, Result<Connection, ConnectError>> {
        let replica = usize::from(endpoint.port()).saturating_sub(1);
        Box::pin(self.clone().attempt(replica, endpoint.to_string()))
    }
}

/// One direction.
#[derive(Default)]
struct Pipe {
    flight: VecDeque<MemoryFrame>,
    lands: Option<Instant>,
    /// The sender closes, behind what is under way.
    closing: Option<(String, Instant)>,
}

/// Carries one connection.
struct Carrier {
    net: Net,
    fate: Arc<Mutex<Fate>>,
    ends: [MemoryEnd; 2],
    pipes: [Pipe; 2],
    heard: [Instant; 2],
    timer: Pin<Box<Sleep>>,
    tap: Tap,
}

impl Carrier {
    fn new(net: Net, fate: Arc<Mutex<Fate>>, ends: [MemoryEnd; 2], tap: Tap) -> Self {
        let now = Instant::now();
        let pipes = [Pipe::default(), Pipe::default()];
        Self { net, fate, ends, pipes, heard: [now; 2], timer: Box::pin(sleep_until(now)), tap }
    }

    async fn run(mut self, id: u64) {
        poll_fn(|cx| self.poll(cx)).await;
        say!(self.net.trace, "network", "link {id} is over");
        lock(&self.net.state).links.remove(&id);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let (breaks, flows) = {
                let mut fate = lock(&self.fate);
                fate.waker = Some(cx.waker().clone());
                (fate.breaks, fate.flows)
            };
            let mut next = now + Duration::from_mins(1);
            for side in [EDGE, CLOUD] {
                self.end(side, breaks[side], now, &mut next);
            }
            if self.ends.iter().all(MemoryEnd::is_over) {
                return Poll::Ready(());
            }
            for from in [EDGE, CLOUD] {
                self.pick_up(from, now, cx);
                self.land(from, flows, now, cx);
                self.close(from, flows, now, &mut next);
                if let Some(at) = self.pipes[from].lands.filter(|at| flows && *at > now) {
                    next = next.min(at);
                }
            }
            if self.ends.iter().all(MemoryEnd::is_over) {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(next);
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// What ends one side by itself: a break, or silence.
    fn end(&self, side: usize, breaks: Option<Instant>, now: Instant, next: &mut Instant) {
        let end = &self.ends[side];
        if end.is_over() {
            return;
        }
        let silent = self.heard[side] + DEAD_AFTER;
        if breaks.is_some_and(|at| at <= now) {
            end.fail(LinkError::Lost("connection reset".to_owned()));
        } else if silent <= now {
            end.fail(LinkError::Silent(DEAD_AFTER));
        } else {
            *next = (*next).min(silent).min(breaks.unwrap_or(silent));
        }
    }

    /// Takes what an end sends.
    fn pick_up(&mut self, from: usize, now: Instant, cx: &Context<'_>) {
        let pipe = &mut self.pipes[from];
        while pipe.flight.len() < FLIGHT && pipe.closing.is_none() {
            let Poll::Ready(frame) = self.ends[from].poll_sent(cx) else {
                if let (Some(reason), false) = (self.ends[from].asked_close(), self.ends[from].is_over()) {
                    pipe.closing = Some((reason, now + CLOSE_WITHIN));
                    pipe.lands.get_or_insert(now);
                }
                break;
            };
            let frame = self.tap.sent(from, frame);
            // An urgent one passes those that have not left yet.
            pipe.flight.push_back(frame);
            if pipe.lands.is_none() {
                pipe.lands = Some(now + self.net.delay());
            }
        }
    }

    /// Hands in what arrives.
    fn land(&mut self, from: usize, flows: bool, now: Instant, cx: &Context<'_>) {
        let (pipe, end) = (&mut self.pipes[from], &self.ends[1 - from]);
        if end.is_over() {
            pipe.flight.clear();
        }
        if !flows || pipe.lands.is_none_or(|at| at > now) {
            return;
        }
        // Not all at once: what stands in one frame may be committed before the next is there.
        let mut together = self.net.rng.between(1, FLIGHT as u64);
        while together > 0 && !pipe.flight.is_empty() && end.poll_room(cx).is_ready() {
            together -= 1;
            if let Some(frame) = pipe.flight.pop_front() {
                self.tap.arrives(from, &frame);
                end.arrive(frame);
                self.heard[1 - from] = now;
            }
        }
        if pipe.flight.is_empty() && pipe.closing.is_none() {
            pipe.lands = None;
        } else if together == 0 {
            pipe.lands = Some(now + Duration::from_millis(1) + self.net.delay());
        }
    }

    /// Closes in good order behind what was sent, or alone where nothing gets through.
    fn close(&mut self, from: usize, flows: bool, now: Instant, next: &mut Instant) {
        let pipe = &mut self.pipes[from];
        let Some((reason, deadline)) = &pipe.closing else { return };
        let arrived = flows && pipe.flight.is_empty() && pipe.lands.is_none_or(|at| at <= now);
        if arrived {
            self.ends[1 - from].close(reason);
        }
        if arrived || *deadline <= now {
            self.ends[from].close(reason);
            pipe.closing = None;
            pipe.lands = None;
        } else {
            *next = (*next).min(*deadline);
        }
    }
}
