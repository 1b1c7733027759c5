//! Exit codes, and the agent on a machine without a container runtime and without a cloud.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn edgecore(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecore"));
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = edgecore(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A free port on loopback; free again when this returns.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn write_config(dir: &Path, admin: SocketAddr) -> PathBuf {
    let path = dir.join("edgecore.yaml");
    let text = format!(
        "nodeName: edge-1\nstateDir: {0}/state\nendpoints: [\"wss://{1}/v1/connect\"]\n\
         containerd: unix://{0}/no.sock\nadmin: {admin}\ncniConfDir: {0}/cni\npodLogsDir: {0}/logs\n\
         localSocket: {0}/edgecore.sock\n",
        dir.display(),
        free(),
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A running agent; killed where a test leaves it behind.
struct Agent {
    child: Child,
    /// Read as far as a test wants, and kept open.
    log: BufReader<std::process::ChildStderr>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Fails where the test ended it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts the agent and waits until it says that it has started.
fn start(config: &Path) -> Agent {
    let mut child = edgecore(&["run", "--config"]).arg(config).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let started = log.by_ref().lines().any(|line| line.unwrap().contains("edgecore starts"));
    assert!(started, "it ended: {:?}", child.wait());
    Agent { child, log }
}

#[test]
fn exit_codes_say_what_to_do_about_it() {
    let (code, stdout, _) = output(&["version"]);
    assert_eq!((code, stdout), (Some(0), format!("edgecore {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(output(&["--help"]).0, Some(0));
    assert_eq!(output(&[]).0, Some(2));
    assert_eq!(output(&["fly"]).0, Some(2));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("edgecore.yaml");
    let run = || output(&["run", "--config", path.to_str().unwrap()]);
    let (code, _, stderr) = run();
    assert!(
        code == Some(78) && stderr.starts_with("error: ") && stderr.contains("edgecore.yaml"),
        "{stderr}"
    );
    std::fs::write(&path, "nodeNam: x\n").unwrap();
    let (code, _, stderr) = run();
    assert!(code == Some(78) && stderr.contains("nodeNam"), "{stderr}");
    std::fs::write(&path, "nodeName: X\nmaxPods: 0\n").unwrap();
    let (code, _, stderr) = run();
    assert!(code == Some(78) && stderr.contains("nodeName: ") && stderr.contains("maxPods: "), "{stderr}");
}

#[test]
fn without_runtime_and_cloud_it_lives_is_not_ready_and_ends_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let admin = free();
    let config = write_config(dir.path(), admin);
    let mut agent = start(&config);
    assert!(get(admin, "/livez").unwrap().starts_with("HTTP/1.1 200"));
    let ready = get(admin, "/readyz").unwrap();
    assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("\r\n\r\nplan\nruntime\n"), "{ready}");
    let metrics = get(admin, "/metrics").unwrap();
    assert!(metrics.contains("skerry_link_state{state=\"disconnected\"} 1"), "{metrics}");
    assert!(metrics.contains("skerry_store_objects 0"), "{metrics}");
    assert!(metrics.contains("skerry_stream_produced_total{stream=\"messages\"} 0"), "{metrics}");
    let status = |json: &[&str]| {
        let mut words = vec!["status", "--config", config.to_str().unwrap()];
        words.extend(json);
        output(&words)
    };
    let (code, line, stderr) = status(&["--json"]);
    assert_eq!((code, line.lines().count()), (Some(0), 1), "{stderr}");
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (told["node"].as_str(), told["link"]["state"].as_str()),
        (Some("edge-1"), Some("disconnected"))
    );
    let ledger = metrics.split("store_id=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(status(&[]).1.contains(&format!("ledger   {ledger}\n")));

    // A second one on the same directory is refused, and the first goes on.
    std::fs::create_dir(dir.path().join("second")).unwrap();
    let second = write_config(&dir.path().join("second"), free());
    let text = std::fs::read_to_string(&second).unwrap().replace("/second/state", "/state");
    std::fs::write(&second, text).unwrap();
    let (code, _, stderr) = output(&["run", "--config", second.to_str().unwrap()]);
    assert!(code == Some(1) && stderr.contains("another edgecore"), "{stderr}");
    assert!(agent.child.try_wait().unwrap().is_none());

    let killed = Command::new("kill").arg(agent.child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(agent.child.wait().unwrap().code(), Some(0));

    // Of an agent that does not run the store tells, and the same.
    let (code, line, stderr) = status(&["--json"]);
    let stopped: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((code, stopped["link"]["state"].as_str()), (Some(0), Some("stopped")), "{stderr}");
    assert_eq!((&stopped["streams"], &stopped["desired"]), (&told["streams"], &told["desired"]));
    assert!(status(&[]).1.contains(ledger));
}

#[test]
fn a_damaged_store_is_set_aside_and_the_agent_starts() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), free());
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("store.db"), vec![0x5a; 8192]).unwrap();
    drop(start(&config));
    assert!(state.join("store.db.corrupt-1").exists());
    // Killed, it starts again on what it made.
    drop(start(&config));
    assert!(!state.join("store.db.corrupt-2").exists());
}

/// What a process of the operator says, once the agent serves its socket.
fn once_served(words: &[&str]) -> (Option<i32>, String, String) {
    loop {
        let (code, stdout, stderr) = output(words);
        if !stderr.contains("(yet)") {
            return (code, stdout, stderr);
        }
    }
}

#[test]
fn an_operator_is_told_what_is_here_and_whether_the_agent_runs() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), free());
    let config_text = config.to_str().unwrap();
    let (code, _, stderr) = output(&["pods", "--config", config_text]);
    let socket = dir.path().join("edgecore.sock");
    let absent = format!("error: edgecore does not run on this node: nobody serves {}\n", socket.display());
    assert_eq!((code, &stderr), (Some(1), &absent));
    // A kill leaves the socket behind; whoever asks is told the same, and the next agent takes the place.
    drop(start(&config));
    let agent = start(&config);
    let pods = ["pods", "--config", config_text];
    assert_eq!(once_served(&pods), (Some(0), String::new(), "No resources found\n".to_owned()));
    let (code, _, stderr) = output(&["exec", "p", "-n", "n", "--config", config_text, "--", "ls"]);
    let none = "error: pods \"p\" not found in namespace \"n\" on this node\n";
    assert_eq!((code, stderr.as_str()), (Some(1), none));
    let (code, _, stderr) = output(&["logs", "p", "--config", config_text]);
    let none = "error: pods \"p\" not found in any namespace on this node\n";
    assert_eq!((code, stderr.as_str()), (Some(1), none));

    // A second agent that is given the same socket does not get it.
    std::fs::create_dir(dir.path().join("second")).unwrap();
    let second = write_config(&dir.path().join("second"), free());
    let text = std::fs::read_to_string(&second).unwrap();
    let text = text.replace("/second/edgecore.sock", "/edgecore.sock").replace("edge-1", "edge-2");
    std::fs::write(&second, text).unwrap();
    let mut other = start(&second);
    let refused = other.log.by_ref().lines().any(|line| line.unwrap().contains("another process does"));
    assert!(refused);
    let (_, line, stderr) = output(&["status", "--json", "--config", config_text]);
    let told: serde_json::Value = serde_json::from_str(&line).expect(&stderr);
    assert_eq!(told["node"], "edge-1");
    drop(agent);
    assert_eq!(output(&pods).2, absent, "killed");
}
