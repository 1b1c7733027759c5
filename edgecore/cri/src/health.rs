//! Pure: how the runtime does, from whether it answers and what it says of itself.

use std::time::Duration;

use edgecore_pods::runtime::RuntimeVersion;
use kit::Elapsed;

use crate::generated::cri;

/// Whether the runtime answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    /// Nobody knows yet.
    #[default]
    NotYet,
    /// It does.
    Yes,
    /// It has been silent for longer than a restart takes; why the last question failed.
    No(String),
}

/// One of the two conditions a runtime reports of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeCondition {
    /// It holds.
    pub status: bool,
    /// The runtime's reason.
    pub reason: String,
    /// The runtime's message.
    pub message: String,
}

/// How the runtime does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Whether it answers.
    pub answer: Answer,
    /// What it is, as it said last; none before its first answer.
    pub version: Option<RuntimeVersion>,
    /// `RuntimeReady`, as it said last.
    pub runtime: RuntimeCondition,
    /// `NetworkReady`, as it said last.
    pub network: RuntimeCondition,
    /// Where it keeps images on the host; none where it does not say.
    pub image_fs: Option<String>,
}

impl Health {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.answer == Answer::Yes && self.runtime.status && self.network.status
    }
}

/// What was learned by asking once.
#[derive(Debug)]
pub(crate) struct Said {
    /// What it is.
    pub(crate) version: RuntimeVersion,
    /// Its conditions.
    pub(crate) conditions: Vec<cri::RuntimeCondition>,
    /// Where it keeps images.
    pub(crate) image_fs: Option<String>,
}

/// Follows the runtime's health over time.
#[derive(Debug)]
pub(crate) struct Watch {
    silence: Duration,
    last_answer: Elapsed,
}

impl Watch {
    /// Nothing was asked yet. `silence` is how long no answer is no news.
    pub(crate) const fn new(silence: Duration, now: Elapsed) -> Self {
        Self { silence, last_answer: now }
    }

    /// The health after one more question.
    pub(crate) fn step(&mut self, before: &Health, asked: Result<Said, String>, now: Elapsed) -> Health {
        match asked {
            Ok(said) => {
                self.last_answer = now;
                Health {
                    answer: Answer::Yes,
                    version: Some(said.version),
                    runtime: condition(&said.conditions, "RuntimeReady"),
                    network: condition(&said.conditions, "NetworkReady"),
                    image_fs: said.image_fs,
                }
            }
            Err(why) if now.since(self.last_answer) >= self.silence => {
                // The first reason stays: a reader wants to know what happened, and nothing flaps.
                let answer = if matches!(before.answer, Answer::No(_)) {
                    before.answer.clone()
                } else {
                    Answer::No(why)
                };
                Health { answer, ..before.clone() }
            }
            Err(_) => before.clone(),
        }
    }
}

fn condition(said: &[cri::RuntimeCondition], kind: &str) -> RuntimeCondition {
    said.iter().find(|condition| condition.r#type == kind).map_or_else(
        RuntimeCondition::default,
        |condition| RuntimeCondition {
            status: condition.status,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        },
    )
}

/// When to ask next. A good runtime is asked rarely, since each question costs it CPU time; otherwise something is
/// about to change, often right away (a boot, a restart, a network configuration just written), and later more rarely.
pub(crate) fn pause(answered: bool, health: &Health, troubled_for: Duration) -> Duration {
    let fresh = troubled_for < Duration::from_mins(1);
    match (answered && health.is_good(), answered, fresh) {
        (true, _, _) => Duration::from_secs(10),
        (false, false, true) => Duration::from_millis(100),
        (false, true, true) => Duration::from_millis(250),
        (false, false, false) => Duration::from_secs(1),
        (false, true, false) => Duration::from_secs(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(network: bool) -> Said {
        let condition = |kind: &str, status| cri::RuntimeCondition {
            r#type: kind.to_owned(),
            status,
            reason: "R".to_owned(),
            message: "m".to_owned(),
        };
        Said {
            version: RuntimeVersion { name: "containerd".to_owned(), version: "1".to_owned() },
            conditions: vec![condition("RuntimeReady", true), condition("NetworkReady", network)],
            image_fs: None,
        }
    }

    const fn at(seconds: u64) -> Elapsed {
        Elapsed::from_millis(seconds * 1000)
    }

    #[test]
    fn a_restart_is_no_outage_and_silence_is() {
        let mut watch = Watch::new(Duration::from_secs(20), at(0));
        let first = watch.step(&Health::default(), Err("no socket".to_owned()), at(1));
        assert_eq!(first.answer, Answer::NotYet);
        let good = watch.step(&first, Ok(said(true)), at(2));
        assert!(good.is_good());
        let restart = watch.step(&good, Err("refused".to_owned()), at(12));
        assert!(restart.is_good());
        let gone = watch.step(&restart, Err("refused".to_owned()), at(22));
        assert_eq!(gone.answer, Answer::No("refused".to_owned()));
        assert_eq!(gone.version, good.version);
        let still = watch.step(&gone, Err("timed out".to_owned()), at(30));
        assert_eq!(still, gone, "a new reason for the same silence is no news");
        let back = watch.step(&still, Ok(said(false)), at(31));
        assert_eq!(back.answer, Answer::Yes);
        assert!(!back.is_good());
    }

    #[test]
    fn a_condition_the_runtime_does_not_report_does_not_hold() {
        let mut watch = Watch::new(Duration::from_secs(20), at(0));
        let silent = Said { conditions: Vec::new(), ..said(true) };
        assert!(!watch.step(&Health::default(), Ok(silent), at(0)).runtime.status);
    }

    #[test]
    fn trouble_is_looked_at_often_at_first() {
        let good = Watch::new(Duration::ZERO, at(0)).step(&Health::default(), Ok(said(true)), at(0));
        assert!(pause(true, &good, Duration::ZERO) >= Duration::from_secs(10));
        assert!(pause(false, &good, Duration::ZERO) <= Duration::from_millis(100));
        assert!(pause(false, &good, Duration::from_hours(1)) >= Duration::from_secs(1));
    }
}
