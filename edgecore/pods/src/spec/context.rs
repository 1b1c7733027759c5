//! What a conversion needs to know besides the pod.

use std::collections::BTreeMap;

use edgecore_volumes::{Quantity, Sources};
use k8s_openapi::api::core::v1::Service;

use crate::runtime::Image;

/// The node, as far as pods see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Name of the Node object.
    pub name: String,
    /// The node's addresses, first the one of its primary family.
    pub host_ips: Vec<String>,
    /// `status.allocatable`: what a container without limits is told it may use.
    pub allocatable: BTreeMap<String, Quantity>,
    /// Bytes of memory of the machine: what OOM scores are relative to.
    pub memory_capacity: u64,
    /// Servers of the cluster's DNS; empty where there is none.
    pub cluster_dns: Vec<String>,
    /// Domain of the cluster, such as `cluster.local`.
    pub cluster_domain: String,
    /// Content of the node's resolv.conf.
    pub resolv_conf: String,
    /// Content of the node's `/etc/hosts`.
    pub hosts: String,
    /// Directory of pod logs, such as `/var/log/pods`.
    pub pod_logs_dir: String,
    /// Directory of links to the logs of containers, such as `/var/log/containers`; empty means none.
    pub log_links_dir: String,
}

/// Everything besides pod and container that a container is made from.
#[derive(Debug, Clone, Copy)]
pub struct ContainerContext<'a> {
    /// The node.
    pub node: &'a NodeFacts,
    /// ConfigMaps, Secrets and tokens that the pod names.
    pub sources: &'a Sources,
    /// Services of the pod's namespace, and `default/kubernetes`; others are left aside.
    pub services: &'a [Service],
    /// Addresses of the pod's sandbox; the node's on the host's network.
    pub pod_ips: &'a [String],
    /// The image as it is on the node.
    pub image: &'a Image,
    /// Counts the containers of this name in this pod, from 0: the restart count shown to users.
    pub attempt: u32,
}
