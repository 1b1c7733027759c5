//! Whether a container that ended runs again: what its own rules say, else its own policy, else the pod's.
//!
//! The order is upstream's (feature `ContainerRestartRules`, `ContainerShouldRestart` in `pkg/api/v1/pod`). The rule
//! that restarts all containers of a pod is refused by name.

use k8s_openapi::api::core::v1::{Container, ContainerRestartRuleOnExitCodes};

use crate::desired::{Desired, Role};

/// What a rule does that restarts its container.
const RESTART: &str = "Restart";

/// Whether and when an ended container runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Always.
    Always,
    /// Unless it exited with 0.
    OnFailure,
    /// Never.
    Never,
}

impl RestartPolicy {
    /// As the API writes it, for pods and containers alike.
    fn parse(text: Option<&str>) -> Option<Self> {
        match text? {
            "Always" => Some(Self::Always),
            "OnFailure" => Some(Self::OnFailure),
            "Never" => Some(Self::Never),
            _ => None,
        }
    }

    const fn restarts(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

impl Desired {
    /// The pod's restart policy, which is that of every container without one of its own.
    pub fn restart_policy(&self) -> RestartPolicy {
        let own = self.spec().and_then(|spec| spec.restart_policy.as_deref());
        RestartPolicy::parse(own).unwrap_or(RestartPolicy::Always)
    }

    /// Restart policy of one container, its rules aside: a sidecar's is `Always`, an ephemeral container's `Never`, all
    /// others' their own, else the pod's.
    pub fn container_policy(&self, role: Role, container: &Container) -> RestartPolicy {
        match role {
            Role::Sidecar => RestartPolicy::Always,
            Role::Ephemeral => RestartPolicy::Never,
            Role::Init | Role::App => own_policy(container).unwrap_or_else(|| self.restart_policy()),
        }
    }

    /// Whether a container that exited with this code runs again.
    pub fn restarts(&self, role: Role, container: &Container, exit_code: i32) -> bool {
        match role {
            // It is through, whatever it says.
            Role::Init if exit_code == 0 => false,
            Role::Init | Role::App if ruled(container, exit_code) => true,
            Role::Init | Role::App | Role::Sidecar | Role::Ephemeral => {
                self.container_policy(role, container).restarts(exit_code)
            }
        }
    }

    /// Whether a container runs again that was ended since a probe failed, as far as that is known before it has an exit
    /// code: rules do not count, as upstream.
    pub fn outlives_a_probe(&self, name: &str) -> bool {
        let policy = |(role, container)| self.container_policy(role, container);
        self.container(name).map(policy).is_some_and(|policy| policy != RestartPolicy::Never)
    }

    /// None of the containers the pod is for ever runs twice, whatever it ends with.
    pub fn runs_once(&self) -> bool {
        let may = |container: &Container| match own_policy(container) {
            Some(RestartPolicy::Never) => rules(container).any(|(action, _)| action == RESTART),
            Some(RestartPolicy::Always | RestartPolicy::OnFailure) => true,
            None => false,
        };
        self.restart_policy() == RestartPolicy::Never && !self.apps().any(may)
    }
}

fn own_policy(container: &Container) -> Option<RestartPolicy> {
    RestartPolicy::parse(container.restart_policy.as_deref())
}

/// The first rule that takes the exit code says that the container runs again.
fn ruled(container: &Container, exit_code: i32) -> bool {
    let first = rules(container).find(|(_, codes)| takes(codes, exit_code));
    first.is_some_and(|(action, _)| action == RESTART)
}

/// Rules, in order, with the exit codes they are about. The API wants a policy beside them; without one they do not count.
fn rules(container: &Container) -> impl Iterator<Item = (&str, &ContainerRestartRuleOnExitCodes)> {
    let rules = container.restart_policy_rules.as_ref().filter(|_| container.restart_policy.is_some());
    rules.into_iter().flatten().filter_map(|rule| Some((rule.action.as_str(), rule.exit_codes.as_ref()?)))
}

fn takes(codes: &ContainerRestartRuleOnExitCodes, exit_code: i32) -> bool {
    let named = codes.values.as_ref().is_some_and(|values| values.contains(&exit_code));
    match codes.operator.as_str() {
        "In" => named,
        "NotIn" => !named,
        _ => false,
    }
}
