//! Probes of one run of a container, as a machine: when the next one is due, and what its answers add up to.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use kit::Elapsed;

use crate::handler::{self, Handler};

/// Tries of a readiness probe in the first period are this far apart, so that a pod is ready soon after it can be.
const EAGER: Duration = Duration::from_millis(500);

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Holds back the others until it succeeds; its failure restarts the container.
    Startup,
    /// Says whether the container takes traffic.
    Readiness,
    /// Its failure restarts the container.
    Liveness,
}

impl Kind {
    /// As upstream's messages have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// A probe as the pod asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What to do; an error fails every try and says why.
    pub handler: Result<Handler, String>,
    /// Time from the container's start to the first try.
    pub delay: Duration,
    /// Time between two tries.
    pub period: Duration,
    /// Time for one try.
    pub timeout: Duration,
    /// So many successes in a row turn it.
    pub successes: u32,
    /// So many failures in a row turn it.
    pub failures: u32,
    /// Grace of the restart, where the probe has one of its own.
    pub grace: Option<Duration>,
}

impl Spec {
    /// The probe of a container.
    pub fn of(kind: Kind, container: &Container) -> Option<Self> {
        let probe = match kind {
            Kind::Startup => container.startup_probe.as_ref(),
            Kind::Readiness => container.readiness_probe.as_ref(),
            Kind::Liveness => container.liveness_probe.as_ref(),
        }?;
        Some(Self::made_out(probe, container))
    }

    fn made_out(probe: &Probe, container: &Container) -> Self {
        let seconds = |value: Option<i32>, default: u64| {
            let value = value.and_then(|value| u64::try_from(value).ok());
            Duration::from_secs(value.unwrap_or(default))
        };
        let count = |value: Option<i32>, default: u32| {
            value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
        };
        let grace = probe.termination_grace_period_seconds.and_then(|value| u64::try_from(value).ok());
        Self {
            handler: handler::of_probe(probe, container),
            delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
            timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
            successes: count(probe.success_threshold, 1),
            failures: count(probe.failure_threshold, 3),
            grace: grace.map(Duration::from_secs),
        }
    }
}

/// One probe of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What it is.
    pub spec: Spec,
    kind: Kind,
    /// When it is due; none while a try is under way, and for ever once it had its say.
    due: Option<Elapsed>,
    /// What it says now.
    value: bool,
    /// Answers in a row, and which.
    streak: (bool, u32),
    eager_until: Elapsed,
}

impl Machine {
    /// A probe that begins. `age` is for how long the container runs, `value` what the probe said before this process
    /// started; `jitter` in [0, 1) spreads the tries of what ran before over a period.
    pub fn new(
        kind: Kind,
        spec: Spec,
        age: Duration,
        value: Option<bool>,
        now: Elapsed,
        jitter: f64,
    ) -> Self {
        let first = spec.delay.saturating_sub(age);
        // Begun by an earlier process, or long ago: no hurry, and not all at once.
        let spread = match value {
            Some(true) => spec.period.mul_f64(jitter),
            _ if age > spec.delay + spec.period => spec.period.mul_f64(jitter / 4.0),
            _ => Duration::ZERO,
        };
        let due = now.plus(first).plus(spread);
        Self {
            kind,
            due: Some(due),
            value: value.unwrap_or(kind == Kind::Liveness),
            streak: (false, 0),
            eager_until: if kind == Kind::Readiness { due.plus(spec.period) } else { Elapsed::default() },
            spec,
        }
    }

    /// When the next try is due.
    pub const fn due(&self) -> Option<Elapsed> {
        self.due
    }

    /// What it says now.
    pub const fn value(&self) -> bool {
        self.value
    }

    /// It is in its first, eager tries.
    pub fn in_a_hurry(&self, now: Elapsed) -> bool {
        now < self.eager_until
    }

    /// A try begins.
    pub const fn begin(&mut self) {
        self.due = None;
    }

