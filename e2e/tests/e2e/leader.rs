//! Of several cloudcores one leads: another takes over from one that dies, and one that was stopped does nothing when it
//! wakes up.

use std::fs;
use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use skerry_e2e::Lab;
use skerry_e2e::state::{self, CloudState};

use crate::world::{EDGE, World, sleeper};

/// The number of the second cloudcore.
const SECOND: u32 = 9;

/// A second cloudcore beside the lab's; it goes with the value.
struct Second(Lab);

impl Second {
    fn start(lab: &Lab) -> Self {
        let home = lab.dir().join(format!("clouds/{SECOND}"));
        fs::create_dir_all(&home).unwrap();
        let first = lab.clouds().remove(0);
        let admin_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cloud = CloudState {
            n: SECOND,
            process: None,
            link_port: first.link_port + 900,
            join_port: first.join_port + 900,
            admin_port,
        };
        let address = lab.id().unwrap().host_address();
        let mut config: Value =
            serde_json::from_slice(&fs::read(lab.cloud_config(first.n)).unwrap()).unwrap();
        config["replica"] = json!(format!("cloudcore-{SECOND}"));
        config["listen"] = json!(format!("{address}:{}", cloud.link_port));
        config["join"] = json!(format!("{address}:{}", cloud.join_port));
        config["admin"] = json!(format!("127.0.0.1:{admin_port}"));
        fs::write(lab.cloud_config(SECOND), config.to_string()).unwrap();
        state::save(&home.join("cloud.json"), &cloud).unwrap();
        let second = Self(lab.clone());
        lab.start_cloud(Some(SECOND)).unwrap();
        second
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = signal(&self.0, SECOND, Signal::CONT);
        let _ = self.0.kill_cloud(Some(SECOND));
        let _ = fs::remove_dir_all(self.0.dir().join(format!("clouds/{SECOND}")));
    }
}

fn signal(lab: &Lab, n: u32, signal: Signal) -> Result<()> {
    let cloud = lab.clouds().into_iter().find(|cloud| cloud.n == n).context("no such cloudcore")?;
    cloud.process.context("it does not run")?.signal(signal)
}

/// Who leads, by number, and how often that changed.
fn leader(lab: &Lab) -> Result<(u32, u64)> {
    let lease = lab.get(&["lease", "-n", "skerry-system", "cloudcore-leader"])?;
    let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str).unwrap_or_default();
    let replica = holder.split('_').next().and_then(|replica| replica.strip_prefix("cloudcore-"));
    let n = replica.with_context(|| format!("the holder is {holder:?}"))?.parse()?;
    Ok((n, lease.pointer("/spec/leaseTransitions").and_then(Value::as_u64).unwrap_or(0)))
}

#[test]
fn the_leader_speaks_for_a_replica_that_died_with_its_sessions() {
    let world = World::new("spoken-for");
    let second = Second::start(&world.lab);
    connected(&world, "True", "SessionOpen");
    world.lab.kill_cloud(Some(1)).unwrap();
    // The edge knows no other address: nobody has a session with it, and nobody is left who saw it end.
    connected(&world, "False", "Silent");
    led_by(&world, SECOND);
    world.lab.start_cloud(Some(1)).unwrap();
    connected(&world, "True", "SessionOpen");
    drop(second);
}

/// Waits until the edge's condition has this status for this reason.
fn connected(world: &World, status: &str, reason: &str) {
    world.wait(&format!("Connected={status}, {reason}"), || {
        let node = world.lab.get(&["node", EDGE])?;
        let found = skerry_e2e::view::condition(&node, "skerry.io/Connected").context("no such condition")?;
        ensure!(found["status"] == status && found["reason"] == reason, "it is {found}");
        Ok(true)
    });
}

/// Waits until this one leads.
fn led_by(world: &World, n: u32) {
    world.wait(&format!("cloudcore {n} leads"), || {
        let (leader, _) = leader(&world.lab)?;
        ensure!(leader == n, "cloudcore {leader} leads");
        Ok(world.lab.metrics(n)?.count("skerry_leader", &[]) == 1)
    });
}

/// Patches of tolerations that this one sent, however they ended.
fn patches(lab: &Lab, n: u32) -> u64 {
    lab.metrics(n).unwrap().count("skerry_controller_writes_total", &["what=\"tolerations\""])
}

/// Says how long pods of the namespace stay, and waits until the pod does.
fn autonomy(world: &World, pod: &str, value: &str, seconds: Option<i64>) {
    let annotation = format!("skerry.io/autonomy={value}");
    world.lab.kubectl(&["annotate", "--overwrite", "namespace", &world.namespace, &annotation]).unwrap();
    tolerates(world, pod, seconds);
}

fn tolerates(world: &World, pod: &str, seconds: Option<i64>) {
    world.wait(&format!("{pod} tolerates for {seconds:?} s"), || {
        let pod = world.pod(pod)?.object;
        let tolerations = pod["spec"]["tolerations"].as_array().context("no tolerations")?;
        let unreachable = tolerations.iter().find(|one| one["key"] == "node.kubernetes.io/unreachable");
        ensure!(
            unreachable.context("no such toleration")?["tolerationSeconds"].as_i64() == seconds,
            "{tolerations:?}"
        );
        Ok(true)
    });
}

#[test]
fn another_leads_when_the_leader_dies_and_one_that_slept_does_nothing() {
    let world = World::new("leader");
    let second = Second::start(&world.lab);
    let lab = &second.0;
    world.wait("somebody leads", || leader(lab).map(|_| true));
    let (first, _) = leader(lab).unwrap();
    let other = if first == SECOND { lab.clouds()[0].n } else { SECOND };
    world.apply(&sleeper("before", EDGE));
    tolerates(&world, "before", None);

    lab.kill_cloud(Some(first)).unwrap();
    world.apply(&sleeper("after", EDGE));
    led_by(&world, other);
    tolerates(&world, "after", None);
    lab.start_cloud(Some(first)).unwrap();
    autonomy(&world, "after", "1h", Some(3_600));
    assert_eq!(lab.metrics(first).unwrap().count("skerry_leader", &[]), 0, "there is a leader");

    let sent = patches(lab, other);
    signal(lab, other, Signal::STOP).unwrap();
    led_by(&world, first);
    autonomy(&world, "after", "2h", Some(7_200));
    autonomy(&world, "before", "2h", Some(7_200));
    let (_, transitions) = leader(lab).unwrap();
    signal(lab, other, Signal::CONT).unwrap();
    world.wait("the one that slept knows", || Ok(lab.metrics(other)?.count("skerry_leader", &[]) == 0));
    autonomy(&world, "after", "3h", Some(10_800));
    assert_eq!(leader(lab).unwrap(), (first, transitions), "it did not take the Lease back");
    assert_eq!(patches(lab, other), sent, "it sent nothing after it woke up");

    signal(lab, first, Signal::TERM).unwrap();
    led_by(&world, other);
    let log = fs::read_to_string(lab.cloud_log(first)).unwrap();
    assert!(log.contains("leadership is given back"), "the others need not wait for the Lease to run out");
    // It serves for a moment longer, since no other replica takes its edge.
    world.wait("it has ended", || {
        let ended = lab.clouds().into_iter().find(|cloud| cloud.n == first).and_then(|cloud| cloud.process);
        Ok(!ended.is_some_and(skerry_e2e::proc::Process::alive))
    });
    lab.start_cloud(Some(first)).unwrap();
}
