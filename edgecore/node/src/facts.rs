//! What the machine is. Read once: nothing of it changes without a reboot, but for what is plugged in.

use std::collections::BTreeMap;

/// Facts of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Processors.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the file system that holds the agent's directory.
    pub storage: u64,
    /// Huge pages set aside: size of one in bytes → bytes of all.
    pub hugepages: BTreeMap<u64, u64>,
    /// Id of this boot.
    pub boot_id: String,
    /// Id of the installation; empty where there is none.
    pub machine_id: String,
    /// Id of the hardware; the installation's where the hardware has none.
    pub system_uuid: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the distribution, for people.
    pub os_image: String,
}

/// `MemTotal` and its like in `/proc/meminfo`, in bytes.
pub(crate) fn meminfo(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Number of processors in a list such as `0-3,5`.
pub(crate) fn cpus(text: &str) -> Option<u64> {
    text.trim().split(',').try_fold(0_u64, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// `PRETTY_NAME` of `/etc/os-release`.
pub(crate) fn os_image(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let value = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value);
    (!value.is_empty()).then(|| value.to_owned())
}

/// Bytes of one huge page, from the name of its directory in `/sys/kernel/mm/hugepages`.
pub(crate) fn hugepage_size(directory: &str) -> Option<u64> {
    directory.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Threads of the machine now, from `/proc/loadavg`.
pub(crate) fn threads(text: &str) -> Option<u64> {
    text.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// The architecture in Go's words, which the API's labels use.
pub(crate) fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_understood() {
        let meminfo_text = "MemTotal:       24683044 kB\nMemFree:  1 kB\nMemAvailable:   23756000 kB\n";
        assert_eq!(meminfo(meminfo_text, "MemTotal"), Some(24_683_044 * 1024));
        assert_eq!(meminfo(meminfo_text, "Mem"), None);
        assert_eq!(meminfo("MemTotal: many", "MemTotal"), None);
        assert_eq!(cpus("0-3,5\n"), Some(5));
        assert_eq!(cpus("0\n"), Some(1));
        assert_eq!(cpus("3-1"), None);
        assert_eq!(cpus(""), None);
        assert_eq!(hugepage_size("hugepages-2048kB"), Some(2 << 20));
        assert_eq!(threads("0.11 0.07 0.05 2/211 4242\n"), Some(211));
    }

    #[test]
    fn the_distribution_has_a_name_with_or_without_quotes() {
        let name = "Debian GNU/Linux 12 (bookworm)";
        assert_eq!(os_image(&format!("ID=debian\nPRETTY_NAME=\"{name}\"\n")).as_deref(), Some(name));
        assert_eq!(os_image("PRETTY_NAME=Alpine").as_deref(), Some("Alpine"));
        assert_eq!(os_image("ID=x"), None);
    }

    #[test]
    fn architectures_have_gos_names() {
        assert_eq!(architecture("x86_64"), "amd64");
        assert_eq!(architecture("riscv64"), "riscv64");
    }
}
