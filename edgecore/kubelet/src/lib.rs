//! The kubelet HTTP API, served over streams of the link
