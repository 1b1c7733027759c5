//! Lengths of time, as kubectl shows and reads them. Pure.

/// Three figures at most: `HumanDuration` of k8s.io/apimachinery.
pub(super) fn shown(millis: i64) -> String {
    // Towards zero, and two seconds of disagreement between clocks are none.
    let seconds = millis / 1000;
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let two = |whole: i64, unit: char, rest: i64, part: char| match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{part}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, 'd', hours % 24, 'h'),
        () if days < 2 * 365 => format!("{days}d"),
        () if days < 8 * 365 => two(days / 365, 'y', days % 365, 'd'),
        () => format!("{}y", days / 365),
    }
}

/// Milliseconds of a length as Go's `time.ParseDuration` reads it: `90s`, `1h30m`, `1.5h`; what is below a millisecond is
/// cut. None where it is none, or negative.
pub(super) fn parse(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut nanos) = (text, 0_u128);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (figure, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, part) = figure.split_once('.').unwrap_or((figure, ""));
        if whole.len() + part.len() == 0 || part.len() > 18 || part.contains('.') {
            return None;
        }
        let figures = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
        let scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
        let exact = u128::from(figures(whole)?) * unit + u128::from(figures(part)?) * unit / scale;
        (rest, nanos) = (after, nanos.checked_add(exact)?);
    }
    (!text.is_empty()).then(|| u64::try_from(nanos / 1_000_000).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_shown_as_kubectl_does() {
        const M: i64 = 60;
        const H: i64 = 3600;
        const D: i64 = 86_400;
        for (seconds, expected) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (2 * M, "2m"),
            (9 * M + 59, "9m59s"),
            (10 * M + 5, "10m"),
            (179 * M, "179m"),
            (3 * H, "3h"),
            (7 * H + 59 * M, "7h59m"),
            (8 * H + M, "8h"),
            (47 * H, "47h"),
            (2 * D, "2d"),
            (7 * D + 23 * H, "7d23h"),
            (8 * D, "8d"),
            (729 * D, "729d"),
            (2 * 365 * D, "2y"),
            (3 * 365 * D + D, "3y1d"),
            (9 * 365 * D + D, "9y"),
        ] {
            assert_eq!(shown(seconds * 1000), expected, "{seconds}");
        }
    }

    #[test]
    fn lengths_are_read_as_go_does() {
        for (text, expected) in [
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            (".5s", Some(500)),
            ("1s500ms", Some(1_500)),
            ("0", Some(0)),
            ("1500us", Some(1)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5d", None),
            ("-5m", None),
            ("1.2.3s", None),
            (".s", None),
            ("5 m", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