    /// A try ended: with success, with failure, or without an answer (`None`: it counts as not made). The new value
    /// where it turned, or where a startup or liveness probe had its say.
    pub fn end(&mut self, success: Option<bool>, now: Elapsed) -> Option<bool> {
        let said = success.and_then(|success| self.count(success));
        let eager = self.kind == Kind::Readiness && !self.value && self.in_a_hurry(now);
        let wait = if eager { EAGER.min(self.spec.period) } else { self.spec.period };
        // A startup probe ends with its success; after a failure of these two the container is restarted.
        let over = self.kind != Kind::Readiness && said == Some(false)
            || self.kind == Kind::Startup && said.is_some();
        self.due = (!over).then(|| now.plus(wait));
        said
    }

    /// Counts an answer; the new value where it turned, or where a startup or liveness probe had its say.
    fn count(&mut self, success: bool) -> Option<bool> {
        self.streak =
            if self.streak.0 == success { (success, self.streak.1.saturating_add(1)) } else { (success, 1) };
        let needed = if success { self.spec.successes } else { self.spec.failures };
        if self.streak.1 < needed {
            return None;
        }
        let turned = self.value != success;
        self.value = success;
        let said = match (self.kind, success) {
            (Kind::Startup, _) | (Kind::Liveness, false) => true,
            (Kind::Readiness | Kind::Liveness, _) => false,
        };
        (turned || said).then_some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(successes: u32, failures: u32) -> Spec {
        Spec {
            handler: Ok(Handler::Exec(vec![])),
            delay: Duration::from_secs(5),
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            successes,
            failures,
            grace: None,
        }
    }

    /// `+` success, `-` failure, `?` no answer; expected `u`p, `d`own, `.` nothing said.
    fn check(kind: Kind, thresholds: (u32, u32), answers: &str, said: &str) {
        let now = Elapsed::from_millis(100_000);
        let mut machine =
            Machine::new(kind, spec(thresholds.0, thresholds.1), Duration::ZERO, None, now, 0.5);
        let got: String = answers
            .chars()
            .map(|answer| {
                machine.begin();
                let answer = match answer {
                    '+' => Some(true),
                    '-' => Some(false),
                    _ => None,
                };
                match machine.end(answer, now) {
                    Some(true) => 'u',
                    Some(false) => 'd',
                    None => '.',
                }
            })
            .collect();
        assert_eq!(got, said, "{kind:?} {answers}");
    }

    #[test]
    fn thresholds_count_in_a_row() {
        check(Kind::Readiness, (1, 3), "-+--+---+", ".u.....du");
        check(Kind::Readiness, (2, 1), "+-+++-", "...u.d");
        check(Kind::Liveness, (1, 3), "++--+---", ".......d");
        check(Kind::Startup, (1, 3), "--+", "..u");
        check(Kind::Startup, (1, 3), "---", "..d");
    }

    #[test]
    fn no_answer_is_no_failure() {
        check(Kind::Liveness, (1, 2), "-??-", "...d");
        check(Kind::Readiness, (1, 2), "+-?-", "u..d");
    }

    #[test]
    fn the_first_try_waits_for_its_delay() {
        let now = Elapsed::from_millis(1_000_000);
        let due = |age: u64, value, jitter| {
            let age = Duration::from_secs(age);
            Machine::new(Kind::Readiness, spec(1, 3), age, value, now, jitter).due().unwrap().since(now)
        };
        assert_eq!(due(0, None, 0.9), Duration::from_secs(5));
        assert_eq!(due(3, None, 0.9), Duration::from_secs(2));
        // A process that restarts spreads what it finds over a period.
        assert_eq!(due(600, Some(true), 0.9), Duration::from_secs(9));
    }

    #[test]
    fn what_was_ready_stays_ready_over_a_restart_of_the_process() {
        let now = Elapsed::default();
        let mut machine =
            Machine::new(Kind::Readiness, spec(1, 3), Duration::from_mins(1), Some(true), now, 0.1);
        assert!(machine.value());
        assert_eq!(machine.end(Some(true), now), None);
    }

    #[test]
    fn readiness_is_found_soon() {
        let now = Elapsed::default();
        let mut machine = Machine::new(Kind::Readiness, spec(1, 3), Duration::from_secs(5), None, now, 0.0);
        machine.end(Some(false), now);
        assert_eq!(machine.due(), Some(now.plus(EAGER)));
        machine.end(Some(true), now);
        assert_eq!(machine.due(), Some(now.plus(Duration::from_secs(10))));
    }
}
