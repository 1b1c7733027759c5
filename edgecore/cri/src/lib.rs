//! The pod runtime over the Container Runtime Interface
