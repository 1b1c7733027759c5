//! Unit tests: tables of values and transforms, rules of twins one by one, and twins as a model.

mod decimal;
mod kit;
mod model;
mod settings;
mod transform;
mod twin;
mod value;
