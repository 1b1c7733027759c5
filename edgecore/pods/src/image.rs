//! Images: when they are pulled, and with which credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Container, Secret};
use kit::Masked;
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::runtime::PullAuth;

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before every start. Without the registry the first start fails, as upstream has it; a pod that ran before goes on
    /// with the image it ran, since offline is normal here.
    Always,
    /// Where it is not on the node.
    IfNotPresent,
    /// Never.
    Never,
}

/// The pull policy of a container: its own, else `Always` for `:latest` and `IfNotPresent` for everything else.
pub fn pull_policy(container: &Container) -> PullPolicy {
    match container.image_pull_policy.as_deref() {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        Some("IfNotPresent") => PullPolicy::IfNotPresent,
        _ if tag(container.image.as_deref().unwrap_or_default()) == Some("latest") => PullPolicy::Always,
        _ => PullPolicy::IfNotPresent,
    }
}

/// Whether a pull failed because no registry answered at all. A registry that answered (no such image, no such rights)
/// has the last word.
pub fn unanswered(message: &str) -> bool {
    const SILENCE: [&str; 8] = [
        "no such host",
        "network is unreachable",
        "no route to host",
        "connection refused",
        "connection reset",
        "i/o timeout",
        "server misbehaving",
        "deadline exceeded",
    ];
    let message = message.to_ascii_lowercase();
    SILENCE.iter().any(|words| message.contains(words))
}

/// The tag an image name means; none where it names a digest.
fn tag(image: &str) -> Option<&str> {
    if image.contains('@') {
        return None;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    Some(last.rsplit_once(':').map_or("latest", |(_, tag)| tag))
}

/// The registry an image name means, and its path there.
fn registry(image: &str) -> (&str, String) {
    let plain = image.split('@').next().unwrap_or(image);
    match plain.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
        _ => ("docker.io", plain.to_owned()),
    }
}

/// One entry of a docker configuration. Never printed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

/// Credentials for an image out of pull secrets. What does not parse is named in the second list.
pub fn credentials(image: &str, secrets: &[(String, Secret)]) -> (Vec<PullAuth>, Vec<String>) {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    for (name, secret) in secrets {
        let data =
            |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
        let entries = match (data(".dockerconfigjson"), data(".dockercfg")) {
            (Some(json), _) => serde_json::from_slice::<Config>(json).map(|config| config.auths),
            (None, Some(json)) => serde_json::from_slice(json),
            (None, None) => Ok(BTreeMap::new()),
        };
        // The parser's words could quote the secret.
        let Ok(entries) = entries else {
            bad.push(format!("secret {name} is no docker configuration"));
            continue;
        };
        let fitting = entries.into_iter().filter(|(key, _)| fits(key, image));
        found.extend(fitting.filter_map(|(server, entry)| auth(server, entry)));
    }
    // The longest key is the most particular one.
    found.sort_by_key(|auth: &PullAuth| std::cmp::Reverse(auth.server.len()));
    (found, bad)
}

fn auth(server: String, entry: Entry) -> Option<PullAuth> {
    let (username, password) = if entry.auth.is_empty() {
        (entry.username, entry.password)
    } else {
        let decoded = String::from_utf8(STANDARD.decode(entry.auth.trim()).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        (username.to_owned(), password.to_owned())
    };
    Some(PullAuth { username, password: Masked(password), server })
}

/// Whether credentials under this key are for the image: same registry (a `*` stands for one part of its name), and a
/// path, where the key has one, that leads to the image.
fn fits(key: &str, image: &str) -> bool {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let hub = |host: &str| matches!(host, "index.docker.io" | "registry-1.docker.io" | "docker.io");
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    let (registry, wanted) = registry(image);
    let same_host = (hub(host) && hub(registry)) || {
        let (ours, theirs): (Vec<_>, Vec<_>) = (host.split('.').collect(), registry.split('.').collect());
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(our, their)| *our == "*" || *our == their)
    };
    let under = wanted
        .strip_prefix(path)
        .is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with(['/', ':']));
    same_host && under
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_silent_registry_is_told_from_one_that_says_no() {
        for silent in [
            "failed to do request: Head \"https://r.example/v2/a/manifests/1\": dial tcp: lookup r.example: no such host",
            "dial tcp 10.0.0.1:443: connect: network is unreachable",
            "dial tcp 10.0.0.1:443: i/o timeout",
        ] {
            assert!(unanswered(silent), "{silent}");
        }
        for answered in ["r.example/a:1: not found", "401 Unauthorized", "pull access denied"] {
            assert!(!unanswered(answered), "{answered}");
        }
    }

    #[test]
    fn latest_is_pulled_always() {
        let check = |image: &str, policy: Option<&str>, want| {
            let container =
                serde_json::from_value(json!({"name": "c", "image": image, "imagePullPolicy": policy}));
            assert_eq!(pull_policy(&container.unwrap()), want, "{image}");
        };
        check("a", None, PullPolicy::Always);
        check("host:5000/a", None, PullPolicy::Always);
        check("host:5000/a:1", None, PullPolicy::IfNotPresent);
        check("a@sha256:00", None, PullPolicy::IfNotPresent);
        check("a:latest", Some("Never"), PullPolicy::Never);
    }

    #[test]
    fn credentials_fit_their_registry() {
        let check = |key: &str, image: &str, want: bool| assert_eq!(fits(key, image), want, "{key} {image}");
        check("https://index.docker.io/v1/", "busybox", true);
        check("quay.io", "busybox", false);
        check("quay.io/org", "quay.io/org/a:1", true);
        check("quay.io/org", "quay.io/organ/a:1", false);
        check("*.example.com", "eu.example.com/a", true);
        check("*.example.com", "a.eu.example.com/a", false);
        check("localhost:5000", "localhost:5000/a", true);
    }

    #[test]
    fn both_forms_of_secrets_are_read_and_bad_ones_named() {
        let secret = |key: &str, text: &str| -> Secret {
            serde_json::from_value(json!({"data": {key: STANDARD.encode(text)}})).unwrap()
        };
        let encoded = STANDARD.encode("me:pass:word");
        let secrets = [
            (
                "a".to_owned(),
                secret(".dockerconfigjson", &json!({"auths": {"r.io": {"auth": encoded}}}).to_string()),
            ),
            ("b".to_owned(), secret(".dockercfg", r#"{"r.io/x": {"username": "u", "password": "p"}}"#)),
            ("c".to_owned(), secret(".dockerconfigjson", "hush")),
        ];
        let (found, bad) = credentials("r.io/x/y:1", &secrets);
        let pairs: Vec<_> = found.iter().map(|a| (a.username.as_str(), a.password.0.as_str())).collect();
        assert_eq!(pairs, [("u", "p"), ("me", "pass:word")]);
        assert_eq!(bad, ["secret c is no docker configuration"]);
        assert!(!format!("{found:?}").contains("pass:word"));
    }
}
