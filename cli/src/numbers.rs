//! Numbers for people: one form for each kind. JSON, and files with results, have the numbers as they are.

use std::time::{Duration, UNIX_EPOCH};

use indicatif::HumanBytes;
use tidegate_protocol::{Cost, cost::FemtoDelta, result::Cell};

/// Formats a count with its noun: `one` after 1, `more` after any other number.
pub(crate) fn count(n: impl std::fmt::Display, one: &str, more: &str) -> String {
    let n = n.to_string();
    let noun = if n == "1" { one } else { more };
    format!("{n} {noun}")
}

/// Size from which bytes are shown in larger units.
const KIB: u64 = 1024;

/// Formats a size: bytes up to 1 KiB, then KiB, MiB, GiB with two decimal places.
pub(crate) fn bytes(n: u64) -> String {
    if n < KIB { count(n, "byte", "bytes") } else { HumanBytes(n).to_string() }
}

/// Formats a measured time with three significant digits; whole seconds from a minute on.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 60.0 {
        return humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    }
    if seconds >= 1.0 { format!("{} s", digits(seconds, 3)) } else { format!("{} ms", digits(seconds * 1e3, 3)) }
}

/// Formats seconds since 1970 as a date and time of RFC 3339, in UTC.
pub(crate) fn time(seconds: i64) -> String {
    let since = Duration::from_secs(seconds.max(0).unsigned_abs());
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// Formats a share in per cent, rounded down to a tenth: an incomplete share does not read as all.
pub(crate) fn percent_down(share: f64) -> String {
    format!("{} %", (share * 1000.0).floor() / 10.0)
}

/// Formats a share in per cent, rounded up to a tenth: a small share does not read as zero.
pub(crate) fn percent_up(share: f64) -> String {
    format!("{} %", (share * 1000.0).ceil() / 10.0)
}

/// Formats a factor with one decimal place.
pub(crate) fn factor(value: f64) -> String {
    format!("{value:.1}")
}

/// Formats an ε that is computed from a ρ.
pub(crate) fn epsilon(value: f64) -> String {
    format!("{value:.3}")
}

/// Formats a price: ρ, and ε at δ; pure ε; exact results. ρ and pure ε are exact, the ε of a ρ is rounded.
pub(crate) fn price(cost: Cost, at: FemtoDelta) -> String {
    let rho = cost.rho_micro.rho();
    let (pure, exact) = (cost.epsilon_micro.epsilon(), cost.reviewed);
    let mut parts = Vec::new();
    if rho > 0.0 || (pure == 0.0 && exact == 0) {
        parts.push(match tidegate_gate::epsilon_of(rho, at.delta()) {
            Ok(of_rho) => format!("ρ = {rho} (ε = {} at δ = {:e})", epsilon(of_rho), at.delta()),
            Err(_) => format!("ρ = {rho}"),
        });
    }
    if pure > 0.0 {
        parts.push(format!("pure ε = {pure}"));
    }
    if exact > 0 {
        parts.push(count(exact, "exact result", "exact results"));
    }
    parts.join(" and ")
}

/// Formats a part of a price in its unit, with up to six decimal places, as the ledger has.
pub(crate) fn part(price: f64) -> String {
    trimmed(&format!("{price:.6}"))
}

/// Formats a public number, such as a standard deviation, with up to four significant digits.
pub(crate) fn significant(value: f64) -> String {
    digits(value, 4)
}

/// Formats a number with up to `most` significant digits; none of a whole number are dropped.
fn digits(value: f64, most: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() < 1e-6 {
        return format!("{value:.1e}");
    }
    let places = most - 1 - value.abs().log10().floor().clamp(-12.0, 300.0) as i32;
    trimmed(&format!("{value:.*}", places.max(0) as usize))
}

/// Formats a number computed from others, whose error is not known, with six significant digits.
pub(crate) fn computed(value: f64) -> String {
    trimmed(&fixed(value, places(value, 0.0)))
}

/// Formats an estimate with two significant digits of its standard error, as the GUM (JCGM 100:2008, 7.2.6) has it.
///
/// Without an error, as [`computed`].
pub(crate) fn estimate(value: f64, error: f64) -> String {
    if error > 0.0 { fixed(value, places(value, error)) } else { computed(value) }
}

/// Returns how many decimal places a number has: those of two significant digits of its error.
///
/// Without an error, those of six significant digits of the number itself.
fn places(value: f64, error: f64) -> usize {
    let last = if error > 0.0 { error / 10.0 } else { value.abs() * 1e-5 };
    // 0.1 is a tenth, also when it was computed as a difference.
    if last > 0.0 { (-(last * (1.0 + 1e-9)).log10().floor()).clamp(0.0, 12.0) as usize } else { 0 }
}

/// Formats a number with so many decimal places. Rounding leaves no sign on zero.
fn fixed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| matches!(c, '0' | '.')) => zero.to_owned(),
        _ => text,
    }
}

