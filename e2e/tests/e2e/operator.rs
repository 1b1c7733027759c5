//! Whoever stands before a node that the cloud does not reach sees its pods, reads their logs and gets into them.

use std::process::Stdio;

use anyhow::ensure;
use skerry_e2e::host;

use crate::world::{EDGE, World, sleeper};

const SLEEP: &str = "command: [sleep, \"1000000\"]";

/// A terminal of 33 rows that becomes one of 44 while the command runs, which ends with 5 once it has seen that; then a
/// command that never ends, and a signal. Both times the terminal is handed over, and is as it was afterwards.
const IN_TERMINAL: &str = r#"stty rows 33 cols 77; before=$(stty -g)
(until stty -F /dev/tty -a | grep -q -- -icanon; do :; done; stty -F /dev/tty rows 44 cols 88) &
edgecore exec -it talks -- sh -c 'tty; until stty size | grep -q "44 88"; do :; done; exit 5'
echo "code=$?"; wait; stty rows 33 cols 77; test "$before" = "$(stty -g)" && echo restored
(until stty -F /dev/tty -a | grep -q -- -icanon; do :; done; kill "$(cat /run/operator.pid)") &
sh -c 'echo $$ > /run/operator.pid; exec edgecore exec -it talks -- sleep 1000000'
echo "signal=$?"; wait; test "$before" = "$(stty -g)" && echo again"#;

#[test]
fn without_the_cloud_an_operator_sees_pods_reads_logs_and_runs_commands() {
    let world = World::new("operator");
    let talks = "command: [sh, -c, \"echo to-out; echo to-err >&2; sleep 1000000\"]";
    world.apply(&sleeper("talks", EDGE).replace(SLEEP, talks));
    let pod = world.ready("app=talks", 1).remove(0);
    world.edge.cut().unwrap();
    world.wait("edgecore without its link", || {
        let line = world.edge.exec(&["edgecore", "status", "--json"])?;
        let status: serde_json::Value = serde_json::from_str(&line)?;
        ensure!(status["link"]["state"] == "disconnected", "{line}");
        Ok(true)
    });
    let edge = |words: &[&str]| world.edge.exec(&[&["edgecore"], words].concat());
    let table = edge(&["pods", "-n", "operator", "-o", "wide"]).unwrap();
    let line = table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
    let ip = pod.object["status"]["podIP"].as_str().unwrap();
    assert_eq!(line[..5], ["operator", "talks", "1/1", "Running", "0"], "{table}");
    assert_eq!(line[6..], [ip, "<none>"], "{table}");
    let list: serde_json::Value = serde_json::from_str(&edge(&["pods", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(list["items"][0]["metadata"]["uid"], pod.uid.as_str());

    // Which of the two streams the runtime reads first is its own affair.
    let log = edge(&["logs", "talks"]).unwrap();
    let mut lines: Vec<_> = log.lines().collect();
    let last = format!("{}\n", lines[1]);
    lines.sort_unstable();
    assert_eq!(lines, ["to-err", "to-out"], "{log}");
    assert_eq!(edge(&["logs", "-n", "operator", "talks", "--tail", "1"]).unwrap(), last);
    let error = edge(&["logs", "-n", "default", "talks"]).unwrap_err().to_string();
    assert!(error.contains("pods \"talks\" not found in namespace \"default\""), "{error}");

    let run = |words: &[&str], input: Option<&str>| exec(&world, words, input);
    let (code, out, err) = run(&["talks", "--", "sh", "-c", "echo out; echo err >&2; exit 7"], None);
    assert_eq!((code, out.as_str()), (Some(7), "out\n"));
    assert_eq!(err, "err\ncommand terminated with exit code 7\n");
    // More than any buffer on the way holds, and an end that the command sees.
    let input = crate::world::incompressible(1, 4 << 20, b'a'..=b'z');
    let (code, out, err) = run(&["-i", "-n", "operator", "talks", "-c", "main", "--", "cat"], Some(&input));
    assert!(code == Some(0) && out == input, "{code:?}: {} bytes came back: {err}", out.len());
    let (code, _, err) = run(&["talks", "-c", "side", "--", "ls"], None);
    assert_eq!(
        (code, err.as_str()),
        (Some(1), "error: container side is not valid for pod talks out of: main\n")
    );

    let typed = world.edge.exec(&["script", "-qec", IN_TERMINAL, "/dev/null"]).unwrap();
    for shown in ["/dev/pts/", "code=5", "restored", "signal=143", "again"] {
        assert!(typed.contains(shown), "{shown} in {typed}");
    }
    world.edge.heal().unwrap();
    assert_eq!(world.pod("talks").unwrap().life(), pod.life());

    world.edge.kill().unwrap();
    let error = edge(&["pods"]).unwrap_err().to_string();
    assert!(error.contains("edgecore does not run on this node"), "{error}");
    world.edge.start().unwrap();
    host::wait("the socket that was left behind replaced", crate::world::PATIENCE, || {
        Ok(edge(&["pods"])?.contains("talks"))
    })
    .unwrap();
}

/// `edgecore exec` on the edge: its exit code, what it wrote, and what it complained of.
fn exec(world: &World, words: &[&str], input: Option<&str>) -> (Option<i32>, String, String) {
    let mut command = world.edge.command(&[&["edgecore", "exec"], words].concat()).unwrap();
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        let input = input.to_owned();
        std::thread::spawn(move || std::io::Write::write_all(&mut pipe, input.as_bytes()).unwrap());
    }
    let output = child.wait_with_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out, err)
}
