//! What coming back takes, in bytes of encoded frames: `hack/bench resync_bytes_…` without sockets, for an edge of this
//! release and for one of the release before. An edge of 104 objects, of which so many ConfigMaps of 1 KiB have changed.
//! A reconnect of nothing changes the Node only. Around each frame come some 28 bytes more: the TLS record and the websocket's header.

use std::io::Write;

use wire::{
    Ack, Body, BodyError, Buckets, Digest, DownFrame, FEATURES, Hello, InSync, Inventory, InventoryItem,
    KINDS, KindVersion, Picked, SyncPoint, UpFrame, Upsert, Version, WantInventory, Welcome, encode,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let held: Vec<InventoryItem> = (0..104).map(item).collect();
    for (release, features) in [("before", &FEATURES[..2]), ("now", &FEATURES[..])] {
        for changed in [0, 1, 100] {
            let frames = resync(&held, features, changed)?;
            let bytes: usize = frames.iter().map(|(_, bytes)| bytes).sum();
            writeln!(out, "{release}: {changed} changed: {bytes} bytes in {} frames", frames.len())?;
            for (name, bytes) in frames.iter().filter(|_| changed < 2) {
                writeln!(out, "    {name} {bytes}")?;
            }
        }
    }
    Ok(())
}

/// Each frame, with its length.
fn resync(
    held: &[InventoryItem],
    features: &[&str],
    changed: usize,
) -> Result<Vec<(&'static str, usize)>, Box<dyn std::error::Error>> {
    let (hello, compact) = (hello(features), features.len() > 2);
    let mut frames = vec![
        ("Hello", up(if compact { hello.clone().short() } else { hello.clone() })),
        ("Welcome", down(welcome(features).without_what_was_said(&hello))),
    ];
    if changed == 0 {
        frames.push((
            "InSync",
            down(InSync { digest: vec![1; 16], seen: if compact { seen().split_off(5) } else { seen() } }),
        ));
        return Ok(frames);
    }
    let buckets = Buckets::best(u32::try_from(held.len())?).filter(|_| compact).unwrap_or_default();
    let mut want = WantInventory { buckets, wanted: Vec::new() };
    frames.push(("WantInventory", down(want.clone())));
    if let Some(Picked::Digests(digests)) = want.pick(held.to_vec()) {
        let of = Buckets::new(buckets).ok_or("no buckets")?;
        want.wanted = held.iter().take(changed).map(|item| of.of(&item.kind, &item.uid)).collect();
        want.wanted.sort_unstable();
        want.wanted.dedup();
        frames.push(("Inventory", up(Inventory { digests, last: true, ..Inventory::default() })));
        frames.push(("WantInventory", down(want.clone())));
    }
    if let Some(Picked::Objects(items)) = want.pick(held.to_vec()) {
        let old = |items| Inventory { items, last: true, ..Inventory::default() };
        frames.push(("Inventory", up(if compact { Inventory::grouped(items, true) } else { old(items) })));
    }
    for (at, item) in held.iter().take(changed).enumerate() {
        frames.push(("Upsert", down(upsert(at, item, compact)?)));
    }
    let last = u64::try_from(changed)? + 1;
    frames
        .push(("SyncPoint", down(SyncPoint { frame: last, digest: vec![1; 16], count: 104, seen: seen() })));
    frames.push(("Ack", up(Ack { frame: last, rejected: Vec::new() })));
    Ok(frames)
}

fn up(frame: impl Into<UpFrame>) -> usize {
    encode(&frame.into()).len()
}

fn down(frame: impl Into<DownFrame>) -> usize {
    encode(&frame.into()).len()
}

/// ConfigMaps, and one of each other kind at the end.
fn item(at: usize) -> InventoryItem {
    let kind = ["Node", "Service", "ServiceAccount", "Pod"].get(at.wrapping_sub(100)).unwrap_or(&"ConfigMap");
    InventoryItem {
        kind: (*kind).to_owned(),
        uid: uuid(at),
        version: Version::of(&at.to_be_bytes()).to_vec(),
    }
}

/// One that looks like chance.
fn uuid(at: usize) -> String {
    let digits = Digest(u128::from_be_bytes(Version::of(format!("uid {at}").as_bytes()).0)).to_string();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|of| digits.get(of).unwrap_or_default().to_owned());
    parts.join("-")
}

fn hello(features: &[&str]) -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        kinds: KINDS.map(|kind| kind.name().to_owned()).to_vec(),
        node_name: "sim-00000".to_owned(),
        node_uid: uuid(201),
        cluster_id: uuid(202),
        store_id: uuid(203),
        boot_id: "simulated".to_owned(),
        last_epoch: 7,
        seen: seen(),
        projection_version: 1,
        digest: vec![1; 16],
        count: 104,
        agent_version: "simulated".to_owned(),
        reports_digest: vec![1; 16],
        reports_count: 2,
        trust_bundle: vec![1; 16],
        ..Hello::default()
    }
}

fn welcome(features: &[&str]) -> Welcome {
    Welcome {
        protocol: 1,
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        epoch: 8,
        cloud_time_ms: 1_796_000_000_000,
        endpoints: vec!["wss://10.90.0.1:10000/v1/connect".to_owned()],
        trust_bundle: String::new(),
        cluster_id: uuid(202),
        heartbeat_ms: 10_000,
        kinds: KINDS.map(|kind| kind.name().to_owned()).to_vec(),
        projection_version: 1,
        node_uid: uuid(201),
        replica: "cloudcore-0".to_owned(),
        as_said: false,
    }
}

fn seen() -> Vec<KindVersion> {
    let of =
        |kind: wire::Kind| KindVersion { kind: kind.name().to_owned(), resource_version: "1234".to_owned() };
    KINDS.map(of).to_vec()
}

/// A ConfigMap as `hack/bench fleet` writes them.
fn upsert(at: usize, item: &InventoryItem, by_dictionary: bool) -> Result<Upsert, BodyError> {
    let name = format!("settings-{at:03}");
    let mut text = format!("# {name}, edition 5\n");
    for line in 0_usize.. {
        let (port, seconds) = (8000 + (line * 37 + 65) % 999, (line * 7 + 5) % 60);
        let next =
            format!("upstream.{line}.address=10.0.{line}.5:{port}\nupstream.{line}.timeout={seconds}s\n");
        if text.len() + next.len() > 1024 {
            break;
        }
        text.push_str(&next);
    }
    text.extend(std::iter::repeat_n('#', 1024 - text.len()));
    let metadata = serde_json::json!({
        "creationTimestamp": "2026-11-29T06:32:18Z", "name": name, "namespace": "fleet", "uid": item.uid,
    });
    let object = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"settings": text}});
    let body = wire::canonical(&object).unwrap_or_default();
    let body = if by_dictionary { Body::pack_by_dictionary(&body)? } else { Body::pack(&body)? };
    Ok(Upsert {
        frame: u64::try_from(at).unwrap_or_default() + 1,
        kind: item.kind.clone(),
        namespace: "fleet".to_owned(),
        name,
        uid: item.uid.clone(),
        version: vec![1; 16],
        body: Some(body),
        seen: String::new(),
    })
}
