//! Heavy or sharp dependencies have one owner; others go through it.

use crate::tidy::source::{none, packages};

/// Foreign crate → the crates that may name it.
const OWNERS: [(&str, &[&str]); 13] = [
    ("rusqlite", &["edgecore-store"]),
    // The simulation is the service that the client talks to.
    ("kube", &["cloudcore-kube", "skerry-e2e-sim"]),
    // The runtime is spoken to through edgecore-cri only; what edgecore-pods asks by gRPC are the pods, for their probes.
    ("tonic", &["edgecore-cri", "edgecore-pods", "skerry-e2e"]),
    ("tonic-prost", &["edgecore-cri", "edgecore-pods", "skerry-e2e"]),
    ("tokio-tungstenite", &["skerry-link"]),
    ("h2", &["skerry-link"]),
    ("rcgen", &["skerry-pki"]),
    ("x509-parser", &["skerry-pki"]),
    ("zstd", &["skerry-wire"]),
    // What kit reads, xtask writes.
    ("yaml_serde", &["skerry-kit", "xtask"]),
    ("schemars", &["crds"]),
    ("tracing-subscriber", &["skerry-kit"]),
    ("anyhow", &["edgecore", "cloudcore", "xtask", "skerry-e2e", "skerry-e2e-sim", "fuzz"]),
];

#[test]
fn each_has_its_owner() {
    let mut complaints = Vec::new();
    for package in packages() {
        for (needed, owners) in OWNERS {
            if package.needs.iter().any(|name| name == needed) && !owners.contains(&package.name.as_str()) {
                complaints.push(format!(
                    "{} names {needed}, which is for {}",
                    package.name,
                    owners.join(", ")
                ));
            }
        }
    }
    none("Go through the owner, or say in hack/xtask/src/tidy/owners.rs why there is another", &complaints);
}
