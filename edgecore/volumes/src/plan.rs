//! Pure: a pod and what it is made from → what its volumes must hold.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, EmptyDirVolumeSource, HostPathVolumeSource, Pod, PodSpec, SecretProjection,
    Volume as ApiVolume, VolumeProjection,
};

use crate::error::{Trouble, VolumeError};
use crate::kinds::{Downward, HostPathType, Kind, Limit, Medium, Payload, Plan, Volume};
use crate::nested::nested_mount_points;
use crate::payload::{self, Audience, Entries};
use crate::quantity::Quantity;
use crate::sources::{Sources, TokenWant};

/// Mode of files where the pod says none: the API server's default, which it normally writes into the pod.
const DEFAULT_MODE: u32 = 0o644;

/// What the pod's volumes must hold.
pub fn plan(pod: &Pod, sources: &Sources, downward: &dyn Downward) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = &pod.spec else { return plan };
    for volume in spec.volumes.iter().flatten() {
        let planner = Planner { spec, sources, downward, volume };
        match planner.kind() {
            Ok(kind) => plan.volumes.push(Volume { name: volume.name.clone(), kind }),
            Err(problem) => {
                plan.problems.push(VolumeError::new(&volume.name, problem.trouble, problem.message));
            }
        }
    }
    plan
}

/// A problem before it has a volume's name.
struct Problem {
    trouble: Trouble,
    message: String,
}

impl Problem {
    fn missing(message: impl Into<String>) -> Self {
        Self { trouble: Trouble::Missing, message: message.into() }
    }

    fn refused(message: impl Into<String>) -> Self {
        Self { trouble: Trouble::Refused, message: message.into() }
    }
}

/// Plans one volume of a pod.
struct Planner<'a> {
    spec: &'a PodSpec,
    sources: &'a Sources,
    downward: &'a dyn Downward,
    volume: &'a ApiVolume,
}

impl Planner<'_> {
    fn kind(&self) -> Result<Kind, Problem> {
        let volume = self.volume;
        if let Some(source) = &volume.empty_dir {
            return self.empty(source);
        }
        if let Some(source) = &volume.host_path {
            return host_path(source);
        }
        if let Some(source) = &volume.config_map {
            let audience = self.audience(source.default_mode)?;
            let projection = ConfigMapProjection {
                name: source.name.clone(),
                items: source.items.clone(),
                optional: source.optional,
            };
            // Upstream keeps ConfigMaps on disk and everything that may be secret in memory.
            return self.files(self.config_map(&projection, &audience)?, false, &audience);
        }
        if let Some(source) = &volume.secret {
            let audience = self.audience(source.default_mode)?;
            let projection = SecretProjection {
                name: source.secret_name.clone().unwrap_or_default(),
                items: source.items.clone(),
                optional: source.optional,
            };
            return self.files(self.secret(&projection, &audience)?, true, &audience);
        }
        if let Some(source) = &volume.downward_api {
            let audience = self.audience(source.default_mode)?;
            let items = source.items.as_deref().unwrap_or_default();
            let payload = payload::downward_files(items, &audience, self.downward).map_err(together)?;
            return self.files(payload, true, &audience);
        }
        if let Some(source) = &volume.projected {
            let audience = self.audience(source.default_mode)?;
            return self.projected(source.sources.as_deref().unwrap_or_default(), &audience);
        }
        Err(Problem::refused("no volume plugin matched"))
    }

    fn empty(&self, source: &EmptyDirVolumeSource) -> Result<Kind, Problem> {
        let mut limit = source.size_limit.as_ref().map(|limit| size_limit(&limit.0)).transpose()?.flatten();
        let medium = match source.medium.as_deref().unwrap_or_default() {
            "" => Medium::Disk,
            "Memory" => {
                // Its pages count against the containers, so more than they may use together cannot be written anyway.
                let most = memory_limit(self.spec).map(|bytes| Limit { bytes, text: bytes.to_string() });
                limit = [limit, most].into_iter().flatten().min_by_key(|limit| limit.bytes);
                Medium::Memory
            }
            other => return Err(Problem::refused(format!("unknown storage medium {other:?}"))),
        };
        Ok(Kind::Empty { medium, limit, group: self.group()? })
    }

    fn config_map(&self, source: &ConfigMapProjection, audience: &Audience) -> Result<Payload, Problem> {
        let optional = source.optional == Some(true);
        let entries = match self.sources.config_map(&source.name, optional) {
            Some(object) => payload::config_map_entries(object),
            None if optional => Entries::new(),
            None => return Err(Problem::missing(format!("configmap {:?} not found", source.name))),
        };
        let missing = |key: &str| format!("configmap references non-existent config key: {key}");
        payload::object_files(&entries, source.items.as_deref(), optional, audience, missing)
            .map_err(Problem::missing)
    }

    fn secret(&self, source: &SecretProjection, audience: &Audience) -> Result<Payload, Problem> {
        let optional = source.optional == Some(true);
        let entries = match self.sources.secret(&source.name, optional) {
            Some(object) => payload::secret_entries(object),
            None if optional => Entries::new(),
            None => return Err(Problem::missing(format!("secret {:?} not found", source.name))),
        };
        let missing = |key: &str| format!("references non-existent secret key: {key}");
        payload::object_files(&entries, source.items.as_deref(), optional, audience, missing)
            .map_err(Problem::missing)
    }

    fn projected(&self, sources: &[VolumeProjection], audience: &Audience) -> Result<Kind, Problem> {
        let (mut payload, mut problems) = (Payload::new(), Vec::new());
        for source in sources {
            match self.projection(source, audience) {
                // Where two sources give the same path, the later one wins.
                Ok(files) => payload.extend(files),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            return self.files(payload, true, audience);
        }
        // The worst of them is what it is.
        let any = |trouble| problems.iter().any(|problem| problem.trouble == trouble);
        let trouble = [Trouble::Refused, Trouble::Missing].into_iter().find(|trouble| any(*trouble));
        let message = together(problems.into_iter().map(|problem| problem.message).collect()).message;
        Err(Problem { trouble: trouble.unwrap_or(Trouble::Awaited), message })
    }

    fn projection(&self, source: &VolumeProjection, audience: &Audience) -> Result<Payload, Problem> {
        if let Some(source) = &source.secret {
            return self.secret(source, audience);
        }
        if let Some(source) = &source.config_map {
            return self.config_map(source, audience);
        }
        if let Some(source) = &source.downward_api {
            let items = source.items.as_deref().unwrap_or_default();
            return payload::downward_files(items, audience, self.downward).map_err(together);
        }
        if let Some(source) = &source.service_account_token {
            let want = TokenWant::of(source);
            let token = self.sources.tokens.get(&want).ok_or_else(|| self.no_token(&want))?;
            return Ok(Payload::from([(source.path.clone(), audience.token(&token.0))]));
        }
        Err(Problem::refused("projection source is not supported"))
    }

    fn no_token(&self, want: &TokenWant) -> Problem {
        let account = self.spec.service_account_name.as_deref().unwrap_or("default");
        match self.sources.refusals.get(want) {
            Some(reason) => Problem::missing(format!("failed to fetch token: {reason}")),
            None => Problem {
                trouble: Trouble::Awaited,
                message: format!(
                    "failed to fetch token: none for service account {account:?} on this node yet"
                ),
            },
        }
    }

    fn files(&self, payload: Payload, memory: bool, audience: &Audience) -> Result<Kind, Problem> {
        let payload = payload::checked(payload).map_err(Problem::refused)?;
        let nested = nested_mount_points(self.spec, &self.volume.name).map_err(Problem::refused)?;
        Ok(Kind::Files { payload, memory, group: audience.group, nested })
    }

    fn audience(&self, mode: Option<i32>) -> Result<Audience, Problem> {
        let mode = mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(DEFAULT_MODE);
        Ok(Audience { group: self.group()?, user: common_user(self.spec)?, mode })
    }

    fn group(&self) -> Result<Option<u32>, Problem> {
        let group = self.spec.security_context.as_ref().and_then(|context| context.fs_group);
        group.map(|group| id(group, "spec.securityContext.fsGroup")).transpose()
    }
}

