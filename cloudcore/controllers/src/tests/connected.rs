//! The condition, alone and with several replicas that die, sleep and see the Node late.

use proptest::prelude::*;

use super::*;

fn node(connected: Option<bool>, given_up: bool) -> NodeSeen {
    let connected = connected.map(|status| Shown {
        status,
        reason: "SessionEnded".into(),
        message: "the session ended: silent; its pods stay (autonomy: forever)".into(),
        since: Some(WallTime(0)),
    });
    NodeSeen { name: "edge".into(), edge: true, given_up, connected, ..NodeSeen::default() }
}

fn view<'a>(
    node: &'a NodeSeen,
    session: Option<&'a Session>,
    looked: Option<&'a Looked>,
    now: u64,
) -> View<'a> {
    let wall = WallTime(i64::try_from(now).unwrap());
    View {
        node,
        session,
        looked,
        leads: true,
        default: Autonomy::Forever,
        now: Elapsed::from_millis(now),
        wall,
    }
}

fn looked(epoch: u64, last: u64) -> Looked {
    let at = Elapsed::from_millis(last);
    Looked { epoch, renewed: "1970-01-01T00:00:00.000000Z".into(), since: Elapsed::default(), last: at }
}

fn written(next: Next) -> Condition {
    let Next::Write(condition) = next else { panic!("{next:?}") };
    condition
}

#[test]
fn an_edge_that_comes_back_at_once_was_never_away() {
    let shown = node(Some(true), false);
    let ended = Session::Ended {
        epoch: 3,
        at: Elapsed::default(),
        wall: WallTime(0),
        cause: "silent; for 25 s".into(),
    };
    let at = |now, looked: Option<Looked>| plan(&view(&shown, Some(&ended), looked.as_ref(), now));
    assert_eq!(at(4_999, None), Next::At(Elapsed::from_millis(5_000)));
    assert_eq!(at(5_000, None), Next::Look);
    assert_eq!(at(5_000, Some(looked(3, 4_000))), Next::Look, "it was too early to say");
    assert_eq!(at(5_000, Some(looked(4, 5_000))), Next::Forget, "it is with another replica");
    let condition = written(at(5_000, Some(looked(3, 5_000))));
    assert_eq!((condition.status, condition.reason), (false, "SessionEnded"));
    assert_eq!(condition.message, "the session ended: silent, for 25 s; its pods stay (autonomy: forever)");
    assert_eq!(condition.since, WallTime(0), "it is away since its session ended");
}

#[test]
fn the_leader_speaks_for_a_replica_that_died() {
    let (shown, well) = (node(Some(true), true), node(Some(true), false));
    assert_eq!(plan(&view(&well, None, None, 0)), Next::Rest, "somebody renews its Lease");
    assert_eq!(plan(&view(&shown, None, None, 0)), Next::Look);
    assert_eq!(plan(&view(&shown, None, Some(&looked(3, 0)), 1)), Next::At(Elapsed::from_millis(25_000)));
    assert_eq!(plan(&view(&shown, None, Some(&looked(3, 0)), 25_000)), Next::Look);
    let condition = written(plan(&view(&shown, None, Some(&looked(3, 25_000)), 25_000)));
    assert_eq!((condition.reason, condition.since), ("Silent", WallTime(0)));
    let silent = looked(3, 25_000);
    let others = View { leads: false, ..view(&shown, None, Some(&silent), 25_000) };
    assert_eq!(plan(&others), Next::Rest);
    let mut open = shown.clone();
    open.connected.as_mut().unwrap().since = Some(WallTime(60_000));
    assert_eq!(
        plan(&view(&open, None, Some(&looked(3, 90_000)), 90_000)),
        Next::Rest,
        "it has a session; what stands still is its pod engine"
    );
}

#[test]
fn the_message_says_until_when_pods_stay() {
    let mut shown = node(Some(false), true);
    assert_eq!(plan(&view(&shown, None, None, 0)), Next::Rest);
    shown.autonomy = Some("1h".into());
    let condition = written(plan(&view(&shown, None, None, 0)));
    assert_eq!(
        condition.message,
        "the session ended: silent; its pods are evicted when the Node was tainted for 3600s (autonomy: 3600s)"
    );
    shown.connected.as_mut().unwrap().message = condition.message.into();
    assert_eq!(plan(&view(&shown, None, None, 0)), Next::Rest, "written once");
    shown.tainted = Some(WallTime(50_000));
    let condition = written(plan(&view(&shown, None, None, 0)));
    assert_eq!(
        condition.message,
        "the session ended: silent; its pods are evicted at 1970-01-01T01:00:50Z (autonomy: 3600s)"
    );
    assert_eq!(condition.since, WallTime(0), "it did not change since");
    shown.autonomy = Some("off".into());
    assert!(written(plan(&view(&shown, None, None, 0))).message.ends_with("(autonomy: off)"));
}

/// Several replicas over one Node and one Lease.
struct World {
    now: u64,
    node: NodeSeen,
    version: u64,
    epoch: u64,
    renewed: u64,
    holder: Option<usize>,
    replicas: Vec<Replica>,
}

