//! Pure: CRI's counts → what [`edgecore_pods::runtime`] calls usage.

use edgecore_pods::runtime::{ContainerId, ContainerUsage, MemoryUsage, StoredBytes};

use crate::generated::cri;

/// What one container uses; `None` where it is not said which.
pub(crate) fn container(seen: cri::ContainerStats) -> Option<ContainerUsage> {
    let id = ContainerId(seen.attributes?.id);
    let cpu_ns = seen.cpu.and_then(|cpu| value(cpu.usage_core_nano_seconds));
    let memory = seen.memory.map(|memory| MemoryUsage {
        working_set: value(memory.working_set_bytes),
        usage: value(memory.usage_bytes),
        rss: value(memory.rss_bytes),
        faults: value(memory.page_faults),
        major_faults: value(memory.major_page_faults),
    });
    Some(ContainerUsage { id, cpu_ns, memory, writable: seen.writable_layer.and_then(stored) })
}

/// What images take: like upstream's kubelet, on the first file system that the runtime names.
pub(crate) fn images(seen: cri::ImageFsInfoResponse) -> Option<StoredBytes> {
    seen.image_filesystems.into_iter().next().and_then(stored)
}

fn stored(seen: cri::FilesystemUsage) -> Option<StoredBytes> {
    // containerd counts now and then, and until it did first it says zero, as of never.
    (seen.timestamp > 0).then_some(())?;
    Some(StoredBytes {
        counted_at_ns: seen.timestamp,
        bytes: value(seen.used_bytes)?,
        inodes: value(seen.inodes_used),
        directory: seen.fs_id.map(|id| id.mountpoint).unwrap_or_default(),
    })
}

fn value(seen: Option<cri::UInt64Value>) -> Option<u64> {
    seen.map(|seen| seen.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn said(value: u64) -> cri::UInt64Value {
        cri::UInt64Value { value }
    }

    #[test]
    fn what_is_not_said_is_unknown_and_not_zero() {
        assert_eq!(container(cri::ContainerStats::default()), None);
        let attributes = Some(cri::ContainerAttributes { id: "c1".to_owned() });
        let bare = container(cri::ContainerStats { attributes: attributes.clone(), ..Default::default() });
        assert_eq!(bare.map(|usage| (usage.cpu_ns, usage.memory, usage.writable)), Some((None, None, None)));
        let layer = cri::FilesystemUsage {
            timestamp: 5,
            fs_id: Some(cri::FilesystemIdentifier { mountpoint: "/var/lib/x".to_owned() }),
            used_bytes: Some(said(4096)),
            inodes_used: None,
        };
        let full = cri::ContainerStats {
            attributes,
            cpu: Some(cri::CpuUsage { timestamp: 1, usage_core_nano_seconds: Some(said(7)) }),
            memory: Some(cri::MemoryUsage { working_set_bytes: Some(said(8)), ..Default::default() }),
            writable_layer: Some(layer.clone()),
        };
        let full = container(full).unwrap();
        assert_eq!((full.id.0.as_str(), full.cpu_ns), ("c1", Some(7)));
        assert_eq!(full.memory.map(|memory| (memory.working_set, memory.rss)), Some((Some(8), None)));
        let writable = full.writable.unwrap();
        assert_eq!(
            (writable.bytes, writable.inodes, writable.directory.as_str()),
            (4096, None, "/var/lib/x")
        );
        assert_eq!(images(cri::ImageFsInfoResponse::default()), None);
        let uncounted = cri::FilesystemUsage { timestamp: 0, ..layer.clone() };
        assert_eq!(images(cri::ImageFsInfoResponse { image_filesystems: vec![uncounted] }), None);
        let images = images(cri::ImageFsInfoResponse { image_filesystems: vec![layer] });
        assert_eq!(images.map(|images| images.counted_at_ns), Some(5));
    }
}
