//! Logs that grow too long are rotated, in upstream's layout.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use kit::Shutdown;
use tokio::sync::watch;

use crate::io::files::{blocking, names_in};
use crate::io::shared::Shared;
use crate::rotation::{COMPRESSED, MAX_BYTES, UNFINISHED, rotated_name, tidy};
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
        let tidying = tidy(&name.to_string_lossy(), names_in(dir)?);
        for name in tidying.remove {
            std::fs::remove_file(dir.join(name))?;
        }
        tidying.compress.iter().try_for_each(|name| compress(dir, name))
    })
    .await
}

/// Puts a compressed log in the place of a plain one; a power cut leaves one of the two whole.
fn compress(dir: &Path, name: &str) -> std::io::Result<()> {
    let (plain, part) = (dir.join(name), dir.join(format!("{name}{UNFINISHED}")));
    let compressed = File::create(&part)?;
    std::fs::set_permissions(&part, plain.metadata()?.permissions())?;
    let mut encoder = GzEncoder::new(compressed, Compression::fast());
    std::io::copy(&mut File::open(&plain)?, &mut encoder)?;
    encoder.finish()?.sync_data()?;
    std::fs::rename(&part, dir.join(format!("{name}{COMPRESSED}")))?;
    std::fs::remove_file(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_compressed_log_takes_the_plain_ones_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("0.log.1"), "line\n".repeat(1_000)).unwrap();
        compress(dir.path(), "0.log.1").unwrap();
        assert_eq!(names_in(dir.path()).unwrap(), ["0.log.1.gz"]);
        let mut text = String::new();
        let file = File::open(dir.path().join("0.log.1.gz")).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "line\n".repeat(1_000));
    }
}
