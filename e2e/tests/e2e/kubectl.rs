//! The real kubectl against the real API server: what it shows of containers on an edge, and does in them.
//!
//! Every edge is behind its own network: nothing of the cluster can reach it but over its own connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use skerry_e2e::host;
use skerry_e2e::view::PodSeen;

use crate::world::{EDGE, PATIENCE, World, incompressible, sleeper, web};

const SLEEP: &str = "command: [sleep, \"1000000\"]";

/// A pod whose container does this.
pub(crate) fn talker(world: &World, name: &str, script: &str) -> PodSeen {
    world.apply(&sleeper(name, EDGE).replace(SLEEP, &format!("command: [sh, -c, {script:?}]")));
    world.ready(&format!("app={name}"), 1).remove(0)
}

/// kubectl in the test's namespace, not started.
pub(crate) fn command(world: &World, words: &[&str]) -> Command {
    let mut all = vec!["-n", &world.namespace];
    all.extend(words);
    world.lab.kubectl_command(&all)
}

/// Runs kubectl to its end, however that is.
fn run(world: &World, words: &[&str]) -> Output {
    command(world, words).stdin(Stdio::null()).output().unwrap()
}

/// What kubectl complains of.
pub(crate) fn complaint(world: &World, words: &[&str]) -> String {
    let output = run(world, words);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{words:?} succeeded: {}", String::from_utf8_lossy(&output.stdout));
    told
}

/// A kubectl that goes on, killed when it goes.
pub(crate) struct Going {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Going {
    pub(crate) fn start(world: &World, words: &[&str]) -> Self {
        let mut command = command(world, words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits until it ends by itself; answers its status, and what else it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        drop(self.child.stdin.take());
        let mut told = String::new();
        self.lines.read_to_string(&mut told).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }
}

impl Going {
    /// `kubectl proxy`: the API server without a login, on a port of loopback that it says first.
    pub(crate) fn start_proxy(world: &World) -> Self {
        Self::start(world, &["proxy", "--port=0"])
    }

    /// Waits until something came.
    pub(crate) fn fill(&mut self) {
        assert!(!self.lines.fill_buf().unwrap().is_empty());
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn logs() {
    let world = World::new("kubectl-logs");
    let script = "echo one; echo two; echo three; sleep 1000000";
    let pod = talker(&world, "talks", script);
    let logs = |words: &[&str]| {
        let mut all = vec!["logs", "talks"];
        all.extend(words);
        world.kubectl(&all).unwrap()
    };
    world.wait("the log", || Ok(logs(&[]).lines().count() == 3));
    assert_eq!(logs(&["--tail=1"]), "three\n");
    assert_eq!(logs(&["--limit-bytes=5"]), "one\nt");
    assert_eq!(logs(&["--since-time=2100-01-01T00:00:00Z"]), "");
    let stamped = logs(&["--timestamps", "--tail=1"]);
    let (time, text) = stamped.split_once(' ').unwrap();
    assert!(kit_time(time) && text == "three\n", "{stamped}");
    assert_eq!(logs(&["--prefix", "--all-containers", "--tail=1"]), "[pod/talks/main] three\n");

    // A container that was there before: its log is still to be had.
    let container = pod.containers["main"].as_str();
    world.edge.exec(&["ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", container]).unwrap();
    world.wait("it runs again", || Ok(world.pod("talks")?.restarts > pod.restarts));
    world.wait("the log before", || Ok(logs(&["--previous"]).lines().count() == 3));

    let told = complaint(&world, &["logs", "talks", "-c", "nobody"]);
    assert!(told.contains("container nobody is not valid for pod talks"), "{told}");
    let told = complaint(&world, &["logs", "talks", "--previous", "--tail=-2"]);
    assert!(!told.is_empty());
}

/// Whether it is a time as logs have it.
fn kit_time(text: &str) -> bool {
    kit::WallTime::parse(text).is_some()
}

#[test]
fn a_log_is_followed_to_the_end_of_its_container() {
    let world = World::new("kubectl-follow");
    let script = "echo begun; while ! [ -e /tmp/go ]; do sleep 0.1; done; echo over";
    talker(&world, "talks", script);
    let mut following = Going::start(&world, &["logs", "-f", "talks"]);
    assert_eq!(following.line(), "begun");
    world.kubectl(&["exec", "talks", "--", "touch", "/tmp/go"]).unwrap();
    assert_eq!(following.line(), "over");
    let (code, told) = following.end();
    assert_eq!((code, &*told), (Some(0), ""));
}

#[test]
fn exec() {
    let world = World::new("kubectl-exec");
    talker(&world, "works", "sleep 1000000");
    let out = run(&world, &["exec", "works", "--", "sh", "-c", "echo to-out; echo to-err >&2; exit 7"]);
    assert_eq!(out.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&out.stdout), "to-out\n");
    assert!(String::from_utf8_lossy(&out.stderr).starts_with("to-err\n"), "{out:?}");

    // Standard input, to its end, and as it was.
    let sent = incompressible(7, 1 << 20, b' '..=b'~');
    let mut child = command(&world, &["exec", "-i", "works", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let (came, ()) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut came = String::new();
            child.stdout.take().unwrap().read_to_string(&mut came).unwrap();
            came
        });
        input.write_all(sent.as_bytes()).unwrap();
        drop(input);
        (reading.join().unwrap(), ())
    });
    assert!(child.wait().unwrap().success());
    assert!(came == sent, "{} of {} bytes", came.len(), sent.len());

