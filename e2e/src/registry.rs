//! Which labs live on this machine: one small folder each under `/run/skerry-lab`, so that ids and networks
//! never collide and a lab is found again even when its directory was deleted under it.
//!
//! `/run/skerry-lab/<id>/owner` holds the lab's directory, `network` its number, and beside them lies one
//! symlink per running node to the root of its file system (short, as a socket's path ends at 108 bytes).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::host;
use crate::names::{self, LabId};

const HOME: &str = "/run/skerry-lab";

/// The folder of one lab.
pub fn folder(id: &str) -> PathBuf {
    Path::new(HOME).join(id)
}

/// The lab of this directory, if it has a claim.
pub fn find(dir: &Path) -> Option<LabId> {
    claims().into_iter().find_map(|(lab, owner)| (owner == dir).then_some(lab))
}

/// The claim of this directory, made now if there is none.
///
/// # Errors
/// `/run` cannot be written, or every network is taken.
pub fn claim(dir: &Path) -> Result<LabId> {
    fs::create_dir_all(HOME).with_context(|| format!("cannot make {HOME}"))?;
    let lock = File::create(Path::new(HOME).join("lock"))?;
    lock.lock()?;
    if let Some(lab) = find(dir) {
        return Ok(lab);
    }
    let claims = claims();
    let id = names::pick_id(dir, &claims.iter().map(|(lab, _)| lab.id.clone()).collect());
    let mut taken: BTreeSet<u16> = claims.iter().map(|(lab, _)| lab.network).collect();
    taken.extend(networks_in_use()?);
    let network = names::pick_network(&id, &taken).context("every network of 198.18.0.0/15 is in use")?;
    let home = folder(&id);
    fs::create_dir_all(home.join("disk"))?;
    fs::write(home.join("network"), network.to_string())?;
    fs::write(home.join("owner"), dir.as_os_str().as_encoded_bytes())?;
    Ok(LabId { id, network })
}

/// Gives the claim back.
///
/// # Errors
/// The folder cannot be removed.
pub fn release(lab: &LabId) -> Result<()> {
    let Ok(lock) = File::create(Path::new(HOME).join("lock")) else { return Ok(()) };
    lock.lock()?;
    match fs::remove_dir_all(folder(&lab.id)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    // `ip netns` leaves its folder mounted onto itself; with the last lab and the last namespace it goes too.
    let unused = fs::read_dir("/run/netns").is_ok_and(|mut names| names.next().is_none());
    if unused && claims().is_empty() && host::run(&["umount", "/run/netns"]).is_ok() {
        fs::remove_dir("/run/netns")?;
    }
    Ok(())
}

fn claims() -> Vec<(LabId, PathBuf)> {
    let Ok(entries) = fs::read_dir(HOME) else { return Vec::new() };
    let read = |path: &Path| {
        let owner = fs::read_to_string(path.join("owner")).ok()?;
        let network = fs::read_to_string(path.join("network")).ok()?.trim().parse().ok()?;
        let id = path.file_name()?.to_str()?.to_owned();
        Some((LabId { id, network }, PathBuf::from(owner)))
    };
    entries.flatten().filter_map(|entry| read(&entry.path())).collect()
}

/// Networks that the host has an address in or a route to, whoever made them.
fn networks_in_use() -> Result<BTreeSet<u16>> {
    let routes = host::run(&["ip", "-4", "route", "show", "table", "all"])?;
    let words = routes.split_whitespace().filter_map(|word| word.split('/').next());
    Ok(words.filter_map(|word| word.parse::<Ipv4Addr>().ok()).filter_map(names::network_of).collect())
}
