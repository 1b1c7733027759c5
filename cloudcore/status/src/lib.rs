//! Reports of the edges become patches
