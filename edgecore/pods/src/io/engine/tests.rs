//! What the loop takes for wanted, moment by moment.

use edgecore_store::{Change, Store};
use edgecore_volumes::VolumeDirs;
use kit::Clock;
use serde_json::json;
use wire::{ObjectKey, Version};

use super::*;
use crate::fake::Fake;
use crate::io::events::Events;
use crate::io::handler::Hands;
use crate::spec::NodeFacts;

fn engine(dir: &std::path::Path, runtime: &Fake) -> (Engine<Fake>, mpsc::Receiver<Message>) {
    let clock = Clock::system();
    let store = Store::open_in_boot(dir, clock.clone(), "boot").unwrap().store;
    let logs = dir.join("logs").display().to_string();
    let facts = NodeFacts { pod_logs_dir: logs, ..NodeFacts::default() };
    let shared = Shared {
        runtime: runtime.clone(),
        store,
        clock: clock.clone(),
        boot: "boot".into(),
        dirs: VolumeDirs::new(dir),
        node: watch::channel(Arc::new(facts)).1,
        events: Events::new().0,
        hands: Hands::new(runtime.clone(), clock.clone()).unwrap(),
    };
    let (messages, inbox) = mpsc::channel(16);
    let outputs = Outputs {
        alive: Alive::new(clock),
        runtime_state: watch::Sender::default(),
        targets: watch::Sender::default(),
        logs: watch::Sender::default(),
        limited: watch::Sender::default(),
        messages,
    };
    (Engine::new(Arc::new(shared), 10, outputs).unwrap(), inbox)
}

fn run_container(runtime: &Fake, uid: &str) {
    runtime.world(|world| {
        let home = world.add_sandbox(uid, "ns", uid, 0);
        let id = world.create(&home, "c", 0, BTreeMap::new()).unwrap();
        world.start(&id).unwrap();
    });
}

fn wanted(uid: &str) -> Change {
    wanted_as(uid, &json!({"containers": [{"name": "c", "image": "i"}]}))
}

fn wanted_as(uid: &str, spec: &serde_json::Value) -> Change {
    let body = json!({"metadata": {"namespace": "ns", "name": uid, "uid": uid}, "spec": spec});
    let body = wire::canonical(&body).unwrap();
    let key = ObjectKey::new(Kind::Pod, "ns", uid);
    Change::Upsert { key, uid: uid.into(), version: Version::of(&body), body }
}

async fn look_at(engine: &mut Engine<Fake>) {
    let known = engine.known.take().unwrap();
    let (known, result) = look(&engine.shared.runtime, &engine.shared.dirs, known).await;
    engine.take_look(1, known, result);
}

fn ends(engine: &Engine<Fake>, uid: &str) -> bool {
    engine.pods.get(uid).is_some_and(|entry| entry.busy.is_some())
}

#[tokio::test]
async fn a_failed_probe_promises_a_restart_only_to_those_who_get_one() {
    for (own, then) in [("Always", ", will be restarted"), ("Never", "")] {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), Fake::default());
        let (mut engine, _inbox) = engine(dir.path(), &runtime);
        run_container(&runtime, "u");
        let spec = json!({"containers": [{"name": "c", "image": "i", "restartPolicy": own}]});
        engine.shared.store.apply(vec![wanted_as("u", &spec)]).await.unwrap();
        engine.shared.store.sync_point(Vec::new()).await.unwrap();
        engine.reload().await;
        look_at(&mut engine).await;
        engine.step_all();
        let run = runtime.world(|world| world.containers[0].0.id.clone());
        let (uid, container, kind) = ("u".to_owned(), "c".to_owned(), probe::Kind::Liveness);
        engine.hear(Said { uid, container, run: run.clone(), kind, ok: false, grace: None });
        let doom = &engine.pods["u"].memory.doomed[&run.0];
        assert_eq!(doom.message, format!("Container c failed liveness probe{then}"));
    }
}

/// What the store wants was not read at all, or was read before the last of it came: the store's word that it is whole
/// does not make that list whole.
#[tokio::test]
async fn a_list_older_than_the_sync_point_makes_nobody_unwanted() {
    for read_before in [false, true] {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), Fake::default());
        let (mut engine, _inbox) = engine(dir.path(), &runtime);
        run_container(&runtime, "u");
        run_container(&runtime, "stray");
        std::fs::create_dir_all(dir.path().join("pods/unseen")).unwrap();
        if read_before {
            engine.reload().await;
        }
        engine.shared.store.apply(vec![wanted("u"), wanted("unseen")]).await.unwrap();
        engine.shared.store.sync_point(Vec::new()).await.unwrap();
        look_at(&mut engine).await;
        engine.step_all();
        assert!(!ends(&engine, "u") && !ends(&engine, "stray") && !engine.swept);
        engine.reload().await;
        engine.step_all();
        assert!(ends(&engine, "stray") && engine.swept);
        let adopted = &engine.pods["u"];
        assert!(!adopted.orphan() && adopted.history.ending.is_none());
    }
}

#[tokio::test]
async fn a_pod_whose_new_body_was_rejected_is_still_wanted() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Fake::default());
    let (mut engine, _inbox) = engine(dir.path(), &runtime);
    run_container(&runtime, "u");
    let rejected = Change::Reject {
        kind: "Pod".into(),
        namespace: "ns".into(),
        name: "u".into(),
        uid: "u".into(),
        version: Version::of(b"new"),
        reason: "too long".into(),
    };
    engine.shared.store.apply(vec![rejected]).await.unwrap();
    engine.shared.store.sync_point(Vec::new()).await.unwrap();
    engine.reload().await;
    look_at(&mut engine).await;
    engine.step_all();
    assert!(engine.pods["u"].orphan() && !ends(&engine, "u"));
    engine.shared.store.apply(vec![Change::Delete { kind: "Pod".into(), uid: "u".into() }]).await.unwrap();
    engine.reload().await;
    engine.step_all();
    assert!(ends(&engine, "u"));
}
