//! What edges get of objects: reads Lists of the API server as JSON, writes `KIND<tab>JSON` a line. What cannot be
//! projected, and kinds that do not travel, are left out.

use std::io::{Read, Write};

use cloudcore_index::Index;
use cloudcore_kube::watch::Observer;
use serde_json::Value;
use wire::Kind;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut text, mut out, index) = (String::new(), std::io::stdout(), Index::new());
    std::io::stdin().read_to_string(&mut text)?;
    let list: Value = serde_json::from_str(&text)?;
    for object in list["items"].as_array().into_iter().flatten() {
        let Some(kind) = object["kind"].as_str().and_then(Kind::parse) else { continue };
        let observed = index.observer(kind).applied(object.to_string().as_bytes());
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let body = index.object(kind, uid).and_then(|known| known.json());
        if let (Ok(()), Some(body)) = (observed, body) {
            writeln!(out, "{kind}\t{}", String::from_utf8_lossy(&body?))?;
        }
    }
    Ok(())
}