/// A limit, unless it is zero, which means none.
fn size_limit(text: &str) -> Result<Option<Limit>, Problem> {
    let limit =
        Quantity::parse(text).map_err(|error| Problem::refused(format!("emptyDir.sizeLimit: {error}")))?;
    let bytes = u64::try_from(limit.value()).ok().filter(|bytes| *bytes > 0);
    Ok(bytes.map(|bytes| Limit { bytes, text: text.to_owned() }))
}

fn host_path(source: &HostPathVolumeSource) -> Result<Kind, Problem> {
    if !source.path.starts_with('/') || source.path.contains('\0') {
        return Err(Problem::refused(format!("hostPath {:?} is not an absolute path", source.path)));
    }
    if source.path.split('/').any(|part| part == "..") {
        return Err(Problem::refused(format!("hostPath {:?} must not contain '..'", source.path)));
    }
    let kind = match source.type_.as_deref().unwrap_or_default() {
        "" => HostPathType::Unset,
        "DirectoryOrCreate" => HostPathType::DirectoryOrCreate,
        "Directory" => HostPathType::Directory,
        "FileOrCreate" => HostPathType::FileOrCreate,
        "File" => HostPathType::File,
        "Socket" => HostPathType::Socket,
        "CharDevice" => HostPathType::CharDevice,
        "BlockDevice" => HostPathType::BlockDevice,
        other => return Err(Problem::refused(format!("{other} is an invalid volume type"))),
    };
    Ok(Kind::HostPath { path: source.path.clone(), kind })
}

/// The user that every container runs as, if the pod says so for each and it is the same.
fn common_user(spec: &PodSpec) -> Result<Option<u32>, Problem> {
    let pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let own = spec.init_containers.iter().flatten().chain(&spec.containers);
    let own = own.map(|container| container.security_context.as_ref());
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let contexts = own.chain(ephemeral.map(|container| container.security_context.as_ref()));
    let mut users = contexts.map(|context| context.and_then(|context| context.run_as_user).or(pod));
    let Some(Some(first)) = users.next() else { return Ok(None) };
    if users.all(|user| user == Some(first)) {
        return id(first, "securityContext.runAsUser").map(Some);
    }
    Ok(None)
}

/// Memory that the containers may use together; `None` where one of them has no limit.
fn memory_limit(spec: &PodSpec) -> Option<u64> {
    let limit = |container: &k8s_openapi::api::core::v1::Container| {
        let limits = container.resources.as_ref()?.limits.as_ref()?;
        u64::try_from(Quantity::parse(&limits.get("memory")?.0).ok()?.value()).ok().filter(|limit| *limit > 0)
    };
    spec.containers.iter().map(limit).try_fold(0_u64, |sum, limit| Some(sum.saturating_add(limit?)))
}

fn id(id: i64, field: &str) -> Result<u32, Problem> {
    u32::try_from(id).map_err(|_| Problem::refused(format!("{field}: {id} is no user or group id")))
}

/// Several messages in one, each once, as upstream joins them.
fn together(mut messages: Vec<String>) -> Problem {
    messages.dedup();
    Problem::missing(match messages.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    })
}

#[cfg(test)]
#[path = "tests/plan.rs"]
mod tests;