    let told = complaint(&world, &["exec", "works", "-c", "nobody", "--", "true"]);
    assert!(told.contains("container nobody is not valid"), "{told}");
    let told = complaint(&world, &["exec", "works", "--", "no-such-command"]);
    assert!(told.contains("no-such-command"), "{told}");
}

#[test]
fn a_terminal_has_the_size_of_its_user() {
    let world = World::new("kubectl-tty");
    talker(&world, "works", "sleep 1000000");
    // `script` gives kubectl a terminal, whose size is then changed under it.
    let kubectl = format!("{:?}", command(&world, &["exec", "-it", "works", "--", "sh"])).replace('"', "'");
    let kubectl = kubectl.trim_start_matches("env -u 'KUBECONFIG' ").to_owned();
    let typed = "(until grep -q '[#$]' \"$0\" 2>/dev/null; do sleep 0.1; done; echo 'stty size; exit 5')";
    let shown = world.lab.dir().join("typescript");
    let _ = std::fs::remove_file(&shown);
    let line = format!("stty rows 33 cols 101; exec {kubectl}");
    let shell = format!("{typed} | script -qefc {line:?} {:?}", shown.display());
    let out = Command::new("sh").args(["-c", &shell]).arg(&shown).output().unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    assert!(told.contains("33 101"), "{told} {}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(5), "{told}");
}

#[test]
fn attach() {
    let world = World::new("kubectl-attach");
    world.apply(&sleeper("listens", EDGE).replace(
        SLEEP,
        "command: [sh, -c, \"while read line; do echo \\\"heard $line\\\"; done\"]\n    stdin: true",
    ));
    world.ready("app=listens", 1);
    let mut attached = Going::start(&world, &["attach", "-i", "listens"]);
    attached.say("you\n");
    assert_eq!(attached.line(), "heard you");
    attached.say("me\n");
    assert_eq!(attached.line(), "heard me");
}

#[test]
fn files_come_and_go() {
    let world = World::new("kubectl-cp");
    talker(&world, "keeps", "sleep 1000000");
    let (there, back) = (world.lab.dir().join("cp-there"), world.lab.dir().join("cp-back"));
    let content = incompressible(11, 20 << 20, 0..=127);
    std::fs::write(&there, &content).unwrap();
    world.kubectl(&["cp", there.to_str().unwrap(), "keeps:/tmp/file"]).unwrap();
    world.kubectl(&["cp", "keeps:/tmp/file", back.to_str().unwrap()]).unwrap();
    assert!(std::fs::read(&back).unwrap() == content.as_bytes(), "it came back as something else");
    for path in [there, back] {
        std::fs::remove_file(path).unwrap();
    }
}

/// Forwards to a pod's web server: where its page is for as long as the first is kept.
pub(crate) fn forward(world: &World, pod: &str) -> (Going, String) {
    let mut forwarding = Going::start(world, &["port-forward", &format!("pod/{pod}"), ":8080"]);
    let line = forwarding.line();
    let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
    let url = format!("http://127.0.0.1:{}/index.html", port.with_context(|| line.clone()).unwrap());
    (forwarding, url)
}

#[test]
fn ports_are_forwarded() {
    let world = World::new("kubectl-forward");
    world.apply(&web("web", 1, EDGE));
    let pod = world.ready("app=web", 1).remove(0);
    let (_forwarding, url) = forward(&world, &pod.name);
    for _ in 0..3 {
        let got = host::finish(Command::new("curl").args(["-sf", "--max-time", "20", &url])).unwrap();
        assert_eq!(got, "one\n");
    }
}

#[test]
fn what_a_node_tells_of_itself() {
    let world = World::new("kubectl-node");
    talker(&world, "there", "sleep 1000000");
    let get =
        |path: &str| world.lab.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{EDGE}/proxy/{path}")]);
    assert_eq!(get("healthz").unwrap(), "ok");
    let pods: serde_json::Value = serde_json::from_str(&get("pods").unwrap()).unwrap();
    let names: Vec<_> =
        pods["items"].as_array().unwrap().iter().map(|pod| &pod["metadata"]["name"]).collect();
    assert!(names.iter().any(|name| *name == "there"), "{names:?}");
    let error = format!("{:#}", get("nothing-there").unwrap_err());
    assert!(error.contains("NotFound") || error.contains("could not find"), "{error}");
    let nodes = world.lab.get(&["node", EDGE]).unwrap();
    let addresses = nodes["status"]["addresses"].as_array().unwrap();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
}

#[test]
fn a_node_that_is_away_is_said_to_be_at_once() {
    let world = World::new("kubectl-away");
    talker(&world, "there", "sleep 1000000");
    world.edge.cut().unwrap();
    world.wait("the Node says that its edge is away", || {
        let node = world.lab.get(&["node", EDGE])?;
        let connected = skerry_e2e::view::condition(&node, "skerry.io/Connected").context("no condition")?;
        Ok(connected["status"] == "False")
    });
    for words in [&["logs", "there"][..], &["exec", "there", "--", "true"]] {
        let told = complaint(&world, words);
        assert!(told.contains(&format!("node \"{EDGE}\" is disconnected since 2")), "{words:?}: {told}");
    }
    // Also a cloudcore that has not seen it since its own start says so.
    world.lab.kill_cloud(None).unwrap();
    world.lab.start_cloud(None).unwrap();
    world.wait("a new cloudcore says so too", || {
        let told = complaint(&world, &["logs", "there"]);
        ensure!(told.contains(&format!("node \"{EDGE}\" is disconnected since 2")), "{told}");
        Ok(true)
    });
    world.edge.heal().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    world.wait("it answers again", || Ok(world.kubectl(&["exec", "there", "--", "true"]).is_ok()));
}

#[test]
fn what_runs_ends_with_the_agent_and_with_cloudcore() {
    let world = World::new("kubectl-kills");
    talker(&world, "talks", "while :; do date +%s%N; sleep 0.05; done");
    let follow = || {
        let mut following = Going::start(&world, &["logs", "-f", "--tail=1", "talks"]);
        assert!(!following.line().is_empty());
        following
    };
    let following = follow();
    world.edge.kill().unwrap();
    following.end();
    world.edge.start().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    world.wait("logs again", || Ok(world.kubectl(&["logs", "--tail=1", "talks"]).is_ok()));

    let following = follow();
    world.lab.kill_cloud(None).unwrap();
    following.end();
    world.lab.start_cloud(None).unwrap();
    world.wait("logs again", || Ok(world.kubectl(&["logs", "--tail=1", "talks"]).is_ok()));
}

#[test]
fn whoever_may_not_is_told_so() {
    let world = World::new("kubectl-rights");
    talker(&world, "talks", "echo secret; sleep 1000000");
    let node = world.lab.get(&["node", EDGE]).unwrap();
    let address = node["status"]["addresses"][0]["address"].as_str().unwrap();
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64().unwrap();
    let url = |path: &str| format!("https://{address}:{port}{path}");
    let ask = |token: Option<&str>, path: &str| -> Result<(String, String)> {
        let mut curl = Command::new("curl");
        curl.args(["-sk", "--max-time", "20", "-w", "\n%{http_code}"]).arg(url(path));
        if let Some(token) = token {
            curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        let told = host::finish(&mut curl)?;
        let (body, code) = told.rsplit_once('\n').context("no code")?;
        Ok((code.to_owned(), body.to_owned()))
    };
    let logs = "/containerLogs/kubectl-rights/talks/main";
    assert_eq!(ask(None, logs).unwrap().0, "401");
    assert_eq!(ask(Some("nonsense"), logs).unwrap().0, "401");

    world.kubectl(&["create", "serviceaccount", "reader"]).unwrap();
    let token = world.kubectl(&["create", "token", "reader"]).unwrap();
    let secret = token.trim();
    let token = Some(secret);
    let (code, told) = ask(token, logs).unwrap();
    assert_eq!(code, "403");
    assert!(
        told.contains("user=system:serviceaccount:kubectl-rights:reader, verb=get, resource=nodes"),
        "{told}"
    );

    let role = ["create", "clusterrole", "kubectl-rights", "--verb=get", "--resource=nodes/healthz"];
    world.lab.kubectl(&role).unwrap();
    let subject = "--serviceaccount=kubectl-rights:reader";
    world
        .lab
        .kubectl(&["create", "clusterrolebinding", "kubectl-rights", "--clusterrole=kubectl-rights", subject])
        .unwrap();
    // A no counts for a few seconds.
    world.wait("what it may", || Ok(ask(token, "/healthz")?.0 == "200"));
    assert_eq!(ask(token, logs).unwrap().0, "403", "it may only ask for health");
    for kind in ["clusterrolebinding", "clusterrole"] {
        world.lab.kubectl(&["delete", kind, "kubectl-rights"]).unwrap();
    }
    let log = std::fs::read_to_string(world.lab.cloud_log(1)).unwrap();
    let audit = log.lines().find(|line| line.contains("kubelet call") && line.contains(logs)).unwrap();
    assert!(audit.contains("40"), "{audit}");
    assert!(!log.contains(secret), "a token is in the log");
}
