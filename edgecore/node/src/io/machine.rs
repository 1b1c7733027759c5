//! Facts from the kernel's files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::error::NodeError;
use crate::facts::{self, Facts};
use crate::io::disk;

/// All facts. Those without which there is no node are errors where they are missing.
pub(super) fn facts(state_dir: &Path) -> Result<Facts, NodeError> {
    let storage = disk::room(state_dir).ok_or_else(|| NodeError::Unclear {
        path: state_dir.to_owned(),
        what: "how large its file system is",
    })?;
    let machine_id = first_line(&["/etc/machine-id", "/var/lib/dbus/machine-id"]).unwrap_or_default();
    let system_uuid = first_line(&["/sys/class/dmi/id/product_uuid", "/proc/device-tree/serial-number"]);
    Ok(Facts {
        cpus: cpus()?,
        memory: required("/proc/meminfo", "how much memory there is", |text| {
            facts::meminfo(text, "MemTotal")
        })?,
        storage: storage.total,
        hugepages: hugepages(),
        boot_id: required("/proc/sys/kernel/random/boot_id", "the boot id", |text| {
            Some(text.trim().to_owned())
        })?,
        system_uuid: system_uuid.unwrap_or_else(|| machine_id.clone()),
        machine_id,
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        os_image: ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| facts::os_image(&fs::read_to_string(path).ok()?))
            .unwrap_or_else(|| "Linux".to_owned()),
    })
}

fn cpus() -> Result<u64, NodeError> {
    let online = required("/sys/devices/system/cpu/online", "which processors there are", facts::cpus);
    // Without /sys the scheduler knows; its count is this process's share, though.
    match (online, std::thread::available_parallelism()) {
        (Ok(count), _) => Ok(count),
        (Err(_), Ok(count)) => Ok(u64::try_from(count.get()).unwrap_or(1)),
        (Err(error), Err(_)) => Err(error),
    }
}

/// Bytes that new programs could have without swapping, by the kernel's own estimate.
pub(super) fn memory_available() -> Option<u64> {
    facts::meminfo(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable")
}

/// Process ids in use and at most.
pub(super) fn pids() -> Option<(u64, u64)> {
    let used = facts::threads(&fs::read_to_string("/proc/loadavg").ok()?)?;
    let most = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
        .min()?;
    Some((used, most))
}

fn hugepages() -> BTreeMap<u64, u64> {
    let sizes = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    sizes
        .filter_map(|entry| {
            let size = facts::hugepage_size(entry.file_name().to_str()?)?;
            let count: u64 =
                fs::read_to_string(entry.path().join("nr_hugepages")).ok()?.trim().parse().ok()?;
            Some((size, size.saturating_mul(count)))
        })
        .collect()
}

fn required<T>(path: &str, what: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, NodeError> {
    let text = fs::read_to_string(path).map_err(|source| NodeError::Read { path: path.into(), source })?;
    parse(&text).ok_or_else(|| NodeError::Unclear { path: path.into(), what })
}

/// The first line of the first of these files that has one. Device trees end texts with a zero byte.
fn first_line(paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().next()?.trim_matches(['\0', ' ']).to_owned();
        (!line.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_facts() {
        let facts = facts(Path::new("/")).unwrap();
        assert!(facts.cpus > 0 && facts.memory > 1 << 20 && facts.storage > 0);
        assert_eq!(facts.boot_id.len(), 36);
        assert!(!facts.kernel.is_empty() && !facts.os_image.is_empty());
        assert!(memory_available().unwrap() <= facts.memory);
        let (used, most) = pids().unwrap();
        assert!(used > 0 && used <= most);
    }

    #[test]
    fn a_state_directory_that_is_not_there_is_named() {
        let error = facts(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
