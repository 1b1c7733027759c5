//! Pure: objects → files.
//!
//! Modes follow upstream: with an fsGroup every file is also readable by that group (0440 is added), and a token is
//! 0600 as soon as its reader is known by fsGroup or by a user that all containers share.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret};
use kit::Masked;

use crate::kinds::{Downward, File, Payload};

/// Longest path of a file, in bytes.
const MAX_PATH: usize = 4096;
/// Longest name of a file or directory, in bytes.
const MAX_NAME: usize = 255;
/// What an fsGroup adds to a file that containers only read.
const GROUP_READS: u32 = 0o440;

/// Who the files of a volume are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Audience {
    /// The pod's fsGroup.
    pub(crate) group: Option<u32>,
    /// The user all containers run as, if there is one.
    pub(crate) user: Option<u32>,
    /// Mode of files for which nothing else is said.
    pub(crate) mode: u32,
}

impl Audience {
    fn file(&self, content: Vec<u8>, mode: u32) -> File {
        let mode = (mode & 0o777) | if self.group.is_some() { GROUP_READS } else { 0 };
        File { content: Masked(content), mode, owner: 0, group: self.group.unwrap_or(0) }
    }

    /// A service-account token.
    pub(crate) fn token(&self, token: &str) -> File {
        let narrow = self.group.is_some() || self.user.is_some();
        let mut file = self.file(token.as_bytes().to_vec(), if narrow { 0o600 } else { self.mode });
        file.owner = self.user.unwrap_or(0);
        file
    }
}

/// What a ConfigMap or Secret offers.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

/// All keys of a ConfigMap, text and binary.
pub(crate) fn config_map_entries(object: &ConfigMap) -> Entries {
    let text = object.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
    let binary = object.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
    text.chain(binary).collect()
}

/// All keys of a Secret.
pub(crate) fn secret_entries(object: &Secret) -> Entries {
    object.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect()
}

/// Files of an object: all of its keys, or those that are named.
pub(crate) fn object_files(
    entries: &Entries,
    items: Option<&[KeyToPath]>,
    optional: bool,
    audience: &Audience,
    missing: impl Fn(&str) -> String,
) -> Result<Payload, String> {
    let items = items.unwrap_or_default();
    if items.is_empty() {
        let file = |(key, content): (&String, &Vec<u8>)| {
            (key.clone(), audience.file(content.clone(), audience.mode))
        };
        return Ok(entries.iter().map(file).collect());
    }
    let mut payload = Payload::new();
    for item in items {
        match entries.get(&item.key) {
            Some(content) => {
                let mode = item.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(audience.mode);
                payload.insert(item.path.clone(), audience.file(content.clone(), mode));
            }
            None if optional => {}
            None => return Err(missing(&item.key)),
        }
    }
    Ok(payload)
}

/// Files of the downward API.
pub(crate) fn downward_files(
    items: &[DownwardAPIVolumeFile],
    audience: &Audience,
    downward: &dyn Downward,
) -> Result<Payload, Vec<String>> {
    let (mut payload, mut problems) = (Payload::new(), Vec::new());
    for item in items {
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => downward.field(field),
            (None, Some(resource)) => downward.resource(resource),
            (None, None) => Ok(String::new()),
        };
        let mode = item.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(audience.mode);
        match value {
            Ok(value) => drop(payload.insert(item.path.clone(), audience.file(value.into_bytes(), mode))),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(payload) } else { Err(problems) }
}

/// The payload with clean paths, or why it cannot be written: a path that leaves the volume, or a file where another
/// file wants a directory.
pub(crate) fn checked(payload: Payload) -> Result<Payload, String> {
    let mut clean = Payload::new();
    for (path, file) in payload {
        clean.insert(clean_path(&path)?, file);
    }
    for path in clean.keys() {
        let mut parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Some(parent) = parents.find(|parent| clean.contains_key(*parent)) {
            return Err(format!("invalid path: {parent} is a file, so {path} cannot be"));
        }
    }
    Ok(clean)
}

