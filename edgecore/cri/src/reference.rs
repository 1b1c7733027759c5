//! Names of images, as the distribution project defines them: `[DOMAIN[:PORT]/]PATH[:TAG][@DIGEST]`.
//!
//! Asked before the runtime is, because a runtime answers a malformed name with "not found" or with an error that
//! looks like a failed download, and upstream shows `InvalidImageName` for it.

use edgecore_pods::runtime::RuntimeError;

/// Longest name without tag and digest.
const MAX_NAME: usize = 255;

/// Fails where no runtime could make sense of the name.
pub(crate) fn check(image: &str) -> Result<(), RuntimeError> {
    problem(image).map_or(Ok(()), |why| {
        Err(RuntimeError::Image {
            reason: "InvalidImageName",
            message: format!(
                "Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {why}"
            ),
        })
    })
}

fn problem(image: &str) -> Option<String> {
    const FORMAT: &str = "invalid reference format";
    // Ids, by which containers are created too.
    if image.strip_prefix("sha256:").is_some_and(is_sha256) {
        return None;
    }
    if is_sha256(image) {
        return Some(format!(
            "invalid repository name ({image}), cannot specify 64-byte hexadecimal strings"
        ));
    }
    let (rest, digest) = image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    // A colon after the last slash begins the tag; one before it, the port.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest.get(last..).and_then(|end| end.find(':')) {
        Some(colon) => (rest.get(..last + colon)?, rest.get(last + colon + 1..)),
        None => (rest, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) || tag.is_some_and(|tag| !is_tag(tag)) {
        return Some(FORMAT.to_owned());
    }
    let (domain, path) = split_domain(name);
    if path.chars().any(|c| c.is_ascii_uppercase()) && is_path(&path.to_ascii_lowercase()) {
        return Some(format!("{FORMAT}: repository name ({path}) must be lowercase"));
    }
    if name.len() > MAX_NAME {
        return Some(format!("repository name must not be more than {MAX_NAME} characters"));
    }
    (!is_path(path) || domain.is_some_and(|domain| !is_domain(domain))).then(|| FORMAT.to_owned())
}

/// What comes before the first slash is a domain only if it looks like one.
fn split_domain(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let words = |c: char| matches!(c, '+' | '.' | '-' | '_');
        let algorithm = algorithm.split(words).all(|word| {
            word.starts_with(|c: char| c.is_ascii_alphabetic())
                && word.chars().all(|c| c.is_ascii_alphanumeric())
        });
        algorithm && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_domain(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[') {
        return address.split_once(']').is_some_and(|(address, port)| {
            address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    port.is_none_or(is_port)
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Lower-case words, separated by one dot, one or two underscores, or any number of dashes.
fn is_path(path: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    path.split('/').all(|component| {
        let bytes = component.as_bytes();
        let edges = bytes.first().is_some_and(|b| word(*b)) && bytes.last().is_some_and(|b| word(*b));
        edges
            && component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_runtimes_take() {
        let hex = "a".repeat(64);
        for good in [
            "busybox".to_owned(),
            "busybox:1.37".to_owned(),
            "library/busybox".to_owned(),
            "registry.k8s.io/e2e-test-images/agnhost:2.55".to_owned(),
            "localhost:5000/a__b/c-d.e:T_1".to_owned(),
            "[::1]:5000/a".to_owned(),
            "Registry.Example.com/x".to_owned(),
            format!("x@sha256:{hex}"),
            format!("x:tag@sha256:{hex}"),
            format!("sha256:{hex}"),
        ] {
            assert_eq!(problem(&good), None, "{good}");
        }
    }

    #[test]
    fn names_that_none_takes() {
        let hex = "a".repeat(64);
        for bad in [
            "",
            " ",
            "a b",
            "a:",
            ":a",
            "a:-x",
            "/a",
            "a/",
            "a//b",
            "a___b",
            "a..b",
            "-a",
            "a@sha256:12",
            "a@",
            "http://a/b",
            "bad_host.x:1/a:b:c",
            "ä",
            &hex,
        ] {
            assert!(problem(bad).is_some(), "{bad}");
        }
        let Err(RuntimeError::Image { reason, message }) = check("BusyBox") else { panic!("taken") };
        assert_eq!(reason, "InvalidImageName");
        assert!(message.ends_with("repository name (BusyBox) must be lowercase"), "{message}");
        assert!(problem(&format!("{}/x", "a".repeat(255))).unwrap().contains("255"));
    }
}
