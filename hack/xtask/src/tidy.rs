//! Rules about the tree that no lint knows. Each is a test whose message says what to do.