fn clean_path(path: &str) -> Result<String, String> {
    if path.is_empty() {
        return Err(format!("invalid path: must not be empty: {path:?}"));
    }
    if path.starts_with('/') {
        return Err(format!("invalid path: must be relative path: {path}"));
    }
    if path.len() > MAX_PATH {
        return Err(format!("invalid path: must be less than or equal to {MAX_PATH} characters"));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    for part in &parts {
        if *part == ".." {
            return Err(format!("invalid path: must not contain '..': {path}"));
        }
        if part.len() > MAX_NAME {
            return Err(format!(
                "invalid path: filenames must be less than or equal to {MAX_NAME} characters"
            ));
        }
        if part.contains('\0') {
            return Err(format!("invalid path: must not contain NUL: {path:?}"));
        }
    }
    match parts.first() {
        None => Err(format!("invalid path: must not be empty: {path:?}")),
        // Names with two dots in front are the writer's own.
        Some(first) if first.starts_with("..") => {
            Err(format!("invalid path: must not start with '..': {path}"))
        }
        Some(_) => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> Entries {
        BTreeMap::from([("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())])
    }

    fn item(key: &str, path: &str, mode: Option<i32>) -> KeyToPath {
        KeyToPath { key: key.to_owned(), path: path.to_owned(), mode, ..KeyToPath::default() }
    }

    const OPEN: Audience = Audience { group: None, user: None, mode: 0o644 };

    #[test]
    fn without_items_every_key_is_a_file() {
        let payload = object_files(&entries(), None, false, &OPEN, str::to_owned).unwrap();
        assert_eq!(payload.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(payload.values().all(|file| file.mode == 0o644 && file.group == 0));
        assert_eq!(object_files(&entries(), Some(&[]), false, &OPEN, str::to_owned).unwrap(), payload);
    }

    #[test]
    fn items_choose_keys_paths_and_modes() {
        let items = [item("b", "deep/name", Some(0o400))];
        let payload = object_files(&entries(), Some(&items), false, &OPEN, str::to_owned).unwrap();
        assert_eq!(payload.keys().collect::<Vec<_>>(), ["deep/name"]);
        assert_eq!((payload["deep/name"].mode, &payload["deep/name"].content.0), (0o400, &b"2".to_vec()));
    }

    #[test]
    fn a_missing_key_is_an_error_unless_optional() {
        let items = [item("nope", "x", None), item("a", "y", None)];
        let missing = |key: &str| format!("references non-existent secret key: {key}");
        let error = object_files(&entries(), Some(&items), false, &OPEN, missing).unwrap_err();
        assert_eq!(error, "references non-existent secret key: nope");
        let payload = object_files(&entries(), Some(&items), true, &OPEN, missing).unwrap();
        assert_eq!(payload.keys().collect::<Vec<_>>(), ["y"]);
    }

    #[test]
    fn a_group_reads_what_its_pod_reads() {
        let audience = Audience { group: Some(2000), user: None, mode: 0o400 };
        let payload = object_files(&entries(), None, false, &audience, str::to_owned).unwrap();
        assert_eq!((payload["a"].mode, payload["a"].group), (0o440, 2000));
    }

    #[test]
    fn tokens_are_narrow_once_their_reader_is_known() {
        let of = |group, user| {
            let file = Audience { group, user, mode: 0o644 }.token("t");
            (file.mode, file.owner, file.group)
        };
        assert_eq!(of(None, None), (0o644, 0, 0));
        assert_eq!(of(Some(7), None), (0o640, 0, 7));
        assert_eq!(of(None, Some(1000)), (0o600, 1000, 0));
        assert_eq!(of(Some(7), Some(1000)), (0o640, 1000, 7));
    }

    #[test]
    fn text_and_binary_data_are_both_files() {
        let object: ConfigMap =
            serde_json::from_str(r#"{"data":{"t":"x"},"binaryData":{"b":"AP8="}}"#).unwrap();
        assert_eq!(config_map_entries(&object)["b"], [0, 255]);
        assert_eq!(config_map_entries(&object)["t"], b"x");
    }

    fn paths(paths: &[&str]) -> Result<Vec<String>, String> {
        let payload = paths.iter().map(|path| ((*path).to_owned(), OPEN.file(Vec::new(), 0o644))).collect();
        checked(payload).map(|payload| payload.into_keys().collect())
    }

    #[test]
    fn no_path_leaves_the_volume() {
        for bad in ["", ".", "/etc/passwd", "..", "a/../../b", "..data", "..x/y", "a/..", "a\0b"] {
            assert!(paths(&[bad]).is_err(), "{bad:?}");
        }
        assert!(paths(&[&"x/".repeat(2100)]).is_err());
        assert!(paths(&[&"x".repeat(256)]).is_err());
        assert_eq!(paths(&["a//b/./c", "a/..d"]).unwrap(), ["a/..d", "a/b/c"]);
    }

    #[test]
    fn a_file_is_no_directory() {
        assert!(paths(&["a", "a/b"]).is_err());
        assert!(paths(&["a", "ab/c", "a.b"]).is_ok());
    }

    proptest! {
        #[test]
        fn clean_paths_stay_inside(path in "[a./]{0,24}") {
            if let Ok(clean) = paths(&[&path]) {
                for part in clean[0].split('/') {
                    prop_assert!(!part.is_empty() && part != "." && part != "..");
                }
                prop_assert!(!clean[0].starts_with(".."));
            }
        }
    }
}
