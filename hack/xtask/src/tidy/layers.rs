//! Which crate may depend on which: always on a lower layer, and never across the border between edge and cloud.

use crate::tidy::source::{none, packages};

/// Every crate of ours with its layer. A crate depends only on crates of lower layers.
const LAYERS: [(&str, u8); 29] = [
    // vocabulary and toolkit
    ("skerry-wire", 0),
    ("skerry-kit", 0),
    ("crds", 0),
    ("edgecore-modbus", 0),
    ("skerry-e2e-ioctl", 0),
    // what both sides speak
    ("skerry-pki", 1),
    ("skerry-link", 2),
    // ground
    ("edgecore-store", 2),
    ("edgecore-volumes", 2),
    ("cloudcore-kube", 2),
    // features
    ("edgecore-sync", 3),
    ("edgecore-pods", 3),
    ("edgecore-devices", 3),
    ("edgecore-node", 3),
    ("cloudcore-index", 3),
    // adapters and what stands on the index or on the port to the runtime
    ("edgecore-cri", 4),
    ("edgecore-kubelet", 4),
    ("cloudcore-hub", 4),
    ("cloudcore-status", 4),
    ("cloudcore-calls", 4),
    ("cloudcore-controllers", 4),
    ("cloudcore-join", 4),
    ("cloudcore-tunnel", 4),
    // binaries
    ("edgecore", 5),
    ("cloudcore", 5),
    // what checks them
    ("xtask", 6),
    ("skerry-e2e", 6),
    ("skerry-e2e-sim", 6),
    ("fuzz", 6),
];

fn layer(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

fn side(folder: &str) -> Option<&str> {
    ["edgecore", "cloudcore"]
        .into_iter()
        .find(|side| folder == *side || folder.starts_with(&format!("{side}/")))
}

#[test]
fn every_crate_has_a_layer_and_depends_downwards() {
    let packages = packages();
    let mut complaints = Vec::new();
    for package in &packages {
        let Some(own) = layer(&package.name) else {
            complaints.push(format!("{} has no layer", package.name));
            continue;
        };
        for needed in package.needs.iter().filter(|needed| packages.iter().any(|p| p.name == **needed)) {
            if layer(needed).is_none_or(|below| below >= own) {
                complaints.push(format!("{} depends on {needed}, which is not below it", package.name));
            }
        }
    }
    none("Dependencies go down: see LAYERS in hack/xtask/src/tidy/layers.rs", &complaints);
}

#[test]
fn edge_and_cloud_know_nothing_of_each_other() {
    let packages = packages();
    let mut complaints = Vec::new();
    for package in &packages {
        let Some(own) = side(&package.folder) else { continue };
        for needed in package.needs.iter().chain(&package.tests_need) {
            let other = packages.iter().find(|p| p.name == *needed).and_then(|p| side(&p.folder));
            if other.is_some_and(|other| other != own) {
                complaints.push(format!("{} depends on {needed}", package.name));
            }
        }
    }
    none("What both sides need is in libs/", &complaints);
}

#[test]
fn crates_are_called_as_their_folders() {
    let wrong = packages().into_iter().filter(|package| {
        let name = match package.folder.split_once('/') {
            Some(("libs", name)) => format!("skerry-{name}"),
            Some(("hack", name)) => name.to_owned(),
            _ if package.folder.starts_with("e2e") => format!("skerry-{}", package.folder.replace('/', "-")),
            _ => package.folder.replace('/', "-"),
        };
        name != package.name
    });
    let complaints: Vec<String> = wrong.map(|p| format!("{} in {}", p.name, p.folder)).collect();
    none("edgecore/pods is edgecore-pods, libs/wire is skerry-wire", &complaints);
}
