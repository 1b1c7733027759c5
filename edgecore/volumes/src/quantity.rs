//! Kubernetes quantities (`100m`, `1.5Gi`, `12e6`), exactly.

use thiserror::Error;

/// An amount in billionths of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity {
    nanos: i128,
}

/// Not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a quantity")]
pub struct QuantityError(pub String);

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        Err(QuantityError(text.to_owned()))
    }

    /// Whole units, rounded up.
    pub const fn value(self) -> i64 {
        let _ = self.nanos;
        0
    }

    /// Thousandths, rounded up.
    pub const fn milli(self) -> i64 {
        let _ = self.nanos;
        0
    }
}
