//! The bytes of every message shipped. A line that changes breaks peers of an older release.
//!
//! `UPDATE=1 cargo test -p skerry-wire` adds lines for new messages; a changed line in the diff is a mistake.

use std::path::Path;

use wire::{
    Ack, Body, Call, CallReply, Delete, DownFrame, Encoding, Entry, EntryAck, GoAway, Heartbeat,
    HeartbeatAck, Hello, InSync, Inventory, InventoryItem, KindVersion, Mismatch, Refused, RefusedCode,
    Rejected, Report, ReportAck, ReportInventory, ReportItem, ReportRefused, SyncPoint, TokenRequest,
    UpFrame, Upsert, WantInventory, WantReports, Welcome, call, call_reply, decode_down, decode_up, encode,
};

fn seen() -> Vec<KindVersion> {
    vec![KindVersion { kind: "Pod".into(), resource_version: "42".into() }]
}

fn body() -> Body {
    Body { encoding: Encoding::Plain.into(), length: 2, data: b"{}".to_vec() }
}

const CONFIG: &str = r#"{"apiVersion":"v1","data":{"level":"info"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-29T06:32:18Z","name":"shelf","namespace":"hall","uid":"0ac77b53-4ec5-4d8d-8c4a-dd5d04995064"}}"#;

/// [`CONFIG`], as the release that brought the dictionary packed it.
fn body_by_dictionary() -> Body {
    let data = vec![
        40, 181, 47, 253, 32, 197, 37, 2, 0, 147, 3, 10, 149, 202, 36, 209, 105, 119, 158, 82, 165, 204, 51,
        177, 41, 86, 105, 154, 86, 218, 209, 223, 77, 126, 112, 192, 225, 61, 38, 59, 22, 56, 86, 15, 18, 22,
        129, 99, 197, 177, 224, 8, 8, 252, 197, 80, 243, 224, 35, 67, 210, 56, 29, 204, 211, 193, 246, 72,
        56, 121, 124, 209, 57, 222, 72, 160, 48,
    ];
    Body { encoding: Encoding::ZstdKubernetes1.into(), length: 197, data }
}

#[test]
fn what_the_dictionary_packed_is_still_read() {
    assert_eq!(body_by_dictionary().unpack().unwrap(), CONFIG.as_bytes());
}

fn hello() -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        features: vec!["zstd".into()],
        kinds: vec!["Node".into(), "Pod".into()],
        node_name: "edge-1".into(),
        node_uid: "n".into(),
        cluster_id: "c".into(),
        store_id: "s".into(),
        boot_id: "b".into(),
        last_epoch: 7,
        seen: seen(),
        projection_version: 1,
        digest: vec![1; 16],
        count: 3,
        agent_version: "0.1.0".into(),
        reports_digest: vec![2; 16],
        reports_count: 2,
        ..Hello::default()
    }
}

/// One with UUIDs, as they are outside of tests.
fn short_hello() -> Hello {
    Hello {
        cluster_id: "0ac77b53-4ec5-4d8d-8c4a-dd5d04995064".into(),
        boot_id: "6d3e0b0a-3f61-4d38-9d52-6f0b5a1c0e77".into(),
        ..hello()
    }
}

fn welcome() -> Welcome {
    Welcome {
        protocol: 1,
        features: vec!["streams".into()],
        epoch: 8,
        cloud_time_ms: 1_800_000_000_000,
        endpoints: vec!["wss://cloud:10000/v1/connect".into()],
        trust_bundle: "PEM".into(),
        cluster_id: "c".into(),
        heartbeat_ms: 10_000,
        kinds: vec!["Pod".into()],
        projection_version: 1,
        node_uid: "n".into(),
        replica: "r".into(),
        as_said: false,
    }
}

fn uuids() -> Vec<InventoryItem> {
    let item =
        |kind: &str, uid: &str| InventoryItem { kind: kind.into(), uid: uid.into(), version: vec![3; 16] };
    vec![item("Pod", "0ac77b53-4ec5-4d8d-8c4a-dd5d04995064"), item("Pod", "u")]
}

