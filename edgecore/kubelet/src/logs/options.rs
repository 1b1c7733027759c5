//! What is wanted of a log: `PodLogOptions` of the Kubernetes API, as the API server puts it into a query.

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

/// What is wanted of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LogOptions {
    /// Go on until the container ends.
    pub(crate) follow: bool,
    /// Of the container before the one that runs.
    pub(crate) previous: bool,
    /// Each line begins with its time.
    pub(crate) timestamps: bool,
    /// So many lines from the end.
    pub(crate) tail: Option<u64>,
    /// Nothing older.
    pub(crate) since: Option<Timestamp>,
    /// So many bytes, times included.
    pub(crate) limit: Option<u64>,
    /// One of the two streams only.
    pub(crate) only: Option<Stream>,
}

/// Where a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Why a query is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum BadOptions {
    /// Not of the field's type: 400 with a kubelet.
    #[error("Unable to decode query: {field}: {value:?} is not {wanted}")]
    Undecodable {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Of that type, and not allowed: 422 with a kubelet.
    #[error("Invalid request: {0}")]
    Invalid(String),
}

impl LogOptions {
    /// Reads a query. Fields that no API server of today sends are skipped, as a kubelet does.
    pub(crate) fn parse(query: &str, now: Timestamp) -> Result<Self, BadOptions> {
        let mut options = Self::default();
        let mut seconds = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "follow" => options.follow = switch("follow", &value)?,
                "previous" => options.previous = switch("previous", &value)?,
                "timestamps" => options.timestamps = switch("timestamps", &value)?,
                // The older name of the next, and of its being left out.
                "tail" if value == "all" => options.tail = None,
                "tail" | "tailLines" => options.tail = Some(at_least("tailLines", 0, &value)?),
                "limitBytes" => options.limit = Some(at_least("limitBytes", 1, &value)?),
                "sinceSeconds" => seconds = Some(at_least("sinceSeconds", 1, &value)?),
                "sinceTime" => options.since = Some(time("sinceTime", &value)?),
                "stream" => options.only = stream(&value)?,
                _ => {}
            }
        }
        if let Some(seconds) = seconds {
            if options.since.is_some() {
                return Err(BadOptions::Invalid(
                    "at most one of sinceTime or sinceSeconds may be specified".to_owned(),
                ));
            }
            let ago = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            // Longer ago than there are times is everything.
            options.since = now.checked_sub(ago).ok();
        }
        if options.tail.is_some() && options.only.is_some() {
            let why = "`tailLines` and specific `stream` are mutually exclusive for now".to_owned();
            return Err(BadOptions::Invalid(why));
        }
        Ok(options)
    }
}

fn undecodable(field: &'static str, value: &str, wanted: &'static str) -> BadOptions {
    BadOptions::Undecodable { field, value: value.to_owned(), wanted }
}

/// As the API machinery reads a boolean: there and empty is true.
fn switch(field: &'static str, value: &str) -> Result<bool, BadOptions> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(undecodable(field, value, "a boolean")),
    }
}

fn at_least(field: &'static str, least: i64, value: &str) -> Result<u64, BadOptions> {
    let number: i64 = value.parse().map_err(|_| undecodable(field, value, "a whole number"))?;
    let enough = Some(number).filter(|number| *number >= least).and_then(|number| u64::try_from(number).ok());
    enough.ok_or_else(|| {
        BadOptions::Invalid(format!("{field}: {number} must be greater than or equal to {least}"))
    })
}

fn time(field: &'static str, value: &str) -> Result<Timestamp, BadOptions> {
    value.parse().map_err(|_| undecodable(field, value, "a time as in RFC 3339"))
}

fn stream(value: &str) -> Result<Option<Stream>, BadOptions> {
    match value {
        "" | "All" => Ok(None),
        "Stdout" => Ok(Some(Stream::Stdout)),
        "Stderr" => Ok(Some(Stream::Stderr)),
        other => Err(BadOptions::Invalid(format!("stream: {other:?} is none of All, Stdout, Stderr"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<LogOptions, BadOptions> {
        LogOptions::parse(query, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000))
    }

    #[test]
    fn what_kubectl_asks_for_is_read() {
        assert_eq!(parse(""), Ok(LogOptions::default()));
        let all =
            parse("follow=true&previous=true&timestamps=true&tailLines=20&limitBytes=7&sinceSeconds=60");
        let since = Some(Timestamp::from_second(999_940).unwrap());
        let (tail, limit) = (Some(20), Some(7));
        let expected =
            LogOptions { follow: true, previous: true, timestamps: true, tail, since, limit, only: None };
        assert_eq!(all, Ok(expected));
        let since = parse("sinceTime=2026-11-29T06%3A32%3A18%2B02%3A00").unwrap().since;
        assert_eq!(since, Some("2026-11-29T04:32:18Z".parse().unwrap()));
        assert_eq!(parse("stream=Stderr").unwrap().only, Some(Stream::Stderr));
        assert_eq!(parse("tail=all").unwrap().tail, None);
        assert_eq!(parse("sinceSeconds=9223372036854775807").unwrap().since, None);
        assert_eq!(parse("insecureSkipTLSVerifyBackend=true"), Ok(LogOptions::default()));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (query, why) in [
            ("follow=maybe", "Unable to decode query: follow: \"maybe\" is not a boolean"),
            ("tailLines=x", "Unable to decode query: tailLines: \"x\" is not a whole number"),
            ("sinceTime=then", "Unable to decode query: sinceTime: \"then\" is not a time as in RFC 3339"),
            ("tailLines=-1", "Invalid request: tailLines: -1 must be greater than or equal to 0"),
            ("limitBytes=0", "Invalid request: limitBytes: 0 must be greater than or equal to 1"),
            ("sinceSeconds=0", "Invalid request: sinceSeconds: 0 must be greater than or equal to 1"),
            (
                "sinceSeconds=1&sinceTime=2026-11-29T06:32:18Z",
                "Invalid request: at most one of sinceTime or sinceSeconds may be specified",
            ),
            ("stream=Both", "Invalid request: stream: \"Both\" is none of All, Stdout, Stderr"),
            (
                "stream=Stdout&tailLines=1",
                "Invalid request: `tailLines` and specific `stream` are mutually exclusive for now",
            ),
        ] {
            assert_eq!(parse(query).unwrap_err().to_string(), why, "{query}");
        }
    }
}
