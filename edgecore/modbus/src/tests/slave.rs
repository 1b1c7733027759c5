//! The other end, for tests: a unit whose cells say their own address, and that does what it is told.

use crate::answer::Answer;
use crate::request::{Function, Request};

/// What register `address` holds.
pub(super) const fn register(address: u16) -> u16 {
    address.wrapping_mul(3) ^ 0x5AA5
}

/// What bit `address` is.
pub(super) const fn bit(address: u16) -> bool {
    address.is_multiple_of(3)
}

/// The protocol data unit that answers a request.
pub(super) fn respond(request: &Request) -> Vec<u8> {
    let asked = request.encode();
    let [code, a, b, c, d, ..] = *asked else { panic!("a request has five bytes") };
    let (first, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let cells = || (0..count).map(|offset| first.wrapping_add(offset));
    let data: Vec<u8> = match request.function() {
        Function::ReadCoils | Function::ReadDiscreteInputs => {
            let mut bytes = vec![0_u8; usize::from(count).div_ceil(8)];
            for (place, address) in cells().enumerate() {
                bytes[place / 8] |= u8::from(bit(address)) << (place % 8);
            }
            bytes
        }
        Function::ReadHoldingRegisters | Function::ReadInputRegisters => {
            cells().flat_map(|address| register(address).to_be_bytes()).collect()
        }
        Function::WriteSingleCoil
        | Function::WriteSingleRegister
        | Function::WriteMultipleCoils
        | Function::WriteMultipleRegisters => return vec![code, a, b, c, d],
    };
    [vec![code, u8::try_from(data.len()).unwrap()], data].concat()
}

/// What that says.
pub(super) fn answer(request: &Request) -> Answer {
    let Some(span) = request.reads() else { return Answer::Written };
    let cells = (0..span.count()).map(|offset| span.first() + offset);
    if span.table().holds_bits() {
        Answer::Bits(cells.map(bit).collect())
    } else {
        Answer::Registers(cells.map(register).collect())
    }
}
