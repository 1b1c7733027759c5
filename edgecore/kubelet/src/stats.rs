//! What the node, its pods and their containers use: `/stats/summary`, `/metrics/resource`, `/metrics/cadvisor`.
//!
//! Nothing is counted unless somebody asks. [`gather`] then reads once: the kernel's files (what is in them,
//! [`cgroup`] and [`proc`] know), and where they do not tell, the runtime. [`seen`] is what came of it, and
//! [`summary`], [`resource`] and [`cadvisor`] are the three ways to say it. Only processor time per second needs two
//! looks; [`rate`] keeps the one before.

pub(crate) mod answer;
pub(crate) mod cadvisor;
pub(crate) mod cgroup;
pub(crate) mod gather;
pub(crate) mod kernel;
pub(crate) mod proc;
pub(crate) mod rate;
pub(crate) mod resource;
pub(crate) mod seen;
pub(crate) mod storage;
pub(crate) mod summary;
