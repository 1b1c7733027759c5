//! Where the hub, the status writer, calls and identity records meet: adapters, no decisions.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloudcore_hub::{Denied, Hub, Identities, LeaseFence, Origin, Upstream};
use cloudcore_index::Index;
use cloudcore_kube::Client;
use cloudcore_status::{Fence, Session, Status};
use kit::errors::chain;
use kit::tasks::Group;
use wire::call_reply::{Failure, Result as Answer};
use wire::{Call, CallReply, Entry, Kind, Rejected, Report, ReportInventory};

/// Calls answered at once, over all edges.
const CALLS: usize = 512;

/// The hub as it is put together here.
pub(crate) type EdgeHub = Hub<Records, Uplink>;

/// Identity records, with what edges shall trust.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) identities: cloudcore_join::Identities<Client>,
    pub(crate) trust_bundle: String,
}

impl Identities for Records {
    async fn check(&self, identity: &pki::Identity) -> Result<(), Denied> {
        self.identities.check(identity).await.map_err(|denied| match denied {
            cloudcore_join::Denied::Revoked(reason) => Denied::Revoked(reason),
            cloudcore_join::Denied::Unavailable(reason) => Denied::Unavailable(reason),
        })
    }

    async fn revoke(&self, node: &str) -> Result<(), String> {
        self.identities.revoke(node, "the Node was deleted").await.map_err(|error| chain(&error))
    }

    fn trust_bundle(&self) -> String {
        self.trust_bundle.clone()
    }
}

/// Asks the Lease whether a session may still write.
#[derive(Debug)]
pub(crate) struct LeaseCheck(pub(crate) LeaseFence);

impl Fence for LeaseCheck {
    async fn holds(&self, node: &str, epoch: u64) -> Result<bool, String> {
        self.0.holds(node, epoch).await.map_err(|error| chain(&error))
    }
}

/// Takes what edges say to those who answer it.
#[derive(Debug)]
pub(crate) struct Uplink {
    pub(crate) client: Client,
    pub(crate) index: Index,
    pub(crate) status: Status<LeaseCheck>,
    calls: Group,
}

impl Uplink {
    pub(crate) fn new(client: Client, index: Index, status: Status<LeaseCheck>) -> Self {
        Self { client, index, status, calls: Group::new("calls", CALLS) }
    }
}

fn session(origin: &Origin) -> Session {
    let replies = origin.replies.clone();
    Session {
        node: Arc::clone(&origin.node),
        epoch: origin.epoch,
        store_id: Arc::clone(&origin.store_id),
        reply: Arc::new(move |frame| replies.send(frame)),
    }
}

impl Upstream for Uplink {
    fn opened(&self, origin: &Origin) {
        self.status.opened(session(origin), origin.reports_digest, origin.reports_count);
    }

    fn report(&self, origin: &Origin, report: Report) {
        self.status.report(&session(origin), &report);
    }

    fn report_inventory(&self, origin: &Origin, inventory: ReportInventory) {
        self.status.report_inventory(&session(origin), &inventory);
    }

    fn statuses_changed(&self, origin: &Origin, changed: &BTreeSet<(Kind, Arc<str>)>) {
        self.status.statuses_changed(&session(origin), changed);
    }

    fn entry(&self, origin: &Origin, entry: Entry) {
        self.status.entry(&session(origin), &entry);
    }

    fn call(&self, origin: &Origin, call: Call) {
        let id = call.id;
        let busy = |replies: &cloudcore_hub::Replies| {
            let failure = Failure { status: 429, reason: "too many calls are under way".to_owned() };
            replies.send(CallReply { id, result: Some(Answer::Err(failure)) });
        };
        let Ok(permit) = Arc::clone(&origin.calls).try_acquire_owned() else {
            return busy(&origin.replies);
        };
        let (client, index, node) = (self.client.clone(), self.index.clone(), Arc::clone(&origin.node));
        let replies = origin.replies.clone();
        let started = self.calls.spawn(async move {
            let reply = cloudcore_calls::answer(&client, &index, &node, call).await;
            replies.send(reply);
            drop(permit);
        });
        if !started {
            busy(&origin.replies);
        }
    }

    fn rejected(&self, origin: &Origin, rejected: &Rejected) {
        self.status.rejected(&session(origin), rejected);
    }

    fn closed(&self, origin: &Origin) {
        self.status.closed(&origin.node, origin.epoch);
    }
}
