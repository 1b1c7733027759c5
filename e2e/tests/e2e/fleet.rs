//! Simulated edges: they come back after a cloudcore that died, nothing is sent twice, and the lab cleans up after them.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use skerry_e2e::proc::Process;
use skerry_e2e::{Lab, TestLab, UpOptions, host};

use crate::world::PATIENCE;

const NODES: u64 = 50;

/// `lab sim`, and the lines it prints.
struct Sim {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Sim {
    fn start(lab: &Lab) -> Self {
        let mut command = Command::new(lab.dir().join("bin/lab"));
        command.args(["sim", "--nodes", &NODES.to_string(), "--dir"]).arg(lab.dir());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn process(&self) -> Process {
        Process::of(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// The first line with these numbers. Lines come every second, whatever happens.
    fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = host::now() + PATIENCE;
        let mut last = Value::Null;
        while host::now() < end {
            last = serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap();
            if wanted(&last) {
                return last;
            }
        }
        panic!("{what}: last was {last}");
    }
}

fn number(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap()
}

/// Objects that cloudcore has sent since it started.
fn sent(lab: &Lab) -> u64 {
    lab.metrics(1).unwrap().count("skerry_hub_objects_sent_total", &[])
}

#[test]
fn fifty_simulated_edges_come_back_and_nothing_is_sent_twice() {
    let lab = TestLab::up("fleet", &UpOptions { edges: Some(0), ..UpOptions::default() }).unwrap();
    let mut sim = Sim::start(&lab);
    let all_in_sync = |line: &Value| number(line, "in_sync") == NODES;
    let line = sim.until("fifty nodes in sync", all_in_sync);
    assert_eq!(number(&line, "reconnects"), 0);
    assert!(number(&line, "fds") >= NODES, "{line}");
    assert_eq!(line.as_object().unwrap().len(), 4);

    let before = sent(&lab);
    lab.apply(
        r"{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: b}}
---
{apiVersion: v1, kind: Pod, metadata: {name: simulated}, spec: {nodeName: sim-00007, terminationGracePeriodSeconds: 0,
  automountServiceAccountToken: false, tolerations: [{operator: Exists}],
  containers: [{name: c, image: busybox, envFrom: [{configMapRef: {name: settings}}]}]}}",
    )
    .unwrap();
    // The pod and its ConfigMap, and its service account where that was not there for another.
    lab.wait("the pod sent", PATIENCE, || Ok(sent(&lab) >= before + 2)).unwrap();
    sim.until("all of it applied", all_in_sync);

    lab.kill_cloud(None).unwrap();
    sim.until("every session ended", |line| number(line, "connected") == 0);
    lab.start_cloud(None).unwrap();
    sim.until("all of them back", |line| all_in_sync(line) && number(line, "reconnects") >= NODES);
    assert_eq!(sent(&lab), 0, "the edges hold all of it, and it was sent again");
    lab.wait_node("sim-00050", "True", PATIENCE).unwrap();

    // What is deleted is given up by the edge that has it.
    lab.kubectl(&["delete", "pod", "simulated", "--wait=true", "--timeout=60s"]).unwrap();

    let process = sim.process();
    process.signal(Signal::INT).unwrap();
    assert!(sim.child.wait().unwrap().success(), "SIGINT is how it ends");

    let mut second = Sim::start(&lab);
    second.until("the same nodes in sync again", all_in_sync);
    let process = second.process();
    lab.down().unwrap();
    assert!(!process.alive(), "the lab is down, and its simulation runs");
    second.child.wait().unwrap();
}
