//! Reports, journal entries and calls about what is none of the edge's.

#![expect(clippy::too_many_lines, reason = "a table is as long as its cases are many")]

use serde_json::{Value, json};
use skerry_e2e::view::PodSeen;
use wire::down_frame::Content;
use wire::{Body, Call, Entry, Report, TokenRequest, UpFrame, call};

use super::{Answer, NAME, Scene, body, expect};
use crate::handmade::Session;
use crate::world::EDGE;

/// A report of a pod as failed.
fn failed(namespace: &str, name: &str, uid: &str) -> Report {
    Report {
        id: 7,
        kind: "Pod".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        body: body(&json!({"status": {"phase": "Failed", "reason": "Forged"}})),
    }
}

fn of_node(name: &str, uid: &str, value: &Value) -> Report {
    Report {
        id: 8,
        kind: "Node".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        body: body(value),
        ..Report::default()
    }
}

/// One after the other in one session, opened anew where it was ended.
fn run(scene: &Scene, cases: Vec<(&str, UpFrame, Answer)>) {
    let mut session = scene.session();
    for (what, frame, answer) in cases {
        session = match expect(session, frame, &answer) {
            Ok(Some(session)) => session,
            Ok(None) => scene.session(),
            Err(error) => panic!("{what}: {answer:?} was expected: {error:#}"),
        };
    }
}

#[test]
fn reports_about_others_and_reports_that_are_none_are_refused() {
    let scene = Scene::new("hostile-reports");
    let (foreign, own) = (&scene.foreign, &scene.own);
    let ns = scene.world.namespace.as_str();
    let good = || failed(ns, "own", &own.uid);
    let with = |body: Option<Body>| Report { body, ..good() };
    let bomb = {
        let mut bomb = Body::pack(&vec![b' '; 2 << 20]).unwrap();
        bomb.length = 3;
        bomb
    };
    let plain = |text: &str, encoding, length| Body { encoding, length, data: text.as_bytes().to_vec() };
    let text = |text: &str| Some(Body::pack(text.as_bytes()).unwrap());
    let deleted = |uid: &str, name: &str| Report {
        body: body(&json!({"deleted": true, "status": {}})),
        ..failed(ns, name, uid)
    };
    let cases: Vec<(&str, UpFrame, Answer)> = vec![
        ("another's pod", failed(ns, "foreign", &foreign.uid).into(), Answer::Report("spec.nodeName")),
        (
            "another's pod under its own's name",
            failed(ns, "own", &foreign.uid).into(),
            Answer::Report("spec.nodeName"),
        ),
        (
            "another's pod under its own's UID",
            failed(ns, "foreign", &own.uid).into(),
            Answer::Report("not of"),
        ),
        (
            "its own pod in another namespace",
            failed("kube-system", "own", &own.uid).into(),
            Answer::Report("not of"),
        ),
        (
            "a pod that does not exist",
            failed(ns, "nobody", "no-such-uid").into(),
            Answer::Report("does not exist"),
        ),
        (
            "another's pod under a made-up UID",
            failed(ns, "foreign", "no-such-uid").into(),
            Answer::Report("does not exist"),
        ),
        ("a pod without a UID", failed(ns, "own", "").into(), Answer::Report("with namespace, name and uid")),
        (
            "a pod without a name",
            failed(ns, "", &own.uid).into(),
            Answer::Report("with namespace, name and uid"),
        ),
        (
            "a pod without a namespace",
            failed("", "own", &own.uid).into(),
            Answer::Report("with namespace, name and uid"),
        ),
        ("a name that is a path", failed(ns, "../foreign", &own.uid).into(), Answer::Report("not of")),
        (
            "a long name",
            failed(ns, &"x".repeat(500), &own.uid).into(),
            Answer::Report("name of the reported object is longer"),
        ),
        (
            "a long UID",
            failed(ns, "own", &"x".repeat(500)).into(),
            Answer::Report("uid of the reported object is longer"),
        ),
        ("another's pod as gone", deleted(&foreign.uid, "foreign").into(), Answer::Report("spec.nodeName")),
        (
            "its own pod as gone that nobody deletes",
            deleted(&own.uid, "own").into(),
            Answer::Report("is not being deleted"),
        ),
        (
            "another's Node",
            of_node(EDGE, "", &json!({"status": {}})).into(),
            Answer::Report("is not the node that reports"),
        ),
        (
            "its own Node with another UID",
            of_node(NAME, "no-such-uid", &json!({"status": {}})).into(),
            Answer::Report("has uid"),
        ),
        (
            "a Node in a namespace",
            Report { namespace: ns.to_owned(), ..of_node(NAME, "", &json!({"status": {}})) }.into(),
            Answer::Report("is not the node that reports"),
        ),
        (
            "a Secret",
            Report { kind: "Secret".to_owned(), ..good() }.into(),
            Answer::Report("no kind that an edge reports on"),
        ),
        (
            "a ConfigMap",
            Report { kind: "ConfigMap".to_owned(), ..good() }.into(),
            Answer::Report("no kind that an edge reports on"),
        ),
        (
            "a kind that nobody knows",
            Report { kind: "Gadget".to_owned(), ..good() }.into(),
            Answer::Report("no kind that an edge reports on"),
        ),
        (
            "a long kind",
            Report { kind: "K".repeat(500), ..good() }.into(),
            Answer::Report("kind of the reported object is longer"),
        ),
        ("no body", with(None).into(), Answer::Report("the report has no body")),
        ("a body that is no JSON", with(text("{status")).into(), Answer::Report("Pod")),
        ("a body that is a list", with(text("[]")).into(), Answer::Report("status is missing or no object")),
        (
            "a status that is a word",
            with(body(&json!({"status": "Failed"}))).into(),
            Answer::Report("status is missing or no object"),
        ),
        (
            "conditions that are a word",
            with(body(&json!({"status": {"phase": "Failed", "conditions": "all"}}))).into(),
            Answer::Report("status.conditions"),
        ),
        (
            "conditions without a type",
            with(body(&json!({"status": {"phase": "Failed", "conditions": [{}]}}))).into(),
            Answer::Report("status.conditions"),
        ),
        (
            "containers without a name",
            with(body(&json!({"status": {"phase": "Failed", "containerStatuses": [{"name": 1}]}}))).into(),
            Answer::Report("status.containerStatuses"),
        ),
        (
            "labels that are numbers",
            of_node(NAME, "", &json!({"status": {}, "labels": {"a": 1}})).into(),
            Answer::Report("labels is no map of strings"),
        ),
        (
            "a phase that is none",
            with(body(&json!({"status": {"phase": "Flying"}}))).into(),
            Answer::Report("phase"),
        ),
        ("a bomb", with(Some(bomb)).into(), Answer::Report("body says 3 bytes")),
        (
            "a body that says it is larger",
            with(Some(plain("{}", 0, 99))).into(),
            Answer::Report("body says 99 bytes"),
        ),
        (
            "a body that is too long",
            with(Some(plain("{}", 0, 9 << 20))).into(),
            Answer::Report("longer than the limit"),
        ),
        (
            "an encoding of another time",
            with(Some(plain("{}", 42, 2))).into(),
            Answer::Report("body encoding 42 is unknown"),
        ),
        (
            "a body that does not unpack",
            with(Some(plain("not zstd", 1, 20))).into(),
            Answer::Report("does not decompress"),
        ),
    ];
    assert_eq!(cases.len(), 35);
    run(&scene, cases);
    restricted_labels(&scene);
    assert_eq!(scene.world.pod("own").unwrap().phase, "Pending", "nothing of it was believed");
    scene.nobody_else_noticed();
}

