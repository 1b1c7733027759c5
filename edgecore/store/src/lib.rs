//! SQLite: where everything on the edge meets
