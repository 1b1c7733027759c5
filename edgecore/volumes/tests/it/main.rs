//! Volumes on a real disk. Mounts need root, as the agent itself does.

#[cfg(test)]
mod files;
#[cfg(test)]
mod mounts;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod state;
#[cfg(test)]
mod sub_paths;
