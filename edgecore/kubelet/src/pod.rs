//! What is known of a pod by its name: what the cloud wants, and what was reported of it last. Pure.

use serde::Deserialize;

/// As much of a pod as is asked about.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Pod {
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    containers: Vec<Named>,
    #[serde(default)]
    init_containers: Vec<Named>,
    #[serde(default)]
    ephemeral_containers: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

impl Pod {
    /// Whether one of its containers, of whatever sort, has this name.
    pub(crate) fn has_container(&self, name: &str) -> bool {
        let Spec { containers, init_containers, ephemeral_containers } = &self.spec;
        let mut all = containers.iter().chain(init_containers).chain(ephemeral_containers);
        all.any(|container| container.name == name)
    }
}

/// As much of a report as is asked about.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Reported {
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default, rename = "containerStatuses")]
    containers: Vec<ContainerStatus>,
    #[serde(default, rename = "initContainerStatuses")]
    init: Vec<ContainerStatus>,
    #[serde(default, rename = "ephemeralContainerStatuses")]
    ephemeral: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(default, rename = "containerID")]
    container_id: String,
    #[serde(default)]
    state: State,
    #[serde(default)]
    last_state: State,
}

#[derive(Debug, Default, Deserialize)]
struct State {
    waiting: Option<Waiting>,
    running: Option<serde::de::IgnoredAny>,
    terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
struct Waiting {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
struct Terminated {
    #[serde(default, rename = "containerID")]
    container_id: String,
}

impl Reported {
    fn container(&self, name: &str) -> Option<&ContainerStatus> {
        let Status { containers, init, ephemeral } = &self.status;
        let mut all = containers.iter().chain(init).chain(ephemeral);
        all.find(|container| container.name == name)
    }

    /// The container whose log is meant, by the runtime's id.
    ///
    /// # Errors
    /// There is none, in a kubelet's words.
    pub(crate) fn with_log(&self, pod: &str, name: &str, previous: bool) -> Result<String, String> {
        let not_available = || format!("container {name:?} in pod {pod:?} is not available");
        let status = self.container(name).ok_or_else(not_available)?;
        let last = status.last_state.terminated.as_ref().map(|last| bare(&last.container_id));
        let last = last.filter(|id| !id.is_empty());
        if previous {
            let none = || format!("previous terminated container {name:?} in pod {pod:?} not found");
            return last.map(str::to_owned).ok_or_else(none);
        }
        let ended = || format!("container {name:?} in pod {pod:?} is terminated");
        let State { waiting, running, terminated } = &status.state;
        if running.is_some() {
            return Some(bare(&status.container_id))
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .ok_or_else(not_available);
        }
        if let Some(terminated) = terminated {
            let id = Some(bare(&terminated.container_id)).filter(|id| !id.is_empty()).or(last);
            return id.map(str::to_owned).ok_or_else(ended);
        }
        if status.last_state.terminated.is_some() {
            return last.map(str::to_owned).ok_or_else(ended);
        }
        Err(match waiting.as_ref().map(|waiting| waiting.reason.as_str()) {
            Some("ErrImagePull") => {
                format!("container {name:?} in pod {pod:?} is waiting to start: image can't be pulled")
            }
            Some("ImagePullBackOff") => {
                format!(
                    "container {name:?} in pod {pod:?} is waiting to start: trying and failing to pull image"
                )
            }
            Some(reason) => format!("container {name:?} in pod {pod:?} is waiting to start: {reason}"),
            None => format!("container {name:?} in pod {pod:?} is waiting to start - no logs yet"),
        })
    }

    /// The container that runs under this name, by the runtime's id.
    pub(crate) fn running(&self, name: &str) -> Option<String> {
        let status = self.container(name).filter(|status| status.state.running.is_some())?;
        Some(bare(&status.container_id)).filter(|id| !id.is_empty()).map(str::to_owned)
    }
}

/// `containerd://ID` without the runtime's name.
fn bare(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn reported(state: &Value, last: &Value) -> Reported {
        let id = state.pointer("/running").map_or("", |_| "containerd://now");
        let status = json!({"name": "c", "containerID": id, "state": state, "lastState": last});
        serde_json::from_value(json!({"status": {"initContainerStatuses": [status]}})).unwrap()
    }

    #[test]
    fn containers_of_every_sort_are_the_pods() {
        let spec = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "b"}], "ephemeralContainers": [{"name": "c"}]});
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(["a", "b", "c", "d"].map(|name| pod.has_container(name)), [true, true, true, false]);
    }

    #[test]
    fn an_ephemeral_container_is_found_in_the_list_of_its_own() {
        let status = |state: &Value| {
            let status = json!({"name": "e", "containerID": "containerd://now", "state": state});
            let report = json!({"status": {"containerStatuses": [], "ephemeralContainerStatuses": [status]}});
            serde_json::from_value::<Reported>(report).unwrap()
        };
        let runs = status(&json!({"running": {}}));
        assert_eq!(runs.running("e").as_deref(), Some("now"));
        assert_eq!(runs.with_log("p", "e", false).as_deref(), Ok("now"));
        let ended = status(&json!({"terminated": {"containerID": "containerd://now"}}));
        assert_eq!(ended.running("e"), None);
        assert_eq!(ended.with_log("p", "e", false).as_deref(), Ok("now"));
    }

    #[test]
    fn the_log_that_is_meant() {
        let before = json!({"terminated": {"containerID": "containerd://before"}});
        let running = json!({"running": {"startedAt": "x"}});
        for (state, last, previous, expected) in [
            (running.clone(), json!({}), false, Ok("now")),
            (running.clone(), before.clone(), true, Ok("before")),
            (running, json!({}), true, Err("previous terminated container \"c\" in pod \"p\" not found")),
            (json!({"terminated": {"containerID": "containerd://x"}}), before.clone(), false, Ok("x")),
            (json!({"terminated": {}}), before.clone(), false, Ok("before")),
            (json!({"terminated": {}}), json!({}), false, Err("container \"c\" in pod \"p\" is terminated")),
            (json!({"waiting": {"reason": "CrashLoopBackOff"}}), before, false, Ok("before")),
            (
                json!({"waiting": {"reason": "ContainerCreating"}}),
                json!({}),
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: ContainerCreating"),
            ),
            (
                json!({"waiting": {"reason": "ImagePullBackOff"}}),
                json!({}),
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image"),
            ),
            (
                json!({}),
                json!({}),
                false,
                Err("container \"c\" in pod \"p\" is waiting to start - no logs yet"),
            ),
        ] {
            let found = reported(&state, &last).with_log("p", "c", previous);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{state}");
        }
        let nothing = Reported::default().with_log("p", "c", false);
        assert_eq!(nothing.unwrap_err(), "container \"c\" in pod \"p\" is not available");
    }

    #[test]
    fn only_what_runs_is_running() {
        assert_eq!(reported(&json!({"running": {}}), &json!({})).running("c").as_deref(), Some("now"));
        assert_eq!(reported(&json!({"terminated": {}}), &json!({})).running("c"), None);
    }
}
