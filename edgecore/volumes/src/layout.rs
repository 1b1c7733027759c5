//! Pure: where everything of a pod lies under the state directory.
