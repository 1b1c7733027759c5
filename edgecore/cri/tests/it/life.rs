//! A pod from its sandbox to its removal.

use std::fs;
use std::time::Duration;

use edgecore_cri::Answer;
use edgecore_pods::runtime::{ContainerId, ContainerSpec, ContainerState, Runtime, RuntimeError, SandboxId};

use crate::daemon::{BUSYBOX, Daemon, container};

#[tokio::test]
async fn a_pod_runs_is_asked_and_goes() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let version = cri.version().await.unwrap();
    assert_eq!(version.name, "containerd");
    let health = cri.health().borrow().clone();
    assert_eq!((health.answer, health.version), (Answer::Yes, Some(version)));
    assert!(!health.network.status, "there is no network configuration");
    assert!(health.image_fs.unwrap().starts_with(daemon.dir.path().to_str().unwrap()));

    let spec = daemon.sandbox("u1", true);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    let observed = cri.observe().await.unwrap();
    assert_eq!(observed.sandboxes.len(), 1);
    assert!(observed.sandboxes[0].ready && observed.sandboxes[0].pod_uid == "u1");
    assert!(cri.sandbox_ips(&sandbox).await.unwrap().is_empty());

    let image = cri.image("busybox").await.unwrap().unwrap();
    assert!(image.names.iter().any(|name| name == BUSYBOX), "{image:?}");
    let mut wanted =
        container(&spec, "main", "echo $GREETING; echo bad >&2; pwd; trap 'exit 7' TERM; sleep 1000 & wait");
    wanted.image = image.id;
    let id = cri.create_container(&sandbox, &spec, &wanted).await.unwrap();
    assert_eq!(daemon.state("u1", "main").await, Some(ContainerState::Created));
    cri.start_container(&id).await.unwrap();
    assert_eq!(daemon.state("u1", "main").await, Some(ContainerState::Running));
    exec(&daemon, &id).await;
    logs(&daemon, &id).await;

    cri.stop_container(&id, Duration::from_mins(1)).await.unwrap();
    let detail = cri.container(&id).await.unwrap();
    assert_eq!((detail.state, detail.exit_code), (ContainerState::Exited, 7));
    assert!(detail.started_at_ns > 0 && detail.finished_at_ns >= detail.started_at_ns);
    cri.stop_container(&id, Duration::ZERO).await.unwrap();
    cri.remove_container(&id).await.unwrap();
    cri.stop_sandbox(&sandbox).await.unwrap();
    assert!(!cri.observe().await.unwrap().sandboxes[0].ready);
    cri.remove_sandbox(&sandbox).await.unwrap();
    assert_eq!(cri.observe().await.unwrap(), edgecore_pods::runtime::Observed::default());
    gone(&daemon, &id, &sandbox).await;
}

async fn exec(daemon: &Daemon, id: &ContainerId) {
    let run = async |line: &str, time: Duration| {
        let command = ["/bin/sh", "-c", line].map(str::to_owned);
        daemon.cri.exec(id, &command, time).await
    };
    let second = Duration::from_secs(30);
    let result = run("echo out; echo err >&2; exit 3", second).await.unwrap();
    assert_eq!(
        (result.exit_code, result.stdout.as_slice(), result.stderr.as_slice()),
        (3, &b"out\n"[..], &b"err\n"[..])
    );
    let long = run("head -c 100000 /dev/zero", second).await.unwrap();
    assert_eq!((long.exit_code, long.stdout.len()), (0, 16 << 10));
    let late = run("sleep 1000", Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(late.to_string(), r#"command "/bin/sh -c sleep 1000" timed out"#);
    assert!(matches!(late, RuntimeError::Failed(_)));
    let missing = daemon.cri.exec(id, &["/nowhere".to_owned()], second).await.unwrap_err();
    assert!(missing.to_string().contains("/nowhere"), "{missing}");
}

async fn logs(daemon: &Daemon, id: &ContainerId) {
    let path = daemon.path("logs/u1/main.log");
    let detail = daemon.cri.container(id).await.unwrap();
    assert_eq!(detail.log_path, path.display().to_string());
    let lines = daemon
        .eventually("three lines of log", async || {
            let text = fs::read_to_string(&path).unwrap();
            (text.lines().count() == 3).then_some(text)
        })
        .await;
    for wanted in [" stdout F hello", " stderr F bad", " stdout F /tmp"] {
        assert!(lines.lines().any(|line| line.ends_with(wanted)), "{wanted} in {lines}");
    }
    fs::rename(&path, daemon.path("logs/u1/main.log.1")).unwrap();
    daemon.cri.reopen_log(id).await.unwrap();
    assert!(path.exists());
}

/// What is gone is fine to stop and remove, and an error to ask about.
async fn gone(daemon: &Daemon, id: &ContainerId, sandbox: &SandboxId) {
    let cri = &daemon.cri;
    cri.stop_container(id, Duration::ZERO).await.unwrap();
    cri.remove_container(id).await.unwrap();
    cri.stop_sandbox(sandbox).await.unwrap();
    cri.remove_sandbox(sandbox).await.unwrap();
    assert!(matches!(cri.container(id).await, Err(RuntimeError::NotFound(name)) if name.contains(&id.0)));
    assert!(matches!(cri.sandbox_ips(sandbox).await, Err(RuntimeError::NotFound(_))));
}

#[tokio::test]
async fn a_container_sees_the_processes_of_its_target() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let spec = daemon.sandbox("u1", true);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    let main = container(&spec, "main", "exec sleep 1000");
    let main = cri.create_container(&sandbox, &spec, &main).await.unwrap();
    cri.start_container(&main).await.unwrap();
    let first = async |name: &str, target: Option<ContainerId>| {
        let wanted = ContainerSpec { target, ..container(&spec, name, "exec sleep 2000") };
        let id = cri.create_container(&sandbox, &spec, &wanted).await?;
        cri.start_container(&id).await?;
        let command = ["/bin/sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"].map(str::to_owned);
        let said = cri.exec(&id, &command, Duration::from_secs(30)).await?;
        Ok::<_, RuntimeError>(String::from_utf8(said.stdout).unwrap())
    };
    assert_eq!(first("looker", Some(main.clone())).await.unwrap(), "sleep 1000 ");
    assert_eq!(first("other", None).await.unwrap(), "sleep 2000 ");
    cri.stop_container(&main, Duration::ZERO).await.unwrap();
    let late = first("late", Some(main)).await.unwrap_err();
    assert!(matches!(&late, RuntimeError::Failed(words) if words.contains("is not running")), "{late:?}");
}

#[tokio::test]
async fn an_end_is_hinted_at() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let spec = daemon.sandbox("u1", true);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    let line = "while [ ! -e /tmp/go ]; do sleep 0.1; done; sleep 1; exit 5";
    let id = cri.create_container(&sandbox, &spec, &container(&spec, "main", line)).await.unwrap();
    cri.start_container(&id).await.unwrap();
    cri.exec(&id, &["/bin/touch".to_owned(), "/tmp/go".to_owned()], Duration::from_secs(30)).await.unwrap();
    daemon
        .hinted("hint at the end of a container", async |observed| {
            observed.containers.iter().any(|c| c.state == ContainerState::Exited).then_some(())
        })
        .await;
    assert_eq!(cri.container(&id).await.unwrap().exit_code, 5);
    let error = cri.exec(&id, &["/bin/true".to_owned()], Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Failed(_)), "{error:?}");
}
