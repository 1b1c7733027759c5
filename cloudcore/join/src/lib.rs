//! The CA, join tokens and identity records
