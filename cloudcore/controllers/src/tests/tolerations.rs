//! Tolerations under every policy, against what the API allows to be changed.

use proptest::prelude::*;

use super::*;

fn default(taint: usize, seconds: Option<i64>) -> Value {
    let mut toleration = json!({"key": TAINTS[taint], "operator": "Exists", "effect": "NoExecute"});
    if let Some(seconds) = seconds {
        toleration["tolerationSeconds"] = json!(seconds);
    }
    toleration
}

fn defaults() -> Vec<Value> {
    vec![default(0, Some(300)), default(1, Some(300))]
}

fn asked(tolerations: &[Value], came_with: Option<&'static str>, autonomy: Autonomy) -> Option<Change> {
    plan(&Asked { tolerations, came_with, autonomy, tainted: false })
}

#[test]
fn a_pod_stays_for_ever_and_gets_its_seconds_back() {
    let change = asked(&defaults(), None, Autonomy::Forever).unwrap();
    assert_eq!(change.tolerations, [default(0, None), default(1, None)]);
    let came_with = "not-ready=300,unreachable=300";
    assert_eq!(change.came_with.as_deref(), Some(came_with));
    assert_eq!(asked(&change.tolerations, Some(came_with), Autonomy::Forever), None, "it is as it should be");
    let back = asked(&change.tolerations, Some(came_with), Autonomy::Off).unwrap();
    assert_eq!((back.tolerations, back.came_with), (defaults(), None));
    assert_eq!(asked(&defaults(), None, Autonomy::Off), None, "outside the policy nothing is touched");
}

#[test]
fn a_time_is_raised_and_lowered() {
    let day = asked(&defaults(), None, Autonomy::Seconds(86_400)).unwrap();
    assert_eq!(day.tolerations, [default(0, Some(86_400)), default(1, Some(86_400))]);
    let came_with = "not-ready=300,unreachable=300";
    assert_eq!(day.came_with.as_deref(), Some(came_with));
    let minute = asked(&day.tolerations, Some(came_with), Autonomy::Seconds(60)).unwrap();
    assert_eq!(minute.tolerations, [default(0, Some(60)), default(1, Some(60))]);
    assert_eq!(minute.came_with.as_deref(), Some(came_with), "what it came with is not forgotten");
}

#[test]
fn what_the_user_wrote_stays() {
    let users = [
        default(0, None),
        json!({"key": TAINTS[1], "operator": "Exists", "effect": "", "tolerationSeconds": 60}),
        json!({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}),
    ];
    for autonomy in [Autonomy::Forever, Autonomy::Off, Autonomy::Seconds(5)] {
        assert_eq!(asked(&users, None, autonomy), None);
        assert_eq!(asked(&[json!({"operator": "Exists"})], None, autonomy), None);
        let twice = [default(0, Some(1)), default(0, Some(9)), default(1, None)];
        assert_eq!(asked(&twice, None, autonomy), None, "who wrote several meant it");
    }
    let mixed = [users[2].clone(), default(0, Some(300)), users[1].clone()];
    let change = asked(&mixed, None, Autonomy::Forever).unwrap();
    assert_eq!(change.tolerations, [users[2].clone(), default(0, None), users[1].clone()]);
    assert_eq!(change.came_with.as_deref(), Some("not-ready=300"));
}

#[test]
fn without_the_admission_plugin_they_are_added() {
    let change = asked(&[], None, Autonomy::Forever).unwrap();
    assert_eq!(change.tolerations, [default(0, None), default(1, None)]);
    let off = asked(
        &change.tolerations,
        change.came_with.clone().as_deref().map(|_| "not-ready=0,unreachable=0"),
        Autonomy::Off,
    );
    assert_eq!(off.unwrap().tolerations, [default(0, Some(0)), default(1, Some(0))], "as without any");
    assert_eq!(asked(&[], None, Autonomy::Off), None);
}

