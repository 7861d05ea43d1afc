//! `round`, `floor`, `ceil` and `truncate`: half up, which is away from zero.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::scalar::{Arguments, Function, Kind, unexpected};
use super::integers::numbers;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const ONE: &[&[Kind]] = &[&[Kind::Any]];
    const PLACES: &[&[Kind]] = &[&[Kind::Any], &[Kind::Any, Kind::BigInt]];
    vec![
        Function::new("round", PLACES, DataType::Null, |args| rounded(args, Mode::HalfUp))
            .check(number_and_places)
            .returns(|args| Ok(result_type(args, true)))
            .into(),
        Function::new("truncate", PLACES, DataType::Null, |args| rounded(args, Mode::Down))
            .check(number_and_places)
            .returns(|args| Ok(result_type(args, false)))
            .into(),
        Function::new("floor", ONE, DataType::Null, |args| rounded(args, Mode::Floor))
            .check(number_and_places)
            .returns(|args| Ok(result_type(args, true)))
            .into(),
        Function::new("ceil", ONE, DataType::Null, |args| rounded(args, Mode::Ceiling))
            .alias("ceiling")
            .check(number_and_places)
            .returns(|args| Ok(result_type(args, true)))
            .into(),
    ]
}

#[derive(Clone, Copy)]
enum Mode {
    HalfUp,
    Down,
    Floor,
    Ceiling,
}

impl Mode {
    /// `value / unit`, to an integer.
    fn divide(self, value: i128, unit: i128) -> i128 {
        match self {
            Self::Floor => value.div_euclid(unit),
            Self::Ceiling => -(-value).div_euclid(unit),
            Self::HalfUp if value % unit >= unit - unit / 2 => value / unit + 1,
            Self::HalfUp if -(value % unit) >= unit - unit / 2 => value / unit - 1,
            Self::HalfUp | Self::Down => value / unit,
        }
    }

    fn round(self, value: f64) -> f64 {
        match self {
            Self::HalfUp => value.round(),
            Self::Down => value.trunc(),
            Self::Floor => value.floor(),
            Self::Ceiling => value.ceil(),
        }
    }
}

fn number_and_places(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    if matches!(types[0], DataType::Utf8 | DataType::Utf8View | DataType::Boolean) {
        return unexpected(name, types, &format!("{name}(double), {name}(decimal(p,s)), {name}(bigint)"));
    }
    let mut number = numbers(name, &types[..1])?;
    number.extend_from_slice(&types[1..]);
    Ok(number)
}

/// A decimal that is rounded to an integer has no decimals, and perhaps a digit more in front.
fn result_type(args: &ReturnFieldArgs, may_grow: bool) -> DataType {
    match (args.arg_fields[0].data_type(), args.arg_fields.len()) {
        (DataType::Decimal128(precision, scale), 1) => {
            let whole = i16::from(*precision) - i16::from(*scale) + i16::from(may_grow && *scale > 0);
            DataType::Decimal128(u8::try_from(whole.clamp(1, 38)).unwrap_or(38), 0)
        }
        (DataType::Decimal128(precision, scale), _) if may_grow => {
            DataType::Decimal128(precision.saturating_add(1).min(38), *scale)
        }
        (other, _) => other.clone(),
    }
}

fn rounded(args: &Arguments, mode: Mode) -> Result<ArrayRef> {
    let places = if args.len() > 1 { Some(args.bigint(1)?) } else { None };
    let places_at = |row| places.as_ref().map_or(Some(0), |places| places.at(row));
    match args.one_or_all(0).data_type() {
        DataType::Float64 => {
            let values = args.double(0)?;
            args.to_numbers::<Float64Type, _>(|row| {
                Ok(values
                    .at(row)
                    .zip(places_at(row))
                    .map(|(value, places)| round_double(value, places, mode)))
            })
        }
        #[allow(clippy::cast_possible_truncation)] // back to what it was
        DataType::Float32 => {
            let values = args.numbers::<Float32Type>(0)?;
            args.to_numbers::<Float32Type, _>(|row| {
                let value = values.at(row).zip(places_at(row));
                Ok(value.map(|(value, places)| round_double(f64::from(value), places, mode) as f32))
            })
        }
        DataType::Decimal128(_, scale) => decimals(args, *scale, mode, places_at),
        _ => integers(args, mode, places_at),
    }
}

fn round_double(value: f64, places: i64, mode: Mode) -> f64 {
    if places == 0 || !value.is_finite() {
        return mode.round(value);
    }
    let factor = 10_f64.powi(i32::try_from(places.clamp(-400, 400)).unwrap_or(0));
    let scaled = value * factor;
    if factor == 0.0 {
        return 0.0;
    }
    // So many places that there is nothing to round.
    if scaled.is_finite() { mode.round(scaled) / factor } else { value }
}

fn decimals(
    args: &Arguments,
    scale: i8,
    mode: Mode,
    places_at: impl Fn(usize) -> Option<i64>,
) -> Result<ArrayRef> {
    let values = args.numbers::<Decimal128Type>(0)?;
    let keeps_scale = args.len() > 1;
    args.to_numbers::<Decimal128Type, _>(|row| {
        let (Some(value), Some(places)) = (values.at(row), places_at(row)) else { return Ok(None) };
        let dropped = i64::from(scale).saturating_sub(places);
        if dropped <= 0 {
            return Ok(Some(value));
        }
        let Some(unit) = u32::try_from(dropped).ok().and_then(|digits| 10_i128.checked_pow(digits)) else {
            return Ok(Some(0));
        };
        let whole = mode.divide(value, unit);
        if !keeps_scale {
            return Ok(Some(whole));
        }
        let value = whole.checked_mul(unit).filter(|value| value.unsigned_abs() < 10_u128.pow(38));
        value
            .map(Some)
            .ok_or_else(|| exec_datafusion_err!("NUMERIC_VALUE_OUT_OF_RANGE: decimal overflow: {value:?}"))
    })
}

fn integers(args: &Arguments, mode: Mode, places_at: impl Fn(usize) -> Option<i64>) -> Result<ArrayRef> {
    let wide = arrow::compute::cast(&args.array(0)?, &DataType::Int64)?;
    let values = arrow::array::AsArray::as_primitive::<Int64Type>(&wide);
    let mut out = arrow::array::Int64Builder::with_capacity(args.rows());
    for row in 0..args.rows() {
        let valid = arrow::array::Array::is_valid(values, row);
        let (true, Some(places)) = (valid, places_at(row)) else {
            out.append_null();
            continue;
        };
        let value = values.value(row);
        let unit = match u32::try_from(places.saturating_neg()) {
            Ok(0) | Err(_) => 1,
            Ok(digits) => 10_i128.checked_pow(digits).unwrap_or(i128::MAX / 4),
        };
        match i64::try_from(mode.divide(i128::from(value), unit) * unit) {
            Ok(value) => out.append_value(value),
            Err(_) => return exec_err!("NUMERIC_VALUE_OUT_OF_RANGE: bigint overflow in round({value})"),
        }
    }
    Ok(arrow::compute::cast(&out.finish(), args.return_type())?)
}
