//! What a power loss leaves of the results that CNI's library keeps of each network it set up.
//!
//! The library writes them without a sync, so after a power loss some are empty or cut short; and then no sandbox that
//! such a file belongs to can be torn down: the runtime fails with "decoding version from network config" for ever. Where
//! there is no file, teardown goes by the configuration, which is as good.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Where CNI's library keeps results: `CacheDir` of libcni, which containerd does not change.
pub const CNI_RESULTS: &str = "/var/lib/cni/results";

/// Removes results that are no JSON, and names them. To be called before the runtime is asked to stop anything; a
/// directory that is not there holds none.
pub fn clear_torn_results(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut torn = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let whole = match fs::read(entry.path()) {
            Ok(bytes) => serde_json::from_slice::<serde_json::Value>(&bytes).is_ok(),
            // Torn down this instant, by a runtime that goes on working.
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        if !whole {
            fs::remove_file(entry.path())?;
            torn.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    torn.sort();
    Ok(torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_json_goes() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in
            [("whole", "{\"kind\":\"cniCacheV1\"}"), ("empty", ""), ("cut", "{\"kind\":\"cni")]
        {
            fs::write(dir.path().join(name), text).unwrap();
        }
        assert_eq!(clear_torn_results(dir.path()).unwrap(), ["cut", "empty"]);
        assert!(dir.path().join("whole").exists());
        assert_eq!(clear_torn_results(dir.path()).unwrap(), Vec::<String>::new());
        assert_eq!(clear_torn_results(&dir.path().join("absent")).unwrap(), Vec::<String>::new());
    }
}
