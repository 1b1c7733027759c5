//! Who is refused, and that both sides say why.

use anyhow::{Context, Result};
use kit::{Clock, Masked};
use pki::{Authority, Bound, JoinToken, NodeIdentity, NodeKey, TokenSecret};
use serde_json::{Value, json};
use skerry_e2e::edge::EDGECORE_LOG;
use wire::down_frame::Content;
use wire::{Body, Call, RefusedCode, Report, TokenRequest, call, call_reply};

use crate::handmade::{LogSince, Member, Session, join};
use crate::world::{EDGE, PATIENCE, World, sleeper};

/// A join that must fail: what the node says last, and what cloudcore logs, name the reason.
fn expect_refused(world: &World, token: &str, name: &str, place: &str, reason: &str) {
    let log = LogSince::now(world.lab.cloud_log(1));
    let joined = join(&world.edge, token, name, place).unwrap();
    assert_eq!(joined.code, Some(1), "{reason}: {}", joined.last_line);
    assert!(
        joined.last_line.starts_with("error: ") && joined.last_line.contains(reason),
        "{}",
        joined.last_line
    );
    assert!(!joined.has_identity, "{reason}: there is an identity nevertheless");
    log.expect(&["may not join", reason]).unwrap();
}

#[test]
fn tokens_that_are_wrong_expired_used_up_or_for_others_are_refused_on_both_sides() {
    let world = World::new("join-refused");
    let token = world.lab.create_token(&["--node", "joiner"]).unwrap();

    let mut wrong: JoinToken = token.parse().unwrap();
    wrong.secret = Masked(TokenSecret::generate().unwrap());
    expect_refused(&world, &wrong.encode(), "joiner", "wrong", "has another secret");
    let mut unknown: JoinToken = token.parse().unwrap();
    unknown.id = JoinToken::new_id().unwrap();
    expect_refused(&world, &unknown.encode(), "joiner", "unknown", "is not known here");
    // The edge reads whom the token is for, and says so by itself; cloudcore does not rely on it.
    let joined = join(&world.edge, &token, "somebody", "other").unwrap();
    assert_eq!(joined.code, Some(1));
    assert!(joined.last_line.starts_with("error: the join token is for node"), "{}", joined.last_line);
    let anybody = JoinToken { bound: Bound::Pattern("*".to_owned()), ..token.parse().unwrap() };
    expect_refused(&world, &anybody.encode(), "somebody", "other", "is for node");

    let short = world.lab.create_token(&["--node", "joiner", "--ttl", "1s"]).unwrap();
    let id = short.parse::<JoinToken>().unwrap().id;
    world.wait("the token's end", || {
        let secret = world.lab.get(&["secret", "-n", "skerry-system", &format!("join-token-{id}")])?;
        Ok(Clock::system().wall().0 > number(&secret, "expires")?)
    });
    expect_refused(&world, &short, "joiner", "expired", "has expired");

    // What was refused so far has not used the token.
    let joined = join(&world.edge, &token, "joiner", "joiner").unwrap();
    assert_eq!(joined.code, Some(0), "{}", joined.last_line);
    assert!(joined.has_identity);
    expect_refused(&world, &token, "joiner", "again", "was used up");

    // A pattern token, even one created now, takes no name from the machine that has it.
    let pattern = world.lab.create_token(&["--pattern", "edge-*", "--uses", "2"]).unwrap();
    expect_refused(&world, &pattern, EDGE, "taken", "is taken by another key");
    let anybody = JoinToken { bound: Bound::Pattern("*".to_owned()), ..pattern.parse().unwrap() };
    expect_refused(&world, &anybody.encode(), "joiner", "misfit", "is for nodes named like");
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    forget(&world, "joiner");
}

