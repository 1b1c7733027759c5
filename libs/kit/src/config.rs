//! Configuration from YAML: typed, strict, all problems at once where they can be told apart.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

/// Why a configuration is not usable.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Not YAML.
    #[error("configuration is not YAML")]
    Syntax(#[source] serde_yaml::Error),
    /// Not of the type wanted: an unknown key, a missing one, or a value of a wrong kind.
    #[error("configuration does not fit")]
    Shape(#[source] serde_json::Error),
    /// Values that do not make sense, one line each, by key.
    #[error("configuration has wrong values: {}", .0.join("; "))]
    Values(Vec<String>),
}

/// A component's configuration.
pub trait Config: DeserializeOwned {
    /// Every value that does not make sense, each as `key: why`.
    fn problems(&self) -> Vec<String>;
}

/// Reads a configuration file.
pub fn read<C: Config>(path: &Path) -> Result<C, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text)
}

/// Parses a configuration; an empty text is a configuration of defaults.
///
/// YAML becomes a JSON value first, so that the type is deserialized by one deserializer only: a second one per type
/// is dear in binary size.
pub fn parse<C: Config>(text: &str) -> Result<C, ConfigError> {
    let value: Value = serde_yaml::from_str(text).map_err(ConfigError::Syntax)?;
    let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
    let json = serde_json::to_vec(&value).map_err(ConfigError::Shape)?;
    let config: C = serde_json::from_slice(&json).map_err(ConfigError::Shape)?;
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Values(problems)) }
}

/// A variable of the environment; `None` where it is unset or not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this is the one reader of the environment")]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        port: u16,
        name: String,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { port: 1, name: "n".to_owned() }
        }
    }

    impl Config for Sample {
        fn problems(&self) -> Vec<String> {
            let mut problems = Vec::new();
            if self.port == 0 {
                problems.push("port: must not be 0".to_owned());
            }
            if self.name.is_empty() {
                problems.push("name: must not be empty".to_owned());
            }
            problems
        }
    }

    #[test]
    fn every_wrong_value_is_named() {
        let error = parse::<Sample>("port: 0\nname: ''").unwrap_err().to_string();
        assert!(
            error.contains("port: must not be 0") && error.contains("name: must not be empty"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = crate::errors::chain(&parse::<Sample>("prot: 1").unwrap_err());
        assert!(error.contains("prot"), "{error}");
    }

    #[test]
    fn an_empty_file_means_defaults() {
        assert_eq!(parse::<Sample>("").unwrap().port, 1);
    }
}