#[derive(Default)]
struct Replica {
    session: Option<Session>,
    looked: Option<Looked>,
    /// Planned on this version of the Node, and not sent yet.
    flying: Option<(u64, Condition)>,
}

#[derive(Debug, Clone)]
enum Action {
    Pass(u64),
    /// The edge opens a session with this replica; an older one of another ends there, sooner or later.
    Open(usize),
    /// The edge's link is lost.
    Lose,
    /// A replica is killed and started anew.
    Kill(usize),
    /// A replica looks and plans.
    Plan(usize),
    /// What it planned arrives.
    Send(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (1_u64..40_000).prop_map(Action::Pass),
        2 => (0_usize..3).prop_map(Action::Open),
        1 => Just(Action::Lose),
        1 => (0_usize..3).prop_map(Action::Kill),
        6 => (0_usize..3).prop_map(Action::Plan),
        6 => (0_usize..3).prop_map(Action::Send),
    ]
}

impl World {
    fn new() -> Self {
        let replicas = (0..3).map(|_| Replica::default()).collect();
        Self { now: 0, node: node(None, false), version: 0, epoch: 0, renewed: 0, holder: None, replicas }
    }

    fn wall(&self) -> WallTime {
        WallTime(i64::try_from(self.now).unwrap())
    }

    fn close(&mut self, n: usize) {
        let (at, wall) = (Elapsed::from_millis(self.now), self.wall());
        let replica = &mut self.replicas[n];
        if let Some(Session::Open { epoch }) = replica.session {
            replica.session = Some(Session::Ended { epoch, at, wall, cause: "it broke".into() });
            replica.looked = None;
        }
    }

    /// Sessions renew the Lease, and node-lifecycle judges by it.
    fn pass(&mut self, millis: u64) {
        self.now += millis;
        if self.holder.is_some() {
            self.renewed = self.now;
        }
        let given_up = self.now - self.renewed > 50_000;
        if given_up != self.node.given_up {
            self.node.given_up = given_up;
            self.version += 1;
        }
        if !given_up {
            self.replicas.iter_mut().for_each(|replica| replica.looked = None);
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Pass(millis) => self.pass(millis),
            Action::Open(n) => {
                if let Some(old) = self.holder.filter(|old| *old != n) {
                    self.close(old);
                }
                self.epoch += 1;
                self.holder = Some(n);
                self.replicas[n].session = Some(Session::Open { epoch: self.epoch });
                self.replicas[n].looked = None;
                self.pass(0);
            }
            Action::Lose => {
                if let Some(holder) = self.holder.take() {
                    self.close(holder);
                }
            }
            Action::Kill(n) => {
                self.holder = self.holder.filter(|holder| *holder != n);
                self.replicas[n] = Replica::default();
            }
            Action::Plan(n) => self.plan(n),
            Action::Send(n) => self.send(n),
        }
    }

    fn plan(&mut self, n: usize) {
        for _ in 0..2 {
            let replica = &self.replicas[n];
            // The first leads.
            let view = View {
                node: &self.node,
                session: replica.session.as_ref(),
                looked: replica.looked.as_ref(),
                leads: n == 0,
                default: Autonomy::Forever,
                now: Elapsed::from_millis(self.now),
                wall: self.wall(),
            };
            match plan(&view) {
                Next::Rest | Next::At(_) => return,
                Next::Forget => self.replicas[n].session = None,
                Next::Write(condition) => {
                    self.replicas[n].flying = Some((self.version, condition));
                    return;
                }
                Next::Look => {
                    let now = Elapsed::from_millis(self.now);
                    let renewed = WallTime(i64::try_from(self.renewed).unwrap()).micro_rfc3339();
                    let old = replica.looked.as_ref();
                    let same = old.filter(|old| old.epoch == self.epoch && old.renewed == renewed);
                    let since = same.map_or(now, |old| old.since);
                    self.replicas[n].looked = Some(Looked { epoch: self.epoch, renewed, since, last: now });
                }
            }
        }
    }

    fn send(&mut self, n: usize) {
        let Some((version, condition)) = self.replicas[n].flying.take() else { return };
        if version == self.version {
            self.version += 1;
            self.node.connected = Some(Shown {
                status: condition.status,
                reason: condition.reason.into(),
                message: condition.message.into(),
                since: Some(condition.since),
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_the_end_the_node_shows_what_is_so(actions in prop::collection::vec(action(), 1..60)) {
        let mut world = World::new();
        world.act(&Action::Open(0));
        for action in actions {
            world.act(&action);
        }
        let mut writes = 0;
        for _ in 0..60 {
            world.pass(2_000);
            for n in 0..3 {
                world.plan(n);
                writes += usize::from(world.replicas[n].flying.is_some());
                world.send(n);
            }
        }
        let shows = world.node.connected.as_ref().map(|shown| shown.status);
        prop_assert_eq!(shows.unwrap_or(false), world.holder.is_some());
        prop_assert!(writes <= 4, "{writes} writes where nothing changed any more");
    }
}
