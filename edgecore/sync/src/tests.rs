//! Tests over more than one module.

mod model;
