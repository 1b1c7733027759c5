//! The checksum of serial frames.

/// CRC-16 over a frame without its last two bytes ("MODBUS over Serial Line V1.02", 6.2.2): polynomial 0xA001
/// reflected, starting at 0xFFFF. It travels lower byte first. Bit by bit: at 115200 baud a table of 512 bytes would
/// save nothing that could be measured.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_that_of_the_specification_and_of_the_catalogues() {
        // "MODBUS over Serial Line V1.02", 6.2.2: the frame 02 07 goes out with 41 12 behind it.
        assert_eq!(crc16(&[0x02, 0x07]).to_le_bytes(), [0x41, 0x12]);
        // CRC-16/MODBUS over the usual check string.
        assert_eq!(crc16(b"123456789"), 0x4B37);
        assert_eq!(crc16(&[]), 0xFFFF);
    }
}
