//! A node's disk: an ext4 file system in a sparse image file, mounted through a loop device inside the node's
//! mount namespace only, so it goes away with the node.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::host;

/// Makes an empty disk. A small journal and no reserve: these disks are small and belong to one node.
///
/// # Errors
/// The file cannot be made or formatted.
pub fn create(image: &Path, mib: u32) -> Result<()> {
    let file = File::create(image).with_context(|| format!("cannot make {}", image.display()))?;
    file.set_len(u64::from(mib) * 1024 * 1024)?;
    let path = image.display().to_string();
    host::run(&["mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=16", &path]).map(drop)
}

/// Stops the file system under `anything_on_it` at once and copies the disk as it lies: afterwards `image` is
/// that copy, and whatever still holds the old file changes nothing any more.
///
/// # Errors
/// The file system cannot be stopped or the image cannot be copied.
pub fn cut_power(image: &Path, anything_on_it: &Path) -> Result<()> {
    let on_disk =
        File::open(anything_on_it).with_context(|| format!("cannot open {}", anything_on_it.display()))?;
    e2e_ioctl::cut_power(&on_disk).context("cannot stop the node's file system")?;
    wait_until_quiet(image)?;
    let copy = image.with_extension("copy");
    let (from, to) = (image.display().to_string(), copy.display().to_string());
    host::run(&["cp", "--sparse=always", "--reflink=auto", &from, &to])?;
    fs::rename(&copy, image).with_context(|| format!("cannot replace {from}"))
}

/// Requests that were on their way to the disk are on it once its loop device has none in flight.
fn wait_until_quiet(image: &Path) -> Result<()> {
    let devices = loop_devices(image);
    host::wait("the disk's last request", Duration::from_secs(10), || {
        let busy = |device: &String| {
            let inflight = fs::read_to_string(format!("/sys/block/{device}/inflight")).unwrap_or_default();
            inflight.split_whitespace().any(|count| count != "0")
        };
        Ok(!devices.iter().any(busy))
    })
}

/// The loop devices whose backing file is `path` or lies under it, by name.
pub fn loop_devices(path: &Path) -> Vec<String> {
    let Ok(blocks) = fs::read_dir("/sys/block") else { return Vec::new() };
    let backed_by_it = |name: &String| {
        let backing = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).unwrap_or_default();
        // A file that was replaced or deleted since keeps its name with a mark behind it.
        Path::new(backing.trim_end().trim_end_matches(" (deleted)")).starts_with(path)
    };
    let names = blocks.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("loop")).filter(backed_by_it).collect()
}

/// Detaches what is left of the loop devices under `path`; they go by themselves when the last process of a
/// node is gone, a moment later.
///
/// # Errors
/// One stays attached.
pub fn detach_all(path: &Path) -> Result<()> {
    host::wait(&format!("end of the loop devices of {}", path.display()), Duration::from_secs(10), || {
        let left = loop_devices(path);
        for device in &left {
            // Busy means that its file system is still going away, or marks it to go when it is gone.
            let _ = host::run(&["losetup", "-d", &format!("/dev/{device}")]);
        }
        Ok(left.is_empty())
    })
}
