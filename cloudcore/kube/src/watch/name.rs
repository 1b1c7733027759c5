//! Naming objects that cannot be read.

use std::fmt;

use serde_json::Value;

/// Names longer than this are cut: they come from damaged bytes.
const MAX_NAME: usize = 253;

/// What is known of an object's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// Namespace; empty where unknown or cluster-wide.
    pub namespace: String,
    /// Name; empty where unknown.
    pub name: String,
    /// UID; empty where it is not known for sure.
    pub uid: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "(no name)" } else { &self.name };
        if self.namespace.is_empty() {
            f.write_str(name)?;
        } else {
            write!(f, "{}/{name}", self.namespace)?;
        }
        if self.uid.is_empty() { Ok(()) } else { write!(f, " ({})", self.uid) }
    }
}

/// Names an object, or the one of a watch's line, as well as its bytes allow.
///
/// Namespace and name are for people: where the metadata does not tell them, the first fields of these names in the
/// text do. The UID decides what is believed to exist, so only the metadata's own counts: the first one in the text
/// may be an owner's.
pub(super) fn name(raw: &[u8]) -> Named {
    let read = serde_json::from_slice::<Value>(raw).ok();
    let metadata = read.as_ref().and_then(|value| {
        let object = value.get("object").unwrap_or(value);
        object.get("metadata")
    });
    let own = |key: &str| metadata?.get(key)?.as_str().map(str::to_owned);
    let field = |key: &str| {
        own(key)
            .or_else(|| find(raw, key))
            .map(|text| text.chars().filter(char::is_ascii_graphic).take(MAX_NAME).collect())
            .unwrap_or_default()
    };
    let whole = |uid: &String| uid.len() <= MAX_NAME && uid.chars().all(|letter| letter.is_ascii_graphic());
    let uid = own("uid").filter(whole).unwrap_or_default();
    Named { namespace: field("namespace"), name: field("name"), uid }
}

/// The string behind the first `"key":"`.
fn find(raw: &[u8], key: &str) -> Option<String> {
    let pattern = format!("\"{key}\":\"");
    let at = raw.windows(pattern.len()).position(|window| window == pattern.as_bytes())?;
    let rest = &raw[at + pattern.len()..];
    let end = rest.iter().take(MAX_NAME + 1).position(|&byte| byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_objects_are_named_as_far_as_possible() {
        let whole = name(br#"{"metadata":{"name":"a","namespace":"n","uid":"u"},"spec":7}"#);
        assert_eq!(whole.to_string(), "n/a (u)");
        let cut = name(br#"{"metadata":{"name":"a","namespace":"n","uid":"u"},"spec":{"no"#);
        assert_eq!(cut.to_string(), "n/a", "what is cut may have any UID");
        let event = name(
            br#"{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"n","uid":"u"},"spec":7}}"#,
        );
        assert_eq!(event, whole);
        assert_eq!(name(br#"{"metadata":{"name":7}}"#).to_string(), "(no name)");
        assert_eq!(name(b"\xff\xfe"), Named::default());
    }

    #[test]
    fn an_owner_s_uid_is_never_taken_for_the_object_s_own() {
        let owners = r#""ownerReferences":[{"kind":"ReplicaSet","name":"r","uid":"u-owner"}]"#;
        for own in [r#""uid":7"#, r#""uiX":"u""#, r#""uid":"u\n""#] {
            let item = format!(r#"{{"metadata":{{"name":"a","namespace":"n",{owners},{own}}}}}"#);
            assert_eq!(name(item.as_bytes()).to_string(), "n/a", "{item}");
            let event = format!(r#"{{"type":"MODIFIED","object":{item}}}"#);
            assert_eq!(name(event.as_bytes()).to_string(), "n/a", "{event}");
            assert_eq!(name(&item.as_bytes()[..item.len() - 1]).to_string(), "n/a");
        }
    }
}
