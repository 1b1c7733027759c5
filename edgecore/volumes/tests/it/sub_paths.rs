//! Parts of volumes, and who may not get out of them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use edgecore_volumes::kinds::{HostPathType, Kind, Medium, Plan, Volume};
use edgecore_volumes::{BoundMount, Trouble, VolumeError};

use crate::state::{POD, State, empty, files, mount_table, plan, request};

fn bind(state: &State, plan: &Plan, sub_path: &str) -> Result<BoundMount, String> {
    let name = plan.volumes[0].name.clone();
    let bound = state.dirs.bind(POD, "c", plan, &[request(&name, sub_path)]);
    bound.map(|mut bound| bound.remove(0)).map_err(|error| error.to_string())
}

fn data() -> (State, Plan) {
    let state = State::new();
    let volume = empty("data", Medium::Disk, None, None);
    state.publish(volume.clone());
    (state, plan(vec![volume]))
}

#[test]
fn a_whole_volume_needs_no_bind() {
    let (state, plan) = data();
    let bound = bind(&state, &plan, "").unwrap();
    assert_eq!(Path::new(&bound.host_path), state.volume("data"));
    assert!(!bound.readonly && mount_table(state.directory.path()).is_empty());
}

#[test]
fn a_missing_part_becomes_a_directory_like_its_volume() {
    let (state, plan) = data();
    let bound = bind(&state, &plan, "a/./b").unwrap();
    assert_eq!(fs::metadata(&bound.host_path).unwrap().mode() & 0o7777, 0o777);
    fs::write(Path::new(&bound.host_path).join("x"), "1").unwrap();
    assert_eq!(fs::read_to_string(state.volume("data").join("a/b/x")).unwrap(), "1");
}

#[test]
fn the_same_part_is_bound_once_and_a_replaced_one_anew() {
    let (state, plan) = data();
    let file = state.volume("data").join("f");
    fs::write(&file, "old").unwrap();
    let first = bind(&state, &plan, "f").unwrap();
    assert_eq!(bind(&state, &plan, "f").unwrap(), first);
    assert_eq!(mount_table(state.directory.path()).len(), 1);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("inner"), "new").unwrap();
    let second = bind(&state, &plan, "f").unwrap();
    assert_eq!(fs::read_to_string(Path::new(&second.host_path).join("inner")).unwrap(), "new");
    assert_eq!(mount_table(state.directory.path()).len(), 1);
}

#[test]
fn no_link_leads_out_of_the_volume() {
    let (state, plan) = data();
    let root = state.volume("data");
    fs::create_dir(root.join("in")).unwrap();
    fs::write(root.join("in/f"), "inside").unwrap();
    symlink("/etc", root.join("absolute")).unwrap();
    symlink("../../..", root.join("up")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("in", root.join("fine")).unwrap();
    for bad in ["absolute", "absolute/passwd", "absolute/new", "up", "up/x", "dangling", "dangling/x"] {
        let message = bind(&state, &plan, bad).unwrap_err();
        assert_eq!(message, r#"failed to prepare subPath for volumeMount "data" of container "c""#, "{bad}");
    }
    for bad in ["/etc", "../x", "a/../../x"] {
        assert!(bind(&state, &plan, bad).unwrap_err().contains(bad), "{bad}");
    }
    assert!(!Path::new("/etc/new").exists());
    let bound = bind(&state, &plan, "fine/f").unwrap();
    assert_eq!(fs::read_to_string(bound.host_path).unwrap(), "inside");
}

#[test]
fn a_key_of_a_config_map_can_be_mounted_alone_and_is_read_only() {
    let state = State::new();
    let volume = files("config", &[("app.conf", "1")], false);
    state.publish(volume.clone());
    let plan = plan(vec![volume]);
    let bound = bind(&state, &plan, "app.conf").unwrap();
    assert!(bound.readonly);
    assert_eq!(fs::read_to_string(&bound.host_path).unwrap(), "1");
    // As upstream: the running container keeps the file it was started with.
    state.publish(files("config", &[("app.conf", "2")], false));
    assert_eq!(fs::read_to_string(&bound.host_path).unwrap(), "1");
    assert_eq!(fs::read_to_string(bind(&state, &plan, "app.conf").unwrap().host_path).unwrap(), "2");
}

#[test]
fn parts_of_host_paths_work_too() {
    let state = State::new();
    let host = state.directory.path().join("host");
    fs::create_dir(&host).unwrap();
    fs::set_permissions(&host, fs::Permissions::from_mode(0o700)).unwrap();
    let kind = Kind::HostPath { path: host.to_str().unwrap().to_owned(), kind: HostPathType::Directory };
    let plan = plan(vec![Volume { name: "host".to_owned(), kind }]);
    bind(&state, &plan, "sub").unwrap();
    assert_eq!(fs::metadata(host.join("sub")).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_container_that_went_leaves_no_binds() {
    let (state, plan) = data();
    bind(&state, &plan, "a").unwrap();
    fs::write(state.volume("data").join("a/kept"), "x").unwrap();
    state.dirs.unbind(POD, "other").unwrap();
    assert_eq!(mount_table(state.directory.path()).len(), 1);
    state.dirs.unbind(POD, "c").unwrap();
    assert!(mount_table(state.directory.path()).is_empty());
    assert!(!state.pod().join("volume-subpaths/data/c").exists());
    assert_eq!(fs::read_to_string(state.volume("data").join("a/kept")).unwrap(), "x");
    state.dirs.unbind(POD, "c").unwrap();
}

#[test]
fn an_unknown_volume_is_named() {
    let (state, plan) = data();
    let error = state.dirs.bind(POD, "c", &plan, &[request("nope", "")]).unwrap_err().to_string();
    assert_eq!(error, r#"cannot find volume "nope" to mount into container "c""#);
}

#[test]
fn files_that_cannot_be_planned_any_more_are_bound_as_they_were() {
    let state = State::new();
    let problem = VolumeError::new("f", Trouble::Missing, "references non-existent config key: k");
    let later = Plan { volumes: Vec::new(), problems: vec![problem] };
    let request = [request("f", "")];
    assert!(state.dirs.bind(POD, "c", &later, &request).is_err());
    // A directory without files is no volume: those on a tmpfs are gone after a reboot.
    fs::create_dir_all(state.volume("f")).unwrap();
    assert!(state.dirs.bind(POD, "c", &later, &request).is_err());
    state.publish(files("f", &[("k", "v")], false));
    let bound = state.dirs.bind(POD, "c", &later, &request).unwrap().remove(0);
    assert!(bound.readonly);
    assert_eq!(fs::read_to_string(Path::new(&bound.host_path).join("k")).unwrap(), "v");
    assert!(state.dirs.bind(POD, "c", &plan(Vec::new()), &request).is_err());
}
