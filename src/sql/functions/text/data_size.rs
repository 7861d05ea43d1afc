//! `parse_data_size('2.3MB')`: how many bytes that are.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind};

/// Each is 1024 times the one before.
const UNITS: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

/// The function, and its old name.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let function =
        Function::new("parse_data_size", &[&[Kind::Text]], DataType::Decimal128(38, 0), parse_data_size);
    vec![function.alias("parse_presto_data_size").into()]
}

fn parse_data_size(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    args.to_numbers::<Decimal128Type, _>(|row| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        let invalid = || exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Invalid data size: '{text}'");
        bytes(text).ok_or_else(invalid).map(Some)
    })
}

fn bytes(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let power = UNITS.iter().position(|known| *known == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |digits: &str| digits.parse::<i128>().ok();
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = digits(whole)?.checked_mul(scale)?.checked_add(digits(fraction)?)?;
    let factor = 1024_i128.checked_pow(u32::try_from(power).ok()?)?;
    Some(scaled.checked_mul(factor)? / scale)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_multiples_of_1024() {
        assert_eq!(bytes("1B"), Some(1));
        assert_eq!(bytes("1kB"), Some(1024));
        assert_eq!(bytes("2.3MB"), Some(2_411_724));
        for text in ["", "1", "1KB", "MB", "1.MB", ".5MB", "1 MB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
