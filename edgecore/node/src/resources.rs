//! Pure: what the node has, and what of it pods may use.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::pressure::MEMORY_AVAILABLE;

/// `status.capacity`.
pub fn capacity(facts: &Facts, max_pods: u32) -> BTreeMap<String, String> {
    let mut resources = BTreeMap::from([
        ("cpu".to_owned(), facts.cpus.to_string()),
        ("memory".to_owned(), bytes(facts.memory)),
        ("ephemeral-storage".to_owned(), bytes(facts.storage)),
        ("pods".to_owned(), max_pods.to_string()),
    ]);
    for (size, all) in &facts.hugepages {
        resources.insert(format!("hugepages-{}", binary(*size)), binary(*all));
    }
    resources
}

/// `status.allocatable`: the capacity without what must stay free so that the node is under no pressure, as upstream
/// counts it. Memory set aside for huge pages is no memory.
pub fn allocatable(facts: &Facts, max_pods: u32) -> BTreeMap<String, String> {
    let hugepages: u64 = facts.hugepages.values().sum();
    let mut resources = capacity(facts, max_pods);
    let memory = facts.memory.saturating_sub(hugepages).saturating_sub(MEMORY_AVAILABLE);
    resources.insert("memory".to_owned(), bytes(memory));
    // Upstream's default keeps a tenth of the node's file system free.
    resources.insert("ephemeral-storage".to_owned(), (facts.storage - facts.storage / 10).to_string());
    resources
}

/// As upstream writes memory.
fn bytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1024) { format!("{}Ki", bytes / 1024) } else { bytes.to_string() }
}

/// With the largest binary suffix that leaves a whole number.
fn binary(bytes: u64) -> String {
    let units = [(1_u64 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let fits = units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| bytes.to_string(), |(unit, suffix)| format!("{}{suffix}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            cpus: 4,
            memory: 1 << 30,
            storage: 10_000 * 1024,
            hugepages: [(2 << 20, 0), (1 << 30, 0)].into(),
            ..Facts::default()
        }
    }

    #[test]
    fn capacity_is_written_as_upstream_writes_it() {
        let all = capacity(&facts(), 110);
        let wanted = [
            ("cpu", "4"),
            ("ephemeral-storage", "10000Ki"),
            ("hugepages-1Gi", "0"),
            ("hugepages-2Mi", "0"),
            ("memory", "1048576Ki"),
            ("pods", "110"),
        ];
        assert_eq!(all, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn what_must_stay_free_is_not_allocatable() {
        let mut facts = facts();
        facts.hugepages.insert(2 << 20, 512 << 20);
        let all = allocatable(&facts, 110);
        assert_eq!(all["memory"], format!("{}Ki", (1 << 20) - 512 * 1024 - 100 * 1024));
        assert_eq!(all["ephemeral-storage"], "9216000");
        assert_eq!(all["hugepages-2Mi"], "512Mi");
        facts.memory = 0;
        assert_eq!(allocatable(&facts, 1)["memory"], "0Ki");
    }
}
