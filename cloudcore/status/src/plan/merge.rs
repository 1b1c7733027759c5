//! Putting what the edge owns into a status, and the difference as a JSON merge patch (RFC 7396).

use serde_json::{Map, Value};
use wire::owned;

/// Whether two values say the same: what is null or empty counts as absent, since the API server leaves it out.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            let mut keys = keys;
            let of = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or(Value::Null);
            keys.all(|key| same(&of(left, key), &of(right, key)))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        _ => left == right || (is_empty(left) && is_empty(right)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The merge patch that makes `to` of `from`. Nulls in `to` count as absent.
pub(super) fn patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return without_nulls(to) };
    let mut change = Map::new();
    for (key, wanted) in to.iter().filter(|(_, wanted)| !wanted.is_null()) {
        match from.get(key) {
            Some(shown) if shown == wanted => {}
            Some(shown @ Value::Object(_)) if wanted.is_object() => {
                change.insert(key.clone(), patch(shown, wanted));
            }
            _ => {
                change.insert(key.clone(), without_nulls(wanted));
            }
        }
    }
    for key in from.keys().filter(|key| to.get(*key).is_none_or(Value::is_null)) {
        change.insert(key.clone(), Value::Null);
    }
    Value::Object(change)
}

/// The value without nulls in objects, which a merge patch would take for removals.
fn without_nulls(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let kept = fields.iter().filter(|(_, value)| !value.is_null());
    Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
}

/// Takes over the owned fields of a report: what it leaves out is removed.
pub(super) fn fields(status: &mut Map<String, Value>, report: &Value, owned: &[&str]) {
    for &field in owned {
        match report.get(field).filter(|value| !value.is_null()) {
            Some(value) => status.insert(field.to_owned(), value.clone()),
            None => status.remove(field),
        };
    }
}

/// Takes over the owned conditions of a report: others stay, in their places. `join` makes the condition to be
/// written of the reported one and the one shown, if any.
pub(super) fn conditions(
    status: &mut Map<String, Value>,
    report: &Value,
    owned: &[&str],
    join: impl Fn(&Value, Option<&Value>) -> Value,
) {
    let shown = match status.remove("conditions") {
        Some(Value::Array(shown)) => shown,
        _ => Vec::new(),
    };
    // Of a type that is reported twice, the last counts.
    let told = |name: &str| {
        owned::conditions(report)
            .iter()
            .rev()
            .find(|condition| owned::condition_type(condition) == Some(name))
    };
    let is_owned = |condition: &Value| {
        owned::condition_type(condition).and_then(|name| owned.iter().copied().find(|owned| *owned == name))
    };
    let mut merged = Vec::new();
    let mut placed = Vec::new();
    for condition in shown {
        match is_owned(&condition) {
            None => merged.push(condition),
            Some(name) if placed.contains(&name) => {}
            Some(name) => {
                placed.push(name);
                merged.extend(told(name).map(|told| join(told, Some(&condition))));
            }
        }
    }
    for &name in owned.iter().filter(|name| !placed.contains(*name)) {
        merged.extend(told(name).map(|told| join(told, None)));
    }
    if !merged.is_empty() {
        status.insert("conditions".to_owned(), Value::Array(merged));
    }
}

/// A field of a condition as text; absent reads as empty.
pub(super) fn text<'a>(condition: &'a Value, field: &str) -> &'a str {
    condition.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::apply;
    use proptest::prelude::*;
    use serde_json::json;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0_u8..3).prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        proptest::collection::btree_map("[a-c]", value(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn the_patch_makes_the_one_of_the_other(from in object(), to in object()) {
            let from = without_nulls(&from);
            prop_assert!(same(&apply(&from, &patch(&from, &to)), &to));
        }

        #[test]
        fn same_is_symmetric(left in object(), right in object()) {
            prop_assert_eq!(same(&left, &right), same(&right, &left));
            prop_assert!(same(&left, &left));
        }
    }

    #[test]
    fn a_patch_names_only_what_differs() {
        let from = json!({"phase": "Pending", "reason": "x", "nodeInfo": {"os": "a", "arch": "b"}});
        let to = json!({"phase": "Running", "reason": null, "nodeInfo": {"os": "a", "arch": "c"}});
        let change = json!({"phase": "Running", "reason": null, "nodeInfo": {"arch": "c"}});
        assert_eq!(patch(&from, &to), change);
    }
}
