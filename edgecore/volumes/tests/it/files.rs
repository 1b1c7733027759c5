//! Files that are replaced together.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use edgecore_volumes::kinds::{Kind, Volume};

use crate::state::{State, files, payload, permissions, seen};

fn data(root: &Path) -> String {
    fs::read_link(root.join("..data")).unwrap().to_str().unwrap().to_owned()
}

fn expect(root: &Path, files: &[(&str, &str)]) {
    let expected = files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
    assert_eq!(seen(root), expected);
    // One directory with data, and nothing left beside it.
    let own: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".."))
        .collect();
    assert_eq!(own.len(), 2, "{own:?}");
}

#[test]
fn files_come_change_and_go_with_their_keys() {
    let state = State::new();
    let root = state.volume("config");
    assert!(state.publish(files("config", &[("a", "1"), ("deep/b", "2")], false)));
    expect(&root, &[("a", "1"), ("deep/b", "2")]);
    assert_eq!(fs::read_link(root.join("a")).unwrap(), Path::new("..data/a"));
    assert!(data(&root).starts_with("..2025_11_21_02_17_32."), "{}", data(&root));

    assert!(state.publish(files("config", &[("a", "one"), ("c", "3")], false)));
    expect(&root, &[("a", "one"), ("c", "3")]);
    assert!(state.publish(files("config", &[], false)));
    expect(&root, &[]);
}

#[test]
fn what_did_not_change_is_not_written() {
    let state = State::new();
    let root = state.volume("config");
    let volume = files("config", &[("a", "1")], false);
    state.publish(volume.clone());
    let before = (data(&root), fs::symlink_metadata(root.join("a")).unwrap().ctime_nsec());
    assert!(!state.publish(volume));
    assert_eq!((data(&root), fs::symlink_metadata(root.join("a")).unwrap().ctime_nsec()), before);
}

/// Harms a published volume.
type Damage = fn(&Path);

#[test]
fn what_a_power_cut_tore_is_repaired() {
    let state = State::new();
    let root = state.volume("config");
    let content = [("a", "1"), ("deep/b", "2")];
    let damage: [(&str, Damage); 7] = [
        ("empty file", |root| fs::write(root.join("a"), "").unwrap()),
        ("lost file", |root| fs::remove_file(root.join("..data/a")).unwrap()),
        ("lost link", |root| fs::remove_file(root.join("deep")).unwrap()),
        ("dangling data", |root| {
            fs::remove_file(root.join("..data")).unwrap();
            symlink("..nowhere", root.join("..data")).unwrap();
        }),
        ("no data", |root| fs::remove_file(root.join("..data")).unwrap()),
        ("half a swap", |root| {
            fs::create_dir(root.join("..2025_01_01_00_00_00.0")).unwrap();
            fs::write(root.join("..2025_01_01_00_00_00.0/a"), "other").unwrap();
            symlink("..2025_01_01_00_00_00.0", root.join("..data_tmp")).unwrap();
        }),
        ("data leads elsewhere", |root| {
            fs::remove_file(root.join("..data")).unwrap();
            symlink("/etc", root.join("..data")).unwrap();
        }),
    ];
    for (name, damage) in damage {
        state.publish(files("config", &content, false));
        damage(&root);
        assert!(state.publish(files("config", &content, false)), "{name}");
        expect(&root, &content);
    }
}

