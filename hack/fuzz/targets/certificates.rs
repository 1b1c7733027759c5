//! Certificates, requests for them, and the files that hold them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::{Authority, Identity, NodeIdentity, Spki};

fuzz_target!(|data: &[u8]| {
    if let Ok(identity) = Identity::of_certificate(data) {
        pki::check_node_name(&identity.node).expect("a certificate's name is a node's");
    }
    let _ = Spki::of_certificate(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Authority::check_request(text);
    let _ = Authority::bundle_pins(text);
    let _ = NodeIdentity::from_pem(text);
});