/// What a node may not say of itself is left out, whatever else the report brings.
fn restricted_labels(scene: &Scene) {
    let lab = &scene.world.lab;
    let uid = lab.get(&["node", NAME]).unwrap()["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let report = of_node(
        NAME,
        &uid,
        &json!({
            "labels": {
                "example.com/mine": "yes",
                "node-role.kubernetes.io/control-plane": "",
                "node-restriction.kubernetes.io/trusted": "yes",
                "kubernetes.io/made-up": "yes",
            },
            "annotations": {"example.com/note": "hello"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "skerry.io/Connected", "status": "True"}]},
            "spec": {"unschedulable": true, "taints": [{"key": "a", "effect": "NoExecute"}]},
            "metadata": {"finalizers": ["example.com/mine"]},
        }),
    );
    let session = scene.session();
    session.send(report).unwrap();
    let mut session = session;
    let acked = session.next(|content| {
        if let Content::ReportRefused(refused) = content {
            return Some(Err(refused.reason.clone()));
        }
        matches!(content, Content::ReportAck(_)).then_some(Ok(()))
    });
    acked.unwrap().unwrap();
    let node = lab.get(&["node", NAME]).unwrap();
    let labels = node["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    assert_eq!(labels.get("example.com/mine"), Some(&json!("yes")));
    for label in [
        "node-role.kubernetes.io/control-plane",
        "node-restriction.kubernetes.io/trusted",
        "kubernetes.io/made-up",
    ] {
        assert!(!labels.contains_key(label), "{label}");
    }
    assert!(
        node.pointer("/spec/unschedulable").is_none() && node.pointer("/metadata/finalizers").is_none(),
        "{node}"
    );
    let taints = node.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    assert!(taints.iter().all(|taint| taint["key"] != "a"), "{taints:?}");
}

