//! Waiting for a log to grow.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;

/// Tells of changes in a log's folder: of lines that were written, and of rotations.
#[derive(Debug)]
pub(crate) struct Growth(Receiver);

impl Growth {
    /// From now on.
    ///
    /// # Errors
    /// There is no such folder, or the kernel watches enough already (`fs.inotify.max_user_instances`).
    pub(crate) fn of(log: &Path) -> io::Result<Self> {
        let folder = log.parent().ok_or(io::ErrorKind::NotFound)?;
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        inotify::add_watch(&watch, folder, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE)?;
        // It is no pipe, and is waited for and read as one: that is what "unchecked" allows.
        Ok(Self(Receiver::from_owned_fd_unchecked(watch)?))
    }

    /// Returns when something happened since it was asked last.
    pub(crate) async fn happened(&self) -> io::Result<()> {
        self.0.readable().await?;
        let mut events = [0; 4096];
        loop {
            match self.0.try_read(&mut events) {
                Ok(1..) => {}
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
