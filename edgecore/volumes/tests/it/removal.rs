//! The end of a pod's files, and the few that are no volumes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use edgecore_volumes::kinds::Medium;

use crate::state::{POD, State, empty, files, mount_table, plan, request};

#[test]
fn everything_goes_and_nothing_else() {
    let state = State::new();
    let outside = state.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    let data = empty("data", Medium::Disk, None, None);
    state.publish(data.clone());
    state.publish(files("secret", &[("a", "1")], true));
    state.publish(empty("cache", Medium::Memory, None, None));
    state.dirs.bind(POD, "c", &plan(vec![data]), &[request("data", "sub")]).unwrap();
    state.dirs.etc_hosts(POD, "127.0.0.1 localhost\n").unwrap();
    state.dirs.termination_log(POD, "c", 0).unwrap();
    let root = state.volume("data");
    symlink(&outside, root.join("link")).unwrap();
    symlink("/", root.join("sub/all")).unwrap();
    // What a container mounted where it may propagate to the host.
    fs::create_dir(root.join("bound")).unwrap();
    rustix::mount::mount_bind(&outside, root.join("bound")).unwrap();
    assert_eq!(mount_table(state.directory.path()).len(), 4);

    state.dirs.unpublish(POD).unwrap();
    assert!(mount_table(state.directory.path()).is_empty());
    assert!(!state.pod().exists());
    assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "x");
    state.dirs.unpublish(POD).unwrap();
}

#[test]
fn a_mount_in_use_does_not_hold_a_pod_back() {
    let state = State::new();
    state.publish(files("secret", &[("a", "1")], true));
    let open = fs::File::open(state.volume("secret").join("a")).unwrap();
    state.dirs.unpublish(POD).unwrap();
    assert!(!state.pod().exists());
    drop(open);
}

#[test]
fn deep_and_wide_trees_go_too() {
    let state = State::new();
    state.publish(empty("data", Medium::Disk, None, None));
    // Deeper than any path and any number of open files, as a container can make it step by step.
    let mut directory = std::os::fd::OwnedFd::from(fs::File::open(state.volume("data")).unwrap());
    for level in 0..3000 {
        rustix::fs::mkdirat(&directory, "d", rustix::fs::Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&directory, format!("..removed-{level}"), rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        directory = rustix::fs::openat(&directory, "d", flags, rustix::fs::Mode::empty()).unwrap();
    }
    drop(directory);
    for number in 0..3000 {
        fs::write(state.volume("data").join(number.to_string()), "").unwrap();
    }
    state.dirs.unpublish(POD).unwrap();
    assert!(!state.pod().exists());
}

#[test]
fn pods_that_left_something_are_known() {
    let state = State::new();
    assert_eq!(state.dirs.published().unwrap(), Vec::<String>::new());
    state.publish(empty("data", Medium::Disk, None, None));
    assert_eq!(state.dirs.published().unwrap(), [POD]);
}

#[test]
fn no_name_reaches_beyond_the_pods() {
    let state = State::new();
    fs::write(state.directory.path().join("store.db"), "x").unwrap();
    for name in ["..", ".", "", "../pods", "a/b"] {
        assert!(state.dirs.unpublish(name).is_err(), "{name:?}");
        assert!(state.dirs.etc_hosts(name, "x").is_err(), "{name:?}");
        assert!(state.dirs.termination_log(POD, name, 0).is_err(), "{name:?}");
    }
    assert!(state.directory.path().join("store.db").exists());
}

#[test]
fn hosts_change_in_place() {
    let state = State::new();
    let path = state.dirs.etc_hosts(POD, "one").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    state.dirs.etc_hosts(POD, "two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.ino(), found.permissions().mode() & 0o7777), (inode, 0o644));
}

#[test]
fn termination_messages_are_kept_for_the_last_attempt_and_cut_to_the_end() {
    let state = State::new();
    let first = state.dirs.termination_log(POD, "c", 0).unwrap();
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o7777, 0o666);
    assert_eq!(state.dirs.termination_message(POD, "c", 0).unwrap(), None);
    assert_eq!(state.dirs.termination_message(POD, "c", 7).unwrap(), None);
    fs::write(&first, format!("{}end", "x".repeat(10_000))).unwrap();
    let message = state.dirs.termination_message(POD, "c", 0).unwrap().unwrap();
    assert!(message.len() == 4096 && message.ends_with("xend"));
    state.dirs.termination_log(POD, "c", 1).unwrap();
    assert!(first.exists());
    state.dirs.termination_log(POD, "c", 2).unwrap();
    assert!(!first.exists());
    assert_eq!(state.dirs.termination_log(POD, "c", 2).unwrap(), state.pod().join("containers/c/2"));
}
