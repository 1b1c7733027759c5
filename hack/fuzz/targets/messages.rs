//! What stands in the websocket's messages, and what a proxy answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    link::fuzzing::messages(data);
    link::fuzzing::proxy_answer(data);
});
