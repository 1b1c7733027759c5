//! Whose word counts, and who may not run as root.

use super::*;
use serde_json::{Value, json};

fn image(uid: Option<i64>, username: &str) -> Image {
    Image { id: "i".to_owned(), names: Vec::new(), uid, username: username.to_owned(), size: 1 }
}

fn of(of_pod: &Value, own: &Value, image: &Image) -> Result<Security, SpecError> {
    let pod = json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
        "spec": {"securityContext": of_pod, "containers": [{"name": "c", "securityContext": own}]},
    });
    let pod: Pod = serde_json::from_str(&pod.to_string()).unwrap_or_default();
    let container = pod.spec.as_ref().map(|spec| spec.containers[0].clone()).unwrap_or_default();
    security(&pod, &container, image)
}

#[test]
fn an_selinux_context_is_taken_whole() {
    let of_pod = json!({"seLinuxOptions": {"level": "s0", "type": "t"}});
    let level = |own: &Value| of(&of_pod, own, &image(Some(9), "")).unwrap().selinux.unwrap();
    let of_the_pod = SeLinux { level: "s0".to_owned(), kind: "t".to_owned(), ..SeLinux::default() };
    assert_eq!(level(&json!({})), of_the_pod);
    let own = SeLinux { level: "s1".to_owned(), ..SeLinux::default() };
    assert_eq!(level(&json!({"seLinuxOptions": {"level": "s1"}})), own);
    assert_eq!(of(&json!({}), &json!({}), &image(Some(9), "")).unwrap().selinux, None);
}

#[test]
fn the_containers_word_counts_over_the_pods() {
    let of_pod = json!({
        "runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4, 5],
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let found = of(&of_pod, &json!({}), &image(Some(9), "")).unwrap();
    assert_eq!((found.run_as_user, found.run_as_group), (Some(1), Some(2)));
    assert_eq!(found.supplemental_groups, [3, 4, 5]);
    assert_eq!(found.seccomp, Seccomp::RuntimeDefault);
    assert!(!found.privileged && !found.readonly_rootfs && !found.no_new_privs);
    let own = json!({
        "runAsUser": 10, "runAsGroup": 20, "privileged": true, "readOnlyRootFilesystem": true,
        "capabilities": {"add": ["NET_ADMIN", "CAP_SYS_TIME"], "drop": ["ALL"]},
        "seccompProfile": {"type": "Unconfined"},
    });
    let found = of(&of_pod, &own, &image(None, "")).unwrap();
    assert_eq!((found.run_as_user, found.run_as_group), (Some(10), Some(20)));
    assert_eq!(found.add_capabilities, ["NET_ADMIN", "SYS_TIME"]);
    assert_eq!(found.drop_capabilities, ["ALL"]);
    assert_eq!(found.seccomp, Seccomp::Unconfined);
    assert!(found.privileged && found.readonly_rootfs);
}

#[test]
fn escalation_is_only_stopped_where_asked() {
    let asked = |value: Value| of(&json!({}), &value, &image(None, "")).unwrap().no_new_privs;
    assert!(asked(json!({"allowPrivilegeEscalation": false})));
    assert!(!asked(json!({"allowPrivilegeEscalation": true})));
    assert!(!asked(json!({})));
}

#[test]
fn the_image_says_who_runs_where_nobody_else_does() {
    let user = |image: &Image| of(&json!({}), &json!({}), image).unwrap().run_as_user;
    assert_eq!(user(&image(Some(1000), "")), Some(1000));
    assert_eq!(user(&image(None, "")), Some(0));
    assert_eq!(user(&image(None, "nginx")), None);
}

#[test]
fn a_group_goes_with_the_user_that_the_image_names() {
    let check = |own: &Value, image: &Image, user, name: &str| {
        let found = of(&json!({"runAsGroup": 7}), own, image).unwrap();
        assert_eq!((found.run_as_user, found.run_as_username.as_str()), (user, name), "{own} {image:?}");
        assert_eq!(found.run_as_group, Some(7));
    };
    check(&json!({}), &image(None, "nginx"), None, "nginx");
    check(&json!({"runAsUser": 5}), &image(None, "nginx"), Some(5), "");
    check(&json!({}), &image(Some(9), "nginx"), Some(9), "");
    check(&json!({}), &image(None, ""), Some(0), "");
}

#[test]
fn root_is_refused_where_asked_in_upstreams_words() {
    let must = json!({"runAsNonRoot": true});
    let message = |of_pod: &Value, own: &Value, image: &Image| of(of_pod, own, image).unwrap_err();
    let error = message(&must, &json!({"runAsUser": 0}), &image(Some(1), ""));
    assert_eq!(error.reason, "CreateContainerConfigError");
    assert_eq!(
        error.message,
        r#"container's runAsUser breaks non-root policy (pod: "p_ns(u)", container: c)"#
    );
    assert_eq!(
        message(&json!({}), &must, &image(None, "nginx")).message,
        r#"container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user is non-root (pod: "p_ns(u)", container: c)"#
    );
    for root in [image(Some(0), ""), image(None, "")] {
        assert_eq!(
            message(&must, &json!({}), &root).message,
            r#"container has runAsNonRoot and image will run as root (pod: "p_ns(u)", container: c)"#
        );
    }
    assert!(message(&must, &json!({}), &image(Some(1 << 40), "")).message.contains("invalid user id"));
    assert!(of(&must, &json!({}), &image(Some(5), "")).is_ok());
    assert!(of(&must, &json!({"runAsUser": 5}), &image(None, "nginx")).is_ok());
    assert!(of(&must, &json!({"runAsNonRoot": false}), &image(None, "")).is_ok());
}
