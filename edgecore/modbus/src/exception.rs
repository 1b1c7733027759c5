//! Why a unit refuses.

use std::fmt;

/// An exception code ("MODBUS Application Protocol Specification V1.1b3", 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exception {
    /// 1: the unit does not know the function, or not in its present state.
    IllegalFunction,
    /// 2: an address, or the length from there on, is none of the unit's.
    IllegalDataAddress,
    /// 3: a value in the request is none the unit takes; of a read, how many are asked for.
    IllegalDataValue,
    /// 4: the unit broke down over it.
    ServerDeviceFailure,
    /// 5: accepted, and takes long.
    Acknowledge,
    /// 6: busy with something long; ask again later.
    ServerDeviceBusy,
    /// 8: the unit's memory failed its check.
    MemoryParityError,
    /// 10: the gateway is misconfigured or overloaded.
    GatewayPathUnavailable,
    /// 11: the gateway had no answer from the unit.
    GatewayTargetFailedToRespond,
    /// A code that the specification does not name.
    Other(u8),
}

impl Exception {
    /// From the byte that travels.
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::IllegalFunction,
            2 => Self::IllegalDataAddress,
            3 => Self::IllegalDataValue,
            4 => Self::ServerDeviceFailure,
            5 => Self::Acknowledge,
            6 => Self::ServerDeviceBusy,
            8 => Self::MemoryParityError,
            10 => Self::GatewayPathUnavailable,
            11 => Self::GatewayTargetFailedToRespond,
            other => Self::Other(other),
        }
    }

    /// Whether it is a gateway that speaks, of a unit that did not answer it.
    pub const fn unit_is_silent(self) -> bool {
        matches!(self, Self::GatewayPathUnavailable | Self::GatewayTargetFailedToRespond)
    }

    /// Whether fewer cells, or others, might not have been refused.
    pub const fn of_the_span(self) -> bool {
        matches!(self, Self::IllegalDataAddress | Self::IllegalDataValue)
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IllegalFunction => f.write_str("illegal function"),
            Self::IllegalDataAddress => f.write_str("illegal data address"),
            Self::IllegalDataValue => f.write_str("illegal data value"),
            Self::ServerDeviceFailure => f.write_str("server device failure"),
            Self::Acknowledge => f.write_str("acknowledge"),
            Self::ServerDeviceBusy => f.write_str("server device busy"),
            Self::MemoryParityError => f.write_str("memory parity error"),
            Self::GatewayPathUnavailable => f.write_str("gateway path unavailable"),
            Self::GatewayTargetFailedToRespond => f.write_str("gateway target device failed to respond"),
            Self::Other(code) => write!(f, "exception {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_specifications_names() {
        let named: Vec<String> = (0..=12)
            .map(|code| Exception::from_code(code).to_string())
            .filter(|n| !n.starts_with("exc"))
            .collect();
        assert_eq!(
            named,
            [
                "illegal function",
                "illegal data address",
                "illegal data value",
                "server device failure",
                "acknowledge",
                "server device busy",
                "memory parity error",
                "gateway path unavailable",
                "gateway target device failed to respond",
            ]
        );
        assert_eq!(Exception::from_code(7), Exception::Other(7));
    }
}