#[test]
fn a_deletion_that_is_scheduled_is_called_off_before_it_is_moved() {
    let came_with = Some("not-ready=300,unreachable=300");
    let day = [default(0, Some(86_400)), default(1, Some(86_400))];
    for autonomy in [Autonomy::Seconds(60), Autonomy::Off] {
        let tainted = |tolerations| plan(&Asked { tolerations, came_with, autonomy, tainted: true });
        let first = tainted(&day).unwrap();
        assert_eq!(first.tolerations, [default(0, None), default(1, None)]);
        assert!(first.again && first.came_with.as_deref() == came_with);
        let second = tainted(&first.tolerations).unwrap();
        assert!(!second.again);
        let seconds = if autonomy == Autonomy::Off { 300 } else { 60 };
        assert_eq!(second.tolerations, [default(0, Some(seconds)), default(1, Some(seconds))]);
    }
}

#[test]
fn a_change_is_made_long_before_an_eviction_can_be_due() {
    assert_eq!(patience(&defaults()), PATIENCE);
    assert_eq!(patience(&[default(0, Some(300)), default(1, Some(3))]), Duration::from_millis(600));
    assert_eq!(patience(&[default(0, Some(3600)), default(1, Some(-1))]), Duration::ZERO);
    assert_eq!(patience(&[default(0, None), default(1, None)]), PATIENCE);
    assert_eq!(patience(&[default(0, Some(300))]), Duration::ZERO, "without one it goes at once");
}

#[test]
fn the_patch_is_for_one_version_of_one_pod() {
    let change = asked(&defaults(), Some("not-ready=300,unreachable=300"), Autonomy::Off).unwrap();
    let patch = patch(&change, "u", "7");
    assert_eq!(patch["metadata"]["uid"], "u");
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    assert_eq!(patch["metadata"]["annotations"], json!({(CAME_WITH): null}));
}

fn toleration() -> impl Strategy<Value = Value> {
    let seconds = prop_oneof![Just(None), (0_i64..400).prop_map(Some)];
    let users = prop_oneof![
        Just(json!({"operator": "Exists"})),
        Just(json!({"key": "gpu", "operator": "Exists"})),
        Just(json!({"key": TAINTS[0], "operator": "Equal", "effect": "NoExecute", "tolerationSeconds": 9})),
    ];
    prop_oneof![
        4 => (0_usize..2, seconds).prop_map(|(taint, seconds)| default(taint, seconds)),
        1 => users,
    ]
}

fn autonomy() -> impl Strategy<Value = Autonomy> {
    prop_oneof![Just(Autonomy::Forever), Just(Autonomy::Off), (0_u32..900).prop_map(Autonomy::Seconds)]
}

/// The rule of the API server's pod validation: each old toleration is still there but for its seconds.
fn allowed(old: &[Value], new: &[Value]) -> bool {
    let bare = |toleration: &Value| {
        let mut toleration = toleration.clone();
        toleration.as_object_mut().unwrap().remove("tolerationSeconds");
        toleration
    };
    old.iter().all(|old| new.iter().any(|new| bare(old) == bare(new)))
}

proptest! {
    /// Whatever pods and policies follow each other: every change is one that the API allows, two plans at most bring the
    /// pod to rest, and `off` at the end leaves what the pod came with (and at most adds what tolerates nothing).
    #[test]
    fn policies_come_and_go_and_leave_no_trace(
        original in prop::collection::vec(toleration(), 0..4),
        policies in prop::collection::vec((autonomy(), any::<bool>()), 0..6),
    ) {
        let mut pod = (original.clone(), None::<String>);
        for (autonomy, tainted) in policies.into_iter().chain([(Autonomy::Off, true)]) {
            for round in 0..3 {
                let asked = Asked { tolerations: &pod.0, came_with: pod.1.as_deref(), autonomy, tainted };
                let Some(change) = plan(&asked) else { break };
                prop_assert!(round < 2, "it does not come to rest: {change:?}");
                prop_assert!(allowed(&pod.0, &change.tolerations));
                prop_assert_eq!(change.again, round == 0 && change.again, "a third change would follow");
                pod = (change.tolerations, change.came_with);
            }
        }
        prop_assert_eq!(&pod.0[..original.len()], &original[..]);
        for added in &pod.0[original.len()..] {
            prop_assert_eq!(&added["tolerationSeconds"], &json!(0));
        }
        prop_assert_eq!(pod.1, None);
    }
}
