//! A runtime that restarts, hangs, or cannot fetch.

use std::time::Duration;

use edgecore_cri::{Answer, Config, Deadlines, connect};
use edgecore_pods::runtime::{ContainerState, Runtime, RuntimeError};
use kit::Clock;
use rustix::process::Signal;

use crate::daemon::{Daemon, container};

#[tokio::test]
async fn containers_and_calls_survive_a_restart_of_the_runtime() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let spec = daemon.sandbox("u1", true);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    let line = "while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 4";
    let id = cri.create_container(&sandbox, &spec, &container(&spec, "main", line)).await.unwrap();
    cri.start_container(&id).await.unwrap();
    let before = cri.observe().await.unwrap();

    daemon.signal(Signal::KILL);
    let after = daemon.eventually("answer after a restart", async || cri.observe().await.ok()).await;
    assert_eq!(after.sandboxes, before.sandboxes);
    assert_eq!(after.containers, before.containers);

    // The event stream is open again: an end is heard of.
    cri.exec(&id, &["touch".to_owned(), "/tmp/go".to_owned()], Duration::from_secs(30)).await.unwrap();
    daemon
        .hinted("hint after a restart", async |observed| {
            observed.containers.iter().any(|c| c.state == ContainerState::Exited).then_some(())
        })
        .await;
    assert_eq!(cri.container(&id).await.unwrap().exit_code, 4);
    assert_eq!(cri.health().borrow().answer, Answer::Yes, "a restart is no outage");
}

/// A caller that dies in the middle of a start: what containerd makes of it is the reason for
/// [`ContainerDetail::called_off`](edgecore_pods::runtime::ContainerDetail::called_off).
#[tokio::test]
async fn a_start_whose_caller_is_gone_is_called_off() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let spec = daemon.sandbox("u1", true);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    // How long a start takes nobody knows, so the caller goes a little later each time, until a start is done.
    let mut called_off = 0;
    for attempt in 0_u32.. {
        let mut wanted = container(&spec, "main", "sleep 1000");
        wanted.attempt = attempt;
        let id = cri.create_container(&sandbox, &spec, &wanted).await.unwrap();
        let patience = Duration::from_millis(5 * u64::from(attempt));
        let done = match tokio::time::timeout(patience, cri.start_container(&id)).await {
            Ok(started) => started.map(|()| true).unwrap(),
            Err(_) => false,
        };
        let mut detail = cri.container(&id).await.unwrap();
        // The runtime takes its time to call it off; where it was never asked, nothing comes.
        for _ in 0..15 {
            if detail.state != ContainerState::Created {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            detail = cri.container(&id).await.unwrap();
        }
        match detail.state {
            ContainerState::Exited => {
                assert!(detail.called_off, "{detail:?}");
                assert_eq!((detail.started_at_ns, detail.exit_code), (0, 128));
                called_off += 1;
            }
            ContainerState::Running => {
                assert!(!detail.called_off);
                cri.stop_container(&id, Duration::ZERO).await.unwrap();
                assert!(!cri.container(&id).await.unwrap().called_off, "it ran");
            }
            ContainerState::Created | ContainerState::Unknown => {}
        }
        if done {
            break;
        }
    }
    assert!(called_off > 0, "no start was called off; log: {}", daemon.log());

    let mut missing = container(&spec, "none", "");
    missing.command = vec!["/nowhere".to_owned()];
    let id = cri.create_container(&sandbox, &spec, &missing).await.unwrap();
    cri.start_container(&id).await.unwrap_err();
    let detail = cri.container(&id).await.unwrap();
    assert_eq!((detail.state, detail.called_off), (ContainerState::Exited, false), "{detail:?}");
}

#[tokio::test]
async fn a_hung_runtime_is_unavailable_and_holds_up_nothing() {
    let second = Duration::from_secs(1);
    let daemon = Daemon::start_with(Deadlines {
        status: second,
        look: second,
        silence: 2 * second,
        ..Deadlines::default()
    })
    .await;
    let cri = &daemon.cri;
    let spec = daemon.sandbox("u1", true);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    let id = cri.create_container(&sandbox, &spec, &container(&spec, "main", "sleep 1000")).await.unwrap();
    cri.start_container(&id).await.unwrap();

    daemon.signal(Signal::STOP);
    assert!(matches!(cri.observe().await, Err(RuntimeError::Unavailable(_))));
    // Its own deadline is minutes away: it ends because the monitor found out.
    let stopped = cri.stop_container(&id, Duration::from_mins(10));
    let pulled = cri.pull("example.com/x", &[], &spec);
    let (stopped, pulled) = tokio::join!(stopped, pulled);
    assert!(matches!(stopped, Err(RuntimeError::Unavailable(_))), "{stopped:?}");
    assert!(matches!(pulled, Err(RuntimeError::Unavailable(_))), "{pulled:?}");
    daemon.health(|health| matches!(health.answer, Answer::No(_))).await;

    daemon.signal(Signal::CONT);
    daemon.health(|health| health.answer == Answer::Yes).await;
    assert_eq!(cri.observe().await.unwrap().sandboxes.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_fetched_fails_with_a_reason() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let spec = daemon.sandbox("u1", true);
    assert_eq!(cri.image("example.invalid/none:1").await.unwrap(), None);
    let pull = async |name: &str| match cri.pull(name, &[], &spec).await {
        Err(RuntimeError::Image { reason, message }) => (reason, message),
        other => panic!("{other:?}"),
    };
    // Nothing listens there, in this network namespace.
    let (reason, message) = pull("127.0.0.1:1/none:1").await;
    assert_eq!(reason, "ErrImagePull");
    assert!(message.contains("127.0.0.1:1/none:1") && message.contains("refused"), "{message}");
    assert_eq!(pull("Bad Name").await.0, "InvalidImageName");
    assert!(matches!(cri.image("Bad").await, Err(RuntimeError::Image { reason: "InvalidImageName", .. })));
}

#[tokio::test]
async fn a_runtime_that_is_not_there_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(&dir.path().join("none.sock").display().to_string());
    let (cri, _monitor) = connect(&config, Clock::system()).unwrap();
    assert!(matches!(cri.version().await, Err(RuntimeError::Unavailable(_))));
    assert!(matches!(cri.observe().await, Err(RuntimeError::Unavailable(_))));
}
