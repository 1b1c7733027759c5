//! Security contexts of pod and container → what the container may do.

use k8s_openapi::api::core::v1::{
    Container, EphemeralContainer, Pod, PodSecurityContext, SELinuxOptions, SeccompProfile, SecurityContext,
};

use crate::runtime::{Image, SeLinux, Seccomp, Security};
use crate::spec::error::SpecError;

/// Largest user id that upstream takes from an image.
const LARGEST_UID: i64 = i32::MAX as i64;

/// What the container may do. Where pod and container say different things, the container's word counts. Masked and
/// read-only paths are left to the defaults: other values of `procMount` are refused.
pub(crate) fn security(pod: &Pod, container: &Container, image: &Image) -> Result<Security, SpecError> {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let own = container.security_context.as_ref();
    let user = own.and_then(|own| own.run_as_user).or_else(|| of_pod.and_then(|of_pod| of_pod.run_as_user));
    verify_non_root(pod, container, user, image)?;
    let capabilities = own.and_then(|own| own.capabilities.as_ref());
    Ok(Security {
        privileged: own.and_then(|own| own.privileged).unwrap_or(false),
        run_as_user: user.or_else(|| image_user(image)),
        run_as_username: if user.or(image.uid).is_none() { image.username.clone() } else { String::new() },
        run_as_group: own
            .and_then(|own| own.run_as_group)
            .or_else(|| of_pod.and_then(|of_pod| of_pod.run_as_group)),
        supplemental_groups: groups(of_pod),
        readonly_rootfs: own.and_then(|own| own.read_only_root_filesystem).unwrap_or(false),
        no_new_privs: own.and_then(|own| own.allow_privilege_escalation) == Some(false),
        add_capabilities: names(capabilities.and_then(|capabilities| capabilities.add.as_deref())),
        drop_capabilities: names(capabilities.and_then(|capabilities| capabilities.drop.as_deref())),
        seccomp: seccomp(of_pod, own),
        selinux: selinux(
            own.and_then(|own| own.se_linux_options.as_ref())
                .or_else(|| of_pod.and_then(|of_pod| of_pod.se_linux_options.as_ref())),
        ),
        ..Security::default()
    })
}

/// Groups of every process of the pod: the group of its volumes, then what it names.
pub(crate) fn groups(of_pod: Option<&PodSecurityContext>) -> Vec<i64> {
    let named = of_pod.and_then(|of_pod| of_pod.supplemental_groups.as_deref()).unwrap_or_default();
    of_pod.and_then(|of_pod| of_pod.fs_group).into_iter().chain(named.iter().copied()).collect()
}

/// Any container of the pod is privileged.
pub(crate) fn any_privileged(pod: &Pod) -> bool {
    let own = |container: &Container| container.security_context.as_ref()?.privileged;
    let ephemeral = |container: &EphemeralContainer| container.security_context.as_ref()?.privileged;
    pod.spec.iter().any(|spec| {
        let inits = spec.init_containers.iter().flatten();
        let mut all = inits.chain(&spec.containers).map(own);
        let mut beside = spec.ephemeral_containers.iter().flatten().map(ephemeral);
        all.any(|privileged| privileged == Some(true)) || beside.any(|privileged| privileged == Some(true))
    })
}

/// The user that the image's process runs as where nobody says otherwise: an image that says nothing runs as root;
/// one that names a user has no number that is known here: the runtime, which knows the image's users, is told the name.
fn image_user(image: &Image) -> Option<i64> {
    image.uid.or_else(|| image.username.is_empty().then_some(0))
}

fn verify_non_root(
    pod: &Pod,
    container: &Container,
    user: Option<i64>,
    image: &Image,
) -> Result<(), SpecError> {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let own = container.security_context.as_ref().and_then(|own| own.run_as_non_root);
    if own.or_else(|| of_pod.and_then(|of_pod| of_pod.run_as_non_root)) != Some(true) {
        return Ok(());
    }
    let place = format!("(pod: {:?}, container: {})", label(pod), container.name);
    let message = match (user, image_user(image)) {
        (Some(0), _) => format!("container's runAsUser breaks non-root policy {place}"),
        (None, None) => format!(
            "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root {place}",
            image.username
        ),
        (None, Some(0)) => format!("container has runAsNonRoot and image will run as root {place}"),
        (None, Some(uid)) if !(0..=LARGEST_UID).contains(&uid) => format!(
            "container has runAsNonRoot and image has an invalid user id ({uid}). (Must be 1-({LARGEST_UID})): \
             must be between 0 and {LARGEST_UID}, inclusive {place}"
        ),
        (Some(_), _) | (None, Some(_)) => return Ok(()),
    };
    Err(SpecError::config(message))
}

/// The pod as upstream writes it in messages.
pub(crate) fn label(pod: &Pod) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let metadata = &pod.metadata;
    format!("{}_{}({})", part(&metadata.name), part(&metadata.namespace), part(&metadata.uid))
}

/// An SELinux context as it is written.
pub(crate) fn selinux(options: Option<&SELinuxOptions>) -> Option<SeLinux> {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    options.map(|options| SeLinux {
        user: part(&options.user),
        role: part(&options.role),
        kind: part(&options.type_),
        level: part(&options.level),
    })
}

fn seccomp(of_pod: Option<&PodSecurityContext>, own: Option<&SecurityContext>) -> Seccomp {
    let profile = own
        .and_then(|own| own.seccomp_profile.as_ref())
        .or_else(|| of_pod.and_then(|of_pod| of_pod.seccomp_profile.as_ref()));
    match profile {
        Some(SeccompProfile { type_, .. }) if type_ == "RuntimeDefault" => Seccomp::RuntimeDefault,
        _ => Seccomp::Unconfined,
    }
}

/// Names of capabilities, without the prefix that some people write.
fn names(capabilities: Option<&[String]>) -> Vec<String> {
    let plain = |name: &String| name.strip_prefix("CAP_").unwrap_or(name).to_owned();
    capabilities.unwrap_or_default().iter().map(plain).collect()
}

#[cfg(test)]
#[path = "tests/security.rs"]
mod tests;
