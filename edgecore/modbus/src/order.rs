//! In which order a unit keeps the bytes of a value.

/// The order of bytes and registers. The names spell a value of four bytes, A the highest, as it lies on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Highest register first, highest byte first: what the specification implies (V1.1b3, 4.2).
    #[default]
    Abcd,
    /// Lowest register first; in each the highest byte first. KubeEdge's `isRegisterSwap`, others' word swap.
    Cdab,
    /// Highest register first; in each the lowest byte first. KubeEdge's `isSwap`, others' byte swap.
    Badc,
    /// Lowest register first, lowest byte first.
    Dcba,
}

impl Order {
    /// From the two settings that KubeEdge's visitors have: `isRegisterSwap` and `isSwap`.
    pub const fn from_swaps(registers: bool, bytes: bool) -> Self {
        match (registers, bytes) {
            (false, false) => Self::Abcd,
            (true, false) => Self::Cdab,
            (false, true) => Self::Badc,
            (true, true) => Self::Dcba,
        }
    }

    /// Whether registers stand in reverse, all of a value, so that four are read from the last to the first.
    pub const fn swaps_registers(self) -> bool {
        matches!(self, Self::Cdab | Self::Dcba)
    }

    /// Whether the bytes of each register are exchanged.
    pub const fn swaps_bytes(self) -> bool {
        matches!(self, Self::Badc | Self::Dcba)
    }

    /// From wire order to [`Order::Abcd`]; done again, back.
    pub(crate) fn arrange(self, registers: &[u16]) -> Vec<u16> {
        let mut arranged = registers.to_vec();
        if self.swaps_registers() {
            arranged.reverse();
        }
        if self.swaps_bytes() {
            for register in &mut arranged {
                *register = register.swap_bytes();
            }
        }
        arranged
    }
}
