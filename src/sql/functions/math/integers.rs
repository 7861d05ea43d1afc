//! `abs`, `sign` and `mod`, whose result has the type of the number.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::binary::type_union_resolution;

use super::super::scalar::{Arguments, Function, Kind, unexpected};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const ONE: &[&[Kind]] = &[&[Kind::Any]];
    const TWO: &[&[Kind]] = &[&[Kind::Any, Kind::Any]];
    vec![
        Function::new("abs", ONE, DataType::Null, abs).check(numbers).returns_type_of(0).into(),
        Function::new("sign", ONE, DataType::Null, sign)
            .check(numbers)
            .returns(|args| {
                Ok(match args.arg_fields[0].data_type() {
                    DataType::Decimal128(..) => DataType::Decimal128(1, 0),
                    other => other.clone(),
                })
            })
            .into(),
        Function::new("mod", TWO, DataType::Null, modulo).check(numbers).returns_type_of(0).into(),
    ]
}

/// Numbers alone, and of one type if there are two.
pub(super) fn numbers(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let plain = |data_type: &DataType| match data_type {
        DataType::Float16 => Some(DataType::Float32),
        data_type if data_type.is_null() || data_type.is_unsigned_integer() => Some(DataType::Int64),
        DataType::Decimal128(..) | DataType::Float32 | DataType::Float64 => Some(data_type.clone()),
        other => other.is_integer().then(|| other.clone()),
    };
    let Some(plain) = types.iter().map(plain).collect::<Option<Vec<_>>>() else {
        return unexpected(name, types, &format!("{name}(bigint), {name}(double), {name}(decimal(p,s))"));
    };
    match type_union_resolution(&plain) {
        Some(common) => Ok(vec![common; types.len()]),
        None => unexpected(name, types, "numbers of one type"),
    }
}

/// Answers a function of numbers for each type that a number may have.
macro_rules! for_number {
    ($args:expr, $function:ident) => {
        match $args.one_or_all(0).data_type() {
            DataType::Int8 => $function!($args, Int8Type),
            DataType::Int16 => $function!($args, Int16Type),
            DataType::Int32 => $function!($args, Int32Type),
            DataType::Int64 => $function!($args, Int64Type),
            _ => unreachable_type($args),
        }
    };
}

fn unreachable_type(args: &Arguments) -> Result<ArrayRef> {
    exec_err!("not a number: {}", args.one_or_all(0).data_type())
}

fn abs(args: &Arguments) -> Result<ArrayRef> {
    macro_rules! integers {
        ($args:expr, $T:ty) => {{
            let values = $args.numbers::<$T>(0)?;
            $args.to_numbers::<$T, _>(|row| {
                let Some(value) = values.at(row) else { return Ok(None) };
                value.checked_abs().map(Some).ok_or_else(|| {
                    exec_datafusion_err!("NUMERIC_VALUE_OUT_OF_RANGE: Value {value} is out of range for abs")
                })
            })
        }};
    }
    match args.one_or_all(0).data_type() {
        DataType::Float64 => {
            let values = args.double(0)?;
            args.to_numbers::<Float64Type, _>(|row| Ok(values.at(row).map(f64::abs)))
        }
        DataType::Float32 => {
            let values = args.numbers::<Float32Type>(0)?;
            args.to_numbers::<Float32Type, _>(|row| Ok(values.at(row).map(f32::abs)))
        }
        DataType::Decimal128(..) => {
            let values = args.numbers::<Decimal128Type>(0)?;
            args.to_numbers::<Decimal128Type, _>(|row| Ok(values.at(row).map(i128::abs)))
        }
        _ => for_number!(args, integers),
    }
}

fn sign(args: &Arguments) -> Result<ArrayRef> {
    macro_rules! integers {
        ($args:expr, $T:ty) => {{
            let values = $args.numbers::<$T>(0)?;
            $args.to_numbers::<$T, _>(|row| Ok(values.at(row).map(|value| value.signum())))
        }};
    }
    // Zero and NaN stay what they are.
    let of_double = |value: f64| if value == 0.0 || value.is_nan() { value } else { value.signum() };
    match args.one_or_all(0).data_type() {
        DataType::Float64 => {
            let values = args.double(0)?;
            args.to_numbers::<Float64Type, _>(|row| Ok(values.at(row).map(of_double)))
        }
        DataType::Float32 => {
            let values = args.numbers::<Float32Type>(0)?;
            let of_real = |value: f32| if value == 0.0 || value.is_nan() { value } else { value.signum() };
            args.to_numbers::<Float32Type, _>(|row| Ok(values.at(row).map(of_real)))
        }
        DataType::Decimal128(..) => {
            let values = args.numbers::<Decimal128Type>(0)?;
            args.to_numbers::<Decimal128Type, _>(|row| Ok(values.at(row).map(i128::signum)))
        }
        _ => for_number!(args, integers),
    }
}

/// `mod(n, m)` is `n % m`.
fn modulo(args: &Arguments) -> Result<ArrayRef> {
    let (left, right) = (args.array(0)?, args.array(1)?);
    if divides_by_zero(&left, &right) {
        return exec_err!("DIVISION_BY_ZERO: Division by zero");
    }
    Ok(arrow::compute::cast(&arrow::compute::kernels::numeric::rem(&left, &right)?, args.return_type())?)
}

/// Whether a row that is not NULL has a divisor of 0. Doubles have `NaN` for it.
fn divides_by_zero(left: &ArrayRef, right: &ArrayRef) -> bool {
    macro_rules! any_zero {
        ($T:ty) => {
            right
                .as_primitive::<$T>()
                .iter()
                .enumerate()
                .any(|(row, value)| value == Some(0) && left.is_valid(row))
        };
    }
    match right.data_type() {
        DataType::Int8 => any_zero!(Int8Type),
        DataType::Int16 => any_zero!(Int16Type),
        DataType::Int32 => any_zero!(Int32Type),
        DataType::Int64 => any_zero!(Int64Type),
        DataType::Decimal128(..) => any_zero!(Decimal128Type),
        _ => false,
    }
}
