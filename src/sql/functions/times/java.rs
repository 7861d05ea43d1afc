//! Times as Java's `toString` writes them, for `format`.

use std::fmt::Write as _;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};

use super::civil::{DAY, Date, HOUR, MINUTE, SECOND};
use super::zone::{Zone, offset_text};

/// A date, `2026-01-01T00:02`, `2026-01-01T00:02:11.500Z[UTC]`: a second of zero is left out.
pub(in super::super) fn java_text(value: &ScalarValue) -> Result<String> {
    let utc = match value {
        ScalarValue::Date32(Some(day)) => i64::from(*day) * DAY,
        ScalarValue::TimestampSecond(Some(ticks), _) => ticks.saturating_mul(1_000),
        ScalarValue::TimestampMillisecond(Some(ticks), _) => *ticks,
        ScalarValue::TimestampMicrosecond(Some(ticks), _) => ticks.div_euclid(1_000),
        ScalarValue::TimestampNanosecond(Some(ticks), _) => ticks.div_euclid(1_000_000),
        other => return exec_err!("a date or timestamp expected, not {other}"),
    };
    let data_type = value.data_type();
    let zone_id = match &data_type {
        DataType::Timestamp(_, zone) => zone.as_deref(),
        _ => None,
    };
    let zone = Zone::of(zone_id)?;
    let local = zone.local(utc);
    let Date { year, month, day } = Date::of_millis(local);
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    if data_type == DataType::Date32 {
        return Ok(text);
    }
    let time = local.rem_euclid(DAY);
    let _ = write!(text, "T{:02}:{:02}", time / HOUR, time % HOUR / MINUTE);
    if time % MINUTE != 0 {
        let _ = write!(text, ":{:02}", time % MINUTE / SECOND);
    }
    if time % SECOND != 0 {
        let _ = write!(text, ".{:03}", time % SECOND);
    }
    let Some(zone_id) = zone_id else { return Ok(text) };
    let offset = zone.offset(utc);
    text.push_str(&if offset == 0 { "Z".to_owned() } else { offset_text(offset, ":") });
    if !zone_id.starts_with(['+', '-']) {
        let _ = write!(text, "[{zone_id}]");
    }
    Ok(text)
}
