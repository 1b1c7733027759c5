//! An edge made by hand of the wire protocol, the link and a certificate, to say what no edgecore would say; and
//! what cloudcore's log says since a moment.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kit::Clock;
use link::{FrameReceiver, FrameSender};
use pki::NodeIdentity;
use skerry_e2e::{Edge, Lab, host};
use wire::down_frame::Content;
use wire::{DownFrame, Hello, KINDS, PROTOCOL_MAX, PROTOCOL_MIN, UpFrame};

/// No answer takes longer.
const ANSWER: Duration = Duration::from_secs(20);

/// What a node gets by joining, in a folder of an edge's that no edgecore uses.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) identity: NodeIdentity,
    pub(crate) bundle: String,
}

impl Member {
    /// Joins as a node of this name with the real `edgecore join`, on a real edge beside its own edgecore.
    /// `place` is the folder, and with it the key.
    pub(crate) fn join(lab: &Lab, edge: &Edge, name: &str, place: &str) -> Result<Self> {
        let token = lab.create_token(&["--node", name])?;
        let joined = join(edge, &token, name, place)?;
        if joined.code != Some(0) {
            bail!("{name} did not join: {}", joined.last_line);
        }
        let pki = edge.path(&format!("{}/pki", folder(place)));
        let identity = pki::io::load_identity(&pki.join("identity.pem"))?.context("no identity")?;
        let bundle = pki::io::load_bundle(&pki.join("ca.pem"))?.context("no trust bundle")?;
        Ok(Self { name: name.to_owned(), identity, bundle })
    }
}

/// How an `edgecore join` ended.
pub(crate) struct Joined {
    pub(crate) code: Option<i32>,
    /// The last line on stderr.
    pub(crate) last_line: String,
    /// Whether an identity lies in its state folder afterwards.
    pub(crate) has_identity: bool,
}

fn folder(place: &str) -> String {
    format!("/var/lib/skerry/by-hand/{place}")
}

/// Runs `edgecore join` on an edge, in a folder of its own.
pub(crate) fn join(edge: &Edge, token: &str, name: &str, place: &str) -> Result<Joined> {
    let folder = folder(place);
    let config = format!("{folder}/edgecore.yaml");
    edge.exec(&["mkdir", "-p", &folder])?;
    let line = ["edgecore", "join", token, "--node-name", name, "--state-dir", &folder, "--config", &config];
    let output = edge.command(&line)?.stdin(std::process::Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Joined {
        code: output.status.code(),
        last_line: said.lines().last().unwrap_or_default().to_owned(),
        has_identity: edge.path(&format!("{folder}/pki/identity.pem")).exists(),
    })
}

/// A connection to cloudcore as an edge.
pub(crate) struct Session {
    runtime: tokio::runtime::Runtime,
    sender: FrameSender,
    receiver: FrameReceiver,
    _streams: link::Streams,
}

impl Session {
    /// Connects to the lab's first cloudcore with this certificate.
    pub(crate) fn connect(lab: &Lab, identity: &NodeIdentity, bundle: &str) -> Result<Self> {
        let connect = lab.status().clouds.first().context("no cloudcore")?.connect.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let clock = Clock::system();
        let tls = pki::link_client(identity, bundle, &clock)?;
        let endpoint = connect.parse()?;
        let connection = runtime.block_on(link::connect(&endpoint, tls, &link::Config::default()))?;
        // The connection's task is started here.
        let entered = runtime.enter();
        let (sender, receiver, streams) = connection.split();
        drop(entered);
        Ok(Self { runtime, sender, receiver, _streams: streams })
    }

    /// Connects and says Hello under this name; the first answer.
    pub(crate) fn hello(lab: &Lab, member: &Member, claimed: &str) -> Result<(Self, Content)> {
        Self::open(lab, member, hello(claimed))
    }

    /// Connects and says this Hello; the first answer.
    pub(crate) fn open(lab: &Lab, member: &Member, hello: Hello) -> Result<(Self, Content)> {
        let mut session = Self::connect(lab, &member.identity, &member.bundle)?;
        session.send(hello)?;
        let answer = session.next(|content| Some(content.clone()))?;
        Ok((session, answer))
    }

    pub(crate) fn send(&self, frame: impl Into<UpFrame>) -> Result<()> {
        self.send_bytes(wire::encode(&frame.into()))
    }

    /// Sends what need not be a frame.
    pub(crate) fn send_bytes(&self, bytes: Vec<u8>) -> Result<()> {
        Ok(self.runtime.block_on(self.sender.send(bytes))?)
    }

    /// The first frame from here on in which `wanted` finds something; others are passed over.
    pub(crate) fn next<T>(&mut self, wanted: impl Fn(&Content) -> Option<T>) -> Result<T> {
        let Self { runtime, receiver, .. } = self;
        let found = async {
            loop {
                let frame = receiver.recv().await?.context("the connection was closed")?;
                let DownFrame { content } = wire::decode_down(&frame)?;
                if let Some(found) = content.as_ref().and_then(&wanted) {
                    return Ok(found);
                }
            }
        };
        runtime.block_on(async { tokio::time::timeout(ANSWER, found).await }).context("no answer")?
    }
}

/// An honest Hello under this name, of an edge that holds nothing.
pub(crate) fn hello(claimed: &str) -> Hello {
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        kinds: KINDS.iter().map(|kind| kind.name().to_owned()).collect(),
        node_name: claimed.to_owned(),
        store_id: format!("by-hand-{claimed}"),
        boot_id: "by-hand".to_owned(),
        projection_version: wire::PROJECTION_VERSION,
        digest: wire::Digest::EMPTY.to_vec(),
        reports_digest: wire::Digest::EMPTY.to_vec(),
        agent_version: "by-hand".to_owned(),
        ..Hello::default()
    }
}

/// What a log says from a moment on.
pub(crate) struct LogSince {
    path: PathBuf,
    start: usize,
}

impl LogSince {
    /// From now on.
    pub(crate) fn now(path: PathBuf) -> Self {
        let start = std::fs::read(&path).map_or(0, |text| text.len());
        Self { path, start }
    }

    /// Waits for a line with all of these words.
    pub(crate) fn expect(&self, words: &[&str]) -> Result<String> {
        host::wait_for(&format!("{words:?} in {}", self.path.display()), Duration::from_secs(10), || {
            let text = std::fs::read(&self.path)?;
            let text = String::from_utf8_lossy(text.get(self.start..).unwrap_or_default()).into_owned();
            let line = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
            Ok(line.map(str::to_owned))
        })
    }
}
