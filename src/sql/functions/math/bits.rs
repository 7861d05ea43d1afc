//! Bits and digits: `bitwise_and`, `bit_count`, `to_base`, `from_base`.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, put};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const ONE: &[&[Kind]] = &[&[Kind::BigInt]];
    const TWO: &[&[Kind]] = &[&[Kind::BigInt, Kind::BigInt]];
    vec![
        of_two("bitwise_and", |left, right| left & right),
        of_two("bitwise_or", |left, right| left | right),
        of_two("bitwise_xor", |left, right| left ^ right),
        of_two(
            "bitwise_left_shift",
            |value, shift| if (0..64).contains(&shift) { value << shift } else { 0 },
        ),
        of_two("bitwise_right_shift", |value, shift| {
            if (0..64).contains(&shift) { (value.cast_unsigned() >> shift).cast_signed() } else { 0 }
        }),
        of_two("bitwise_right_shift_arithmetic", |value, shift| value >> shift.clamp(0, 63)),
        Function::new("bitwise_not", ONE, DataType::Int64, |args| {
            let values = args.bigint(0)?;
            args.to_numbers::<Int64Type, _>(|row| Ok(values.at(row).map(|value| !value)))
        })
        .into(),
        Function::new("bit_count", TWO, DataType::Int64, bit_count).into(),
        Function::new("to_base", TWO, DataType::Utf8, to_base).into(),
        Function::new("from_base", &[&[Kind::Text, Kind::BigInt]], DataType::Int64, from_base).into(),
    ]
}

fn of_two(name: &'static str, function: fn(i64, i64) -> i64) -> ScalarUDF {
    Function::new(name, &[&[Kind::BigInt, Kind::BigInt]], DataType::Int64, move |args| {
        let (left, right) = (args.bigint(0)?, args.bigint(1)?);
        args.to_numbers::<Int64Type, _>(|row| {
            Ok(left.at(row).zip(right.at(row)).map(|(left, right)| function(left, right)))
        })
    })
    .into()
}

/// The ones of a number in two's complement of so many bits.
fn bit_count(args: &Arguments) -> Result<ArrayRef> {
    let (values, widths) = (args.bigint(0)?, args.bigint(1)?);
    args.to_numbers::<Int64Type, _>(|row| {
        let (Some(value), Some(width)) = (values.at(row), widths.at(row)) else { return Ok(None) };
        if width == 64 {
            return Ok(Some(i64::from(value.count_ones())));
        }
        if !(2..64).contains(&width) {
            return exec_err!(
                "INVALID_FUNCTION_ARGUMENT: Bits specified in bit_count must be between 2 and 64, got {width}"
            );
        }
        let limit = 1_i64 << (width - 1);
        if !(-limit..limit).contains(&value) {
            return exec_err!(
                "INVALID_FUNCTION_ARGUMENT: Number must be representable with the bits specified. {value} cannot be represented with {width} bits"
            );
        }
        Ok(Some(i64::from((value & ((limit << 1).wrapping_sub(1))).count_ones())))
    })
}

fn radix(radix: i64) -> Result<u32> {
    let valid = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix));
    valid.ok_or_else(|| exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Radix must be between 2 and 36"))
}

fn to_base(args: &Arguments) -> Result<ArrayRef> {
    let (values, bases) = (args.bigint(0)?, args.bigint(1)?);
    args.to_texts(|row, out| {
        let (Some(value), Some(base)) = (values.at(row), bases.at(row)) else { return Ok(None) };
        let base = radix(base)?;
        let mut rest = value.unsigned_abs();
        let mut digits = Vec::new();
        while rest > 0 || digits.is_empty() {
            let digit = u32::try_from(rest % u64::from(base)).unwrap_or(0);
            digits.extend(char::from_digit(digit, base));
            rest /= u64::from(base);
        }
        put(out, if value < 0 { "-" } else { "" })?;
        put(out, &digits.into_iter().rev().collect::<String>()).map(Some)
    })
}

fn from_base(args: &Arguments) -> Result<ArrayRef> {
    let (texts, bases) = (args.text(0)?, args.bigint(1)?);
    args.to_numbers::<Int64Type, _>(|row| {
        let (Some(text), Some(base)) = (texts.at(row), bases.at(row)) else { return Ok(None) };
        let value = i64::from_str_radix(text, radix(base)?);
        value.map(Some).map_err(|_| {
            exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Not a valid base-{base} number: {text}")
        })
    })
}
