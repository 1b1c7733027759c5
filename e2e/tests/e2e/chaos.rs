//! edgecore killed again and again, and the main job on every containerd.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use skerry_e2e::host;

use crate::equal::{Web, equal};
use crate::ledger::{self, account, crash, delivered};
use crate::world::{EDGE, World, soak, web};

const KILLS: u32 = 50;

/// A dice of its own, so that a failed run can be repeated with the seed it printed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var_os("SKERRY_SEED").and_then(|seed| seed.to_str()?.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
        host::progress(&format!("SKERRY_SEED={seed}"));
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn fifty_kills_of_edgecore_while_objects_change_end_in_equal_states() {
    let mut dice = Dice::new();
    let world = World::new("kills");
    world.apply(&web("web", 3, EDGE));
    world.apply(&web("swings", 1, EDGE));
    let steady = world.ready("app=web", 3);
    let containers = World::containers(&world.edge, &steady);

    while_objects_change(&world, || {
        for _ in 0..KILLS {
            // The random moment is the point of the test, not a wait for something.
            std::thread::sleep(Duration::from_millis(dice.below(400)));
            world.edge.kill().unwrap();
            world.edge.start().unwrap();
        }
    });

    world.kubectl(&["scale", "deployment", "swings", "--replicas=2"]).unwrap();
    world.kubectl(&["patch", "configmap", "web-page", "-p", r#"{"data":{"index.html":"last\n"}}"#]).unwrap();
    let swings = world.ready("app=swings", 2);
    world.ready("app=web", 3);
    world.wait("equal states", || equal(&world, &ended(3)));
    assert_eq!(World::containers(&world.edge, &steady), containers, "no container was restarted by a kill");
    assert!(world.pods("app=web").iter().all(|pod| pod.restarts == 0));
    for pod in &swings {
        assert_eq!(pod.restarts, 0, "{}: {}", pod.name, pod.object["status"]["containerStatuses"]);
    }
}

/// What the last changes of a test here leave: these, and what [`change_until`] scaled.
fn ended(steady: usize) -> [Web<'static>; 2] {
    [
        Web { name: "web", replicas: steady, page: "last\n" },
        Web { name: "swings", replicas: 2, page: "one\n" },
    ]
}

/// Kills of either side, and losses of power, at once with changes and with pods that crash: 100 and 10, or ten times as many
/// as a soak.
#[test]
fn kills_of_either_side_and_power_cuts_under_load_lose_nothing() {
    let mut dice = Dice::new();
    let world = World::new("kills-and-cuts");
    let before = account(&world.edge, "events").unwrap();
    world.apply(&web("web", 2, EDGE));
    world.apply(&web("swings", 1, EDGE));
    world.ready("app=web", 2);
    crash(&world);
    let cuts = if soak() { 100 } else { 10 };
    while_objects_change(&world, || {
        for _ in 0..cuts {
            for _ in 0..10 {
                // The random moment is the point of the test, not a wait for something.
                std::thread::sleep(Duration::from_millis(dice.below(300)));
                if dice.below(2) == 0 {
                    world.edge.kill().unwrap();
                    world.edge.start().unwrap();
                } else {
                    world.lab.kill_cloud(None).unwrap();
                    world.lab.start_cloud(None).unwrap();
                }
            }
            world.edge.power_off().unwrap();
            world.edge.power_on().unwrap();
        }
    });
    world.kubectl(&["scale", "deployment", "swings", "--replicas=2"]).unwrap();
    world.kubectl(&["patch", "configmap", "web-page", "-p", r#"{"data":{"index.html":"last\n"}}"#]).unwrap();
    world.wait("equal states", || equal(&world, &ended(2)));
    world.wait("all delivered, once", || delivered(&world, &before));
    world.edge.exec(&["rm", "-rf", ledger::RUNS]).unwrap();
}

/// Does something while [`change_until`] goes on.
fn while_objects_change(world: &World, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| change_until(world, &done));
        // Set however this ends, or a failed kill would leave the changes going for ever.
        let ending = Ending(&done);
        work();
        drop(ending);
        changes.join().unwrap().unwrap();
    });
}

/// Says that it is over when it goes.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Changes a ConfigMap, scales up and down, and deletes pods, until told to stop.
fn change_until(world: &World, done: &AtomicBool) -> Result<()> {
    for round in 0.. {
        if done.load(Ordering::SeqCst) {
            break;
        }
        let patch = format!(r#"{{"data":{{"index.html":"{round}\n"}}}}"#);
        world.kubectl(&["patch", "configmap", "web-page", "-p", &patch])?;
        world.kubectl(&["scale", "deployment", "swings", &format!("--replicas={}", round % 4)])?;
    }
    Ok(())
}

/// The demo is the main job, with every step checked; it has a lab of its own.
fn main_job(containerd: &str) {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_demo"));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let dir = root.join(format!("target/e2e/main-job-{containerd}"));
    let output = std::process::Command::new(program)
        .args(["--containerd", containerd, "--dir"])
        .arg(&dir)
        .env("SKERRY_ROOT", root)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        skerry_e2e::Lab::at(&dir).and_then(|lab| lab.down()).unwrap();
        panic!("{told}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_main_job_on_debians_containerd() {
    main_job("debian");
}

#[test]
fn the_main_job_on_containerd_2_2() {
    main_job("2.2");
}
