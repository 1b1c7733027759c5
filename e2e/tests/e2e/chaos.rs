//! edgecore killed again and again, and the main job on every containerd.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use skerry_e2e::host;

use crate::world::{EDGE, World, web};

const KILLS: u32 = 50;

/// A dice of its own, so that a failed run can be repeated with the seed it printed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn fifty_kills_of_edgecore_while_objects_change_end_in_equal_states() {
    let seed = std::env::var_os("SKERRY_SEED")
        .and_then(|seed| seed.to_str()?.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()));
    host::progress(&format!("SKERRY_SEED={seed}"));
    let world = World::new("kills");
    world.apply(&web("web", 3, EDGE));
    world.apply(&web("swings", 1, EDGE));
    let steady = world.ready("app=web", 3);
    let containers = World::containers(&world.edge, &steady);

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| change_until(&world, &done));
        // Set however this ends, or a failed kill would leave the changes going for ever.
        let ending = Ending(&done);
        let mut dice = Dice(seed);
        for _ in 0..KILLS {
            // The random moment is the point of the test, not a wait for something.
            std::thread::sleep(Duration::from_millis(dice.below(400)));
            world.edge.kill().unwrap();
            world.edge.start().unwrap();
        }
        drop(ending);
        changes.join().unwrap().unwrap();
    });

    world.kubectl(&["scale", "deployment", "swings", "--replicas=2"]).unwrap();
    world.kubectl(&["patch", "configmap", "web-page", "-p", r#"{"data":{"index.html":"last\n"}}"#]).unwrap();
    let swings = world.ready("app=swings", 2);
    world.ready("app=web", 3);
    world.wait("the edge runs exactly what the cluster shows", || {
        let pods = [world.pods("app=web"), world.pods("app=swings")].concat();
        let wanted: BTreeSet<_> =
            pods.iter().map(|pod| (pod.uid.clone(), pod.containers["httpd"].clone())).collect();
        let running = world.edge.containers()?.into_iter().filter(|container| container.name == "httpd");
        let running: BTreeSet<_> = running.map(|container| (container.pod_uid, container.id)).collect();
        ensure!(running == wanted, "{running:?} run, {wanted:?} are wanted");
        Ok(true)
    });
    world.wait("the last page on every steady pod", || {
        for pod in &steady {
            let page = world.edge.exec_in(&pod.containers["httpd"], &["cat", "/www/index.html"])?;
            ensure!(page == "last\n", "{} holds {page:?}", pod.name);
        }
        Ok(true)
    });
    assert_eq!(World::containers(&world.edge, &steady), containers, "no container was restarted by a kill");
    assert!(world.pods("app=web").iter().all(|pod| pod.restarts == 0));
    for pod in &swings {
        assert_eq!(pod.restarts, 0, "{}: {}", pod.name, pod.object["status"]["containerStatuses"]);
    }
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
