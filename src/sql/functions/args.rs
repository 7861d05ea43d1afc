//! Arguments of a function as columns, and results as what the arguments were: a constant gives a constant.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, LargeStringArray, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// The rows to compute: one if every argument is a constant.
pub(super) fn rows(args: &ScalarFunctionArgs) -> usize {
    if all_constant(&args.args) { 1 } else { args.number_rows }
}

fn all_constant(args: &[ColumnarValue]) -> bool {
    args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
}

/// An argument as a column of `rows`, never dictionary-encoded.
pub(super) fn column(arg: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    let array = arg.to_array(rows)?;
    Ok(match array.data_type() {
        DataType::Dictionary(_, value) => cast(&array, value)?,
        DataType::RunEndEncoded(_, value) => cast(&array, value.data_type())?,
        _ => array,
    })
}

/// The text of a constant argument: `Some(None)` is NULL, `None` is a column.
#[allow(clippy::option_option, reason = "NULL is a constant too")]
pub(super) fn constant_text(arg: &ColumnarValue) -> Option<Option<&str>> {
    match arg {
        ColumnarValue::Scalar(ScalarValue::Dictionary(_, value)) => Some(value.try_as_str().flatten()),
        ColumnarValue::Scalar(value) => Some(value.try_as_str().flatten()),
        ColumnarValue::Array(_) => None,
    }
}

/// The result of a function: a constant if all its arguments were.
pub(super) fn result(args: &[ColumnarValue], values: ArrayRef) -> Result<ColumnarValue> {
    if all_constant(args) {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
    }
    Ok(ColumnarValue::Array(values))
}

/// A column of text in whichever of Arrow's string types it came.
pub(super) enum Texts {
    Utf8(StringArray),
    Large(LargeStringArray),
    View(StringViewArray),
    /// NULL in every row.
    Null(usize),
}

impl Texts {
    pub(super) fn of(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Utf8(array.as_string().clone()),
            DataType::LargeUtf8 => Self::Large(array.as_string().clone()),
            DataType::Utf8View => Self::View(array.as_string_view().clone()),
            DataType::Null => Self::Null(array.len()),
            other => return internal_err!("text expected, not {other}"),
        })
    }

    pub(super) fn get(&self, row: usize) -> Option<&str> {
        match self {
            Self::Utf8(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Null(_) => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Utf8(array) => array.len(),
            Self::Large(array) => array.len(),
            Self::View(array) => array.len(),
            Self::Null(rows) => *rows,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.len()).map(|row| self.get(row))
    }
}

/// A column of bytes.
pub(super) fn bytes(array: &ArrayRef) -> Result<BinaryArray> {
    let array = if array.data_type() == &DataType::Binary {
        Arc::clone(array)
    } else {
        cast(array, &DataType::Binary)?
    };
    Ok(array.as_binary::<i32>().clone())
}

#[cfg(test)]
pub(super) mod testing {
    //! Calls a function as a query would.

    use arrow::datatypes::{Field, FieldRef};
    use datafusion::common::config::ConfigOptions;
    use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

    use super::*;

    /// The result of `function` over `args`, one row if all are constants.
    pub(in super::super) fn call(function: &ScalarUDF, args: &[ColumnarValue]) -> Result<ArrayRef> {
        let rows = args.iter().find_map(|arg| match arg {
            ColumnarValue::Array(array) => Some(array.len()),
            ColumnarValue::Scalar(_) => None,
        });
        let arg_fields: Vec<FieldRef> =
            args.iter().map(|arg| Arc::new(Field::new("x", arg.data_type(), true))).collect();
        let scalars: Vec<Option<&ScalarValue>> = args
            .iter()
            .map(|arg| match arg {
                ColumnarValue::Scalar(value) => Some(value),
                ColumnarValue::Array(_) => None,
            })
            .collect();
        let return_field = function.return_field_from_args(ReturnFieldArgs {
            arg_fields: &arg_fields,
            scalar_arguments: &scalars,
        })?;
        let number_rows = rows.unwrap_or(1);
        let value = function.invoke_with_args(ScalarFunctionArgs {
            args: args.to_vec(),
            arg_fields,
            number_rows,
            return_field: Arc::clone(&return_field),
            config_options: Arc::new(ConfigOptions::default()),
        })?;
        assert_eq!(&value.data_type(), return_field.data_type(), "{}", function.name());
        value.to_array(number_rows)
    }

    /// The function of this name among `functions`.
    pub(in super::super) fn named(functions: Vec<ScalarUDF>, name: &str) -> ScalarUDF {
        functions.into_iter().find(|function| function.name() == name).expect("a function of this name")
    }

    pub(in super::super) fn text(value: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(value))
    }

    pub(in super::super) fn json(value: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::LargeUtf8(Some(value.to_owned())))
    }
}
