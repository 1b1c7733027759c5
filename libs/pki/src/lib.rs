//! Keys, certificates and join tokens for both sides
