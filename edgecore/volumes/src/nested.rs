//! Pure: which directories a read-only volume needs because other volumes are mounted inside it.

use k8s_openapi::api::core::v1::{PodSpec, VolumeMount};

/// Directories, relative to the volume, on which containers mount other volumes. Of mounts inside mounts only the
/// outer one belongs to this volume.
pub(crate) fn nested_mount_points(spec: &PodSpec, volume: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let own = spec.init_containers.iter().flatten().chain(&spec.containers);
    let own = own.map(|container| container.volume_mounts.as_deref());
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    for mounts in own.chain(ephemeral.map(|container| container.volume_mounts.as_deref())).flatten() {
        for point in in_container(mounts, volume)? {
            if !found.contains(&point) {
                found.push(point);
            }
        }
    }
    Ok(found)
}

fn in_container(mounts: &[VolumeMount], volume: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut own = Vec::new();
    for mount in mounts {
        let path = clean(&mount.mount_path)?;
        if mount.name == volume {
            own.push(path.clone());
        }
        all.push(path);
    }
    // Shorter first, so that an outer mount is met before what is mounted in it.
    all.sort_by_key(Vec::len);
    let mut found: Vec<String> = Vec::new();
    for own in &own {
        let mut outer: Vec<&[String]> = Vec::new();
        for path in all.iter().filter_map(|path| path.strip_prefix(own.as_slice())) {
            if path.is_empty() || outer.iter().any(|outer| path.starts_with(outer)) {
                continue;
            }
            outer.push(path);
            found.push(path.join("/"));
        }
    }
    Ok(found)
}

/// The parts of an absolute path. Relative ones count from the root, as runtimes take them.
fn clean(path: &str) -> Result<Vec<String>, String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(format!("invalid container mount point {path}")),
            name => parts.push(name.to_owned()),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(mounts: &[(&str, &str)]) -> PodSpec {
        let mounts = mounts
            .iter()
            .map(|(name, path)| serde_json::json!({"name": name, "mountPath": path}))
            .collect::<Vec<_>>();
        let spec = serde_json::json!({"containers": [{"name": "c", "volumeMounts": mounts}]});
        serde_json::from_str(&spec.to_string()).unwrap()
    }

    fn points(mounts: &[(&str, &str)]) -> Result<Vec<String>, String> {
        nested_mount_points(&spec(mounts), "v")
    }

    #[test]
    fn only_the_outermost_mount_inside_counts() {
        let found = points(&[
            ("v", "/dir"),
            ("a", "/dir/nested"),
            ("b", "/dir/nested/double"),
            ("c", "/dir/nested-vol"),
            ("d", "/dir2/other"),
            ("e", "/dir/x/y/"),
        ]);
        assert_eq!(found.unwrap(), ["nested", "nested-vol", "x/y"]);
    }

    #[test]
    fn mounts_of_ephemeral_containers_count() {
        let mut spec = spec(&[("v", "/a")]);
        let mounts = r#"[{"name":"v","mountPath":"/b"},{"name":"w","mountPath":"/b/inside"}]"#;
        let beside = format!(r#"[{{"name":"e","volumeMounts":{mounts}}}]"#);
        spec.ephemeral_containers = serde_json::from_str(&beside).unwrap();
        assert_eq!(nested_mount_points(&spec, "v").unwrap(), ["inside"]);
    }

    #[test]
    fn nothing_nested_is_nothing_to_make() {
        assert_eq!(points(&[("v", "/a"), ("w", "/b")]).unwrap(), Vec::<String>::new());
        assert_eq!(points(&[("v", "/a/b"), ("w", "/a")]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_mount_point_with_steps_back_is_an_error() {
        assert!(points(&[("v", "/a"), ("w", "/a/../../etc")]).is_err());
    }
}
