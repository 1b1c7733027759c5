//! Writes what the fuzzers start from, one folder per target, into the folder it is given: the bytes of every message
//! shipped, and one good specimen of everything else.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use kit::{Clock, Masked};
use pki::{Authority, Bound, JoinToken, NodeIdentity, NodeKey, TokenSecret};
use wire::Body;

const GOLDEN: &str = include_str!("../../../libs/wire/tests/it/golden-v1.txt");

/// The folder that everything goes into.
struct Seeds(PathBuf);

impl Seeds {
    fn add(&self, target: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.0.join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(name), bytes)?)
    }
}

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::args_os().nth(1).context("usage: fuzz-seeds FOLDER")?);
    let seeds = Seeds(root);
    for line in GOLDEN.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [side @ ("up" | "down"), name, hex] = words.as_slice() else { continue };
        let mut bytes = vec![u8::from(*side == "down")];
        bytes.extend(unhex(hex).with_context(|| format!("golden line {name}"))?);
        seeds.add("frames", &format!("{side}-{name}"), &bytes)?;
    }
    for (name, text) in [
        (
            "pod",
            r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#.to_owned(),
        ),
        (
            "node",
            format!(r#"{{"labels":{{"a":"b"}},"status":{{"capacity":{{"cpu":"{}"}}}}}}"#, "1".repeat(200)),
        ),
    ] {
        for (packed, body) in [
            ("", Body::pack(text.as_bytes())?),
            ("-by-dictionary", Body::pack_by_dictionary(text.as_bytes())?),
        ] {
            let length = body.length.to_be_bytes();
            let head = [u8::try_from(body.encoding)?, length[1], length[2], length[3]];
            seeds.add("bodies", &format!("{name}{packed}"), &[head.as_slice(), &body.data].concat())?;
        }
    }
    seeds.add("messages", "pieces", &[3, 2, b'a', b'b', 2, 3, b'c', 2, 1, b'd'])?;
    seeds.add("messages", "proxy", b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")?;
    texts(&seeds)
}

/// Tokens and certificates.
fn texts(seeds: &Seeds) -> Result<()> {
    let now = Clock::system().wall();
    let authority = Authority::create(now)?;
    let token = JoinToken {
        id: JoinToken::new_id()?,
        secret: Masked(TokenSecret::generate()?),
        pin: authority.pin()?,
        bound: Bound::Node("edge-1".to_owned()),
        join_endpoints: vec!["https://cloud.example:10002".to_owned()],
        endpoints: vec!["wss://cloud.example:10000/v1/connect".to_owned()],
    };
    seeds.add("tokens", "token", token.encode().as_bytes())?;
    for text in [
        "wss://cloud.example:10000/v1/connect",
        "edge-*",
        "http://user:word@[fd00::1]:3128",
        "2026-01-02T03:04:05Z",
    ] {
        seeds.add("tokens", &text.len().to_string(), text.as_bytes())?;
    }
    let key = NodeKey::generate()?;
    let request = key.request("edge-1")?;
    let chain = authority.issue_node("edge-1", &Authority::check_request(&request)?, now)?;
    let identity = NodeIdentity::new(&key, &chain)?;
    seeds.add("certificates", "request", request.as_bytes())?;
    seeds.add("certificates", "chain", chain.as_bytes())?;
    seeds.add("certificates", "bundle", authority.certificate_pem().as_bytes())?;
    seeds.add("certificates", "identity", identity.to_pem().0.as_bytes())?;
    Ok(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digit).collect()
}
