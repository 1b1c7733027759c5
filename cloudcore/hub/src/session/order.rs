//! In which order differences go down: what others need comes first, and leaves last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloudcore_index::Object;
use kit::faults::{self, Fault};
use wire::{Body, Delete, DownFrame, Upsert, Version};

use super::{Desired, Key};

/// One difference.
pub(super) enum Step {
    /// The edge shall have this, with this body.
    Upsert(Arc<Object>, Arc<Body>),
    /// The edge shall not have this any more.
    Delete(Key),
}

/// The differences among the keys that may differ, in order: upserts from Node to Pod, then deletes from Pod to
/// Node. Keys that turn out not to differ are taken out; deletes that are not sure stay and are no steps. Objects whose
/// body is missing come beside, and no object that comes after the first of them in this order is a step before it is
/// there.
pub(super) fn work(
    dirty: &mut BTreeSet<Key>,
    held: &BTreeMap<Key, Version>,
    desired: &impl Desired,
) -> (Vec<Step>, Vec<Arc<Object>>) {
    let mut upserts = Vec::new();
    let mut deletes = Vec::new();
    let mut lacking = Vec::new();
    dirty.retain(|key| match (desired.get(key.0, &key.1), held.get(key)) {
        (Some(object), Some(version)) if object.version == *version => false,
        (Some(object), _) => {
            match object.body.clone() {
                Some(body) if lacking.is_empty() => upserts.push(Step::Upsert(object, body)),
                Some(_) => {}
                None => lacking.push(object),
            }
            true
        }
        (None, None) => false,
        (None, Some(_)) => {
            if desired.may_delete(key.0, &key.1) {
                deletes.push(Step::Delete(key.clone()));
            }
            true
        }
    });
    if faults::on(Fault::PodBeforeItsSecret) {
        upserts.reverse();
    }
    deletes.reverse();
    upserts.extend(deletes);
    (upserts, lacking)
}

pub(super) fn upsert(object: &Object, body: &Body, frame: u64, seen: String) -> DownFrame {
    Upsert {
        frame,
        kind: object.key.kind.name().to_owned(),
        namespace: object.key.namespace.clone(),
        name: object.key.name.clone(),
        uid: object.uid.to_string(),
        version: object.version.to_vec(),
        body: Some(body.clone()),
        seen,
    }
    .into()
}

pub(super) fn delete(key: &Key, frame: u64, seen: String) -> DownFrame {
    Delete { frame, kind: key.0.name().to_owned(), uid: key.1.to_string(), seen }.into()
}
