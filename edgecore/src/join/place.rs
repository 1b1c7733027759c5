//! Where a node's identity and configuration lie, and what may lie there already.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use kit::config::{Config, ConfigError};
use pki::{NodeIdentity, NodeKey, Spki};
use serde::Deserialize;

use crate::config::{EdgeConfig, bundle_path, identity_path};

/// The files of one node.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) identity: PathBuf,
    bundle: PathBuf,
    /// The key of a join that is under way.
    pending: PathBuf,
    config: PathBuf,
    state_dir: PathBuf,
}

impl Place {
    pub(super) fn new(state_dir: &Path, config: &Path) -> Self {
        let identity = identity_path(state_dir);
        Self {
            bundle: bundle_path(state_dir),
            pending: identity.with_file_name("joining.key"),
            identity,
            config: config.to_owned(),
            state_dir: state_dir.to_owned(),
        }
    }

    /// Refuses to make one node of another; the configuration that is there, whose other keys stay.
    pub(super) fn check(&self, node: &str) -> anyhow::Result<EdgeConfig> {
        if let Some(held) = pki::io::load_identity(&self.identity)? {
            let held = &held.identity().node;
            if held != node {
                bail!(
                    "this machine is node {held:?} already ({}); to make it node {node:?}, stop edgecore and remove {}",
                    self.identity.display(),
                    self.state_dir.display()
                );
            }
        }
        let config = match kit::config::read::<Any>(&self.config) {
            Ok(Any(config)) => config,
            Err(ConfigError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                EdgeConfig::default()
            }
            Err(error) => {
                return Err(error).with_context(|| format!("{} is there already", self.config.display()));
            }
        };
        if !config.node_name.is_empty() && config.node_name != node {
            bail!("{} is the configuration of node {:?}", self.config.display(), config.node_name);
        }
        Ok(config)
    }

    /// The node's key: the one it has, or the one of a join that was interrupted, or a new one. It is on disk
    /// before it is used, so that the same key can come again when an answer is lost.
    pub(super) fn key(&self) -> anyhow::Result<NodeKey> {
        if let Some(dir) = self.identity.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.with_context(|| format!("cannot make {}", dir.display()))?;
        }
        if let Some(held) = pki::io::load_identity(&self.identity)? {
            return Ok(held.key()?);
        }
        match std::fs::read_to_string(&self.pending) {
            Ok(pem) => {
                let key = NodeKey::load(&pem);
                return key.with_context(|| format!("{} is no key; remove it", self.pending.display()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", self.pending.display()));
            }
        }
        let key = NodeKey::generate()?;
        kit::files::write_atomic(&self.pending, key.pem().0.as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", self.pending.display()))?;
        Ok(key)
    }

    /// Writes trust bundle and identity, in this order: with the identity the node is one.
    pub(super) fn keep(&self, identity: &NodeIdentity, bundle: &str) -> anyhow::Result<()> {
        pki::io::store_bundle(&self.bundle, bundle)?;
        Ok(pki::io::store_identity(&self.identity, identity)?)
    }

    /// The key has its certificate: the file of the join under way goes.
    pub(super) fn done(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.pending) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.pending.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The first digits of a key's hash, for people.
pub(super) fn shown(spki: Spki) -> String {
    spki.to_string().chars().take(16).collect()
}

/// A configuration that need not be complete: joining completes it.
#[derive(Deserialize)]
#[serde(transparent)]
struct Any(EdgeConfig);

impl Config for Any {
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
