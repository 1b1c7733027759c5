//! Metrics in Prometheus' text format 0.0.4: what a kubelet serves. Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use kit::WallTime;

/// What a kubelet says of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
}

/// How its value behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

impl Metric {
    /// It only grows.
    pub(crate) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Counter }
    }

    /// It goes up and down.
    pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge }
    }
}

/// A value, written without rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// As it is.
    Whole(u64),
    /// Seconds, by their nanoseconds.
    Nanos(u64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Nanos(nanos) => {
                write!(f, "{}", nanos / 1_000_000_000)?;
                let rest = format!("{:09}", nanos % 1_000_000_000);
                let rest = rest.trim_end_matches('0');
                if rest.is_empty() { Ok(()) } else { write!(f, ".{rest}") }
            }
        }
    }
}

/// Samples, kept together by metric.
#[derive(Debug, Default)]
pub(crate) struct Page(BTreeMap<&'static str, (Metric, String)>);

impl Page {
    /// Adds a sample; `at` is when it was taken, where the kubelet says so. Labels are in the order of their names.
    pub(crate) fn add(
        &mut self,
        metric: Metric,
        labels: &[(&str, &str)],
        value: Number,
        at: Option<WallTime>,
    ) {
        let (_, text) = self.0.entry(metric.name).or_insert((metric, String::new()));
        text.push_str(metric.name);
        for (number, (name, value)) in labels.iter().enumerate() {
            text.push(if number == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape(value, text);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        // Writing into a text does not fail.
        let _ = match at {
            Some(at) => writeln!(text, " {value} {}", at.0),
            None => writeln!(text, " {value}"),
        };
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        let mut page = String::new();
        for (metric, samples) in self.0.values() {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let (name, help) = (metric.name, metric.help);
            let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
        }
        page
    }
}

fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

/// The same metrics in the text of OpenMetrics → in this format: there a counter's family is called without `_total`, there
/// are units and types more, and an end.
pub(crate) fn from_open_metrics(open: &str) -> String {
    let mut page = String::new();
    let counters: Vec<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    for line in open.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let told = ["# HELP ", "# TYPE "].into_iter().find_map(|mark| Some((mark, line.strip_prefix(mark)?)));
        let Some((mark, rest)) = told else {
            // Exemplars follow a sign of their own.
            page.push_str(line.split_once(" # ").map_or(line, |(sample, _)| sample));
            page.push('\n');
            continue;
        };
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (total, rest) = match rest {
            "info" if mark == "# TYPE " => ("_info", "gauge"),
            "stateset" if mark == "# TYPE " => ("", "gauge"),
            "unknown" if mark == "# TYPE " => ("", "untyped"),
            rest if counters.contains(&name) => ("_total", rest),
            rest => ("", rest),
        };
        let _ = writeln!(page, "{mark}{name}{total} {rest}");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Metric = Metric::gauge("b_bytes", "Bytes.");
    const SECONDS: Metric = Metric::counter("a_seconds_total", "Seconds.");

    #[test]
    fn metrics_stand_together_in_the_order_of_their_names() {
        let mut page = Page::default();
        page.add(BYTES, &[("a", "x\"y\\z\n"), ("b", "")], Number::Whole(u64::MAX), None);
        page.add(SECONDS, &[], Number::Nanos(1_500_000_000), Some(WallTime(1_700_000_000_123)));
        page.add(BYTES, &[("a", "2")], Number::Whole(0), None);
        let text = "# HELP a_seconds_total Seconds.\n# TYPE a_seconds_total counter\n\
            a_seconds_total 1.5 1700000000123\n# HELP b_bytes Bytes.\n# TYPE b_bytes gauge\n\
            b_bytes{a=\"x\\\"y\\\\z\\n\",b=\"\"} 18446744073709551615\nb_bytes{a=\"2\"} 0\n";
        assert_eq!(page.text(), text);
    }

    #[test]
    fn seconds_are_written_to_the_nanosecond() {
        let shown = [0, 1, 2_000_000_000, 1_234_567_890, 10].map(|nanos| Number::Nanos(nanos).to_string());
        assert_eq!(shown, ["0", "0.000000001", "2", "1.23456789", "0.00000001"]);
    }

    #[test]
    fn open_metrics_become_the_older_text() {
        let open = "# HELP s_sent Things.\n# TYPE s_sent counter\n# UNIT s_sent things\ns_sent_total{a=\"b\"} 1 # {id=\"x\"} 1\n\
            # HELP s_store Info.\n# TYPE s_store info\ns_store_info{id=\"1\"} 1\n\
            # HELP s_queued Now.\n# TYPE s_queued gauge\ns_queued 4\n# EOF\n";
        let text = "# HELP s_sent_total Things.\n# TYPE s_sent_total counter\ns_sent_total{a=\"b\"} 1\n\
            # HELP s_store Info.\n# TYPE s_store_info gauge\ns_store_info{id=\"1\"} 1\n\
            # HELP s_queued Now.\n# TYPE s_queued gauge\ns_queued 4\n";
        assert_eq!(from_open_metrics(open), text);
    }
}
