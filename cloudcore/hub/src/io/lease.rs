//! Reading and writing the Lease, as the node.

use cloudcore_kube::path::LEASES;
use cloudcore_kube::{Client, KubeError, Patch};
use kit::WallTime;
use serde_json::Value;

use crate::lease::{self, Holder, NAMESPACE, holder};

/// Tries to open a session while others write the same Lease.
const TRIES: usize = 5;

/// A Lease that this session wrote last. As text: as a tree of maps it would be the largest thing that an idle session
/// holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    lease: Box<str>,
    pub(super) epoch: u64,
}

impl Held {
    /// Who manages which field stays the API server's business: an update that says nothing of it changes nothing.
    fn new(mut lease: Value, epoch: u64) -> Self {
        if let Some(metadata) = lease.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        Self { lease: lease.to_string().into(), epoch }
    }

    /// The Lease; one that cannot be read has no resourceVersion, and no write of it succeeds.
    fn lease(&self) -> Value {
        serde_json::from_str(&self.lease).unwrap_or_default()
    }
}

/// How a renewal ended.
#[derive(Debug)]
pub(super) enum Renewal {
    /// Written.
    Done(Held),
    /// Somebody else holds the session.
    Lost(Holder),
    /// Not written for now; the session goes on while the Lease holds.
    Failed(KubeError),
    /// Not tried: the key is not the node's any more.
    Revoked(String),
}

/// Whose Lease, and of what node.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    client: Client,
    node: String,
    replica: String,
}

impl Keeper {
    pub(super) fn new(client: &Client, node: &str, replica: &str) -> Self {
        Self { client: client.as_node(node), node: node.to_owned(), replica: replica.to_owned() }
    }

    fn path(&self) -> String {
        LEASES.object(NAMESPACE, &self.node)
    }

    async fn read(&self) -> Result<Option<Value>, KubeError> {
        match self.client.get(&self.path()).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a session: a number higher than any before, written by compare-and-swap. Mostly the edge's own last session is
    /// the last one, and one request does it; where another was there since, the Lease is read.
    pub(super) async fn open(
        &self,
        last_epoch: u64,
        node_uid: &str,
        now: WallTime,
    ) -> Result<Held, KubeError> {
        if last_epoch > 0 {
            let (patch, epoch) = lease::reopen(&self.node, &self.replica, last_epoch, node_uid, now);
            match self.client.patch(&self.path(), Patch::Json, &patch).await {
                Ok(lease) => return Ok(Held::new(lease, epoch)),
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => {}
            }
        }
        let mut tries = 1;
        loop {
            let found = self.read().await?;
            let new = found.is_none();
            let (lease, epoch) = lease::open(found, &self.node, &self.replica, last_epoch, now);
            let lease = self.owned(lease, node_uid);
            let written = if new {
                self.client.create(&LEASES.of(NAMESPACE), &lease).await
            } else {
                self.client.replace(&self.path(), &lease).await
            };
            match written {
                Ok(lease) => return Ok(Held::new(lease, epoch)),
                Err(error) if error.is_conflict() && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Renews. A conflict is no loss where the Lease still names this session: an answer was lost, or somebody
    /// annotated it.
    pub(super) async fn renew(self, held: Held, node_uid: String, now: WallTime) -> Renewal {
        let lease = self.owned(lease::renewed(held.lease(), &self.node, now), &node_uid);
        match self.client.replace(&self.path(), &lease).await {
            Ok(lease) => Renewal::Done(Held::new(lease, held.epoch)),
            Err(error) if error.is_conflict() || error.is_not_found() => match self.read().await {
                Ok(Some(lease)) => {
                    let found = holder(&lease);
                    if found.epoch == held.epoch && found.replica == self.replica {
                        Renewal::Done(Held::new(lease, held.epoch))
                    } else {
                        Renewal::Lost(found)
                    }
                }
                Ok(None) => Renewal::Lost(Holder::default()),
                Err(error) => Renewal::Failed(error),
            },
            Err(error) => Renewal::Failed(error),
        }
    }

    fn owned(&self, lease: Value, node_uid: &str) -> Value {
        if node_uid.is_empty() { lease } else { lease::owned_by(lease, &self.node, node_uid) }
    }
}
