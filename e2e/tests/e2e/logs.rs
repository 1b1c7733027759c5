//! Container logs on the node: upstream's layout, rotated and compressed.

use std::path::Path;

use anyhow::{Result, ensure};
use skerry_e2e::host;

use crate::world::{EDGE, PATIENCE, World, sleeper};

const SLEEP: &str = "command: [sleep, \"1000000\"]";

#[test]
fn logs_are_where_upstream_has_them() {
    let world = World::new("logs");
    world.apply(
        &sleeper("talks", EDGE)
            .replace(SLEEP, "command: [sh, -c, \"echo to-out; echo to-err >&2; sleep 1000000\"]"),
    );
    let pod = world.ready("app=talks", 1).remove(0);
    let path = format!("/var/log/pods/logs_talks_{}/main/0.log", pod.uid);
    let log = host::wait_for("the log file", PATIENCE, || {
        let log = world.edge.exec(&["cat", &path])?;
        Ok((log.lines().count() == 2).then_some(log))
    })
    .unwrap();
    assert!(log.contains(" stdout F to-out") && log.contains(" stderr F to-err"), "{log}");
    let link = format!("/var/log/containers/talks_logs_main-{}.log", pod.containers["main"]);
    assert_eq!(world.edge.exec(&["cat", &link]).unwrap(), log);
}

#[test]
fn a_log_that_grows_is_rotated_and_no_line_of_those_kept_is_lost() {
    let world = World::new("long-logs");
    world.edge.exec(&["rm", "-rf", "/var/lib/skerry-go"]).unwrap();
    // Numbered lines, a little more than ten mebibytes of log at a time, as often as the test says.
    let script = "n=0; while :; do if [ -e /go/on ]; then rm /go/on; n=$((n+120000)); \
                  awk -v n=$n 'BEGIN { for (i = n - 119999; i <= n; i++) printf \"line-%07d-of-a-container-that-has-a-lot-to-tell\\n\", i }'; \
                  touch /go/done; fi; sleep 0.1; done";
    world.apply(&sleeper("chatty", EDGE).replace(
        SLEEP,
        &format!("command: [sh, -c, {script:?}]\n    volumeMounts: [{{name: go, mountPath: /go}}]\n  volumes: [{{name: go, hostPath: {{path: /var/lib/skerry-go, type: DirectoryOrCreate}}}}]"),
    ));
    let pod = world.ready("app=chatty", 1).remove(0);
    let folder = format!("/var/log/pods/long-logs_chatty_{}/main", pod.uid);
    // Four logs of long ago lie there: with each new one the oldest goes.
    for day in 1..=4 {
        world.edge.exec(&["touch", &format!("{folder}/0.log.2000010{day}-000000.gz")]).unwrap();
    }
    let names = || -> Result<Vec<String>> {
        Ok(world.edge.exec(&["ls", &folder])?.lines().map(str::to_owned).collect())
    };
    for round in 1..=2 {
        world.edge.exec(&["touch", "/var/lib/skerry-go/on"]).unwrap();
        world.wait("the lines written", || {
            Ok(world.edge.exec(&["test", "-e", "/var/lib/skerry-go/done"]).is_ok())
        });
        world.edge.exec(&["rm", "/var/lib/skerry-go/done"]).unwrap();
        // At rest: the log that a rotation made is plain until the next, those before it are compressed.
        world.wait("the log rotated, and those before it compressed", || {
            let names = names()?;
            let of_now = names
                .iter()
                .filter(|name| name.starts_with("0.log.2") && !name.starts_with("0.log.2000"))
                .map(|name| Path::new(name).extension().is_some_and(|extension| extension == "gz"))
                .collect::<Vec<_>>();
            let compressed = of_now.iter().filter(|compressed| **compressed).count();
            ensure!(of_now.len() == round && compressed == round - 1, "{names:?}");
            Ok(true)
        });
    }
    let names = names().unwrap();
    let of_then = names.iter().filter(|name| name.starts_with("0.log.2000")).collect::<Vec<_>>();
    assert_eq!(of_then, ["0.log.20000103-000000.gz", "0.log.20000104-000000.gz"]);
    assert_eq!(names.len(), 5, "{names:?}");
    // Compressed, plain and current log together hold every line.
    let script = format!(
        "cd {folder} && {{ zcat 0.log.2[!0]*.gz 0.log.20[!0]*.gz 2>/dev/null; cat 0.log.*[0-9] 0.log; }} | grep -o 'line-[0-9]*' | cut -d- -f2"
    );
    let lines = world.edge.exec(&["sh", "-c", &script]).unwrap();
    let numbers: Vec<u64> = lines.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=2 * 120_000), "{} lines", numbers.len());
    assert_eq!(world.pod("chatty").unwrap().life(), pod.life());
    world.edge.exec(&["rm", "-rf", "/var/lib/skerry-go"]).unwrap();
}
