//! Autonomy: how long pods stay on an edge that the cluster does not hear from. Pure.
//!
//! The annotation `skerry.io/autonomy` says it, on a pod (and so on a workload's pod template), on its Namespace, or on
//! the Node; the most particular counts. Without any it is the configured default.

use std::fmt;

/// The annotation.
pub const AUTONOMY: &str = "skerry.io/autonomy";
/// Longest value that is repeated to people.
const SHOWN: usize = 64;

/// How long pods stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Autonomy {
    /// Until somebody deletes them.
    #[default]
    Forever,
    /// As the pod itself says, which by default is what the API server is told.
    Off,
    /// So many seconds from when node-lifecycle taints the Node.
    Seconds(u32),
}

impl fmt::Display for Autonomy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::Off => f.write_str("off"),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
        }
    }
}

/// Whose annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The pod's.
    Pod,
    /// Its Namespace's.
    Namespace,
    /// Its Node's.
    Node,
}

/// What the annotations say, from the most particular on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Annotations<'a> {
    /// On the pod.
    pub pod: Option<&'a str>,
    /// On its Namespace.
    pub namespace: Option<&'a str>,
    /// On its Node.
    pub node: Option<&'a str>,
}

/// A value that is none, and is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Whose annotation it is.
    pub level: Level,
    /// The value, and what is wrong with it.
    pub why: String,
}

/// What counts, and what was passed over on the way to it.
pub fn decide(annotations: Annotations<'_>, default: Autonomy) -> (Autonomy, Vec<Wrong>) {
    let levels = [
        (Level::Pod, annotations.pod),
        (Level::Namespace, annotations.namespace),
        (Level::Node, annotations.node),
    ];
    let mut wrong = Vec::new();
    for (level, value) in levels {
        match value.map(parse) {
            None => {}
            Some(Ok(autonomy)) => return (autonomy, wrong),
            Some(Err(why)) => wrong.push(Wrong { level, why: format!("annotation {AUTONOMY}: {why}") }),
        }
    }
    (default, wrong)
}

/// Reads a value: `forever`, `off`, or a time such as `90s`, `24h` or `1h30m`. The error names the value.
pub fn parse(text: &str) -> Result<Autonomy, String> {
    match text {
        "forever" => Ok(Autonomy::Forever),
        "off" => Ok(Autonomy::Off),
        _ => seconds(text).map(Autonomy::Seconds).ok_or_else(|| {
            let shown: String = text.chars().take(SHOWN).collect();
            format!(
                "{shown:?} is neither \"forever\" nor \"off\" nor a time such as \"24h\" \
                 (numbers with d, h, m and s, at most {} s)",
                i32::MAX
            )
        }),
    }
}

/// Numbers with units, largest unit first, each at most once.
fn seconds(text: &str) -> Option<u32> {
    let mut units = [('d', 86_400_u64), ('h', 3_600), ('m', 60), ('s', 1)].into_iter();
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let unit = after.chars().next()?;
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after.get(unit.len_utf8()..)?;
    }
    // What fits into a signed number of 32 bits is a time that everybody can add to now.
    let fits = !text.is_empty() && i32::try_from(total).is_ok();
    u32::try_from(total).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_words_or_times() {
        assert_eq!(parse("forever"), Ok(Autonomy::Forever));
        assert_eq!(parse("off"), Ok(Autonomy::Off));
        for (text, seconds) in [("0s", 0), ("90s", 90), ("24h", 86_400), ("1h30m", 5_400), ("2d1s", 172_801)]
        {
            assert_eq!(parse(text), Ok(Autonomy::Seconds(seconds)), "{text}");
        }
        for text in
            ["", "24", "h", "-1h", "1.5h", "30m1h", "1h1h", "on", "Forever", " 1h", "1y", "1ä", "99999999d"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn the_most_particular_counts_and_what_is_wrong_is_passed_over() {
        let all = Annotations { pod: Some("1m"), namespace: Some("off"), node: Some("forever") };
        let decide = |annotations| decide(annotations, Autonomy::Seconds(7));
        assert_eq!(decide(all), (Autonomy::Seconds(60), vec![]));
        assert_eq!(decide(Annotations { pod: None, ..all }).0, Autonomy::Off);
        assert_eq!(decide(Annotations { pod: None, namespace: None, ..all }).0, Autonomy::Forever);
        assert_eq!(decide(Annotations::default()), (Autonomy::Seconds(7), vec![]));
        let (autonomy, wrong) =
            decide(Annotations { pod: Some("soon"), namespace: Some("?"), node: Some("5m") });
        assert_eq!(autonomy, Autonomy::Seconds(300));
        assert_eq!(wrong.iter().map(|wrong| wrong.level).collect::<Vec<_>>(), [Level::Pod, Level::Namespace]);
        assert!(wrong[0].why.contains(AUTONOMY) && wrong[0].why.contains("\"soon\""));
    }
}
