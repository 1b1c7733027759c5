//! The committed table: every spec with what became of it on both nodes, as Markdown that is read again, so that a spec
//! that passed once is known when it fails. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use super::report::{Outcome, Verdict};

/// What stands above the table.
const HEAD: &str = "\
# Upstream's NodeConformance specs, on an edge and on an ordinary node

Written by `hack/conformance --write`; not by hand. The specs are those of Kubernetes' own `e2e.test` with the label `NodeConformance`
and none of `Slow`, `Serial`, `Disruptive` and `Flaky`. *Edge* is a node of `hack/lab` with edgecore, *ordinary* one made
in the same way with upstream's kubelet and kube-proxy: what fails there too is this machine's doing. *Why* is the
first line of the failure on the edge, or what the edge said that it does not honour. What the images are made of stands in
[hack/upstream/README.md](../hack/upstream/README.md).

";
const TITLES: &str = "| spec | edge | ordinary | why |\n|---|---|---|---|\n";

/// A line of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// On the edge: `passed`, `failed`, `skipped`, `cut`, or empty where it was not run.
    pub(super) edge: String,
    /// On the ordinary node, likewise.
    pub(super) ordinary: String,
    /// Why it did not pass on the edge, or, where it did, on the ordinary node.
    pub(super) why: String,
}

/// Every spec by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// The lines.
    pub(super) rows: BTreeMap<String, Row>,
}

/// The word of a verdict in the table.
pub(super) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => PASSED,
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
        Verdict::Cut => "cut",
    }
}

const PASSED: &str = "passed";

impl Table {
    /// Enters what became of specs on the edge.
    pub(super) fn enter_edge(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let row = self.rows.entry(outcome.spec.clone()).or_default();
            word(outcome.verdict).clone_into(&mut row.edge);
            row.why.clone_from(&outcome.why);
        }
    }

    /// Enters what became of specs on the ordinary node.
    pub(super) fn enter_ordinary(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let row = self.rows.entry(outcome.spec.clone()).or_default();
            word(outcome.verdict).clone_into(&mut row.ordinary);
            if row.edge == PASSED && outcome.verdict != Verdict::Passed {
                row.why = format!("ordinary: {}", outcome.why);
            }
        }
    }

    /// The specs among these that passed on the edge once and do not now.
    pub(super) fn regressions<'a>(&self, outcomes: &'a [Outcome]) -> Vec<&'a Outcome> {
        let passed_once = |spec: &str| self.rows.get(spec).is_some_and(|row| row.edge == PASSED);
        outcomes.iter().filter(|now| now.verdict != Verdict::Passed && passed_once(&now.spec)).collect()
    }

    /// The one line: `N of M passed, baseline B`.
    pub(super) fn summary(&self) -> String {
        let passed = |mark: fn(&Row) -> &String| self.rows.values().filter(|row| mark(row) == PASSED).count();
        let baseline = if self.rows.values().any(|row| row.ordinary.is_empty()) {
            "not run".to_owned()
        } else {
            passed(|row| &row.ordinary).to_string()
        };
        format!("{} of {} passed, baseline {baseline}", passed(|row| &row.edge), self.rows.len())
    }

    /// Only the specs that these outcomes are about.
    pub(super) fn only(&self, outcomes: &[Outcome]) -> Self {
        let chosen = outcomes
            .iter()
            .filter_map(|outcome| Some((outcome.spec.clone(), self.rows.get(&outcome.spec)?.clone())));
        Self { rows: chosen.collect() }
    }

    /// The document.
    pub(super) fn render(&self) -> String {
        let mut text = format!("{HEAD}{TITLES}");
        for (spec, row) in &self.rows {
            let cell = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|");
            // Writing into a String does not fail.
            let _ =
                writeln!(text, "| {} | {} | {} | {} |", cell(spec), row.edge, row.ordinary, cell(&row.why));
        }
        let _ = write!(text, "\n{}\n", self.summary());
        text
    }

    /// Reads what [`Self::render`] wrote.
    ///
    /// # Errors
    /// A line of the table has not four cells, or there is no table.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (_, body) = text.split_once(TITLES).context("there is no table")?;
        let mut rows = BTreeMap::new();
        for line in body.lines().take_while(|line| line.starts_with('|')) {
            let cells = cells(line);
            let [spec, edge, ordinary, why] = &cells[..] else {
                ensure!(cells.len() == 4, "not four cells: {line}");
                continue;
            };
            let row = Row { edge: edge.clone(), ordinary: ordinary.clone(), why: why.clone() };
            rows.insert(spec.clone(), row);
        }
        Ok(Self { rows })
    }
}

/// The cells of a line, without the escapes.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut characters = line.trim().trim_start_matches('|').chars();
    while let Some(character) = characters.next() {
        match character {
            '|' => cells.push(String::new()),
            '\\' => cells.last_mut().into_iter().for_each(|cell| cell.extend(characters.next())),
            other => cells.last_mut().into_iter().for_each(|cell| cell.push(other)),
        }
    }
    // Behind the last bar there is nothing.
    cells.pop();
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(spec: &str, verdict: Verdict, why: &str) -> Outcome {
        Outcome { spec: spec.to_owned(), verdict, why: why.to_owned(), seconds: 1.0 }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let mut table = Table::default();
        table.enter_edge(&[
            outcome("b | with a bar", Verdict::Failed, r"because \ of | this"),
            outcome("a", Verdict::Passed, ""),
        ]);
        table.enter_ordinary(&[
            outcome("a", Verdict::Failed, "no dummy"),
            outcome("b | with a bar", Verdict::Passed, ""),
        ]);
        let text = table.render();
        assert_eq!(Table::parse(&text).unwrap(), table);
        assert!(text.contains("| a | passed | failed | ordinary: no dummy |\n"), "{text}");
        assert!(text.ends_with("\n1 of 2 passed, baseline 1\n"), "{text}");
        assert!(Table::parse("nothing").is_err());
        assert!(Table::parse(&format!("{TITLES}| a | passed |\n")).is_err());
    }

    #[test]
    fn what_passed_once_and_fails_now_is_named() {
        let mut table = Table::default();
        table.enter_edge(&[outcome("a", Verdict::Passed, ""), outcome("b", Verdict::Failed, "x")]);
        let now = [
            outcome("a", Verdict::Skipped, "y"),
            outcome("b", Verdict::Failed, "x"),
            outcome("new", Verdict::Failed, "z"),
        ];
        let named: Vec<_> = table.regressions(&now).into_iter().map(|one| one.spec.as_str()).collect();
        assert_eq!(named, ["a"]);
        assert!(table.regressions(&[outcome("a", Verdict::Passed, "")]).is_empty());
    }

    #[test]
    fn without_an_ordinary_node_there_is_no_baseline() {
        let mut table = Table::default();
        table.enter_edge(&[outcome("a", Verdict::Passed, "")]);
        assert_eq!(table.summary(), "1 of 1 passed, baseline not run");
    }
}
