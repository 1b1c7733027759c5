//! What became of the specs, read from the JSON report that ginkgo writes. Pure.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::why;

/// What became of one spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It passed.
    Passed,
    /// It failed, panicked or ran out of its time.
    Failed,
    /// It said itself that it does not fit this cluster.
    Skipped,
    /// The run was cut before it had ended.
    Cut,
}

/// One spec that was run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    /// Its full name, as `--focus` matches it.
    pub(super) spec: String,
    /// What became of it.
    pub(super) verdict: Verdict,
    /// Why it did not pass: one line; empty where it did.
    pub(super) why: String,
    /// How long it took.
    pub(super) seconds: f64,
}

/// A run: what became of every spec, sorted by name, and why the run was cut where it was.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// The specs.
    pub(super) outcomes: Vec<Outcome>,
    /// Why the run is not whole, `None` where it is.
    pub(super) cut: Option<String>,
}

/// One suite of ginkgo's report. Source of the format: `github.com/onsi/ginkgo/v2/types`, `Report`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    #[serde(default)]
    special_suite_failure_reasons: Option<Vec<String>>,
    #[serde(default)]
    spec_reports: Option<Vec<SpecReport>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SpecReport {
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    /// Nanoseconds.
    run_time: u64,
    /// 0 where the filters left the spec out.
    #[serde(default)]
    num_attempts: u32,
    #[serde(default)]
    failure: Option<Failure>,
    #[serde(default)]
    captured_ginkgo_writer_output: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
}

/// Reads a report.
///
/// # Errors
/// It is none, or the suite never came to its specs; the message says why.
pub(super) fn read(json: &str) -> Result<Run> {
    let suites: Vec<Suite> = serde_json::from_str(json).context("the report is not what ginkgo writes")?;
    let mut run = Run::default();
    for suite in suites {
        for reason in suite.special_suite_failure_reasons.unwrap_or_default() {
            // That specs failed is no special reason, and is said spec by spec.
            run.cut.get_or_insert(reason);
        }
        for report in suite.spec_reports.unwrap_or_default() {
            let message = report.failure.as_ref().map_or("", |failure| &failure.message);
            if report.leaf_node_type != "It" {
                if !matches!(report.state.as_str(), "passed" | "skipped") {
                    bail!(
                        "{}: {}",
                        report.leaf_node_type,
                        why::of(message, &report.captured_ginkgo_writer_output)
                    );
                }
                continue;
            }
            let verdict = match report.state.as_str() {
                "passed" => Verdict::Passed,
                "skipped" | "pending" if report.num_attempts == 0 => continue,
                "skipped" | "pending" => Verdict::Skipped,
                "interrupted" | "aborted" => Verdict::Cut,
                _ => Verdict::Failed,
            };
            let why = if verdict == Verdict::Passed {
                String::new()
            } else {
                why::of(message, &report.captured_ginkgo_writer_output)
            };
            let mut words = report.container_hierarchy_texts.unwrap_or_default();
            words.push(report.leaf_node_text);
            #[expect(clippy::cast_precision_loss, reason = "hours fit many times over")]
            let seconds = report.run_time as f64 / 1e9;
            run.outcomes.push(Outcome { spec: words.join(" "), verdict, why, seconds });
        }
    }
    run.outcomes.sort_by(|a, b| a.spec.cmp(&b.spec));
    let unfinished = run.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Cut).count();
    if unfinished > 0 {
        run.cut.get_or_insert_with(|| format!("{unfinished} specs did not come to their end"));
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, state: &str, attempts: u32, message: &str) -> serde_json::Value {
        serde_json::json!({
            "ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It", "LeafNodeText": name, "State": state,
            "RunTime": 2_500_000_000_u64, "NumAttempts": attempts, "Failure": {"Message": message},
        })
    }

    fn report(specs: &[serde_json::Value], special: &[&str]) -> String {
        serde_json::json!([{"SpecReports": specs, "SpecialSuiteFailureReasons": special}]).to_string()
    }

    #[test]
    fn every_spec_that_ran_is_told_and_no_other() {
        let specs = [
            spec("d", "timedout", 1, "too long"),
            spec("b", "failed", 1, "first\nsecond"),
            spec("a", "passed", 1, ""),
            spec("left out", "skipped", 0, ""),
            spec("c", "skipped", 1, "no GPU"),
        ];
        let run = read(&report(&specs, &[])).unwrap();
        let told: Vec<_> =
            run.outcomes.iter().map(|one| (one.spec.as_str(), one.verdict, one.why.as_str())).collect();
        let expected = [
            ("[sig-node] Pods a", Verdict::Passed, ""),
            ("[sig-node] Pods b", Verdict::Failed, "first"),
            ("[sig-node] Pods c", Verdict::Skipped, "no GPU"),
            ("[sig-node] Pods d", Verdict::Failed, "too long"),
        ];
        assert_eq!(told, expected);
        assert!((run.outcomes[0].seconds - 2.5).abs() < f64::EPSILON && run.cut.is_none());
    }

    #[test]
    fn a_run_that_was_cut_says_so() {
        let cut = read(&report(&[spec("a", "interrupted", 1, "")], &[])).unwrap();
        assert_eq!(cut.cut.as_deref(), Some("1 specs did not come to their end"));
        let cut = read(&report(&[spec("a", "passed", 1, "")], &["Interrupted by User"])).unwrap();
        assert_eq!(cut.cut.as_deref(), Some("Interrupted by User"));
    }

    #[test]
    fn a_suite_that_never_began_is_an_error() {
        let mut before = spec("", "failed", 1, "no node is ready");
        before["LeafNodeType"] = "SynchronizedBeforeSuite".into();
        let error = read(&report(&[before], &[])).expect_err("it never began").to_string();
        assert_eq!(error, "SynchronizedBeforeSuite: no node is ready");
    }
}
