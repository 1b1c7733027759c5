//! Who serves a node, and what those who ask are told.

use super::*;
use crate::connected::Shown;

const OWN: Endpoint = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 4000);
const OTHER: Endpoint = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 4000);

fn node(connected: Option<bool>, endpoint: Option<Endpoint>) -> NodeSeen {
    let connected = connected.map(|status| Shown {
        status,
        reason: "SessionEnded".into(),
        message: "the session ended: silent; its pods stay (autonomy: forever)".into(),
        since: Some(WallTime(0)),
    });
    NodeSeen { name: "edge".into(), edge: true, connected, endpoint, ..NodeSeen::default() }
}

fn ended() -> Session {
    Session::Ended { epoch: 3, at: kit::Elapsed::default(), wall: WallTime(0), cause: "silent".to_owned() }
}

#[test]
fn whoever_has_the_session_serves_it() {
    let open = Session::Open { epoch: 3 };
    for endpoint in [None, Some(OWN), Some(OTHER)] {
        let shown = node(Some(true), endpoint);
        assert_eq!(serves(&shown, Some(&open), false, OWN.ip()), Serves::Anywhere);
    }
}

#[test]
fn one_without_a_session_is_served_where_its_node_says_until_the_leader_takes_it() {
    let (here, there, nowhere) =
        (node(Some(true), Some(OWN)), node(Some(true), Some(OTHER)), node(Some(true), None));
    assert_eq!(serves(&here, Some(&ended()), false, OWN.ip()), Serves::AsNamed);
    assert_eq!(serves(&here, None, true, OWN.ip()), Serves::AsNamed, "connected, for all that is known");
    assert_eq!(serves(&there, Some(&ended()), true, OWN.ip()), Serves::Not);
    assert_eq!(serves(&nowhere, None, true, OWN.ip()), Serves::Not);
    let away = node(Some(false), Some(OTHER));
    assert_eq!(serves(&away, None, true, OWN.ip()), Serves::Anywhere);
    assert_eq!(serves(&away, None, false, OWN.ip()), Serves::Not);
    let ordinary = NodeSeen { edge: false, ..away };
    assert_eq!(serves(&ordinary, None, true, OWN.ip()), Serves::Not, "no edge");
}

#[test]
fn those_who_ask_are_told_where_it_is() {
    let open = Session::Open { epoch: 3 };
    let told = |node: Option<&NodeSeen>, session: Option<&Session>| place("edge", node, session, OWN);
    assert_eq!(told(Some(&node(Some(true), Some(OWN))), Some(&open)), Place::Here);
    assert_eq!(told(Some(&node(Some(false), None)), Some(&open)), Place::Here);
    assert_eq!(told(Some(&node(Some(true), Some(OTHER))), Some(&ended())), Place::There(OTHER));
    assert_eq!(told(Some(&node(Some(true), Some(OWN))), Some(&ended())), Place::Moving);
    assert_eq!(told(Some(&node(None, None)), None), Place::Moving);
    let away = "node \"edge\" is disconnected since 1970-01-01T00:00:00Z: the session ended: silent";
    assert_eq!(told(Some(&node(Some(false), Some(OWN))), None), Place::Away(away.to_owned()));
    assert_eq!(told(None, None), Place::Away("node \"edge\" does not exist".to_owned()));
}

#[test]
fn a_patch_leaves_one_address() {
    let patched = patch(None, Some(OWN), ("u", "7"), WallTime(0));
    let expected = json!({
        "metadata": {"uid": "u", "resourceVersion": "7"},
        "status": {
            "addresses": [{"$patch": "replace"}, {"type": "InternalIP", "address": "10.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 4000}},
        },
    });
    assert_eq!(patched, expected);
}
