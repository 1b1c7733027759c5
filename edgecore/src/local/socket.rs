//! Makes the local socket: for its owner alone, in place of one that a killed agent left, and never in place of another
//! agent's.

use std::fs::{DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    /// Of two agents that are given the same path only one may replace what is there.
    _lock: File,
}

/// Makes the socket.
///
/// # Errors
/// Its folder is not only its owner's to write, somebody listens already, something else than a socket is there, or the
/// file system refuses.
pub(super) fn bind(path: &Path) -> anyhow::Result<Socket> {
    let at = || format!("cannot listen on {}", path.display());
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(at)?;
        check(dir).with_context(at)?;
    }
    let lock = lock(path).with_context(at)?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => bail!("{}: something else is there", at()),
        Ok(_) if listened_on(path).with_context(at)? => bail!("{}: another process does", at()),
        Ok(_) => std::fs::remove_file(path).with_context(at)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(at),
    }
    let listener = UnixListener::bind(path).with_context(at)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).with_context(at)?;
    Ok(Socket { listener, _lock: lock })
}

/// Whoever may write the folder could put a socket of his own into the place of ours.
fn check(dir: &Path) -> anyhow::Result<()> {
    let found = std::fs::metadata(dir)?;
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 {
        bail!("others than its owner may write {} (mode {mode:04o})", dir.display());
    }
    if found.uid() != 0 && found.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} belongs to user {}, who is neither root nor edgecore's", dir.display(), found.uid());
    }
    Ok(())
}

/// Held for as long as the agent listens; the kernel lets go when the process ends, however it ends.
fn lock(path: &Path) -> anyhow::Result<File> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let about = || format!("cannot lock {}", beside.display());
    let file = File::options().create(true).append(true).open(&beside).with_context(about)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => bail!("another process does"),
        Err(error) => Err(error).with_context(about),
    }
}

/// Whether somebody listens on a socket, be it one that holds no lock. Never waits for him.
fn listened_on(path: &Path) -> rustix::io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&probe, &SocketAddrUnix::new(path)?) {
        // So many wait for him that there is no place for one more.
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener as Plain;

    fn refusal(path: &Path) -> String {
        format!("{:#}", bind(path).unwrap_err())
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/edgecore.sock");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let first = bind(&path).unwrap();
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        let inode = std::fs::metadata(&path).unwrap().ino();
        assert!(refusal(&path).contains("another process"), "{}", refusal(&path));
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
        drop(first);
        drop(bind(&path).unwrap());
        // Somebody who knows nothing of the lock has it as well.
        std::fs::remove_file(&path).unwrap();
        let other = Plain::bind(&path).unwrap();
        assert!(refusal(&path).contains("another process"), "{}", refusal(&path));
        drop(other);
        // What is no socket is nobody's to remove.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "a file").unwrap();
        assert!(refusal(&path).contains("something else"), "{}", refusal(&path));
        assert_eq!(std::fs::read(&path).unwrap(), b"a file");
    }

    #[tokio::test]
    async fn a_folder_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edgecore.sock");
        for mode in [0o1777, 0o770, 0o702] {
            std::fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            assert!(refusal(&path).contains(&format!("mode {mode:04o}")), "{}", refusal(&path));
        }
        assert!(!path.exists());
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        bind(&path).unwrap();
    }
}
