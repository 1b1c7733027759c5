//! A small heap.
//!
//! glibc gives each thread an arena of its own and lets its thresholds grow with use; for an agent with a few short
//! threads that is a megabyte or more of memory held for nothing. The settings can only be made in the environment
//! before the process starts (the calls are foreign functions, which this workspace forbids), so the process replaces
//! itself once: same process id, same arguments. Where that fails it goes on as it is.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// One arena; free memory goes back to the kernel from 64 KiB on.
const SETTINGS: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "65536"), ("MALLOC_MMAP_THRESHOLD_", "65536")];

/// Replaces the process by itself with the settings, unless they are made: by the operator, or by the round before.
pub(crate) fn settle() {
    if SETTINGS.iter().all(|(name, _)| kit::config::env(name).is_some()) {
        return;
    }
    let mut arguments = std::env::args_os();
    let Some(own) = arguments.next() else { return };
    let mut command = Command::new("/proc/self/exe");
    command.arg0(own).args(arguments);
    for (name, value) in SETTINGS {
        if kit::config::env(name).is_none() {
            command.env(name, value);
        }
    }
    // Returns only where it failed.
    drop(command.exec());
}
