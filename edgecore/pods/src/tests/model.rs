//! The life of one pod under everything that can happen to it, step by step against a runtime in memory.
//!
//! The engine's process dies between, and in the middle of, steps; power is lost; sandboxes break; containers end. In
//! the end the pod is as it should be, and on the way nothing was done that upstream's users would not expect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::action::Action;
use crate::desired::{Desired, Role};
use crate::history::Ended;
use crate::plan::{Round, plan};
use crate::runtime::{ContainerId, ContainerState};
use crate::status::{Host, status};
use crate::tests::kit::{Sim, UID, pod};

#[derive(Debug, Clone)]
enum Happens {
    /// The engine looks and takes some steps.
    Turn { steps: usize },
    /// Time passes.
    Pass { ms: u64 },
    /// A running container ends.
    Exit { which: prop::sample::Index, code: i32 },
    /// The engine's process dies.
    Crash,
    /// It dies in the middle of a start.
    CrashInAStart,
    /// Power is lost.
    Reboot,
    /// The newest sandbox breaks.
    SandboxBreaks,
    /// The runtime loses what it knows of a container.
    ContainerVanishes { which: prop::sample::Index },
    /// A container is in a state nobody knows.
    ContainerUnknown { which: prop::sample::Index },
    /// Somebody puts an ephemeral container beside the others, perhaps to look into the first of them.
    Debug { target: bool },
    /// The API server deletes the pod.
    Delete,
}

/// Most ephemeral containers of a pod.
const MOST: usize = 3;

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => (0_usize..6).prop_map(|steps| Happens::Turn { steps }),
        4 => (0_u64..400_000).prop_map(|ms| Happens::Pass { ms }),
        4 => (any::<prop::sample::Index>(), 0_i32..3).prop_map(|(which, code)| Happens::Exit { which, code }),
        2 => Just(Happens::Crash),
        1 => Just(Happens::CrashInAStart),
        1 => Just(Happens::Reboot),
        1 => Just(Happens::SandboxBreaks),
        1 => any::<prop::sample::Index>().prop_map(|which| Happens::ContainerVanishes { which }),
        1 => any::<prop::sample::Index>().prop_map(|which| Happens::ContainerUnknown { which }),
        2 => any::<bool>().prop_map(|target| Happens::Debug { target }),
        1 => Just(Happens::Delete),
    ]
}

/// What a container says itself of its restarts: nothing, or one of these policies with up to two rules.
fn own(policies: &'static [&'static str]) -> impl Strategy<Value = Value> {
    // 1 and 2 are its own ends, 255 a power cut's, 143 a stop's.
    let codes = prop::sample::subsequence(vec![0, 1, 2, 143, 255], 0..4);
    let rule = (prop::sample::select(vec!["In", "NotIn"]), codes).prop_map(|(operator, values)| {
        json!({"action": "Restart", "exitCodes": {"operator": operator, "values": values}})
    });
    let said = (prop::sample::select(policies), prop::collection::vec(rule, 0..3))
        .prop_map(|(policy, rules)| json!({"restartPolicy": policy, "restartPolicyRules": rules}));
    prop_oneof![1 => Just(json!({})), 1 => said]
}

fn pods() -> impl Strategy<Value = Desired> {
    let policy = prop::sample::select(vec!["Always", "OnFailure", "Never"]);
    let inits = prop::collection::vec(own(&["OnFailure", "Never"]), 0..3);
    let apps = prop::collection::vec(own(&["Always", "OnFailure", "Never"]), 1..3);
    (policy, inits, any::<bool>(), apps, any::<bool>()).prop_map(
        |(policy, mut inits, sidecar, mut apps, port)| {
            for (n, init) in inits.iter_mut().enumerate() {
                init["name"] = json!(format!("i{n}"));
            }
            if sidecar {
                inits.insert(inits.len() / 2, json!({"name": "side", "restartPolicy": "Always"}));
            }
            let ports = if port { json!([{"containerPort": 80, "hostPort": 80}]) } else { json!([]) };
            for (n, app) in apps.iter_mut().enumerate() {
                app["name"] = json!(format!("a{n}"));
                app["ports"] = ports.clone();
            }
            pod(&json!({"restartPolicy": policy, "initContainers": inits, "containers": apps}))
        },
    )
}

/// How a container's latest run ended, where it ended for good.
fn ended_for_good<'a>(sim: &'a Sim, role: Role, container: &Container) -> Option<&'a Ended> {
    let ended = sim.history.ran(&container.name)?.ended()?;
    (!sim.desired.restarts(role, container, ended.exit_code)).then_some(ended)
}

