//! Sessions with the edges