#[test]
fn a_token_that_is_none_or_of_another_cluster_is_refused_before_anything_is_told() {
    let world = World::new("join-elsewhere");
    let joined = join(&world.edge, "nonsense", "joiner", "nonsense").unwrap();
    assert_eq!(joined.code, Some(1));
    assert!(joined.last_line.starts_with("error: "), "{}", joined.last_line);

    // Its pin is another CA's: the server is not the one that the token speaks of, and must not see the secret.
    let mut elsewhere: JoinToken = world.lab.create_token(&["--node", "joiner"]).unwrap().parse().unwrap();
    elsewhere.pin = Authority::create(Clock::system().wall()).unwrap().pin().unwrap();
    let joined = join(&world.edge, &elsewhere.encode(), "joiner", "elsewhere").unwrap();
    assert_eq!(joined.code, Some(1));
    assert!(joined.last_line.starts_with("error: ") && !joined.has_identity, "{}", joined.last_line);
    let secret =
        world.lab.get(&["secret", "-n", "skerry-system", &format!("join-token-{}", elsewhere.id)]).unwrap();
    assert_eq!(text(&secret, "used").unwrap(), "[]");
}

#[test]
fn a_certificate_of_another_ca_opens_no_connection() {
    let world = World::new("another-ca");
    let member = Member::join(&world.lab, &world.edge, "by-hand", "by-hand").unwrap();
    let clock = Clock::system();
    let authority = Authority::create(clock.wall()).unwrap();
    let key = NodeKey::generate().unwrap();
    let request = Authority::check_request(&key.request("by-hand").unwrap()).unwrap();
    let certificate = authority.issue_node("by-hand", &request, clock.wall()).unwrap();
    let forged = NodeIdentity::new(&key, &certificate).unwrap();

    let log = LogSince::now(world.lab.cloud_log(1));
    // The alert may come after the client's own handshake is over: with the first thing that is read.
    let refused = Session::connect(&world.lab, &forged, &member.bundle)
        .and_then(|mut session| session.next(|content| Some(format!("{content:?}"))))
        .expect_err("a certificate of another CA was taken");
    assert!(format!("{refused:#}").to_lowercase().contains("alert"), "{refused:#}");
    log.expect(&["connection refused", "certificate"]).unwrap();

    // The same with the right certificate is a session, so it was the certificate.
    let (_session, answer) = Session::hello(&world.lab, &member, "by-hand").unwrap();
    assert!(matches!(answer, Content::Welcome(_)), "{answer:?}");
    forget(&world, "by-hand");
}

#[test]
fn a_node_gets_and_says_nothing_in_anothers_name() {
    let world = World::new("anothers-name");
    world.apply(&sleeper("foreign", EDGE));
    // Bound from the beginning: there is no Node that the scheduler could find.
    let own = sleeper("own", "").replace("nodeSelector: {kubernetes.io/hostname: }", "nodeName: by-hand");
    world.apply(&own);
    let foreign = world.ready("app=foreign", 1).remove(0);
    let own = world.pod("own").unwrap();
    let member = Member::join(&world.lab, &world.edge, "by-hand", "by-hand").unwrap();

    let log = LogSince::now(world.lab.cloud_log(1));
    let (_, answer) = Session::hello(&world.lab, &member, EDGE).unwrap();
    let Content::Refused(refused) = answer else { panic!("{answer:?}") };
    assert_eq!(refused.code, RefusedCode::WrongName as i32);
    assert!(refused.reason.contains("the certificate is that of node by-hand"), "{}", refused.reason);
    log.expect(&["session refused", "wrong_name", "the certificate is that of node by-hand"]).unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();

    let (mut session, answer) = Session::hello(&world.lab, &member, "by-hand").unwrap();
    assert!(matches!(answer, Content::Welcome(_)), "{answer:?}");
    let mut ask = |id, pod: &skerry_e2e::view::PodSeen| {
        session.send(token_call(id, &world.namespace, pod)).unwrap();
        session.next(|content| {
            if let Content::CallReply(reply) = content
                && reply.id == id
            {
                return reply.result.clone();
            }
            None
        })
    };
    let Ok(call_reply::Result::Err(failure)) = ask(1, &foreign) else { panic!("a token for a foreign pod") };
    assert_eq!(failure.status, 403, "{}", failure.reason);
    assert!(failure.reason.contains("spec.nodeName is not by-hand"), "{}", failure.reason);
    log.expect(&["no token", "by-hand", "403", "spec.nodeName is not by-hand"]).unwrap();
    // Its own pod's token it gets: the refusal was for the pod's node and nothing else.
    let answer = ask(2, &own).unwrap();
    assert!(matches!(answer, call_reply::Result::Ok(_)), "{answer:?}");

    let reason = report_failed(&mut session, &world.namespace, &foreign);
    assert!(reason.contains("spec.nodeName"), "{reason}");
    log.expect(&["by-hand", "refused", "spec.nodeName"]).unwrap();
    let still = world.pod("foreign").unwrap();
    assert_eq!((still.phase.as_str(), still.life()), ("Running", foreign.life()));
    world.kubectl(&["delete", "pod", "own", "--force", "--grace-period=0"]).unwrap();
    forget(&world, "by-hand");
}

