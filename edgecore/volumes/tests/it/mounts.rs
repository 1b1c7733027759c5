//! Empty directories on disk and in memory.

use std::fs;

use edgecore_volumes::kinds::Medium;

use crate::state::{POD, State, empty, files, mount_table, permissions, plan, seen};

#[test]
fn an_empty_dir_on_disk_is_made_once_and_kept() {
    let state = State::new();
    let root = state.volume("data");
    assert!(state.publish(empty("data", Medium::Disk, None, None)));
    assert_eq!(permissions(&root), (0o777, 0, 0));
    fs::write(root.join("kept"), "x").unwrap();
    assert!(!state.publish(empty("data", Medium::Disk, None, None)));
    assert_eq!(fs::read_to_string(root.join("kept")).unwrap(), "x");
    assert!(mount_table(state.directory.path()).is_empty());
}

#[test]
fn an_interrupted_start_is_finished_with_the_right_owner() {
    let state = State::new();
    fs::create_dir_all(state.pod().join("volumes/..new-data")).unwrap();
    assert!(state.publish(empty("data", Medium::Disk, None, Some(2000))));
    assert_eq!(permissions(&state.volume("data")), (0o2777, 0, 2000));
    assert!(!state.pod().join("volumes/..new-data").exists());
}

#[test]
fn an_empty_dir_in_memory_has_its_size_and_is_mounted_once() {
    let state = State::new();
    let root = state.volume("cache");
    assert!(state.publish(empty("cache", Medium::Memory, Some(1 << 20), Some(2000))));
    assert!(!state.publish(empty("cache", Medium::Memory, Some(1 << 20), Some(2000))));
    assert_eq!(permissions(&root), (0o3777, 0, 2000));
    let table = mount_table(state.directory.path());
    assert_eq!(table.len(), 1);
    assert!(table[0].contains("- tmpfs tmpfs") && table[0].contains("size=1024k"), "{table:?}");
    assert!(fs::write(root.join("big"), vec![0; 2 << 20]).is_err());
}

#[test]
fn secrets_are_in_memory_and_come_back_after_a_reboot() {
    let state = State::new();
    let root = state.volume("secret");
    let volume = files("secret", &[("password", "hunter2")], true);
    assert!(state.publish(volume.clone()));
    assert_eq!(mount_table(state.directory.path()).len(), 1);
    // A reboot takes the mount; the directory on disk was always empty.
    rustix::mount::unmount(&root, rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    assert!(state.publish(volume.clone()));
    assert_eq!(seen(&root)["password"], "hunter2");
    assert!(!state.publish(volume));
}

#[test]
fn what_holds_more_than_its_limit_is_named() {
    let state = State::new();
    let volumes =
        vec![empty("data", Medium::Disk, Some(10_000), None), empty("free", Medium::Disk, None, None)];
    let plan = plan(volumes.clone());
    for volume in volumes {
        state.publish(volume);
    }
    assert_eq!(state.dirs.over_limit(POD, &plan).unwrap(), Vec::<String>::new());
    let deep = state.volume("data").join("a/b/c");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("big"), vec![1; 100_000]).unwrap();
    fs::hard_link(deep.join("big"), state.volume("free").join("big")).unwrap();
    fs::write(state.volume("free").join("more"), vec![1; 100_000]).unwrap();
    std::os::unix::fs::symlink("/", state.volume("data").join("all")).unwrap();
    assert_eq!(
        state.dirs.over_limit(POD, &plan).unwrap(),
        [r#"Usage of EmptyDir volume "data" exceeds the limit "10000". "#]
    );
}

#[test]
fn a_host_path_that_is_not_as_asked_keeps_only_its_volume() {
    use edgecore_volumes::Trouble;
    use edgecore_volumes::kinds::{HostPathType, Kind, Volume};
    let state = State::new();
    let path = state.directory.path().join("nope").to_str().unwrap().to_owned();
    let kind = Kind::HostPath { path, kind: HostPathType::Directory };
    let host = Volume { name: "host".to_owned(), kind };
    let both = plan(vec![host, empty("data", Medium::Disk, None, None)]);
    let published = state.dirs.publish(POD, &both, kit::WallTime(0));
    assert_eq!(published.changed, ["data"]);
    assert_eq!(published.problems[0].trouble, Trouble::Missing);
    let text = published.problems[0].to_string();
    assert!(
        text.starts_with(r#"MountVolume.SetUp failed for volume "host" : hostPath type check failed"#),
        "{text}"
    );
}
