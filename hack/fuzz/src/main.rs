//! Writes what the fuzzers start from, one folder per target, into the folder it is given: the bytes of every message
//! shipped, and one good specimen of everything else.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kit::{Clock, Masked};
use pki::{Authority, Bound, JoinToken, NodeIdentity, NodeKey, TokenSecret};
use wire::Body;

const GOLDEN: &str = include_str!("../../../libs/wire/tests/it/golden-v1.txt");

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::args_os().nth(1).context("usage: fuzz-seeds FOLDER")?);
    let seed = |target: &str, name: &str, bytes: &[u8]| -> Result<()> {
        let folder = root.join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(name), bytes)?)
    };
    for line in GOLDEN.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [side @ ("up" | "down"), name, hex] = words.as_slice() else { continue };
        let mut bytes = vec![u8::from(*side == "down")];
        bytes.extend(unhex(hex).with_context(|| format!("golden line {name}"))?);
        seed("frames", &format!("{side}-{name}"), &bytes)?;
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
        let body = Body::pack(text.as_bytes())?;
        let length = body.length.to_be_bytes();
        let head = [u8::try_from(body.encoding)?, length[1], length[2], length[3]];
        seed("bodies", name, &[head.as_slice(), &body.data].concat())?;
    }
    seed("messages", "pieces", &[3, 2, b'a', b'b', 2, 3, b'c', 2, 1, b'd'])?;
    seed("messages", "proxy", b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")?;
    texts(&root, &seed)
}

/// Tokens and certificates.
fn texts(root: &Path, seed: &dyn Fn(&str, &str, &[u8]) -> Result<()>) -> Result<()> {
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
    seed("tokens", "token", token.encode().as_bytes())?;
    for text in [
        "wss://cloud.example:10000/v1/connect",
        "edge-*",
        "http://user:word@[fd00::1]:3128",
        "2026-01-02T03:04:05Z",
    ] {
        seed("tokens", &text.len().to_string(), text.as_bytes())?;
    }
    let key = NodeKey::generate()?;
    let request = key.request("edge-1")?;
    let chain = authority.issue_node("edge-1", &Authority::check_request(&request)?, now)?;
    let identity = NodeIdentity::new(&key, &chain)?;
    seed("certificates", "request", request.as_bytes())?;
    seed("certificates", "chain", chain.as_bytes())?;
    seed("certificates", "bundle", authority.certificate_pem().as_bytes())?;
    seed("certificates", "identity", identity.to_pem().0.as_bytes())?;
    fs::create_dir_all(root)?;
    Ok(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digit).collect()
}
