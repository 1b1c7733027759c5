//! Pure: which of the runtime's events say that a container may have ended.

use prost::Message;

use crate::generated::{cri, events};

/// Namespace in which containerd keeps what CRI made.
const NAMESPACE: &str = "k8s.io";

/// What of containerd's own events to subscribe to.
pub(crate) fn filters() -> Vec<String> {
    ["/tasks/exit", "/tasks/delete"]
        .iter()
        .map(|topic| format!(r#"namespace=="{NAMESPACE}",topic=="{topic}""#))
        .collect()
}

/// Whether one of containerd's own events is about a container, not about a command run in one: probes run those all
/// the time.
pub(crate) fn ends_a_container(envelope: &events::Envelope) -> bool {
    let Some(event) = &envelope.event else { return false };
    let ids = match envelope.topic.as_str() {
        "/tasks/exit" => events::TaskExit::decode(event.value.as_slice()).map(|e| (e.container_id, e.id)),
        "/tasks/delete" => events::TaskDelete::decode(event.value.as_slice()).map(|e| (e.container_id, e.id)),
        _ => return false,
    };
    // An event that cannot be read is worth a look.
    ids.map_or(true, |(container, process)| process.is_empty() || process == container)
}

/// Whether an event of CRI says so.
pub(crate) fn ends(event: &cri::ContainerEventResponse) -> bool {
    use cri::ContainerEventType::{ContainerDeletedEvent, ContainerStoppedEvent};
    matches!(event.container_event_type(), ContainerStoppedEvent | ContainerDeletedEvent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(topic: &str, event: &impl Message) -> events::Envelope {
        events::Envelope {
            namespace: NAMESPACE.to_owned(),
            topic: topic.to_owned(),
            event: Some(events::Any { type_url: String::new(), value: event.encode_to_vec() }),
        }
    }

    #[test]
    fn the_end_of_a_probe_is_not_the_end_of_its_container() {
        let exit = |id: &str| events::TaskExit { container_id: "c1".to_owned(), id: id.to_owned() };
        assert!(ends_a_container(&envelope("/tasks/exit", &exit("c1"))));
        assert!(!ends_a_container(&envelope("/tasks/exit", &exit("exec-7"))));
        let deleted = events::TaskDelete { container_id: "c1".to_owned(), id: String::new() };
        assert!(ends_a_container(&envelope("/tasks/delete", &deleted)));
        assert!(!ends_a_container(&envelope("/tasks/start", &exit("c1"))));
        let mut damaged = envelope("/tasks/exit", &exit("exec-7"));
        damaged.event.as_mut().unwrap().value = vec![0xff; 3];
        assert!(ends_a_container(&damaged));
    }

    #[test]
    fn a_start_is_no_end() {
        use cri::ContainerEventType::{ContainerStartedEvent, ContainerStoppedEvent};
        let event = |kind: cri::ContainerEventType| cri::ContainerEventResponse {
            container_id: "c".to_owned(),
            container_event_type: kind.into(),
        };
        assert!(ends(&event(ContainerStoppedEvent)) && !ends(&event(ContainerStartedEvent)));
    }
}