/// Returns a decimal number's text without noughts at the end of its decimal places.
pub(crate) fn trimmed(text: &str) -> String {
    let text = match text.contains('.') && !text.contains(['e', 'E']) {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Part of the last decimal place by which an end may lie inside the interval: the error of the arithmetic with floats.
const END_SLACK: f64 = 1e-6;

/// Texts of a released number and of the ends of its interval.
#[derive(Debug, PartialEq)]
pub(crate) struct Released {
    /// The number.
    pub(crate) value: String,
    /// Low end, rounded down.
    pub(crate) low: String,
    /// High end, rounded up.
    pub(crate) high: String,
}

/// Formats a released number with two significant digits of half its interval, and a count as a whole number.
///
/// The interval that is shown contains the one that was released. Without noise, numbers have six significant digits.
pub(crate) fn released(cell: &Cell, is_count: bool) -> Released {
    let half = (cell.high - cell.low) / 2.0;
    if half <= 0.0 {
        let [value, low, high] = [cell.value, cell.low, cell.high].map(computed);
        return Released { value, low, high };
    }
    let places = if is_count { 0 } else { places(cell.value, half) };
    let step = 10_f64.powi(-(places as i32));
    let outward = |end: f64, away: f64| {
        let rounded = format!("{end:.places$}").parse::<f64>().unwrap_or(end);
        let inside = (end - rounded) * away > step * END_SLACK;
        fixed(if inside { rounded + away * step } else { rounded }, places)
    };
    Released { value: fixed(cell.value, places), low: outward(cell.low, -1.0), high: outward(cell.high, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: f64, low: f64, high: f64, is_count: bool) -> String {
        let Released { value, low, high } = released(&Cell { value, low, high }, is_count);
        format!("{value} [{low}, {high}]")
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0_u64, 1, 2, 11].map(|n| count(n, "entry", "entries")), ["0 entries", "1 entry", "2 entries", "11 entries"]);
        assert_eq!([0, 1, 1023, 1024, 1_572_864].map(bytes), ["0 bytes", "1 byte", "1023 bytes", "1.00 KiB", "1.50 MiB"]);
    }

    /// Two significant digits of the error, and the value to the same place.
    #[test]
    fn numbers_have_the_digits_that_their_noise_leaves() {
        let noised = |value: f64, half: f64| shown(value, value - half, value + half, false);
        assert_eq!(noised(842.0, 0.4), "842.00 [841.60, 842.40]");
        assert_eq!(noised(26_176.25, 35.0), "26176 [26141, 26212]");
        assert_eq!(noised(0.012_34, 0.000_8), "0.01234 [0.01154, 0.01314]");
        assert_eq!(noised(60.437_21, 0.2), "60.44 [60.23, 60.64]");
        assert_eq!(noised(3.0, 1.5), "3.0 [1.5, 4.5]");
        assert_eq!(noised(-0.2, 35.0), "0 [-36, 35]");
        assert_eq!(noised(-0.01, 2.0), "0.0 [-2.1, 2.0]");
        assert_eq!(noised(842.0, 0.0), "842 [842, 842]");
        assert_eq!(noised(1_234.567_89, 0.0), "1234.57 [1234.57, 1234.57]");
    }

    #[test]
    fn counts_have_no_decimal_places() {
        assert_eq!(shown(842.0, 841.6, 842.4, true), "842 [841, 843]");
        assert_eq!(shown(0.0, -2.5, 2.5, true), "0 [-3, 3]");
        assert_eq!(shown(701.0, 701.0, 701.0, true), "701 [701, 701]");
    }

    /// A number at an end of its interval is within what is shown.
    #[test]
    fn intervals_are_rounded_outward() {
        assert_eq!(shown(0.75, 0.75, 3.0, false), "0.8 [0.7, 3.0]");
        assert_eq!(shown(-3.0, -3.0, -0.75, false), "-3.0 [-3.0, -0.7]");
        assert_eq!(shown(0.1, 0.1, 0.3, false), "0.10 [0.10, 0.30]");
        assert_eq!(shown(1.0, -0.4, 70.4, false), "1 [-1, 71]");
    }

    #[test]
    fn public_numbers_have_four_digits_and_no_noughts_at_their_end() {
        assert_eq!(
            [0.0, 7.83, 15.0, 1234.5, 123_456.0, 0.001_234_5].map(significant),
            ["0", "7.83", "15", "1234", "123456", "0.001234"]
        );
        assert_eq!([0.048_929, 0.016_31, 0.5, 1.0].map(part), ["0.048929", "0.01631", "0.5", "1"]);
        assert_eq!(["701.000", "-0.0", "100", "1.50", "1e300"].map(trimmed), ["701", "0", "100", "1.5", "1e300"]);
        assert_eq!((estimate(701.0, 3.5), estimate(1986.04, 0.0)), ("701.0".into(), "1986.04".into()));
    }

    #[test]
    fn times_are_read_in_their_own_unit() {
        let of = |milliseconds| duration(Duration::from_millis(milliseconds));
        assert_eq!([7, 250, 2_500, 125_000].map(of), ["7 ms", "250 ms", "2.5 s", "2m 5s"]);
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!((percent_down(0.9999), percent_up(0.0001)), ("99.9 %".into(), "0.1 %".into()));
    }
}
