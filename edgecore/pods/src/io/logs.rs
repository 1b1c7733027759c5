//! Logs that grow too long are rotated, in upstream's layout.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kit::Shutdown;
use tokio::sync::watch;

use crate::io::files::{blocking, names_in};
use crate::io::shared::Shared;
use crate::rotation::{MAX_BYTES, rotated_name, superfluous};
use crate::runtime::{ContainerId, Runtime};

/// Time between two rounds.
const PERIOD: Duration = Duration::from_secs(10);

/// Logs that are written: container and path.
pub(super) type Logs = Vec<(ContainerId, String)>;

/// Rotates until shutdown.
pub(super) async fn run<R: Runtime>(
    shared: Arc<Shared<R>>,
    logs: watch::Receiver<Arc<Logs>>,
    stop: Shutdown,
) {
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = shared.clock.sleep(PERIOD) => {}
        }
        let logs = Arc::clone(&logs.borrow());
        for (id, path) in logs.iter() {
            if let Err(error) = check(&shared, id, path).await {
                tracing::warn!(path, %error, "log is not rotated");
            }
        }
    }
}

async fn check<R: Runtime>(shared: &Arc<Shared<R>>, id: &ContainerId, path: &str) -> std::io::Result<()> {
    let length = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if length <= MAX_BYTES {
        return Ok(());
    }
    let rotated = rotated_name(path, shared.clock.wall());
    std::fs::rename(path, &rotated)?;
    if let Err(error) = shared.runtime.reopen_log(id).await {
        // Written on under its old name, or nothing more would be read of it.
        std::fs::rename(&rotated, path)?;
        return Err(std::io::Error::other(error.to_string()));
    }
    let path = path.to_owned();
    blocking(move || {
        let path = Path::new(&path);
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        for old in superfluous(&name.to_string_lossy(), names_in(dir)?) {
            std::fs::remove_file(dir.join(old))?;
        }
        Ok(())
    })
    .await
}