#[test]
fn a_node_deleted_or_without_a_record_is_turned_away_with_the_reason() {
    let world = World::new("revoked");
    let member = Member::join(&world.lab, &world.edge, "by-hand", "by-hand").unwrap();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "by-hand"}});
    world.lab.apply(&node.to_string()).unwrap();
    let (mut session, answer) = Session::hello(&world.lab, &member, "by-hand").unwrap();
    assert!(matches!(answer, Content::Welcome(_)), "{answer:?}");

    let log = LogSince::now(world.lab.cloud_log(1));
    world.lab.kubectl(&["delete", "node", "by-hand"]).unwrap();
    let goodbye = session.next(|content| {
        if let Content::GoAway(goodbye) = content { Some(goodbye.reason.clone()) } else { None }
    });
    assert!(goodbye.as_ref().is_ok_and(|reason| reason.contains("deleted")), "{goodbye:?}");
    world.wait("the record revoked", || {
        let record = world.lab.get(&["configmap", "-n", "skerry-system", "node-identity-by-hand"])?;
        Ok(record.pointer("/data/revoked").is_some())
    });
    expect_revoked(&world, &member, "the Node was deleted");
    log.expect(&["session refused", "revoked", "the Node was deleted"]).unwrap();

    // A token created now lets the name in again, under a new key; the old one stays out.
    let again = Member::join(&world.lab, &world.edge, "by-hand", "another-place").unwrap();
    let (_session, answer) = Session::hello(&world.lab, &again, "by-hand").unwrap();
    assert!(matches!(answer, Content::Welcome(_)), "{answer:?}");
    expect_revoked(&world, &member, "has another key since");
    forget(&world, "by-hand");
    expect_revoked(&world, &again, "has no identity record");
}

#[test]
fn no_token_takes_over_a_node_that_is_no_edge() {
    let world = World::new("ordinary");
    // A node of the cluster that never joined here: its name has no record, and it is not labelled as an edge.
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ordinary-1"}});
    world.lab.apply(&node.to_string()).unwrap();
    let pattern = world.lab.create_token(&["--pattern", "ordinary-*"]).unwrap();
    expect_refused(&world, &pattern, "ordinary-1", "ordinary", "a Node \"ordinary-1\" exists already");
    let exact = world.lab.create_token(&["--node", "ordinary-1"]).unwrap();
    expect_refused(&world, &exact, "ordinary-1", "ordinary", "it is no edge's");
    let record = world.lab.get(&["configmap", "-n", "skerry-system", "node-identity-ordinary-1"]);
    assert!(record.is_err(), "a refused join leaves a record: {record:?}");

    // The refusal has not used the token; a name that nobody has is let in by it.
    let joined = join(&world.edge, &pattern, "ordinary-2", "ordinary-2").unwrap();
    assert_eq!(joined.code, Some(0), "{}", joined.last_line);
    // Once somebody says that the Node is an edge's, it goes to whoever was given its very name.
    world.lab.kubectl(&["label", "node", "ordinary-1", "node-role.kubernetes.io/edge="]).unwrap();
    let member = Member::join(&world.lab, &world.edge, "ordinary-1", "meant").unwrap();
    let (_session, answer) = Session::hello(&world.lab, &member, "ordinary-1").unwrap();
    assert!(matches!(answer, Content::Welcome(_)), "{answer:?}");
    world.lab.kubectl(&["delete", "node", "ordinary-1"]).unwrap();
    forget(&world, "ordinary-1");
    forget(&world, "ordinary-2");
}

