//! Who is asked on a line.

use std::fmt;

use thiserror::Error;

/// The address of a unit: a slave on a serial line, or what stands behind a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(u8);

/// A number that addresses no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Serial lines have units 1 to 247; 0 is a broadcast, which nobody confirms, and what is above is reserved.
    #[error("unit {0}: a serial line has units 1 to 247")]
    Serial(i64),
    /// A byte holds no more.
    #[error("unit {0}: over TCP units are 0 to 255")]
    Tcp(i64),
}

impl Unit {
    /// A unit of a serial line ("MODBUS over Serial Line V1.02", 2.2). KubeEdge's `slaveID`.
    ///
    /// # Errors
    /// [`UnitError::Serial`] outside 1 to 247. Broadcasts are refused: a write that nobody confirms has no result.
    pub fn serial(number: i64) -> Result<Self, UnitError> {
        match u8::try_from(number) {
            Ok(unit @ 1..=247) => Ok(Self(unit)),
            Ok(_) | Err(_) => Err(UnitError::Serial(number)),
        }
    }

    /// A unit behind a TCP connection: 0 and 255 are the device itself, others what stands behind a gateway
    /// ("MODBUS Messaging on TCP/IP Implementation Guide V1.0b", 4.4.1).
    ///
    /// # Errors
    /// [`UnitError::Tcp`] outside 0 to 255.
    pub fn tcp(number: i64) -> Result<Self, UnitError> {
        u8::try_from(number).map(Self).map_err(|_| UnitError::Tcp(number))
    }

    /// The byte that travels.
    pub const fn number(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_wire(byte: u8) -> Self {
        Self(byte)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_line_has_247_units_and_tcp_256() {
        assert_eq!(Unit::serial(247).map(Unit::number), Ok(247));
        for wrong in [-1, 0, 248, 255, 256, i64::MAX] {
            assert_eq!(Unit::serial(wrong), Err(UnitError::Serial(wrong)));
        }
        assert_eq!(Unit::tcp(0).map(Unit::number), Ok(0));
        assert_eq!(Unit::tcp(255).map(Unit::number), Ok(255));
        assert_eq!(Unit::tcp(256), Err(UnitError::Tcp(256)));
    }
}
