//! Mask and shift: which bits of a register are the number.

use crate::transform::raw::{Raw, RawType};
use crate::transform::{Error, Subject};

/// Mask and shift, where they are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bits {
    /// The bits that count; all of them where there is none.
    pub(super) mask: Option<u64>,
    /// Bits to the right; negative to the left. At most 63 either way.
    pub(super) shift: i8,
}

impl Bits {
    /// Steps 1 and 2.
    pub(super) fn read(self, raw: RawType, register: i128) -> i128 {
        let masked = raw.integer(raw.pattern(register) & self.masked(raw));
        if self.shift >= 0 { masked >> self.shift } else { masked << self.shift.unsigned_abs() }
    }

    /// Steps 2 and 1, undone: what the register should hold. What is left out is kept from `current`.
    pub(super) fn write(
        self,
        raw: RawType,
        number: i128,
        current: Option<Raw>,
        subject: &Subject<'_>,
    ) -> Result<i128, Error> {
        let register = self.unshifted(number, subject)?;
        if !raw.holds(register) {
            return Err(subject.out_of_range(register, "the register"));
        }
        // A shift to the right leaves out the bits that fall off.
        let lost = (1_u128 << self.shift.max(0)) - 1;
        let counted = self.masked(raw) & !lost;
        if raw.pattern(register) & !counted != 0 {
            return Err(subject.out_of_range(register, "the mask"));
        }
        let left_out = raw.all() & !counted;
        if left_out == 0 {
            return Ok(register);
        }
        let Some(Raw::Integer(current)) = current else {
            return Err(
                subject.not_invertible("bits beside the mask are kept, and what they are is not known")
            );
        };
        Ok(raw.integer(raw.pattern(register) | (raw.pattern(current) & left_out)))
    }

    fn unshifted(self, number: i128, subject: &Subject<'_>) -> Result<i128, Error> {
        let factor = 1_i128 << self.shift.unsigned_abs();
        if self.shift >= 0 {
            let shifted = number.checked_mul(factor);
            return shifted.ok_or_else(|| subject.out_of_range(number, "the register"));
        }
        if number % factor != 0 {
            return Err(subject.not_representable(format!("{number} has bits below the shift")));
        }
        Ok(number / factor)
    }

    fn masked(self, raw: RawType) -> u128 {
        raw.all() & self.mask.map_or(u128::MAX, u128::from)
    }
}
