//! The binary as it is started.

#[cfg(test)]
mod process;
