//! An edge with a good certificate and bad intentions, which speaks the real protocol: what it may not say is refused with
//! the reason, what it may not see it is not shown, and everybody else goes on as before.

mod hellos;
mod protocol;
mod reports;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use skerry_e2e::view::PodSeen;
use wire::down_frame::Content;
use wire::{Body, Heartbeat, UpFrame};

use crate::handmade::{Member, Session, hello};
use crate::world::{EDGE, World};

/// Number of the beat that follows what is not answered.
const BEAT: u64 = 77;
/// The hostile edge's own name.
const NAME: &str = "hostile";

/// Two nodes in one cluster: an honest edge with a pod that has a Secret, and the hostile one with a pod of its own.
struct Scene {
    world: World,
    member: Member,
    /// The honest edge's pod.
    foreign: PodSeen,
    /// The hostile edge's own pod.
    own: PodSeen,
    /// The honest edge's Node as it was.
    node: Value,
}

impl Scene {
    fn new(name: &str) -> Self {
        let world = World::new(name);
        world.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hush"}, "stringData": {"key": "not-for-you"}}).to_string());
        world.apply(&pod("foreign", EDGE, Some("hush")));
        let foreign = world.ready("app=foreign", 1).remove(0);
        let member = Member::join(&world.lab, &world.edge, NAME, NAME).unwrap();
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}});
        world.lab.apply(&node.to_string()).unwrap();
        world.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"key": "value"}}).to_string());
        world.apply(&pod("own", NAME, None));
        let own = world.pod("own").unwrap();
        let node = world.lab.get(&["node", EDGE]).unwrap();
        Self { world, member, foreign, own, node }
    }

    /// An open session of the hostile edge.
    fn session(&self) -> Session {
        let (session, answer) = Session::hello(&self.world.lab, &self.member, NAME).unwrap();
        assert!(matches!(answer, Content::Welcome(_)), "{answer:?}");
        session
    }

    /// The honest edge and its pod are as they were, and still served.
    fn nobody_else_noticed(&self) {
        let now = self.world.pod("foreign").unwrap();
        assert_eq!((now.life(), now.phase.as_str(), now.ready), (self.foreign.life(), "Running", true));
        let node = self.world.lab.get(&["node", EDGE]).unwrap();
        for field in ["/metadata/labels", "/metadata/uid", "/spec", "/status/capacity", "/status/addresses"] {
            assert_eq!(node.pointer(field), self.node.pointer(field), "{field} of the honest Node");
        }
        self.world.lab.wait_node(EDGE, "True", crate::world::PATIENCE).unwrap();
        self.world.kubectl(&["label", "--overwrite", "pod", "foreign", "still=served"]).unwrap();
        let container = &self.foreign.containers["main"];
        self.world.wait("the honest edge still served", || {
            Ok(self.world.edge.exec_in(container, &["cat", "/labels/labels"])?.contains("still=\"served\""))
        });
        self.world.kubectl(&["label", "pod", "foreign", "still-"]).unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The next test makes its own.
        let lab = &self.world.lab;
        let _ = self.world.kubectl(&["delete", "pod", "own", "--force", "--grace-period=0"]);
        let _ = lab.kubectl(&["delete", "node", NAME, "--ignore-not-found"]);
        let _ = lab.kubectl(&["delete", "lease", "-n", "kube-node-lease", NAME, "--ignore-not-found"]);
        let _ =
            lab.kubectl(&["delete", "configmap", "-n", "skerry-system", &format!("node-identity-{NAME}")]);
        let _ = self.world.edge.exec(&["rm", "-rf", "/var/lib/skerry/by-hand"]);
    }
}

/// A pod bound to a node, with its labels as a file, and a Secret where one is named.
fn pod(name: &str, node: &str, secret: Option<&str>) -> String {
    let env = secret.map(
        |secret| json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": secret, "key": "key"}}}]),
    );
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": "docker.io/library/busybox:latest", "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "1000000"], "env": env,
                "envFrom": if secret.is_none() { json!([{"configMapRef": {"name": "mine"}}]) } else { json!([]) },
                "volumeMounts": [{"name": "labels", "mountPath": "/labels"}],
            }],
            "volumes": [{"name": "labels", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}],
        },
    })
    .to_string()
}

/// A body of JSON.
#[expect(clippy::unnecessary_wraps, reason = "the bodies of frames are optional")]
fn body(value: &Value) -> Option<Body> {
    Some(Body::pack(value.to_string().as_bytes()).unwrap())
}

