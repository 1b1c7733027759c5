//! From JSON Schema as `schemars` writes it to the structural schemas that the API server takes.
//!
//! Source of the dialect: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>.
//! A keyword that is not known here is an error: the API server would refuse it, or take it for something else.

use serde_json::{Map, Value};

/// A type that no structural schema describes.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct NotStructural {
    /// Where in the schema, as in `.properties.spec`.
    pub path: String,
    /// What stands in the way.
    pub problem: String,
}

/// Keywords that both dialects have, with the same meaning.
const SAME: [&str; 9] =
    ["format", "maximum", "maxItems", "maxLength", "minimum", "minItems", "minLength", "pattern", "required"];

/// The structural schema that says the same.
///
/// # Errors
///
/// See [`NotStructural`].
pub fn of(schema: &Value) -> Result<Value, NotStructural> {
    convert(schema, "").map(Value::Object)
}

fn convert(schema: &Value, path: &str) -> Result<Map<String, Value>, NotStructural> {
    let Value::Object(keywords) = schema else { return Err(problem(path, "is no object")) };
    let mut out = Map::new();
    for (keyword, value) in keywords {
        match keyword.as_str() {
            "$schema" | "title" => {}
            "description" => drop(out.insert("description".to_owned(), paragraphs(value))),
            // Nothing is written into an object that its writer left out as a whole.
            "default" => {
                if !value.is_object() && !value.is_null() {
                    out.insert("default".to_owned(), value.clone());
                }
            }
            // `null` says that a field may be absent. The API server knows that, and refuses a written `null`.
            "type" => drop(out.insert("type".to_owned(), without_null(value, path)?)),
            "enum" => drop(out.insert("enum".to_owned(), words(value, path)?)),
            "items" | "additionalProperties" => {
                let inner = convert(value, &format!("{path}.{keyword}"))?;
                out.insert(keyword.clone(), Value::Object(inner));
            }
            "properties" => drop(out.insert("properties".to_owned(), fields(value, path)?)),
            "anyOf" => inherit(&mut out, optional(value, path)?),
            "oneOf" => inherit(&mut out, alternatives(value, path)?),
            same if SAME.contains(&same) || same.starts_with("x-kubernetes-") => {
                out.insert(keyword.clone(), value.clone());
            }
            unknown => return Err(problem(path, &format!("`{unknown}` has no counterpart"))),
        }
    }
    Ok(out)
}

fn problem(path: &str, problem: &str) -> NotStructural {
    NotStructural { path: path.to_owned(), problem: problem.to_owned() }
}

/// Adds what is not said already: a field's own description is nearer than that of its type.
fn inherit(out: &mut Map<String, Value>, inner: Map<String, Value>) {
    for (keyword, value) in inner {
        out.entry(keyword).or_insert(value);
    }
}

fn fields(value: &Value, path: &str) -> Result<Value, NotStructural> {
    let Value::Object(fields) = value else { return Err(problem(path, "`properties` is no object")) };
    let mut out = Map::new();
    for (name, field) in fields {
        let inner = convert(field, &format!("{path}.properties.{name}"))?;
        out.insert(name.clone(), Value::Object(inner));
    }
    Ok(Value::Object(out))
}

/// Text broken into lines as its source was, one line for each paragraph.
fn paragraphs(value: &Value) -> Value {
    let joined =
        |text: &str| text.split("\n\n").map(|p| p.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    value.as_str().map_or_else(|| value.clone(), |text| Value::from(joined(text)))
}

fn without_null(value: &Value, path: &str) -> Result<Value, NotStructural> {
    let Value::Array(types) = value else { return Ok(value.clone()) };
    match types.iter().filter(|one| *one != "null").collect::<Vec<_>>()[..] {
        [one] => Ok(one.clone()),
        _ => Err(problem(path, "is of several types")),
    }
}

fn words(value: &Value, path: &str) -> Result<Value, NotStructural> {
    let Value::Array(words) = value else { return Err(problem(path, "`enum` is no list")) };
    Ok(words.iter().filter(|word| !word.is_null()).cloned().collect())
}

/// `anyOf` stands where something or `null` is meant.
fn optional(value: &Value, path: &str) -> Result<Map<String, Value>, NotStructural> {
    let Value::Array(branches) = value else { return Err(problem(path, "`anyOf` is no list")) };
    match branches.iter().filter(|branch| branch["type"] != "null").collect::<Vec<_>>()[..] {
        [one] => convert(one, path),
        _ => Err(problem(path, "is one of several things")),
    }
}

/// `oneOf` stands where the words of an enum are described one by one.
fn alternatives(value: &Value, path: &str) -> Result<Map<String, Value>, NotStructural> {
    let Value::Array(branches) = value else { return Err(problem(path, "`oneOf` is no list")) };
    let mut all = Vec::new();
    for branch in branches {
        match (&branch["const"], &branch["enum"]) {
            (word @ Value::String(_), _) => all.push(word.clone()),
            (_, Value::Array(words)) => all.extend(words.iter().cloned()),
            _ => return Err(problem(path, "has alternatives that are no words")),
        }
    }
    let out = [("type", Value::from("string")), ("enum", Value::Array(all))];
    Ok(out.map(|(keyword, value)| (keyword.to_owned(), value)).into_iter().collect())
}
