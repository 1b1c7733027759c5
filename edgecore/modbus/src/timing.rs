//! How long characters take on a serial line, and which silence parts frames.

use std::time::Duration;

use thiserror::Error;

/// Times of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    character: Duration,
    silence: Duration,
}

/// A line that cannot be timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimingError {
    /// No line has no speed.
    #[error("a baud rate of 0")]
    NoSpeed,
    /// Data bits, parity and stop bits make 7 (start, 5, stop) to 12 (start, 8, parity, 2 stop).
    #[error("{0} bits per character, which no serial port sends")]
    Bits(u8),
}

impl Timing {
    /// Of a line of `baud` bits per second with `bits` per character, all counted: 11 for start, eight bits, parity
    /// and stop, as the specification wants it; 10 for the wide-spread 8N1.
    ///
    /// The silence between frames is 3.5 characters, and above 19200 baud 1.75 ms ("MODBUS over Serial Line V1.02",
    /// 2.5.1.1).
    ///
    /// # Errors
    /// [`TimingError`] where no line is like that.
    pub fn new(baud: u32, bits: u8) -> Result<Self, TimingError> {
        if baud == 0 {
            return Err(TimingError::NoSpeed);
        }
        if !(7..=12).contains(&bits) {
            return Err(TimingError::Bits(bits));
        }
        let character = Duration::from_secs(u64::from(bits)) / baud;
        let silence = if baud > 19200 { Duration::from_micros(1750) } else { character * 7 / 2 };
        Ok(Self { character, silence })
    }

    /// The same, where silence counts only from `least` on: adapters on USB and gateways hand over in portions, with
    /// pauses that were none on the line.
    #[must_use]
    pub fn with_silence_of_at_least(self, least: Duration) -> Self {
        Self { silence: self.silence.max(least), ..self }
    }

    /// Silence that ends a frame, and that must be kept before the next.
    pub const fn silence(self) -> Duration {
        self.silence
    }

    /// How long so many bytes take.
    pub fn of_bytes(self, bytes: u32) -> Duration {
        self.character.saturating_mul(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_three_and_a_half_characters_and_fixed_on_fast_lines() {
        let silence = |baud, bits| Timing::new(baud, bits).unwrap().silence();
        assert_eq!(silence(9600, 11), Duration::from_secs(11) / 9600 * 7 / 2);
        assert!(
            silence(9600, 11) > Duration::from_millis(4) && silence(9600, 11) < Duration::from_micros(4011)
        );
        assert!(silence(19200, 11) > Duration::from_millis(2));
        assert_eq!(silence(38400, 11), Duration::from_micros(1750));
        assert_eq!(silence(4_000_000, 10), Duration::from_micros(1750));
    }

    #[test]
    fn silence_can_be_longer_and_never_shorter() {
        let timing = Timing::new(9600, 11).unwrap();
        let longer = timing.with_silence_of_at_least(Duration::from_millis(20));
        assert_eq!(longer.silence(), Duration::from_millis(20));
        assert_eq!(timing.with_silence_of_at_least(Duration::from_millis(1)), timing);
        assert_eq!(longer.of_bytes(960), timing.of_bytes(960));
        assert!(timing.of_bytes(960) > Duration::from_millis(1099));
    }

    #[test]
    fn lines_that_cannot_be_are_refused() {
        assert_eq!(Timing::new(0, 11), Err(TimingError::NoSpeed));
        assert_eq!(Timing::new(9600, 6), Err(TimingError::Bits(6)));
        assert_eq!(Timing::new(9600, 13), Err(TimingError::Bits(13)));
    }
}