/// What ended for good is never followed by another run, and a pod is not over while somebody is to run again. `done`
/// are the runs after which there was to be none, by container.
fn check_ends(sim: &Sim, done: &mut BTreeMap<String, String>) {
    for app in sim.desired.apps() {
        let run = sim.history.ran(&app.name).and_then(|ran| ran.current.as_ref()).map(|run| &run.id);
        if let (Some(last), Some(run)) = (done.get(&app.name), run) {
            assert_eq!(run, last, "{} runs again", app.name);
        }
        if let Some(ended) = ended_for_good(sim, Role::App, app) {
            done.insert(app.name.clone(), ended.id.clone());
        }
    }
    let failed = sim.desired.inits().any(|(role, init)| {
        role == Role::Init && ended_for_good(sim, role, init).is_some_and(|ended| ended.exit_code != 0)
    });
    if sim.history.verdict.is_some() && !failed {
        for app in sim.desired.apps() {
            let never_ran = sim.history.ran(&app.name).is_none_or(|ran| ran.current.is_none());
            let over =
                ended_for_good(sim, Role::App, app).is_some() || (never_ran && sim.desired.runs_once());
            assert!(over, "the pod is over, and {} is not", app.name);
        }
    }
}

/// What must hold after every single event.
fn check_always(sim: &Sim, restarts: &mut BTreeMap<String, u32>, over: &mut bool) {
    for (_, container) in sim.desired.containers() {
        let alive = sim.world.running().filter(|c| c.name == container.name).count();
        assert!(alive <= 1, "{} runs {alive} times", container.name);
        let count = sim.history.ran(&container.name).map_or(0, |ran| ran.restarts);
        let before = restarts.entry(container.name.clone()).or_default();
        assert!(
            count >= *before || sim.stored.is_empty(),
            "{} counts {count} after {before}",
            container.name
        );
        // Only what is on the disk is ever reported.
        let kept = crate::history::History::decode(&sim.stored).ok();
        *before = kept.and_then(|history| Some(history.ran(&container.name)?.restarts)).unwrap_or(*before);
    }
    // An app container runs only where every plain init container succeeded in the same sandbox.
    for app in sim.desired.apps() {
        for running in sim.world.running().filter(|c| c.name == app.name) {
            for (role, init) in sim.desired.inits().filter(|(role, _)| *role == Role::Init) {
                let ran = sim.history.ran(&init.name).and_then(|ran| ran.current.as_ref());
                let through = ran.is_some_and(|run| {
                    run.sandbox == running.sandbox.0
                        && run.ended.as_ref().is_some_and(|end| end.exit_code == 0)
                });
                let known = sim.history.ran(&app.name).and_then(|ran| ran.current.as_ref());
                let adopted = known.is_some_and(|run| run.sandbox == running.sandbox.0);
                assert!(through || adopted, "{} runs before {} ({role:?})", app.name, init.name);
            }
        }
    }
    let now_over = sim.history.verdict.is_some();
    assert!(now_over || !*over || sim.memory == crate::memory::Memory::default(), "a verdict was taken back");
    *over = now_over;
}

fn apply(sim: &mut Sim, event: &Happens, boots: &mut u32) {
    match event {
        Happens::Turn { steps } => {
            sim.look();
            let over = sim.history.verdict.is_some();
            sim.calls();
            sim.act(*steps);
            let calls = sim.calls();
            let starts = calls.iter().any(|call| call.starts_with("start") || call.starts_with("run"));
            assert!(!(over && starts), "what is over runs again: {calls:?}");
            sim.look();
        }
        Happens::Pass { ms } => sim.pass(Duration::from_millis(*ms)),
        Happens::Exit { which, code } => {
            let running: Vec<_> = sim.world.running().map(|c| c.id.clone()).collect();
            if !running.is_empty() {
                sim.world.exit(which.get(&running), *code);
            }
        }
        Happens::Crash => {
            let before: Vec<_> = sim.world.running().map(|c| c.id.clone()).collect();
            sim.crash();
            let after: Vec<_> = sim.world.running().map(|c| c.id.clone()).collect();
            assert_eq!(before, after);
        }
        Happens::CrashInAStart => {
            let count = |sim: &Sim| sim.history.containers.values().map(|ran| ran.restarts).sum::<u32>();
            sim.look();
            let before = count(sim);
            sim.die_in_a_start();
            sim.look();
            assert_eq!(before, count(sim), "a start that was called off counts as a run");
        }
        Happens::Reboot => {
            *boots += 1;
            sim.reboot(&format!("b{boots}"));
        }
        Happens::SandboxBreaks => {
            if let Some(sandbox) = sim.world.sandboxes.last_mut() {
                sandbox.ready = false;
            }
        }
        Happens::ContainerVanishes { which } => {
            if !sim.world.containers.is_empty() {
                let at = which.index(sim.world.containers.len());
                sim.world.containers.remove(at);
            }
        }
        Happens::ContainerUnknown { which } => {
            let mut running: Vec<_> =
                sim.world.containers.iter_mut().filter(|(c, _)| c.state == ContainerState::Running).collect();
            if !running.is_empty() {
                let at = which.index(running.len());
                running[at].0.state = ContainerState::Unknown;
            }
        }
        Happens::Debug { target } => debug(sim, if *target { "a0" } else { "" }),
        Happens::Delete => sim.delete(),
    }
}

