//! Bodies: an encoding, a length, and data. What unpacks is as long as it says; a canonical form is its own; hashes of
//! reports exist for whatever JSON there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Body, Kind, canonical, owned};

fuzz_target!(|data: &[u8]| {
    let [encoding, a, b, c, rest @ ..] = data else { return };
    let length = u32::from_be_bytes([0, *a, *b, *c]);
    let body = Body { encoding: i32::from(*encoding), length, data: rest.to_vec() };
    let Ok(text) = body.unpack() else { return };
    assert_eq!(text.len(), length as usize);
    let Ok(value) = serde_json::from_slice(&text) else { return };
    for kind in [Kind::Pod, Kind::Node] {
        let _ = (owned::report_hash(kind, &value), owned::status_hash(kind, &value));
    }
    let Ok(first) = canonical(&value) else { return };
    let again =
        canonical(&serde_json::from_slice(&first).expect("a canonical form is JSON")).expect("an object");
    assert_eq!(first, again);
});
