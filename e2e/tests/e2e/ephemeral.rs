//! `kubectl debug`: a container beside those of a pod that runs, a copy of a pod, a pod that looks at the node.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skerry_e2e::view::{PodSeen, condition};

use crate::world::{EDGE, World, sleeper};

const IMAGE: &str = "--image=docker.io/library/busybox:latest";
const PRESENT: &str = "--image-pull-policy=IfNotPresent";
const SYS_PTRACE: u64 = 1 << 19;

/// What is told of an ephemeral container.
fn told(pod: &PodSeen, name: &str) -> Result<Value> {
    let list = pod.object.pointer("/status/ephemeralContainerStatuses").and_then(Value::as_array);
    let found = list.into_iter().flatten().find(|status| status["name"] == name);
    found.cloned().with_context(|| format!("nothing is told of {name}"))
}

/// How an ephemeral container ended; null where it has not.
fn ended(pod: &PodSeen, name: &str) -> Result<Value> {
    told(pod, name).map(|status| status.pointer("/state/terminated").cloned().unwrap_or_default())
}

/// Waits until an ephemeral container runs: its id.
fn runs(world: &World, pod: &str, name: &str) -> String {
    let mut id = String::new();
    world.wait(&format!("{name} runs"), || {
        let status = told(&world.pod(pod)?, name)?;
        ensure!(status.pointer("/state/running/startedAt").is_some(), "{status}");
        let (_, found) =
            status["containerID"].as_str().and_then(|id| id.split_once("://")).context("no id")?;
        found.clone_into(&mut id);
        Ok(true)
    });
    id
}

/// Names and ids of the running containers of a pod, as containerd has them.
fn alive(world: &World, pod: &PodSeen) -> Vec<(String, String)> {
    let running = world.edge.containers().unwrap().into_iter().filter(|found| found.pod_uid == pod.uid);
    let mut running: Vec<_> = running.map(|found| (found.name, found.id)).collect();
    running.sort();
    running
}

fn sh(world: &World, container: &str, script: &str) -> String {
    world.edge.exec_in(container, &["sh", "-c", script]).unwrap().trim_end().to_owned()
}

/// Since when the pod is Ready.
fn ready_since(pod: &PodSeen) -> Value {
    let ready = condition(&pod.object, "Ready").unwrap();
    assert_eq!(ready["status"], "True", "{ready}");
    ready["lastTransitionTime"].clone()
}

/// Makes the agent do something from one end to the other.
fn goes_on(world: &World, name: &str) {
    world.apply(&sleeper(name, EDGE));
    world.ready(&format!("app={name}"), 1);
}

#[test]
fn an_ephemeral_container_runs_once_and_touches_nobody() {
    let world = World::new("ephemeral");
    world.apply(&sleeper("seen", EDGE));
    let pod = world.ready("app=seen", 1).remove(0);
    let (life, since) = (pod.life(), ready_since(&pod));
    let script = "echo hello from $0; while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 7";
    let with = ["debug", "seen", IMAGE, PRESENT, "-c", "looker", "--target=main"];
    world.kubectl(&[&with[..], &["--", "sh", "-c", script, "looker"]].concat()).unwrap();
    let looker = runs(&world, "seen", "looker");
    let pod = world.pod("seen").unwrap();
    assert_eq!((pod.life(), ready_since(&pod)), (life.clone(), since.clone()));
    assert_eq!(condition(&pod.object, "skerry.io/FieldsHonoured"), None);
    let status = told(&pod, "looker").unwrap();
    assert_eq!((&status["restartCount"], &status["ready"]), (&Value::from(0), &Value::from(false)));
    // The other container's processes, with the rights to look into them, and its own files.
    assert_eq!(sh(&world, &looker, "tr '\\0' ' ' </proc/1/cmdline"), "sleep 1000000");
    let may = sh(&world, &looker, "grep CapEff /proc/self/status | tr -dc 0-9a-f | tail -c 16");
    assert_ne!(u64::from_str_radix(&may, 16).unwrap() & SYS_PTRACE, 0, "{may}");
    sh(&world, &looker, "touch /tmp/mine && test ! -e /proc/1/root/tmp/mine");
    let log = format!("/var/log/pods/ephemeral_seen_{}/looker/0.log", pod.uid);
    world.wait("its log", || Ok(world.edge.exec(&["cat", &log])?.ends_with(" stdout F hello from looker\n")));

    // One that cannot start hurts nobody either.
    let absent =
        ["debug", "seen", "--image=docker.io/library/absent:1", "--image-pull-policy=Never", "-c", "absent"];
    world.kubectl(&absent).unwrap();
    world.wait("why it waits", || {
        let status = told(&world.pod("seen")?, "absent")?;
        let waiting = status.pointer("/state/waiting/reason").cloned().unwrap_or_default();
        ensure!(waiting == "ErrImageNeverPull", "{status}");
        Ok(true)
    });

    let before = alive(&world, &pod);
    assert_eq!(
        before,
        [("looker".to_owned(), looker.clone()), ("main".to_owned(), pod.containers["main"].clone())]
    );
    world.edge.kill().unwrap();
    world.edge.start().unwrap();
    goes_on(&world, "after-a-restart");
    assert_eq!(alive(&world, &pod), before);

    sh(&world, &looker, "touch /tmp/go");
    world.wait("its end", || Ok(ended(&world.pod("seen")?, "looker")?["exitCode"] == 7));
    goes_on(&world, "after-its-end");
    let pod = world.pod("seen").unwrap();
    assert_eq!(alive(&world, &pod), [("main".to_owned(), pod.containers["main"].clone())]);
    assert_eq!((pod.life(), ready_since(&pod)), (life.clone(), since.clone()));
    let first = ended(&pod, "looker").unwrap();
    assert_eq!(first["containerID"], format!("containerd://{looker}"));
    assert!(world.edge.exec(&["cat", &log]).unwrap().ends_with(" stdout F hello from looker\n"));
    world.kubectl(&["delete", "pod", "seen", "--wait=false"]).unwrap();
    world.wait("it is gone", || Ok(world.pods("app=seen").is_empty() && alive(&world, &pod).is_empty()));
}

