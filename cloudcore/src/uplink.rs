//! Where the hub, the status writer, calls, controllers and identity records meet: adapters, no decisions.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloudcore_calls::Calls;
use cloudcore_controllers::Controllers;
use cloudcore_hub::{Denied, Hub, Identities, Origin, Replies, Upstream};
use cloudcore_kube::Client;
use cloudcore_status::{Answers, Opened, Statuses};
use kit::errors::chain;
use wire::{Call, DownFrame, Entry, Kind, Rejected, Report, ReportInventory};

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

    async fn node_uid(&self, node: &str) -> Result<Option<String>, String> {
        self.identities.node_uid(node).await.map_err(|error| chain(&error))
    }

    async fn since(&self, node: &str) -> Result<Option<kit::WallTime>, String> {
        self.identities.since(node).await.map_err(|error| chain(&error))
    }

    async fn registered(&self, node: &str, uid: &str) -> Result<(), String> {
        self.identities.registered(node, uid).await.map_err(|error| chain(&error))
    }

    async fn revoke(&self, node: &str) -> Result<(), String> {
        self.identities.revoke(node, "the Node was deleted").await.map_err(|error| chain(&error))
    }

    fn trust_bundle(&self) -> String {
        self.trust_bundle.clone()
    }
}

/// The way back to an edge, as the status writer wants it.
#[derive(Debug)]
struct Back(Replies);

impl Answers for Back {
    fn send(&self, frame: DownFrame) {
        self.0.send(frame);
    }
}

/// Takes what edges say to those who answer it.
#[derive(Debug)]
pub(crate) struct Uplink {
    pub(crate) statuses: Statuses,
    pub(crate) calls: Calls,
    pub(crate) controllers: Controllers,
}

impl Upstream for Uplink {
    fn opened(&self, origin: &Origin) {
        self.controllers.opened(&origin.node, origin.epoch);
        self.statuses.opened(Opened {
            node: Arc::clone(&origin.node),
            epoch: origin.epoch,
            store_id: Arc::clone(&origin.store_id),
            reports_digest: origin.reports_digest,
            reports_count: origin.reports_count,
            answers: Arc::new(Back(origin.replies.clone())),
        });
    }

    fn report(&self, origin: &Origin, report: Report) {
        self.statuses.report(&origin.node, origin.epoch, report);
    }

    fn report_inventory(&self, origin: &Origin, inventory: ReportInventory) {
        self.statuses.report_inventory(&origin.node, origin.epoch, inventory);
    }

    fn statuses_changed(&self, origin: &Origin, changed: &BTreeSet<(Kind, Arc<str>)>) {
        self.statuses.statuses_changed(&origin.node, origin.epoch, changed);
    }

    fn entry(&self, origin: &Origin, entry: Entry) {
        self.statuses.entry(&origin.node, origin.epoch, &entry);
    }

    fn call(&self, origin: &Origin, call: Call) {
        let replies = origin.replies.clone();
        self.calls.take(&origin.node, &origin.calls, call, move |reply| replies.send(reply));
    }

    fn rejected(&self, origin: &Origin, rejected: &Rejected) {
        self.statuses.rejected(&origin.node, origin.epoch, rejected);
    }

    fn ending(&self, origin: &Origin, reason: &str) {
        self.controllers.closed(&origin.node, origin.epoch, reason);
    }

    fn closed(&self, origin: &Origin) {
        self.statuses.closed(&origin.node, origin.epoch);
    }
}
