//! One page of a list, cut into items that are judged one by one.
//!
//! The page is not parsed as a whole: a single damaged item would take every other one with it. It is scanned: the
//! list's metadata, then items by counting brackets outside of strings. Damage inside an item that leaves the
//! brackets in balance costs that item alone; damage that does not is [`PageError::Unbalanced`], and the caller asks
//! for pages of one item, so that again only that one is lost.

use serde::Deserialize;
use thiserror::Error;

/// A page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'a> {
    /// ResourceVersion of the list.
    pub(super) resource_version: String,
    /// Token for the next page; empty at the last.
    pub(super) proceed: String,
    /// The items, raw. The last one may be cut where the page is unbalanced.
    pub(super) items: Vec<&'a [u8]>,
    /// Where counting brackets did not come out even: everything from there on.
    pub(super) unbalanced: Option<&'a [u8]>,
}

/// Why bytes are no page.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum PageError {
    /// The list's own metadata cannot be read.
    #[error("the list's metadata cannot be read: {0}")]
    Metadata(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    proceed: String,
}

/// Cuts a page.
pub(super) fn parse(bytes: &[u8]) -> Result<Page<'_>, PageError> {
    let metadata =
        value_of(bytes, b"\"metadata\":").ok_or_else(|| PageError::Metadata("not there".to_owned()))?;
    let meta: ListMeta =
        serde_json::from_slice(metadata).map_err(|error| PageError::Metadata(error.to_string()))?;
    if meta.resource_version.is_empty() {
        return Err(PageError::Metadata("no resourceVersion".to_owned()));
    }
    let mut page = Page {
        resource_version: meta.resource_version,
        proceed: meta.proceed,
        items: Vec::new(),
        unbalanced: None,
    };
    let Some(items) = find(bytes, b"\"items\":") else {
        return Err(PageError::Metadata("no items".to_owned()));
    };
    let mut rest = skip_space(&bytes[items..]);
    // An empty list may be written as null.
    if rest.starts_with(b"null") {
        return Ok(page);
    }
    if !rest.starts_with(b"[") {
        return Err(PageError::Metadata("items are no list".to_owned()));
    }
    rest = skip_space(&rest[1..]);
    while !rest.starts_with(b"]") {
        let Some(end) = scan(rest) else {
            page.unbalanced = Some(rest);
            break;
        };
        page.items.push(&rest[..end]);
        rest = skip_space(&rest[end..]);
        if rest.starts_with(b",") {
            rest = skip_space(&rest[1..]);
        } else if !rest.starts_with(b"]") {
            page.unbalanced = Some(rest);
            break;
        }
    }
    Ok(page)
}

fn skip_space(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len());
    &bytes[start..]
}

/// Where the first occurrence ends.
fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern).map(|at| at + pattern.len())
}

/// The value behind the first occurrence of a key: the list's own, since it stands before the items.
fn value_of<'a>(bytes: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = skip_space(&bytes[find(bytes, key)?..]);
    scan(rest).map(|end| &rest[..end])
}

/// Length of the value at the start: up to the bracket that closes it, or, for anything but an object or a list, to
/// the next comma or closing bracket. `None` where the bytes end before.
fn scan(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, &byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(items: &str) -> String {
        format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"7","continue":"c"}},"items":[{items}]}}"#
        )
    }

    #[test]
    fn items_are_cut_by_brackets_outside_of_strings() {
        let text = page(r#"{"a":"}]\"{"},  {"b":[{}]} ,7"#);
        let page = parse(text.as_bytes()).unwrap();
        assert_eq!(page.items, [&br#"{"a":"}]\"{"}"#[..], br#"{"b":[{}]}"#, b"7"]);
        assert_eq!(
            (page.resource_version.as_str(), page.proceed.as_str(), page.unbalanced),
            ("7", "c", None)
        );
    }

    #[test]
    fn damage_in_balance_costs_one_item() {
        let text = page(r#"{"a":1},{"b":#$%,,},{"c":3}"#);
        let page = parse(text.as_bytes()).unwrap();
        assert_eq!(page.items.len(), 3);
        assert!(serde_json::from_slice::<serde_json::Value>(page.items[1]).is_err());
    }

    #[test]
    fn damage_out_of_balance_is_said() {
        let text = page(r#"{"a":1},{"b":"2},{"c":3}"#);
        assert!(parse(text.as_bytes()).unwrap().unbalanced.is_some());
    }

    #[test]
    fn a_list_without_a_version_is_no_list() {
        assert!(parse(br#"{"metadata":{},"items":[]}"#).is_err());
        assert!(parse(br#"{"kind":"Status"}"#).is_err());
        assert_eq!(parse(br#"{"metadata":{"resourceVersion":"1"},"items":null}"#).unwrap().items.len(), 0);
    }

    proptest! {
        #[test]
        fn any_damage_is_survived(at in 0_usize..200, byte in any::<u8>()) {
            let mut text = page(r#"{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}"#).into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let _ = parse(&text);
        }
    }
}
