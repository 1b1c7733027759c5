//! What volumes hold, pod by pod.

use super::*;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectFieldSelector, ResourceFieldSelector, Secret};
use kit::Masked;

/// Answers with what it was asked for.
struct Echo;

impl Downward for Echo {
    fn field(&self, field: &ObjectFieldSelector) -> Result<String, String> {
        if field.field_path == "bad" {
            Err("unsupported fieldPath: bad".to_owned())
        } else {
            Ok(field.field_path.clone())
        }
    }

    fn resource(&self, resource: &ResourceFieldSelector) -> Result<String, String> {
        Ok(resource.resource.clone())
    }
}

fn pod(volumes: &str, rest: &str) -> Pod {
    let containers = if rest.contains("containers") { "" } else { r#","containers":[{"name":"c"}]"# };
    serde_json::from_str(&format!(r#"{{"spec":{{"volumes":{volumes}{rest}{containers}}}}}"#)).unwrap()
}

fn sources() -> Sources {
    let mut sources = Sources::default();
    let config: ConfigMap = serde_json::from_str(r#"{"data":{"a":"1","b":"2"}}"#).unwrap();
    let secret: Secret = serde_json::from_str(r#"{"data":{"password":"aHVudGVyMg=="}}"#).unwrap();
    sources.config_maps.insert("config".to_owned(), config);
    sources.secrets.insert("secret".to_owned(), Masked(secret));
    sources.tokens.insert(
        TokenWant { audience: String::new(), expiration_seconds: 3607 },
        Masked("token-text".to_owned()),
    );
    sources
}

fn one(volume: &str, rest: &str) -> Result<Kind, String> {
    let plan = plan(&pod(&format!("[{volume}]"), rest), &sources(), &Echo);
    match (plan.volumes.into_iter().next(), plan.problems.into_iter().next()) {
        (Some(volume), None) => Ok(volume.kind),
        (_, problem) => Err(problem.map(|problem| problem.to_string()).unwrap_or_default()),
    }
}

fn payload(kind: Kind) -> Vec<(String, String, u32)> {
    let Kind::Files { payload, .. } = kind else { panic!("{kind:?}") };
    payload
        .into_iter()
        .map(|(path, file)| (path, String::from_utf8(file.content.0).unwrap(), file.mode))
        .collect()
}

fn file(path: &str, content: &str, mode: u32) -> (String, String, u32) {
    (path.to_owned(), content.to_owned(), mode)
}

#[test]
fn config_maps_lie_on_disk_and_secrets_in_memory() {
    let config = one(r#"{"name":"v","configMap":{"name":"config","defaultMode":256}}"#, "").unwrap();
    assert!(matches!(config, Kind::Files { memory: false, .. }));
    assert_eq!(payload(config), [file("a", "1", 0o400), file("b", "2", 0o400)]);
    let secret = one(r#"{"name":"v","secret":{"secretName":"secret"}}"#, "").unwrap();
    assert!(matches!(secret, Kind::Files { memory: true, .. }));
    assert_eq!(payload(secret), [file("password", "hunter2", 0o644)]);
}

#[test]
fn what_is_missing_is_named_in_upstreams_words() {
    for (volume, message) in [
        (
            r#"{"name":"v","configMap":{"name":"nope"}}"#,
            r#"MountVolume.SetUp failed for volume "v" : configmap "nope" not found"#,
        ),
        (
            r#"{"name":"v","secret":{"secretName":"nope"}}"#,
            r#"MountVolume.SetUp failed for volume "v" : secret "nope" not found"#,
        ),
        (
            r#"{"name":"v","secret":{"secretName":"secret","items":[{"key":"k","path":"p"}]}}"#,
            r#"MountVolume.SetUp failed for volume "v" : references non-existent secret key: k"#,
        ),
        (
            r#"{"name":"v","configMap":{"name":"config","items":[{"key":"k","path":"p"}]}}"#,
            r#"MountVolume.SetUp failed for volume "v" : configmap references non-existent config key: k"#,
        ),
        (
            r#"{"name":"v","projected":{"sources":[{"secret":{"name":"x"}},{"configMap":{"name":"y"}}]}}"#,
            r#"MountVolume.SetUp failed for volume "v" : [secret "x" not found, configmap "y" not found]"#,
        ),
    ] {
        assert_eq!(one(volume, "").unwrap_err(), message);
    }
}

#[test]
fn what_was_deleted_is_kept_for_those_that_cannot_do_without_it() {
    let mut sources = sources();
    sources.deleted_config_maps.insert("config".to_owned());
    sources.deleted_secrets.insert("secret".to_owned());
    let files = |volume: &str| {
        let plan = plan(&pod(&format!("[{volume}]"), ""), &sources, &Echo);
        payload(plan.volumes.into_iter().next().unwrap().kind).len()
    };
    for (volume, kept) in [
        (r#"{"name":"v","configMap":{"name":"config"OPTIONAL}}"#, 2),
        (r#"{"name":"v","secret":{"secretName":"secret"OPTIONAL}}"#, 1),
        (r#"{"name":"v","projected":{"sources":[{"configMap":{"name":"config"OPTIONAL}}]}}"#, 2),
    ] {
        assert_eq!(files(&volume.replace("OPTIONAL", "")), kept, "{volume}");
        assert_eq!(files(&volume.replace("OPTIONAL", r#","optional":true"#)), 0, "{volume}");
    }
}

#[test]
fn optional_objects_may_be_missing() {
    for volume in [
        r#"{"name":"v","configMap":{"name":"nope","optional":true}}"#,
        r#"{"name":"v","secret":{"secretName":"nope","optional":true,"items":[{"key":"k","path":"p"}]}}"#,
        r#"{"name":"v","projected":{"sources":[{"secret":{"name":"x","optional":true}}]}}"#,
    ] {
        assert_eq!(payload(one(volume, "").unwrap()), [], "{volume}");
    }
}

#[test]
fn one_bad_volume_leaves_the_others() {
    let pod = pod(r#"[{"name":"bad","secret":{"secretName":"nope"}},{"name":"good","emptyDir":{}}]"#, "");
    let plan = plan(&pod, &sources(), &Echo);
    assert_eq!(plan.volumes.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(plan.problems.len(), 1);
    assert_eq!(plan.problems[0].trouble, Trouble::Missing);
}

const ACCESS: &str = r#"{"name":"kube-api-access","projected":{"defaultMode":420,"sources":[
    {"serviceAccountToken":{"path":"token","expirationSeconds":3607}},
    {"configMap":{"name":"config","items":[{"key":"a","path":"ca.crt"}]}},
    {"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"fieldPath":"metadata.namespace"}}]}}]}}"#;

#[test]
fn the_api_access_volume_holds_its_three_files() {
    assert_eq!(
        payload(one(ACCESS, "").unwrap()),
        [
            file("ca.crt", "1", 0o644),
            file("namespace", "metadata.namespace", 0o644),
            file("token", "token-text", 0o644)
        ]
    );
    let grouped = payload(one(ACCESS, r#","securityContext":{"fsGroup":7}"#).unwrap());
    assert_eq!(grouped[2], file("token", "token-text", 0o640));
}

#[test]
fn a_token_belongs_to_the_user_all_containers_share() {
    let owner = |rest: &str| {
        let Kind::Files { payload, .. } = one(ACCESS, rest).unwrap() else { panic!("not files") };
        (payload["token"].owner, payload["token"].mode, payload["ca.crt"].owner)
    };
    let user = |user| format!(r#"{{"name":"c{user}","securityContext":{{"runAsUser":{user}}}}}"#);
    let containers = |list: &[String]| format!(r#","containers":[{}]"#, list.join(","));
    assert_eq!(owner(&containers(&[user(5), user(5)])), (5, 0o600, 0));
    assert_eq!(owner(&containers(&[user(5), user(6)])), (0, 0o644, 0));
    assert_eq!(owner(&containers(&[user(5), r#"{"name":"plain"}"#.to_owned()])), (0, 0o644, 0));
    let pod_wide =
        format!(r#","securityContext":{{"runAsUser":5}}{}"#, containers(&[r#"{"name":"plain"}"#.to_owned()]));
    assert_eq!(owner(&pod_wide), (5, 0o600, 0));
    // Who is put beside them later counts too, or could not read it.
    let beside = |user: String| format!(r#"{pod_wide},"ephemeralContainers":[{user}]"#);
    assert_eq!(owner(&beside(user(5))), (5, 0o600, 0));
    assert_eq!(owner(&beside(user(6))), (0, 0o644, 0));
}

#[test]
fn a_token_that_is_not_here_keeps_the_volume_waiting_and_says_why() {
    let volume = ACCESS.replace("3607", "600");
    let message = one(&volume, r#","serviceAccountName":"app""#).unwrap_err();
    assert!(message.contains(r#"none for service account "app""#), "{message}");
    let trouble =
        |volume: &str| plan(&pod(&format!("[{volume}]"), ""), &sources(), &Echo).problems[0].trouble;
    assert_eq!(trouble(&volume), Trouble::Awaited);
    // Something else is missing too: that does not come by itself.
    assert_eq!(trouble(&volume.replace(r#""name":"config""#, r#""name":"nope""#)), Trouble::Missing);

    let mut sources = sources();
    let want = TokenWant { audience: String::new(), expiration_seconds: 600 };
    sources.refusals.insert(want, r#"serviceaccounts "app" not found"#.to_owned());
    let plan = plan(&pod(&format!("[{volume}]"), ""), &sources, &Echo);
    assert_eq!(plan.problems[0].message, r#"failed to fetch token: serviceaccounts "app" not found"#);
    assert_eq!(plan.problems[0].trouble, Trouble::Missing);
}

#[test]
fn the_downward_api_gives_files() {
    let volume = r#"{"name":"v","downwardAPI":{"items":[
        {"path":"labels","fieldRef":{"fieldPath":"metadata.labels"},"mode":256},
        {"path":"cpu","resourceFieldRef":{"containerName":"c","resource":"limits.cpu"}}]}}"#;
    assert_eq!(
        payload(one(volume, "").unwrap()),
        [file("cpu", "limits.cpu", 0o644), file("labels", "metadata.labels", 0o400)]
    );
    let bad = volume.replace("metadata.labels", "bad");
    assert!(one(&bad, "").unwrap_err().ends_with("unsupported fieldPath: bad"));
}

#[test]
fn an_empty_dir_in_memory_is_as_large_as_its_users_may_be() {
    let medium = |volume: &str, rest: &str| {
        let Kind::Empty { medium, limit, .. } = one(volume, rest).unwrap() else { panic!("not empty") };
        (medium, limit.map(|limit| limit.bytes))
    };
    let memory = |limit: &str| format!(r#"{{"name":"v","emptyDir":{{"medium":"Memory"{limit}}}}}"#);
    let limited = r#","containers":[{"name":"c","resources":{"limits":{"memory":"1Mi"}}}]"#;
    assert_eq!(medium(r#"{"name":"v","emptyDir":{"sizeLimit":"1Gi"}}"#, ""), (Medium::Disk, Some(1 << 30)));
    assert_eq!(medium(r#"{"name":"v","emptyDir":{"sizeLimit":"0"}}"#, limited), (Medium::Disk, None));
    assert_eq!(medium(&memory(""), ""), (Medium::Memory, None));
    assert_eq!(medium(&memory(r#","sizeLimit":"4Ki""#), limited), (Medium::Memory, Some(4096)));
    assert_eq!(medium(&memory(r#","sizeLimit":"4Gi""#), limited), (Medium::Memory, Some(1 << 20)));
    assert_eq!(medium(&memory(r#","sizeLimit":"4Gi""#), ""), (Medium::Memory, Some(4 << 30)));
    assert!(one(r#"{"name":"v","emptyDir":{"medium":"HugePages"}}"#, "").unwrap_err().contains("HugePages"));
}

#[test]
fn what_can_never_be_is_refused() {
    for volume in [
        r#"{"name":"v","nfs":{"server":"s","path":"/"}}"#,
        r#"{"name":"v","hostPath":{"path":"relative"}}"#,
        r#"{"name":"v","hostPath":{"path":"/a/../b"}}"#,
        r#"{"name":"v","hostPath":{"path":"/a","type":"Pipe"}}"#,
        r#"{"name":"v","projected":{"sources":[{"clusterTrustBundle":{"path":"p","name":"n"}}]}}"#,
        r#"{"name":"v","configMap":{"name":"config","items":[{"key":"a","path":"../x"}]}}"#,
        r#"{"name":"v","emptyDir":{"sizeLimit":"much"}}"#,
    ] {
        let plan = plan(&pod(&format!("[{volume}]"), ""), &sources(), &Echo);
        assert_eq!(plan.problems.first().map(|problem| problem.trouble), Some(Trouble::Refused), "{volume}");
    }
    assert!(one(r#"{"name":"v","emptyDir":{}}"#, r#","securityContext":{"fsGroup":-1}"#).is_err());
}