#[test]
fn a_reader_sees_all_of_the_old_or_all_of_the_new() {
    let state = State::new();
    let root = state.volume("config");
    let version = |number: u32| {
        let text = number.to_string().repeat(2000);
        files("config", &[("a", &text), ("b", &text)], false)
    };
    state.publish(version(0));
    let stop = AtomicBool::new(false);
    let read_on = || {
        let mut versions = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            // By the names that users see, every file is whole.
            if let Ok(seen) = fs::read_to_string(root.join("a")) {
                assert_eq!(seen.len() % 2000, 0);
            }
            // Through one directory, as a careful program would: all of one version, unless it went under way.
            let Ok(directory) = fs::canonicalize(root.join("..data")) else { continue };
            let read = |name| fs::read_to_string(directory.join(name));
            if let (Ok(a), Ok(b)) = (read("a"), read("b")) {
                assert!(a == b && !a.is_empty());
                versions += 1;
            }
        }
        versions
    };
    std::thread::scope(|threads| {
        let readers = [threads.spawn(read_on), threads.spawn(read_on)];
        for number in 1..300 {
            assert!(state.publish(version(number)));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
}

#[test]
fn modes_owners_and_groups_are_as_planned() {
    let state = State::new();
    let root = state.volume("token");
    let mut content = payload(&[("dir/token", "t")]);
    let file = content.get_mut("dir/token").unwrap();
    (file.mode, file.owner, file.group) = (0o640, 1000, 2000);
    let kind = Kind::Files { payload: content, memory: false, group: Some(2000), nested: Vec::new() };
    let volume = Volume { name: "token".to_owned(), kind };
    assert!(state.publish(volume.clone()));
    assert_eq!(permissions(&root), (0o2777, 0, 2000));
    let directory = root.join(data(&root));
    assert_eq!(permissions(&directory), (0o2755, 0, 2000));
    assert_eq!(permissions(&directory.join("dir")), (0o2755, 0, 2000));
    assert_eq!(permissions(&directory.join("dir/token")), (0o640, 1000, 2000));
    assert_eq!(permissions(&root.join("dir")).1, 1000);
    assert!(!state.publish(volume));
}

#[test]
fn other_volumes_find_a_place_to_be_mounted_on() {
    let state = State::new();
    let root = state.volume("config");
    let kind = Kind::Files {
        payload: payload(&[("a", "1"), ("in/b", "2")]),
        memory: false,
        group: None,
        nested: vec!["in/side".to_owned(), "new".to_owned()],
    };
    let volume = Volume { name: "config".to_owned(), kind };
    assert!(state.publish(volume.clone()));
    assert!(fs::symlink_metadata(root.join("in/side")).unwrap().is_dir());
    assert!(fs::symlink_metadata(root.join("new")).unwrap().is_dir());
    assert_eq!(fs::read_to_string(root.join("a")).unwrap(), "1");
    assert!(!state.publish(volume));
}

#[test]
fn a_full_disk_leaves_the_old_files() {
    let state = State::new();
    let root = state.volume("secret");
    // A tmpfs of two pages stands for the disk.
    state.publish(crate::state::empty("secret", edgecore_volumes::kinds::Medium::Memory, Some(16384), None));
    state.publish(files("secret", &[("a", "1")], true));
    let big = "x".repeat(100_000);
    let plan = crate::state::plan(vec![files("secret", &[("a", &big)], true)]);
    let published = state.dirs.publish(crate::state::POD, &plan, kit::WallTime(0));
    assert!(published.problems[0].message.contains("No space left"), "{:?}", published.problems);
    expect(&root, &[("a", "1")]);
    assert!(state.publish(files("secret", &[("a", "2")], true)));
    expect(&root, &[("a", "2")]);
}

/// Whether `..data` leads to a directory. Somebody may swap it and remove the old directory between the two looks: then the
/// link says another name.
fn leads_somewhere(root: &Path) -> bool {
    let link = || fs::read_link(root.join("..data")).unwrap();
    let leads = link();
    root.join(&leads).is_dir() || link() != leads
}

#[test]
fn publications_side_by_side_do_not_harm_each_other() {
    let state = State::new();
    let root = state.volume("config");
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let (state, root) = (&state, &root);
            threads.spawn(move || {
                for round in 0..50 {
                    let text = format!("{thread}-{round}");
                    state.publish(files("config", &[("a", &text), ("b", &text)], false));
                    assert!(leads_somewhere(root));
                }
            });
        }
    });
    let seen = seen(&root);
    assert_eq!(seen["a"], seen["b"]);
    assert!(seen["a"].ends_with("-49"));
    state.publish(files("config", &[("a", "1")], false));
    expect(&root, &[("a", "1")]);
}