/// How the cloud answers what it will not have.
#[derive(Debug)]
enum Answer {
    /// The report is refused, with these words.
    Report(&'static str),
    /// The journal entry is refused, with these words.
    Entry(&'static str),
    /// The call fails with this status and these words.
    Call(u32, &'static str),
    /// The session ends, with these words.
    End(&'static str),
    /// Nothing is said, and the session goes on.
    Silence,
}

/// What a frame says to what was said last, and, with `beaten`, to the beat behind it: its kind, its status where it has
/// one, and its words. An error is that it was taken.
fn said(content: &Content, beaten: bool) -> Option<Result<(&'static str, u32, String), String>> {
    if let Content::ReportRefused(refused) = content {
        return Some(Ok(("report", 0, refused.reason.clone())));
    }
    if let Content::EntryAck(ack) = content {
        let reason = ack.reasons.first().ok_or_else(|| "the entry was taken".to_owned());
        return Some(reason.map(|reason| ("entry", 0, reason.clone())));
    }
    if let Content::CallReply(reply) = content {
        return Some(match &reply.result {
            Some(wire::call_reply::Result::Err(failure)) => {
                Ok(("call", failure.status, failure.reason.clone()))
            }
            other => Err(format!("the call was answered: {other:?}")),
        });
    }
    if let Content::GoAway(goodbye) = content {
        return Some(Ok(("end", 0, goodbye.reason.clone())));
    }
    if matches!(content, Content::ReportAck(_)) {
        return Some(Err("the report was taken".to_owned()));
    }
    let answered = matches!(content, Content::HeartbeatAck(ack) if ack.seq == BEAT);
    (beaten && answered).then(|| Ok(("silence", 0, String::new())))
}

/// Says one thing and checks the answer. `Ok` carries the session where it goes on.
fn expect(mut session: Session, frame: UpFrame, answer: &Answer) -> Result<Option<Session>> {
    session.send(frame)?;
    // A beat behind it: its answer proves that what was said before was looked at, and that the session lives.
    let beat = Heartbeat { seq: BEAT, engine_alive: true, ..Heartbeat::default() };
    let beaten = matches!(answer, Answer::Silence);
    if beaten {
        session.send(beat)?;
    }
    let said = session.next(|content| said(content, beaten))?;
    let (kind, status, reason) = said.map_err(anyhow::Error::msg)?;
    let fits = match answer {
        Answer::Report(words) => kind == "report" && reason.contains(words),
        Answer::Entry(words) => kind == "entry" && reason.contains(words),
        Answer::Call(wanted, words) => kind == "call" && status == *wanted && reason.contains(words),
        Answer::End(words) => kind == "end" && reason.contains(words),
        Answer::Silence => kind == "silence",
    };
    if !fits {
        bail!("{kind} {status}: {reason}");
    }
    Ok((kind != "end").then_some(session))
}

#[test]
fn an_edge_is_shown_what_is_its_own_and_nothing_else() {
    let scene = Scene::new("hostile-eyes");
    // It claims to hold everything of the honest edge, so that it might be told what became of it.
    let mut greeting = hello(NAME);
    greeting.digest = vec![7; 16];
    greeting.count = 3;
    let (mut session, _) = Session::open(&scene.world.lab, &scene.member, greeting).unwrap();
    let item = |kind: &str, uid: &str| wire::InventoryItem {
        kind: kind.into(),
        uid: uid.into(),
        version: vec![7; 16],
    };
    let secret = scene.world.lab.get(&["secret", "-n", &scene.world.namespace, "hush"]).unwrap();
    let secret_uid = secret["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let mut shown = BTreeSet::new();
    let mut asked = false;
    loop {
        let content = session.next(|content| Some(content.clone())).unwrap();
        if matches!(content, Content::WantInventory(_)) && !asked {
            asked = true;
            let items =
                vec![item("Pod", &scene.foreign.uid), item("Secret", &secret_uid), item("Secret", "made-up")];
            session.send(wire::Inventory { items, last: true, ..wire::Inventory::default() }).unwrap();
        } else if let Content::Upsert(upsert) = content {
            let text = upsert.body.unwrap_or_default().unpack().unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains("not-for-you") && !text.contains(&scene.foreign.uid), "{text}");
            shown.insert((upsert.kind, upsert.name));
        } else if matches!(content, Content::SyncPoint(_)) {
            // Of what is none of its own it heard at most that it should not have it.
            break;
        }
    }
    let shown: Vec<(&str, &str)> = shown.iter().map(|(kind, name)| (kind.as_str(), name.as_str())).collect();
    let expected = [
        ("ConfigMap", "kube-root-ca.crt"),
        ("ConfigMap", "mine"),
        ("Node", NAME),
        ("Pod", "own"),
        ("Service", "kubernetes"),
        ("ServiceAccount", "default"),
    ];
    assert_eq!(shown, expected);
    scene.nobody_else_noticed();
}