#[test]
fn after_a_power_loss_no_ephemeral_container_starts_again() {
    let world = World::new("ephemeral-power");
    world.apply(&sleeper("dark", EDGE));
    let pod = world.ready("app=dark", 1).remove(0);
    let (life, since) = (pod.life(), ready_since(&pod));
    let with = ["debug", "dark", IMAGE, PRESENT, "-c", "brief", "--", "sh", "-c", "echo bye; exit 7"];
    world.kubectl(&with).unwrap();
    world.wait("its end", || Ok(ended(&world.pod("dark")?, "brief")?["exitCode"] == 7));
    let brief = ended(&world.pod("dark").unwrap(), "brief").unwrap();
    let with =
        ["debug", "dark", IMAGE, PRESENT, "-c", "terminal", "-it", "--attach=false", "--profile=sysadmin"];
    world.kubectl(&[&with[..], &["--", "sleep", "2000000"]].concat()).unwrap();
    let terminal = runs(&world, "dark", "terminal");
    assert!(sh(&world, &terminal, "readlink /proc/1/fd/0").starts_with("/dev/pts/"));
    let mount = "mkdir /tmp/m && mount -t tmpfs none /tmp/m && echo privileged";
    assert_eq!(sh(&world, &terminal, mount), "privileged");
    let pod = world.pod("dark").unwrap();
    assert_eq!((pod.life(), ready_since(&pod)), (life.clone(), since));

    world.edge.power_off().unwrap();
    world.edge.power_on().unwrap();
    world.wait("up again", || {
        let pod = world.pod("dark")?;
        ensure!(pod.life() != life && pod.ready, "{}", pod.object["status"]);
        ensure!(ended(&pod, "terminal")?.is_object(), "{}", pod.object["status"]);
        Ok(true)
    });
    goes_on(&world, "after-the-power");
    let pod = world.pod("dark").unwrap();
    assert_eq!(alive(&world, &pod), [("main".to_owned(), pod.containers["main"].clone())]);
    assert_eq!(ended(&pod, "brief").unwrap(), brief);
    assert_eq!(told(&pod, "terminal").unwrap()["restartCount"], 0);
}

#[test]
fn a_copy_shares_its_processes_and_a_node_is_looked_at_from_a_pod() {
    let world = World::new("debug-pods");
    world.apply(&sleeper("original", EDGE));
    let original = world.ready("app=original", 1).remove(0);
    let with = ["debug", "original", "--copy-to=copy", "--share-processes", IMAGE, PRESENT, "-c", "looker"];
    world.kubectl(&[&with[..], &["--", "sleep", "2000000"]].concat()).unwrap();
    world.wait("the copy is ready", || Ok(world.pod("copy")?.ready));
    let copy = world.pod("copy").unwrap();
    assert_eq!(sh(&world, &copy.containers["looker"], "ps -o args | grep -c 'sleep [12]000000'"), "2");

    let node = format!("node/{EDGE}");
    let with = ["debug", &node, IMAGE, PRESENT, "-it", "--attach=false"];
    world.kubectl(&[&with[..], &["--", "sleep", "3000000"]].concat()).unwrap();
    let mut found = None;
    world.wait("the node's debugger runs", || {
        let pods = world.pods("");
        let pod =
            pods.into_iter().find(|pod| pod.name.starts_with("node-debugger-")).context("no such pod")?;
        ensure!(pod.phase == "Running", "{}", pod.object["status"]);
        found = Some(pod);
        Ok(true)
    });
    let pod = found.unwrap();
    let debugger = &pod.containers["debugger"];
    assert_ne!(sh(&world, debugger, "ps -o comm | grep -c '^containerd$'"), "0");
    assert_eq!(sh(&world, debugger, "ls -d /host/var/lib/skerry"), "/host/var/lib/skerry");
    assert_eq!(pod.object.pointer("/status/podIP"), pod.object.pointer("/status/hostIP"));
    let own = "readlink /proc/$(ps -o pid,args | awk '/sleep [3]000000/ { print $1 }')/fd/0";
    assert!(sh(&world, debugger, own).starts_with("/dev/pts/"));
    assert_eq!(world.pod("original").unwrap().life(), original.life());
    world.kubectl(&["delete", "pod", &pod.name, "copy", "--grace-period=1", "--wait=false"]).unwrap();
    world.wait("they are gone", || Ok(world.pods("").len() == 1));
}