fn ups() -> Vec<(&'static str, UpFrame)> {
    let item = InventoryItem { kind: "Pod".into(), uid: "u".into(), version: vec![3; 16] };
    let rejected = Rejected {
        kind: "Pod".into(),
        namespace: "ns".into(),
        name: "p".into(),
        uid: "u".into(),
        reason: "why".into(),
    };
    let report = Report {
        id: 5,
        kind: "Pod".into(),
        namespace: "ns".into(),
        name: "p".into(),
        uid: "u".into(),
        body: Some(body()),
    };
    let token = TokenRequest {
        namespace: "ns".into(),
        service_account: "default".into(),
        pod_name: "p".into(),
        pod_uid: "u".into(),
        audiences: vec!["a".into()],
        expiration_seconds: 3607,
    };
    let entry = Entry {
        seq: 6,
        stream: "events".into(),
        time_ms: 1_800_000_000_000,
        priority: 5,
        expires_after_ms: 1000,
        body: Some(body()),
    };
    vec![
        ("hello", hello().into()),
        ("heartbeat", Heartbeat { seq: 1, engine_alive: true, digest: vec![4; 16], applied: 9 }.into()),
        ("inventory", Inventory { items: vec![item], last: true, ..Inventory::default() }.into()),
        ("ack", Ack { frame: 9, rejected: vec![rejected] }.into()),
        ("mismatch", Mismatch { frame: 9, digest: vec![5; 16], count: 3 }.into()),
        ("report", report.into()),
        (
            "report-inventory",
            ReportInventory {
                items: vec![ReportItem { kind: "Pod".into(), uid: "u".into(), hash: vec![6; 16] }],
                last: true,
            }
            .into(),
        ),
        ("call-token", Call { id: 1, deadline_ms: 5000, request: Some(call::Request::Token(token)) }.into()),
        ("entry", entry.into()),
        ("hello-with-bundle", Hello { trust_bundle: vec![8; 16], ..hello() }.into()),
        (
            "inventory-of-buckets",
            Inventory { last: true, digests: vec![9; 8], ..Inventory::default() }.into(),
        ),
        ("inventory-grouped", Inventory::grouped(uuids(), true).into()),
    ]
}

fn downs() -> Vec<(&'static str, DownFrame)> {
    let upsert = Upsert {
        frame: 1,
        kind: "Secret".into(),
        namespace: "ns".into(),
        name: "s".into(),
        uid: "u".into(),
        version: vec![7; 16],
        body: Some(body()),
        seen: String::new(),
    };
    let by_dictionary = Upsert { body: Some(body_by_dictionary()), ..upsert.clone() };
    let delete = Delete { frame: 2, kind: "Pod".into(), uid: "u".into(), seen: String::new() };
    let failure = call_reply::Failure { status: 403, reason: "why".into() };
    vec![
        ("welcome", welcome().into()),
        (
            "refused",
            Refused { code: RefusedCode::WrongCluster.into(), reason: "why".into(), retry_after_ms: 30_000 }
                .into(),
        ),
        ("in-sync", InSync { digest: vec![8; 16], seen: seen() }.into()),
        ("want-inventory", WantInventory::default().into()),
        ("upsert", upsert.clone().into()),
        ("delete", delete.clone().into()),
        ("sync-point", SyncPoint { frame: 3, digest: vec![9; 16], count: 4, seen: seen() }.into()),
        ("heartbeat-ack", HeartbeatAck { seq: 1, digest: vec![10; 16] }.into()),
        ("report-ack", ReportAck { ids: vec![5, 6] }.into()),
        ("report-refused", ReportRefused { id: 5, reason: "why".into() }.into()),
        ("want-reports", WantReports { inventory: true, uids: vec!["u".into()] }.into()),
        ("call-reply-ok", CallReply { id: 1, result: Some(call_reply::Result::Ok(b"{}".to_vec())) }.into()),
        ("call-reply-err", CallReply { id: 1, result: Some(call_reply::Result::Err(failure)) }.into()),
        ("go-away", GoAway { reason: "drain".into(), retry_after_ms: 500 }.into()),
        ("entry-ack", EntryAck { seqs: vec![6, 7], refused: vec![7], reasons: vec!["why".into()] }.into()),
        ("want-inventory-of-buckets", WantInventory { buckets: 28, wanted: Vec::new() }.into()),
        ("want-inventory-in-buckets", WantInventory { buckets: 28, wanted: vec![3, 27] }.into()),
        ("welcome-as-said", Welcome { epoch: 8, as_said: true, ..Welcome::default() }.into()),
        ("upsert-by-dictionary", by_dictionary.into()),
        ("upsert-seen", Upsert { seen: "43".into(), ..upsert }.into()),
        ("delete-seen", Delete { seen: "44".into(), ..delete }.into()),
    ]
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn bytes_are_as_shipped() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden-v1.txt");
    let mut lines = Vec::new();
    for (name, frame) in ups() {
        let bytes = encode(&frame);
        assert_eq!(decode_up(&bytes).unwrap(), frame, "{name}");
        lines.push(format!("up {name} {}\n", hex(&bytes)));
    }
    let (bytes, long) = (encode(&UpFrame::from(short_hello().short())), short_hello().into());
    assert_eq!(decode_up(&bytes).unwrap(), long);
    lines.push(format!("up hello-short {}\n", hex(&bytes)));
    for (name, frame) in downs() {
        let bytes = encode(&frame);
        assert_eq!(decode_down(&bytes).unwrap(), frame, "{name}");
        lines.push(format!("down {name} {}\n", hex(&bytes)));
    }
    let lines = lines.concat();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &lines).unwrap();
    }
    assert_eq!(lines, std::fs::read_to_string(&path).unwrap());
}
