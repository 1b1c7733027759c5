//! Sync over a real TLS link on loopback, against a hand-made cloud.

#[cfg(test)]
mod cloud;
#[cfg(test)]
mod down;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod up;
