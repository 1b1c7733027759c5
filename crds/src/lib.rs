//! The API types that Skerry adds to a cluster, and the definitions made of them.
//!
//! In come objects as JSON, as the API server keeps them; out go plain structs, which both sides read. With the
//! feature `schema`, out also go the CustomResourceDefinitions, which `xtask codegen` writes beside this crate's
//! manifest (`*.yaml`, for `kubectl apply -f crds/`) and `xtask check` compares.
//!
//! The types are KubeEdge's, field by field, so that its manifests apply unchanged and its clients go on working:
//! `tests/it/kubeedge-v1beta1.txt` lists every field that it has. What is ours is optional and says so.
//!
//! An object is read through these types and never written back through them: writers patch, so what a newer client
//! put beside the fields known here stays.
//!
//! Deliberately absent: what a definition cannot say about one object alone (a property that its model lacks, a value
//! outside its range), clients, and any knowledge of what drivers find in their configuration.

pub mod devices;
mod resource;

#[cfg(feature = "schema")]
pub mod schema;
