//! The wire format as shipped.

mod golden;
