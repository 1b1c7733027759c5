//! Moves state between the link and the store
