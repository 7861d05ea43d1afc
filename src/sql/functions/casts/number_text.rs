//! Numbers from text, as Java reads them, and decimals in either direction.

/// A double as `Double.parseDouble` reads it.
pub(super) fn double(text: &str) -> Option<f64> {
    float(text)?.parse().ok()
}

/// A real as `Float.parseFloat` reads it.
pub(super) fn real(text: &str) -> Option<f32> {
    float(text)?.parse().ok()
}

/// The part of a text that Rust reads alike: Java knows other words, and suffixes for the type.
fn float(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    number.chars().all(plain).then_some(number)
}

/// The unscaled value of a number's text at a scale, rounded half up; `None` if it is no number or has more
/// digits than `precision`.
pub(super) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let places = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(scale);
    let unscaled = digits_to(&digits, places)?;
    let value = if negative { -unscaled } else { unscaled };
    fits(value, precision).then_some(value)
}

/// The number of the first `places` digits, filled up with zeros, rounded by the one behind them.
fn digits_to(digits: &[u8], places: i64) -> Option<i128> {
    let first = digits.iter().position(|digit| *digit != b'0');
    let Some(first) = first else { return Some(0) };
    if places < i64::try_from(first).ok()? {
        return Some(0);
    }
    let mut value: i128 = 0;
    for place in first..usize::try_from(places).ok()? {
        let digit = digits.get(place).map_or(0, |digit| digit - b'0');
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let next = usize::try_from(places).ok().and_then(|place| digits.get(place));
    value.checked_add(i128::from(next.is_some_and(|digit| *digit >= b'5')))
}

/// Whether an unscaled value has no more than so many digits.
pub(super) fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < 10_u128.pow(u32::from(precision))
}

/// An unscaled value at another scale, rounded half up.
pub(super) fn rescale(value: i128, from: i8, to: i8) -> Option<i128> {
    let shift = u32::from((i16::from(to) - i16::from(from)).unsigned_abs());
    if to >= from {
        return value.checked_mul(10_i128.checked_pow(shift)?);
    }
    let Some(divisor) = 10_i128.checked_pow(shift) else { return Some(0) };
    let (quotient, rest) = (value / divisor, value % divisor);
    Some(if rest.unsigned_abs() * 2 >= divisor.unsigned_abs() { quotient + value.signum() } else { quotient })
}

/// The text of an unscaled value: every place of the scale is written.
pub(super) fn decimal_text(value: i128, scale: i8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    let Some(places) = usize::try_from(scale).ok().filter(|places| *places > 0) else {
        return format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs())));
    };
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_as_java_reads_them() {
        for (text, expected) in [
            ("1.5", 1.5),
            (" 1e3 ", 1000.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("1d", 1.0),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(double(text), Some(expected), "{text}");
        }
        assert!(double("NaN").unwrap().is_nan());
        for text in ["", "inf", "nan", "infinity", "1_000", "1,5", "e5", "0x10", "1 2", "d"] {
            assert_eq!(double(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_are_rounded_half_up_and_bounded() {
        for (text, expected) in [
            ("1.005", Some(101)),
            ("-1.005", Some(-101)),
            ("1.004", Some(100)),
            ("0.0049", Some(0)),
            ("0.005", Some(1)),
            ("99999999.994", Some(9_999_999_999)),
            ("99999999.995", None),
            ("1e2", Some(10_000)),
            ("12345e-3", Some(1235)),
            ("1e-400", Some(0)),
            ("1e400", None),
            ("0e400", Some(0)),
            ("", None),
            (".", None),
            ("+5", Some(500)),
            ("1.2.3", None),
            ("abc", None),
            ("--1", None),
            ("1e", None),
        ] {
            assert_eq!(decimal(text, 10, 2), expected, "{text}");
        }
    }

    #[test]
    fn every_place_of_the_scale_is_written() {
        for (value, scale, text) in
            [(110, 2, "1.10"), (-5, 2, "-0.05"), (0, 1, "0.0"), (7, 0, "7"), (-12345, 3, "-12.345")]
        {
            assert_eq!(decimal_text(value, scale), text);
        }
        assert_eq!(
            (rescale(125, 2, 1), rescale(-125, 2, 1), rescale(124, 2, 1)),
            (Some(13), Some(-13), Some(12))
        );
        assert_eq!(
            (rescale(1, 0, 38), rescale(i128::MAX, 0, 1), rescale(5, 38, 0)),
            (Some(10_i128.pow(38)), None, Some(0))
        );
    }
}
