//! Tests of what has more than one file, and what they share.

mod format;
mod fuzz;
mod plan;
mod request;
mod rtu;
mod schedule;
mod slave;
mod tcp;

use crate::span::{Span, Table};
use crate::unit::Unit;

/// Bytes written as in the specifications.
fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn unit(number: i64) -> Unit {
    Unit::serial(number).unwrap()
}

fn holding(first: u16, count: u16) -> Span {
    Span::new(Table::HoldingRegisters, first, count).unwrap()
}

fn coils(first: u16, count: u16) -> Span {
    Span::new(Table::Coils, first, count).unwrap()
}
