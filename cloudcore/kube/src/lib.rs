//! All Kubernetes plumbing of the cloud side
