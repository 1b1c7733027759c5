//! The Node object: capacity, addresses, conditions