/// One more ephemeral container, if there is room.
fn debug(sim: &mut Sim, target: &str) {
    let number = sim.desired.ephemeral.len();
    if number < MOST {
        sim.look();
        let before = for_the_others(sim);
        sim.debug(&json!({"name": format!("e{number}"), "targetContainerName": target}));
        assert_eq!(before, for_the_others(sim), "it changes what happens to the others");
    }
}

/// What is planned to run and to end, ephemeral containers aside, whatever steps were taken last.
fn for_the_others(sim: &Sim) -> Vec<Action> {
    let mut memory = sim.memory.clone();
    memory.hurry(sim.now.elapsed);
    let mut actions = plan(Round { memory: &memory, ..sim.round() }).actions;
    actions.retain(|action| match action {
        Action::Start { role, .. } => *role != Role::Ephemeral,
        Action::RunSandbox { .. } | Action::Kill(_) => true,
        Action::Prepare
        | Action::StopSandbox(_)
        | Action::RemoveSandbox(_)
        | Action::RemoveContainer { .. }
        | Action::Clear => false,
    });
    actions
}

/// An ephemeral container runs once in its life, and the pod is what it would be without it. `ran` are the containers
/// that ever ran, by name.
fn check_ephemeral(sim: &Sim, ran: &mut BTreeMap<String, BTreeSet<ContainerId>>) {
    for ephemeral in sim.desired.ephemeral.iter() {
        let name = &ephemeral.container.name;
        let own = sim.world.containers.iter().filter(|(container, _)| container.name == *name);
        let ever = own.filter(|(c, detail)| c.state != ContainerState::Created && !detail.called_off);
        let all = ran.entry(name.clone()).or_default();
        all.extend(ever.map(|(container, _)| container.id.clone()));
        assert!(all.len() <= 1, "{name} ran as {all:?}");
        assert_eq!(sim.history.ran(name).map_or(0, |ran| ran.restarts), 0);
    }
    let without = Desired { ephemeral: Arc::default(), ..sim.desired.clone() };
    let bare = status(Round { desired: &without, ..sim.round() }, &Host::default());
    let mut shown = status(sim.round(), &Host::default());
    let listed = shown.as_object_mut().unwrap().remove("ephemeralContainerStatuses");
    assert_eq!(listed.map_or(0, |list| list.as_array().unwrap().len()), sim.desired.ephemeral.len());
    assert_eq!(shown, bare);
}

/// Nothing bad happens any more; plain init containers succeed.
fn calm(sim: &mut Sim) {
    for _ in 0..40 {
        sim.settle();
        let inits: Vec<_> = sim
            .desired
            .inits()
            .filter(|(role, _)| *role == Role::Init)
            .filter_map(|(_, container)| sim.running(&container.name))
            .collect();
        for id in &inits {
            sim.world.exit(id, 0);
        }
        sim.pass(Duration::from_secs(301));
    }
    sim.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_life_ends_well(desired in pods(), events in prop::collection::vec(happens(), 0..40)) {
        let mut sim = Sim::new(desired);
        let (mut restarts, mut over, mut boots) = (BTreeMap::new(), false, 0);
        let (mut ran, mut done) = (BTreeMap::new(), BTreeMap::new());
        for event in &events {
            apply(&mut sim, event, &mut boots);
            check_always(&sim, &mut restarts, &mut over);
            check_ephemeral(&sim, &mut ran);
            check_ends(&sim, &mut done);
        }
        calm(&mut sim);
        check_ephemeral(&sim, &mut ran);
        check_ends(&sim, &mut done);
        let running = |name: &str| sim.running(name).is_some();
        if sim.desired.deleting {
            prop_assert!(sim.world.containers.is_empty() && sim.world.sandboxes.is_empty());
            prop_assert!(sim.memory.cleared);
        } else if let Some(verdict) = &sim.history.verdict {
            prop_assert!(sim.world.running().next().is_none());
            let phase = if verdict.succeeded { "Succeeded" } else { "Failed" };
            let status = sim.status();
            prop_assert_eq!(status["phase"].as_str(), Some(phase));
        } else {
            for container in sim.desired.apps() {
                let done = ended_for_good(&sim, Role::App, container).is_some();
                prop_assert!(running(&container.name) || done, "{} does not run", container.name);
            }
            for ephemeral in sim.desired.ephemeral.iter() {
                let name = &ephemeral.container.name;
                let blind = ephemeral.target.as_ref().is_some_and(|target| !running(target));
                let ran = sim.history.ran(name).is_some_and(|ran| ran.current.is_some());
                prop_assert!(ran || blind, "{name} never ran");
            }
            let ready = sim.world.sandboxes.iter().filter(|s| s.ready && s.pod_uid == UID).count();
            prop_assert_eq!(ready, 1);
            // Nothing is written, and nothing done, when nothing happens.
            let before = sim.stored.clone();
            sim.pass(Duration::from_hours(1));
            sim.settle();
            prop_assert_eq!(&before, &sim.stored);
            // And the engine's restart touches nothing.
            sim.calls();
            sim.crash();
            sim.settle();
            prop_assert!(sim.calls().is_empty());
            prop_assert_eq!(before, sim.stored);
        }
    }
}
