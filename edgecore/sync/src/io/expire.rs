//! Journal entries leave at the end of their lives, with a link or without.

use std::time::Duration;

use edgecore_store::StoreError;

use super::{Sync, SyncError};

/// Between two looks, however many entries come and go.
const SELDOM: Duration = Duration::from_secs(1);
/// After a failure, such as a full disk.
const AGAIN: Duration = Duration::from_secs(10);

impl Sync {
    /// Removes what has expired, whenever something has; while nothing can, it only waits. Ends with the store.
    pub(super) async fn expire(&self) -> Result<(), SyncError> {
        let mut news = self.store.watch_journal();
        // A session confirms the wall time, which tells how old entries of earlier boots are.
        let mut link = self.status.watch();
        loop {
            news.mark_unchanged();
            link.mark_unchanged();
            let due = match self.expire_now().await {
                Ok(due) => due,
                Err(StoreError::Closed) => return Err(StoreError::Closed.into()),
                Err(error) => {
                    let error = kit::errors::chain(&error);
                    tracing::warn!(error, "cannot remove what has expired; trying again");
                    Some(AGAIN)
                }
            };
            self.clock.sleep(SELDOM).await;
            let due = async {
                match due {
                    Some(wait) => self.clock.sleep(wait.saturating_sub(SELDOM)).await,
                    None => std::future::pending().await,
                }
            };
            kit::select! {
                () = due => {}
                changed = news.changed() => if changed.is_err() { return Err(StoreError::Closed.into()) },
                Ok(()) = link.changed() => {}
            }
        }
    }

    /// Removes what has expired; answers when to look again.
    async fn expire_now(&self) -> Result<Option<Duration>, StoreError> {
        let due = self.store.next_expiry()?;
        if due != Some(Duration::ZERO) {
            return Ok(due);
        }
        self.store.expire_journal().await?;
        self.store.next_expiry()
    }
}
