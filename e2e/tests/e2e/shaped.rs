//! Links that lose, delay and throttle what goes over them.

use std::time::Duration;

use anyhow::{Context, Result};
use skerry_e2e::proc::status_kib;
use skerry_e2e::view::Metrics;
use skerry_e2e::{Shape, host};

use crate::equal::{Web, equal};
use crate::ledger::{self, account, crash, delivered};
use crate::world::{EDGE, World, soak, web};

/// Over a bad link states are equal, and the accounts in balance, within this time.
const OVER_A_BAD_LINK: Duration = Duration::from_mins(2);
/// After one that was as good as none, within this.
const AFTER_NO_LINK: Duration = Duration::from_secs(30);
/// By so much at most an agent, and cloudcore, grow while nothing gets through, in KiB.
const GROWTH: u64 = 8 * 1024;

/// Changes objects a few times, and in the end to three replicas and a page that says `last`.
fn change(world: &World, rounds: u32, last: &str) {
    for round in 0..rounds {
        say(world, &format!("{last} {round}\n"));
        world.kubectl(&["scale", "deployment", "swings", &format!("--replicas={}", round % 4)]).unwrap();
    }
    say(world, &format!("{last}\n"));
    world.kubectl(&["scale", "deployment", "swings", "--replicas=3"]).unwrap();
}

fn say(world: &World, page: &str) {
    let patch = serde_json::json!({"data": {"index.html": page}}).to_string();
    world.kubectl(&["patch", "configmap", "web-page", "-p", &patch]).unwrap();
}

/// What [`change`] leaves.
fn changed(page: &str) -> [Web<'_>; 2] {
    [Web { name: "web", replicas: 2, page }, Web { name: "swings", replicas: 3, page: "one\n" }]
}

fn edge_metrics(world: &World) -> Result<Metrics> {
    world.edge.http_get("http://127.0.0.1:10551/metrics").map(Metrics)
}

#[test]
fn links_that_lose_delay_or_throttle_end_in_equal_states() {
    let world = World::new("bad-links");
    let before = account(&world.edge, "events").unwrap();
    world.apply(&web("web", 2, EDGE));
    world.apply(&web("swings", 1, EDGE));
    world.ready("app=web", 2);
    crash(&world);
    let shapes = [
        ("loss", Shape { loss: 30.0, ..Shape::default() }),
        ("delay", Shape { delay_ms: 2_000, ..Shape::default() }),
        ("rate", Shape { rate_kbit: 64, ..Shape::default() }),
    ];
    for (name, shape) in shapes {
        world.edge.shape(shape).unwrap();
        // One that starts now must open its session over such a link.
        world.edge.kill().unwrap();
        world.edge.start().unwrap();
        change(&world, 10, name);
        let begun = host::now();
        let page = format!("{name}\n");
        world
            .lab
            .wait(&format!("equal states ({name})"), OVER_A_BAD_LINK, || {
                Ok(equal(&world, &changed(&page))? && delivered(&world, &before)?)
            })
            .unwrap();
        host::progress(&format!("{name}: equal after {:.1} s", begun.elapsed().as_secs_f64()));
    }
    world.edge.heal().unwrap();
    world.edge.exec(&["rm", "-rf", ledger::RUNS]).unwrap();
}

#[test]
fn a_link_that_loses_nearly_everything_makes_no_storm_and_is_forgotten_at_once() {
    let world = World::new("hopeless-link");
    let before = account(&world.edge, "events").unwrap();
    world.apply(&web("web", 2, EDGE));
    world.apply(&web("swings", 1, EDGE));
    world.ready("app=web", 2);
    world.ready("app=swings", 1);
    let processes = || -> Result<[(&str, i32); 2]> {
        let cloud = world.lab.clouds()[0].process.context("cloudcore does not run")?;
        Ok([("edgecore", world.edge.edgecore()?.pid), ("cloudcore", cloud.pid)])
    };
    let memory = |pid: i32| status_kib(pid, "VmRSS");
    // What a first round of this takes is not what grows.
    change(&world, 4, "calm");
    world.wait("equal states", || equal(&world, &changed("calm\n")));
    let at_first: Vec<u64> = processes().unwrap().iter().map(|(_, pid)| memory(*pid).unwrap()).collect();
    let attempts = |world: &World| edge_metrics(world).unwrap().count("skerry_link_attempts_total", &[]);
    let tried = attempts(&world);
    assert!(tried >= 1, "the attempt that brought this session about is not counted");

    world.edge.shape(Shape { loss: 80.0, ..Shape::default() }).unwrap();
    let (begun, length) = (host::now(), Duration::from_secs(if soak() { 600 } else { 75 }));
    // The link is as bad for as long as it is called, whatever becomes of the sessions over it.
    while begun.elapsed() < length {
        change(&world, 2, "hopeless");
        for ((name, pid), first) in processes().unwrap().iter().zip(&at_first) {
            let now = memory(*pid).unwrap();
            assert!(now < first + GROWTH, "{name} grew from {first} to {now} KiB");
        }
    }
    let tried = attempts(&world) - tried;
    assert!(tried <= begun.elapsed().as_secs() + 2, "{tried} attempts in {:?}", begun.elapsed());

    world.edge.heal().unwrap();
    let healed = host::now();
    world
        .lab
        .wait("equal states", AFTER_NO_LINK, || {
            Ok(equal(&world, &changed("hopeless\n"))? && delivered(&world, &before)?)
        })
        .unwrap();
    host::progress(&format!("{tried} attempts; equal {:.1} s after it", healed.elapsed().as_secs_f64()));
}
