//! Files that are replaced together.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown, lchown, symlink};
use std::path::Path;

use kit::{Masked, WallTime};

use crate::diff::{Changes, DATA, NEW_DATA, OnDisk, diff, link_target, top};
use crate::kinds::{self, Payload};

/// Nothing that comes from the API server is longer, so a longer file is none of ours.
const MAX_FILE: u64 = 4 << 20;

/// Makes a volume's directory, which exists, hold the payload. Says whether it wrote anything.
///
/// Nothing is synced: after a power cut contents are compared and what is torn is written again, before any
/// container starts.
pub(super) fn publish(
    target: &Path,
    payload: &Payload,
    group: Option<u32>,
    nested: &[String],
    now: WallTime,
) -> io::Result<bool> {
    for point in nested {
        fs::create_dir_all(target.join(point))?;
    }
    let covered: BTreeSet<&str> = nested.iter().map(|point| top(point)).collect();
    let changes = diff(&look(target)?, payload, &covered);
    if changes.none() {
        return Ok(false);
    }
    apply(target, &changes, payload, group, now)?;
    Ok(true)
}

fn apply(
    target: &Path,
    changes: &Changes,
    payload: &Payload,
    group: Option<u32>,
    now: WallTime,
) -> io::Result<()> {
    for name in &changes.leftovers {
        remove(&target.join(name))?;
    }
    if changes.write {
        let name = new_directory(target, now)?;
        let swapped = write(&target.join(&name), payload, group)
            .and_then(|()| symlink(&name, target.join(NEW_DATA)))
            .and_then(|()| fs::rename(target.join(NEW_DATA), target.join(DATA)));
        if swapped.is_err() {
            // Best effort: the next publication removes what is left, and the error that matters is the first.
            let _ = remove(&target.join(NEW_DATA));
            let _ = remove(&target.join(&name));
        }
        swapped?;
    }
    for name in &changes.link {
        let link = target.join(name);
        remove(&link)?;
        symlink(link_target(name), &link)?;
        let owner = payload.iter().find(|(path, _)| top(path) == name).map(|(_, file)| file.owner);
        lchown(&link, owner, group)?;
    }
    for name in &changes.unlink {
        remove(&target.join(name))?;
    }
    match &changes.retire {
        Some(old) => remove(&target.join(old)),
        None => Ok(()),
    }
}

/// What the volume's directory holds. Only root writes there, so paths can be trusted.
fn look(target: &Path) -> io::Result<OnDisk> {
    let mut found = OnDisk::default();
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_symlink() {
            let leads = fs::read_link(entry.path())?.to_string_lossy().into_owned();
            found.links.insert(name, leads);
        } else {
            found.others.insert(name);
        }
    }
    // A directory beside the link, never a path to elsewhere.
    found.current = found.links.get(DATA).filter(|name| found.others.contains(*name)).cloned();
    if let Some(current) = found.current.clone() {
        let root = target.join(&current);
        if fs::symlink_metadata(&root)?.is_dir() {
            read_tree(&root, &mut found)?;
        } else {
            found.odd = true;
        }
    }
    Ok(found)
}

fn read_tree(root: &Path, found: &mut OnDisk) -> io::Result<()> {
    let mut waiting = vec![String::new()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let Ok(name) = entry.file_name().into_string() else {
                found.odd = true;
                continue;
            };
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            if metadata.is_dir() {
                waiting.push(path);
            } else if metadata.is_file() && metadata.len() <= MAX_FILE {
                let mut content = Vec::new();
                File::open(entry.path())?.take(MAX_FILE).read_to_end(&mut content)?;
                let file = kinds::File {
                    content: Masked(content),
                    mode: metadata.mode() & 0o7777,
                    owner: metadata.uid(),
                    group: metadata.gid(),
                };
                found.files.insert(path, file);
            } else {
                found.odd = true;
            }
        }
    }
    Ok(())
}

/// A new directory with a name that sorts by time, as upstream's does, and is never used twice: a reader that is
/// still in an old directory must not find itself in a new one of the same name.
fn new_directory(target: &Path, now: WallTime) -> io::Result<String> {
    let digits = |c: char| if c.is_ascii_digit() { c } else { '_' };
    let stamp: String = now.rfc3339().trim_end_matches('Z').chars().map(digits).collect();
    let suffix = kit::random::bytes::<4>().map(u32::from_be_bytes).map_err(io::Error::other)?;
    let name = format!("..{stamp}.{suffix}");
    fs::create_dir(target.join(&name))?;
    Ok(name)
}

fn write(root: &Path, payload: &Payload, group: Option<u32>) -> io::Result<()> {
    open_to(root, group)?;
    for (path, file) in payload {
        for (at, _) in path.match_indices('/') {
            let directory = root.join(&path[..at]);
            match fs::create_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => open_to(&directory, group)?,
            }
        }
        // Narrow until it has its owner.
        let mut written =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(root.join(path))?;
        written.write_all(&file.content.0)?;
        fchown(&written, Some(file.owner), Some(file.group))?;
        written.set_permissions(Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

/// Everybody may look into a directory; with an fsGroup it belongs to the group.
fn open_to(directory: &Path, group: Option<u32>) -> io::Result<()> {
    chown(directory, None, group)?;
    let mode = if group.is_some() { 0o2755 } else { 0o755 };
    fs::set_permissions(directory, Permissions::from_mode(mode))
}

/// Removes a file, link or tree of our own making; fine if there is none.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