#[test]
fn an_edge_whose_node_was_deleted_keeps_its_pods_and_says_why_it_is_alone() {
    let world = World::new("node-deleted");
    let edge = world.add_edge("edge-2");
    world.apply(&sleeper("left", "edge-2"));
    let pods = world.ready("app=left", 1);
    let containers = World::containers(&edge, &pods);
    let (log, cloud) = (LogSince::now(edge.path(EDGECORE_LOG)), LogSince::now(world.lab.cloud_log(1)));
    world.lab.kubectl(&["delete", "node", "edge-2"]).unwrap();
    cloud.expect(&["session refused", "edge-2", "the Node was deleted"]).unwrap();
    log.expect(&["the Node was deleted"]).unwrap();
    assert_eq!(
        World::containers(&edge, &pods),
        containers,
        "what runs goes on until the edge is joined again"
    );

    // Joined again by a token of today it is a node again.
    edge.kill().unwrap();
    edge.join().unwrap();
    edge.start().unwrap();
    world.lab.wait_node("edge-2", "True", PATIENCE).unwrap();
    edge.rm().unwrap();
    world.lab.kubectl(&["delete", "node", "edge-2", "--ignore-not-found"]).unwrap();
}

fn expect_revoked(world: &World, member: &Member, reason: &str) {
    let (_, answer) = Session::hello(&world.lab, member, &member.name).unwrap();
    let Content::Refused(refused) = answer else { panic!("{answer:?}") };
    assert_eq!(refused.code, RefusedCode::Revoked as i32, "{}", refused.reason);
    assert!(refused.reason.contains(reason), "{}", refused.reason);
}

/// Asks for the token that the API server's default admission projects into this pod.
fn token_call(id: u64, namespace: &str, pod: &skerry_e2e::view::PodSeen) -> Call {
    Call {
        id,
        deadline_ms: 10_000,
        request: Some(call::Request::Token(TokenRequest {
            namespace: namespace.to_owned(),
            service_account: "default".to_owned(),
            pod_name: pod.name.clone(),
            pod_uid: pod.uid.clone(),
            audiences: Vec::new(),
            expiration_seconds: 3607,
        })),
    }
}

/// Reports a pod as failed; the reason of the refusal.
fn report_failed(session: &mut Session, namespace: &str, pod: &skerry_e2e::view::PodSeen) -> String {
    let body = json!({"status": {"phase": "Failed", "reason": "Forged"}}).to_string();
    session
        .send(Report {
            id: 7,
            kind: "Pod".to_owned(),
            namespace: namespace.to_owned(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            body: Some(Body::pack(body.as_bytes()).unwrap()),
        })
        .unwrap();
    let reason = session.next(|content| {
        if let Content::ReportRefused(refused) = content {
            return Some(refused.reason.clone());
        }
        matches!(content, Content::ReportAck(_)).then(|| "the report was taken".to_owned())
    });
    reason.unwrap()
}

/// Removes what the cluster knows of a node that was made by hand.
fn forget(world: &World, node: &str) {
    let _ = world.lab.kubectl(&["delete", "lease", "-n", "kube-node-lease", node, "--ignore-not-found"]);
    world
        .lab
        .kubectl(&["delete", "configmap", "-n", "skerry-system", &format!("node-identity-{node}")])
        .unwrap();
    world.edge.exec(&["rm", "-rf", "/var/lib/skerry/by-hand"]).unwrap();
}

/// A key of a Secret.
fn text(secret: &Value, key: &str) -> Result<String> {
    use base64::Engine;
    let encoded = secret.pointer(&format!("/data/{key}")).and_then(Value::as_str);
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.context("no such key")?)?;
    Ok(String::from_utf8(bytes)?)
}

fn number(secret: &Value, key: &str) -> Result<i64> {
    Ok(text(secret, key)?.parse()?)
}
