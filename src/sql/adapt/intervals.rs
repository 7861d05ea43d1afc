//! Intervals of several units: `INTERVAL '1 02:30:00' DAY TO SECOND`, `INTERVAL '1-6' YEAR TO MONTH`.

use datafusion::sql::sqlparser::ast::{DateTimeField as F, Expr, Interval, Value, ValueWithSpan};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::sql::syntax::text;

/// The units, from the largest.
const UNITS: [(F, &str); 6] = [
    (F::Year, "years"),
    (F::Month, "months"),
    (F::Day, "days"),
    (F::Hour, "hours"),
    (F::Minute, "minutes"),
    (F::Second, "seconds"),
];

/// The interval with each of its units written out, which is how DataFusion reads it.
pub(super) fn written_out(interval: Interval, span: Span) -> Result<Expr, String> {
    let (Some(first), Some(last)) = (&interval.leading_field, &interval.last_field) else {
        return Ok(Expr::Interval(interval));
    };
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(written), .. }) = &*interval.value
    else {
        return Err("SYNTAX_ERROR: the value of an interval is a text".to_owned());
    };
    let written_out = units(written, first, last)
        .ok_or_else(|| format!("INVALID_LITERAL: '{written}' is not a valid interval literal"))?;
    let value = Box::new(text(&written_out, span));
    Ok(Expr::Interval(Interval { value, leading_field: None, last_field: None, ..interval }))
}

fn units(written: &str, first: &F, last: &F) -> Option<String> {
    let place = |field: &F| UNITS.iter().position(|(unit, _)| unit == field);
    let (first, last) = (place(first)?, place(last)?);
    // Months have no fixed number of days, so nothing reaches from the one kind to the other.
    if first >= last || (first < 2) != (last < 2) {
        return None;
    }
    let (sign, digits) = match written.trim().strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", written.trim().trim_start_matches('+')),
    };
    let parts: Vec<&str> = digits.split([' ', ':', '-']).collect();
    let is_number = |part: &&str| !part.is_empty() && part.parse::<f64>().is_ok_and(f64::is_finite);
    if parts.len() != last - first + 1 || !parts.iter().all(is_number) {
        return None;
    }
    let named = parts.iter().zip(&UNITS[first..]).map(|(part, (_, unit))| format!("{sign}{part} {unit}"));
    Some(named.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_written_out() {
        for (written, first, last, expected) in [
            ("1 02:30:04.5", F::Day, F::Second, Some("1 days 02 hours 30 minutes 04.5 seconds")),
            ("-1 2:3", F::Day, F::Minute, Some("-1 days -2 hours -3 minutes")),
            ("10:20", F::Minute, F::Second, Some("10 minutes 20 seconds")),
            ("1-6", F::Year, F::Month, Some("1 years 6 months")),
            ("1 2", F::Day, F::Second, None),
            ("x:1", F::Hour, F::Minute, None),
            ("1-2", F::Month, F::Day, None),
        ] {
            assert_eq!(units(written, &first, &last).as_deref(), expected, "{written}");
        }
    }
}
