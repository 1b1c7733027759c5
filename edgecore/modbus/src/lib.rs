//! Modbus without a line: what to send, what to make of what comes, which reads fetch a set of values, and when.
//!
//! In come a device's values ([`Format`]: where in a unit, of which type, in which order) and bytes from a socket or a
//! serial port, with the time at which they came. Out go requests as bytes, answers, and values in their exact type
//! ([`Raw`]). The driver that owns a line asks in turn:
//!
//! - [`plan()`] for the fewest reads that fetch the values it wants, with what it [`Learned`] of units that refuse;
//! - [`Line::next`] which of those and of the waiting writes goes now, so that dead units hold nobody up;
//! - [`tcp::Client`] or [`rtu::Client`] for the frame, and what it is that comes back.
//!
//! The sources are "MODBUS Application Protocol Specification V1.1b3", "MODBUS over Serial Line V1.02" and "MODBUS
//! Messaging on TCP/IP Implementation Guide V1.0b". Everything that comes from a line is bounded and has a name when it
//! is wrong; the name says how to go on ([`GoOn`]).
//!
//! Deliberately absent: sockets, serial ports, clocks and tasks; scaling and other computing with values; devices and
//! their configuration; Modbus ASCII; broadcasts, which nobody confirms; the server's side.

mod answer;
mod crc;
mod exception;
mod format;
mod heard;
mod learned;
mod order;
mod plan;
mod raw;
mod request;
pub mod rtu;
pub mod schedule;
mod span;
pub mod tcp;
#[cfg(test)]
mod tests;
mod timing;
mod unit;

pub use answer::{Answer, AnswerError, Cells};
pub use exception::Exception;
pub use format::{Format, FormatError, Kind, Patch, ReadError, Single, WriteError, Writing};
pub use heard::{GoOn, Heard};
pub use learned::{Learned, Lesson};
pub use order::Order;
pub use plan::{Merge, Point, Read, plan};
pub use raw::{NotFinite, Raw};
pub use request::{Function, MAX_PDU, MOST_COILS_WRITTEN, MOST_REGISTERS_WRITTEN, Request, RequestError};
pub use schedule::Line;
pub use span::{Span, SpanError, Table};
pub use timing::{Timing, TimingError};
pub use unit::{Unit, UnitError};
