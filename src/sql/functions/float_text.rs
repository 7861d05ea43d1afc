//! Texts of doubles: Java's, which is in JSON, and the SQL standard's, which a CAST gives.

use std::fmt::{Display, LowerExp, Write as _};

/// `Double.toString`: `1.5`, `100.0`, `1.0E10`, `1.0E-5`.
pub(super) fn java_text<F: Display + LowerExp + Into<f64> + Copy>(out: &mut String, value: F) {
    let wide: f64 = value.into();
    let magnitude = wide.abs();
    if wide.is_nan() {
        out.push_str("NaN");
    } else if wide.is_infinite() {
        out.push_str(if wide > 0.0 { "Infinity" } else { "-Infinity" });
    } else if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let start = out.len();
        let _ = write!(out, "{value}");
        if !out[start..].contains('.') {
            out.push_str(".0");
        }
    } else {
        scientific(out, value);
    }
}

/// The SQL standard's text: `1.5E0`, `1.0E2`, `0E0`.
pub(super) fn sql_text<F: Display + LowerExp + Into<f64> + Copy>(out: &mut String, value: F) {
    let wide: f64 = value.into();
    if wide == 0.0 {
        out.push_str(if wide.is_sign_negative() { "-0E0" } else { "0E0" });
    } else if wide.is_finite() {
        scientific(out, value);
    } else {
        java_text(out, value);
    }
}

/// A digit, at least one decimal place, and the exponent.
fn scientific<F: LowerExp>(out: &mut String, value: F) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let _ = write!(out, "{digits}{}E{exponent}", if digits.contains('.') { "" } else { ".0" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        for (value, java, sql) in [
            (1.5, "1.5", "1.5E0"),
            (100.0, "100.0", "1.0E2"),
            (1e10, "1.0E10", "1.0E10"),
            (9_999_999.0, "9999999.0", "9.999999E6"),
            (1e7, "1.0E7", "1.0E7"),
            (0.001, "0.001", "1.0E-3"),
            (0.000_99, "9.9E-4", "9.9E-4"),
            (-0.0, "-0.0", "-0E0"),
            (0.0, "0.0", "0E0"),
            (-1234.5678, "-1234.5678", "-1.2345678E3"),
            (f64::MAX, "1.7976931348623157E308", "1.7976931348623157E308"),
            (f64::NAN, "NaN", "NaN"),
            (f64::NEG_INFINITY, "-Infinity", "-Infinity"),
        ] {
            let mut text = String::new();
            java_text(&mut text, value);
            assert_eq!(text, java);
            text.clear();
            sql_text(&mut text, value);
            assert_eq!(text, sql);
        }
        let mut real = String::new();
        sql_text(&mut real, 0.1_f32);
        assert_eq!(real, "1.0E-1");
    }
}
