//! Finds the pod that a path names.

use edgecore_store::Store;
use http::StatusCode;
use wire::{Kind, ObjectKey};

use crate::pod::{Pod, Reported};
use crate::route::Place;

/// A refusal: the status and the words of a kubelet.
pub(crate) type Refusal = (StatusCode, String);

/// A pod.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) uid: String,
    /// As it was reported last; empty before the first report.
    pub(crate) reported: Reported,
}

fn failed(error: impl std::error::Error + 'static) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, kit::errors::chain(&error))
}

/// The pod at this place.
///
/// # Errors
/// There is none, it has no such container (where one is named), or the store cannot be read.
pub(crate) fn find(store: &Store, place: Place<'_>) -> Result<Found, Refusal> {
    let key = ObjectKey::new(Kind::Pod, place.namespace, place.pod);
    let object = store.object(&key).map_err(failed)?;
    let object = object.filter(|object| place.uid.is_none_or(|uid| uid == object.uid));
    let none = || (StatusCode::NOT_FOUND, format!("pod {:?} does not exist", place.pod));
    let object = object.ok_or_else(none)?;
    let wanted: Pod = serde_json::from_slice(&object.body).map_err(failed)?;
    if !place.container.is_empty() && !wanted.has_container(place.container) {
        let words = format!("container {:?} not found in pod {:?}", place.container, place.pod);
        return Err((StatusCode::NOT_FOUND, words));
    }
    let report = store.last_report(&key).map_err(failed)?;
    let report = report.filter(|report| report.uid == object.uid);
    let reported = report.map(|report| serde_json::from_slice(&report.body)).transpose();
    let reported = reported.map_err(failed)?.unwrap_or_default();
    Ok(Found { uid: object.uid, reported })
}
