//! Frames of either side: the first byte says whose. What decodes encodes to what decodes to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{decode_down, decode_up, down_frame, encode, up_frame};

fuzz_target!(|data: &[u8]| {
    let Some((side, bytes)) = data.split_first() else { return };
    if side % 2 == 0 {
        let Ok(frame) = decode_up(bytes) else { return };
        assert_eq!(decode_up(&encode(&frame)).expect("what was encoded decodes"), frame);
        if let Some(up_frame::Content::Report(report)) = frame.content {
            let _ = report.body.map(|body| body.unpack());
        }
    } else {
        let Ok(frame) = decode_down(bytes) else { return };
        assert_eq!(decode_down(&encode(&frame)).expect("what was encoded decodes"), frame);
        if let Some(down_frame::Content::Upsert(upsert)) = frame.content {
            let _ = upsert.body.map(|body| body.unpack());
        }
    }
});
