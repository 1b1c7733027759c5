//! Pure: what is on disk × what must be there → what to do.
//!
//! A volume with files looks like this; only the last rename makes new content visible, all of it at once:
//!
//! ```text
//! <volume>/..2026_11_21_02_17_32.0/key   content
//! <volume>/..data -> ..2026_11_21_02_17_32.0
//! <volume>/key -> ..data/key             what users see
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::kinds::Payload;

/// The link that is swapped.
pub(crate) const DATA: &str = "..data";
/// Its successor before the swap.
pub(crate) const NEW_DATA: &str = "..data_tmp";

/// What a volume's directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OnDisk {
    /// Where `..data` leads, if it leads to a directory in the volume.
    pub(crate) current: Option<String>,
    /// What that directory holds.
    pub(crate) files: Payload,
    /// It holds something that is neither file nor directory, or a file that cannot be a volume's.
    pub(crate) odd: bool,
    /// Symbolic links in the volume, with where they lead.
    pub(crate) links: BTreeMap<String, String>,
    /// Names in the volume that are no symbolic links.
    pub(crate) others: BTreeSet<String>,
}

/// What to do, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Names to remove first: leftovers of an interrupted publication.
    pub(crate) leftovers: Vec<String>,
    /// Write all files into a new directory and swap `..data` to it.
    pub(crate) write: bool,
    /// Links for users to make; what is at the name goes.
    pub(crate) link: Vec<String>,
    /// Links of users to remove.
    pub(crate) unlink: Vec<String>,
    /// The directory that is no longer `..data`.
    pub(crate) retire: Option<String>,
}

impl Changes {
    /// All is as it must be.
    pub(crate) fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a user's link must lead.
pub(crate) fn link_target(name: &str) -> String {
    format!("{DATA}/{name}")
}

/// First part of a path.
pub(crate) fn top(path: &str) -> &str {
    path.split_once('/').map_or(path, |(top, _)| top)
}

/// What to do so that the volume holds exactly the payload. `covered` are names that belong to mount points of other
/// volumes: users see those, not the payload's files of the same name.
pub(crate) fn diff(found: &OnDisk, payload: &Payload, covered: &BTreeSet<&str>) -> Changes {
    let tops: BTreeSet<&str> = payload.keys().map(|path| top(path)).collect();
    let write = found.current.is_none() || found.odd || found.files != *payload;
    let current = found.current.as_deref();
    let own = |name: &&String| name.starts_with("..");
    let leftovers = found
        .others
        .iter()
        .filter(own)
        .filter(|name| Some(name.as_str()) != current)
        .chain(found.links.keys().filter(own).filter(|name| *name != DATA));
    let leads_right = |name: &str| found.links.get(name).is_some_and(|target| *target == link_target(name));
    // Only links of our own making go: everything else, such as mount points for other volumes, stays.
    let stale = found.links.iter().filter(|(name, target)| {
        !name.starts_with("..") && !tops.contains(name.as_str()) && **target == link_target(name)
    });
    Changes {
        leftovers: leftovers.cloned().collect(),
        write,
        link: tops
            .difference(covered)
            .filter(|name| !leads_right(name))
            .map(|name| (*name).to_owned())
            .collect(),
        unlink: stale.map(|(name, _)| name.clone()).collect(),
        retire: current.filter(|_| write).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::File;
    use kit::Masked;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |content: &str| File {
            content: Masked(content.as_bytes().to_vec()),
            mode: 0o644,
            owner: 0,
            group: 0,
        };
        files.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect()
    }

    fn changes(found: &OnDisk, payload: &Payload) -> Changes {
        diff(found, payload, &BTreeSet::new())
    }

    fn published(files: &[(&str, &str)]) -> OnDisk {
        let files = payload(files);
        let tops = files.keys().map(|path| path.split('/').next().unwrap().to_owned());
        let mut links: BTreeMap<_, _> = tops.map(|top| (top.clone(), link_target(&top))).collect();
        links.insert(DATA.to_owned(), "..1".to_owned());
        OnDisk {
            current: Some("..1".to_owned()),
            files,
            odd: false,
            links,
            others: BTreeSet::from(["..1".to_owned()]),
        }
    }

    #[test]
    fn nothing_changed_is_nothing_to_do() {
        let files = [("a", "1"), ("dir/b", "2")];
        assert!(changes(&published(&files), &payload(&files)).none());
        assert!(changes(&published(&[]), &payload(&[])).none());
    }

    #[test]
    fn the_first_time_everything_is_written() {
        let changes = changes(&OnDisk::default(), &payload(&[("a", "1"), ("dir/b", "2"), ("dir/c", "3")]));
        assert_eq!(
            changes,
            Changes { write: true, link: vec!["a".to_owned(), "dir".to_owned()], ..Changes::default() }
        );
    }

    #[test]
    fn a_key_that_went_loses_its_link_and_a_new_one_gets_one() {
        let changes = changes(&published(&[("a", "1"), ("b", "2")]), &payload(&[("b", "2"), ("c", "3")]));
        assert_eq!(changes.unlink, ["a"]);
        assert_eq!(changes.link, ["c"]);
        assert_eq!(changes.retire.as_deref(), Some("..1"));
        assert!(changes.write);
    }

    #[test]
    fn torn_content_mode_and_owner_are_repaired() {
        let wanted = payload(&[("a", "1")]);
        for damage in [0, 1, 2, 3] {
            let mut found = published(&[("a", "1")]);
            let file = found.files.get_mut("a").unwrap();
            match damage {
                0 => file.content = Masked(vec![0]),
                1 => file.mode = 0o600,
                2 => file.group = 1,
                _ => found.odd = true,
            }
            assert!(changes(&found, &wanted).write, "{damage}");
        }
    }

    #[test]
    fn leftovers_of_a_crash_go_and_a_lost_link_comes_back() {
        let mut found = published(&[("a", "1")]);
        found.others.insert("..0".to_owned());
        found.others.insert("nested".to_owned());
        found.links.insert(NEW_DATA.to_owned(), "..0".to_owned());
        found.links.remove("a");
        let changes = changes(&found, &payload(&[("a", "1")]));
        assert_eq!(changes.leftovers, ["..0", NEW_DATA]);
        assert_eq!(changes.link, ["a"]);
        assert!(!changes.write && changes.unlink.is_empty() && changes.retire.is_none());
    }

    #[test]
    fn a_mount_point_of_another_volume_covers_the_payload() {
        let found = diff(&OnDisk::default(), &payload(&[("a/x", "1"), ("b", "2")]), &BTreeSet::from(["a"]));
        assert_eq!(found.link, ["b"]);
    }

    #[test]
    fn links_of_others_stay() {
        let mut found = published(&[]);
        found.links.insert("mine".to_owned(), "/elsewhere".to_owned());
        assert!(changes(&found, &payload(&[])).none());
    }
}
