//! Files that pods see
