//! Texts that people paste and joining nodes send: tokens, endpoints, names, requests. What parses is written as what
//! parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::{JoinAnswer, JoinRequest, JoinToken, check_node_name, check_pattern, matches_pattern};

fuzz_target!(|data: &[u8]| {
    let _ = serde_json::from_slice::<JoinRequest>(data);
    let _ = serde_json::from_slice::<JoinAnswer>(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = text.parse::<JoinToken>() {
        let again: JoinToken = token.encode().parse().expect("a token that was written parses");
        assert_eq!(again.encode(), token.encode());
    }
    if let Ok(endpoint) = text.parse::<link::Endpoint>() {
        assert_eq!(
            endpoint.to_string().parse::<link::Endpoint>().expect("what was written parses"),
            endpoint
        );
    }
    let _ = link::Proxies::from_variables(|_| Some(text.to_owned()));
    let _ = check_node_name(text);
    if check_pattern(text).is_ok() {
        let _ = matches_pattern(text, "edge-1");
    }
    let _ = kit::WallTime::parse(text).map(kit::WallTime::rfc3339);
});
