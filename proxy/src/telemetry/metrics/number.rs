//! Numbers as Envoy's admin spells them: C's `%g` in text, shortest form in JSON, 32 digits in `le`.

use std::fmt::Write as _;

/// `%.{digits}g`: that many significant digits, without zeros at the end, with an exponent if it is
/// below -4 or not below `digits`. `digits` is at least 1.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return not_a_number(value).to_owned();
    }
    // The exponent after rounding to that many digits.
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        return with_exponent(without_zeros(mantissa), exponent);
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

/// The shortest text that reads back as `value`, with or without exponent. (C++: std::to_chars)
pub(super) fn shortest(value: f64) -> String {
    if !value.is_finite() {
        return not_a_number(value).to_owned();
    }
    let plain = value.to_string();
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return plain };
    let scientific = with_exponent(mantissa, exponent.parse().unwrap_or(0));
    if scientific.len() < plain.len() { scientific } else { plain }
}

/// C's spelling, as in quantiles of an empty interval.
pub(super) fn not_a_number(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "nan",
        value if value > 0.0 => "inf",
        _ => "-inf",
    }
}

/// C writes the exponent with a sign and at least two digits.
fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    let mut text = mantissa.to_owned();
    // Writing to a string cannot fail.
    let _ = write!(text, "e{sign}{:02}", exponent.unsigned_abs());
    text
}

fn without_zeros(decimal: &str) -> &str {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.')
    } else {
        decimal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_uses_percent_g() {
        for (value, text) in [
            (0.5, "0.5"),
            (10.0, "10"),
            (600_000.0, "600000"),
            (1_800_000.0, "1.8e+06"),
            (999_999.5, "1e+06"),
            (0.00001, "1e-05"),
            (0.0001, "0.0001"),
            (0.0, "0"),
        ] {
            assert_eq!(significant(value, 6), text);
        }
    }

    #[test]
    fn json_uses_what_is_shorter() {
        for (value, text) in [
            (0.5, "0.5"),
            (60_000.0, "60000"),
            (300_000.0, "3e+05"),
            (1_800_000.0, "1800000"),
            (32.5, "32.5"),
            (106.666_666_666_666_67, "106.66666666666667"),
        ] {
            assert_eq!(shortest(value), text);
        }
    }

    #[test]
    fn prometheus_bounds_have_all_digits_of_the_double() {
        assert_eq!(significant(0.5, 32), "0.5");
        assert_eq!(significant(3_600_000.0, 32), "3600000");
        assert_eq!(significant(0.1, 32), "0.10000000000000000555111512312578");
    }

    #[test]
    fn what_is_no_number_is_spelt_in_c() {
        assert_eq!(significant(f64::NAN, 6), "nan");
        assert_eq!(shortest(f64::NEG_INFINITY), "-inf");
    }
}