#[test]
fn tokens_and_events_that_are_not_its_own_are_refused() {
    let scene = Scene::new("hostile-asks");
    let (foreign, own) = (&scene.foreign, &scene.own);
    let ns = scene.world.namespace.as_str();
    let asked = |pod: &PodSeen| TokenRequest {
        namespace: ns.to_owned(),
        service_account: "default".to_owned(),
        pod_name: pod.name.clone(),
        pod_uid: pod.uid.clone(),
        audiences: Vec::new(),
        expiration_seconds: 3607,
    };
    let ask = |request: TokenRequest| -> UpFrame {
        Call { id: 5, deadline_ms: 10_000, request: Some(call::Request::Token(request)) }.into()
    };
    let tell = |seq: u64, value: &Value| -> UpFrame {
        Entry { seq, stream: "events".to_owned(), time_ms: 1, body: body(value), ..Entry::default() }.into()
    };
    let event = |kind: &str, namespace: &str, name: &str, uid: &str| json!({"reason": "Forged", "note": "x", "regarding": {"kind": kind, "namespace": namespace, "name": name, "uid": uid}});
    let mine = |change: &dyn Fn(&mut Value)| {
        let mut event = event("Pod", ns, "own", &own.uid);
        change(&mut event);
        event
    };
    let cases: Vec<(&str, UpFrame, Answer)> = vec![
        ("a foreign pod's token", ask(asked(foreign)), Answer::Call(403, "spec.nodeName is not hostile")),
        (
            "its own name with the foreign UID",
            ask(TokenRequest { pod_name: "own".to_owned(), ..asked(foreign) }),
            Answer::Call(403, "spec.nodeName is not hostile"),
        ),
        (
            "the foreign name with its own UID",
            ask(TokenRequest { pod_name: "foreign".to_owned(), ..asked(own) }),
            Answer::Call(403, "metadata.name"),
        ),
        (
            "a pod that does not exist",
            ask(TokenRequest { pod_uid: "no-such-uid".to_owned(), ..asked(own) }),
            Answer::Call(404, "does not exist"),
        ),
        (
            "another service account",
            ask(TokenRequest { service_account: "admin".to_owned(), ..asked(own) }),
            Answer::Call(403, "spec.serviceAccountName"),
        ),
        (
            "another namespace",
            ask(TokenRequest { namespace: "kube-system".to_owned(), ..asked(own) }),
            Answer::Call(403, "metadata.namespace"),
        ),
        (
            "another audience",
            ask(TokenRequest { audiences: vec!["vault".to_owned()], ..asked(own) }),
            Answer::Call(403, "audiences"),
        ),
        (
            "a longer life",
            ask(TokenRequest { expiration_seconds: 31_536_000, ..asked(own) }),
            Answer::Call(403, "expirationSeconds"),
        ),
        (
            "a call for nothing",
            Call { id: 5, ..Call::default() }.into(),
            Answer::Call(400, "does not know what is asked"),
        ),
        (
            "an event about a foreign pod",
            tell(1, &event("Pod", ns, "foreign", &foreign.uid)),
            Answer::Entry("spec.nodeName"),
        ),
        (
            "an event about another Node",
            tell(2, &event("Node", "", EDGE, "u")),
            Answer::Entry("is not the node"),
        ),
        (
            "an event about a Secret",
            tell(3, &event("Secret", ns, "hush", "u")),
            Answer::Entry("neither Pod nor Node"),
        ),
        (
            "an event about nothing",
            tell(4, &json!({"reason": "Forged"})),
            Answer::Entry("regarding is missing"),
        ),
        (
            "an event without a UID",
            tell(5, &event("Pod", ns, "own", "")),
            Answer::Entry("lacks namespace, name or uid"),
        ),
        (
            "an event without a reason",
            tell(6, &mine(&|event| event["reason"] = json!(""))),
            Answer::Entry("reason is missing"),
        ),
        (
            "an event with a long reason",
            tell(7, &mine(&|event| event["reason"] = json!("x".repeat(999)))),
            Answer::Entry("longer than"),
        ),
        (
            "an event of a type that is none",
            tell(8, &mine(&|event| event["type"] = json!("Panic"))),
            Answer::Entry("neither Normal nor Warning"),
        ),
        ("an event that is a list", tell(9, &json!([])), Answer::Entry("regarding is missing")),
        (
            "an entry without a body",
            Entry { seq: 10, stream: "events".to_owned(), ..Entry::default() }.into(),
            Answer::Entry("no body"),
        ),
        (
            "a stream that nobody knows",
            Entry { seq: 11, stream: "commands".to_owned(), body: body(&json!({})), ..Entry::default() }
                .into(),
            Answer::Entry("is not known"),
        ),
    ];
    assert_eq!(cases.len(), 20);
    run(&scene, cases);
    flood_of_calls(&scene, &ask(asked(foreign)));
    let events = scene.world.kubectl(&["get", "events", "-o", "json"]).unwrap();
    assert!(!events.contains("Forged"), "an event that was refused was written");
    scene.nobody_else_noticed();
}

/// Ten thousand calls at once are answered or the session is ended; either way cloudcore goes on.
fn flood_of_calls(scene: &Scene, call: &UpFrame) {
    let session: Session = scene.session();
    for _ in 0..10_000 {
        // Refused for good once the session was ended for not taking its answers.
        if session.send(call.clone()).is_err() {
            break;
        }
    }
    drop(session);
    let again = scene.session();
    drop(again);
}
