//! What each node should have
