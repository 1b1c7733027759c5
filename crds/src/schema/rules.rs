//! Rules in the Common Expression Language, by which the API server judges one object alone.
//!
//! The API server estimates what a rule may cost at most, from the bounds of the lists and texts that it looks at, and
//! refuses a definition that may cost too much: each of these needs its bounds. That is also why names are unique by
//! `x-kubernetes-list-type` and not by a rule, which would compare each with each. A rule must hold for every object
//! that makes sense to KubeEdge.

use serde_json::{Value, json};

/// A decimal number that fits into a double whatever its digits are: anything else is text to [`range`]. What a match
/// may cost grows with the length of this.
const NUMBER: &str = r"^-?\d{1,99}(\.\d*)?(e-?\d\d?)?$";

/// A model's property has its minimum below its maximum, where it is numeric and both are numbers.
pub(crate) fn range() -> Value {
    let both = "has(self.minimum) && has(self.maximum)";
    let numeric = "has(self.type) && self.type in ['INT', 'FLOAT', 'DOUBLE']";
    let numbers = format!("self.minimum.matches(r'{NUMBER}') && self.maximum.matches(r'{NUMBER}')");
    json!([{
        "rule": format!("!({both} && {numeric} && {numbers}) || double(self.minimum) <= double(self.maximum)"),
        "message": "minimum is greater than maximum",
        "fieldPath": ".minimum",
        "reason": "FieldValueInvalid",
    }])
}
