//! Randomness from the operating system, for the places that must pass it in.

use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

/// The operating system gave no randomness.
#[derive(Debug, Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// Random bytes fit for keys.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    #[cfg(feature = "testing")]
    if crate::sim::fill(&mut bytes) {
        return Ok(bytes);
    }
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// A number in [0, 1), for jitter; 0.5 where there is no randomness, since jitter is no secret.
pub fn unit() -> f64 {
    let bits = bytes::<4>().map_or(u32::MAX / 2, u32::from_be_bytes);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// A random UUID (version 4), as text.
pub fn uuid() -> Result<String, NoRandomness> {
    let mut b = bytes::<16>()?;
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let n = u128::from_be_bytes(b);
    Ok(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        n >> 96,
        (n >> 80) & 0xffff,
        (n >> 64) & 0xffff,
        (n >> 48) & 0xffff,
        n & 0xffff_ffff_ffff
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_looks_like_one_and_differs() {
        let (a, b) = (super::uuid().unwrap(), super::uuid().unwrap());
        assert_eq!(a.len(), 36);
        assert_eq!(a.as_bytes()[14], b'4');
        assert_ne!(a, b);
    }
}
