//! What an edge asks and the cloud answers
