//! The arguments of one call of a scalar function, row by row, and its results.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanBuilder, PrimitiveArray,
    PrimitiveBuilder, StringArray, StringBuilder, StringViewArray,
};
use arrow::datatypes::{DataType, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_datafusion_err, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// As much text as the results of one batch may have. An argument like `lpad(x, 2000000000)` would take
/// all memory otherwise.
const LARGEST_TEXT: usize = 1 << 30;

/// The arguments of a call.
pub(super) struct Arguments {
    arrays: Vec<ArrayRef>,
    literals: Vec<Option<ScalarValue>>,
    rows: usize,
    return_field: FieldRef,
}

impl Arguments {
    /// With `constant`, there is one row for all.
    pub(super) fn new(args: ScalarFunctionArgs, constant: bool) -> Result<Self> {
        let rows = if constant { 1 } else { args.number_rows };
        let (mut arrays, mut literals) = (Vec::new(), Vec::new());
        for value in args.args {
            // A constant needs but one row: `at` never looks at the row's number.
            let (array, literal) = match value {
                ColumnarValue::Scalar(value) => (value.to_array()?, Some(value)),
                ColumnarValue::Array(array) => (array, None),
            };
            arrays.push(array);
            literals.push(literal);
        }
        Ok(Self { arrays, literals, rows, return_field: args.return_field })
    }

    /// How many rows to answer.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many arguments there are.
    pub(super) fn len(&self) -> usize {
        self.arrays.len()
    }

    /// The type that was promised.
    pub(super) fn return_type(&self) -> &DataType {
        self.return_field.data_type()
    }

    /// The value of an argument that is the same in each row.
    pub(super) fn literal(&self, index: usize) -> Option<&ScalarValue> {
        self.literals[index].as_ref()
    }

    /// The argument as an array of one row if it is constant, else of all rows.
    pub(super) fn one_or_all(&self, index: usize) -> &ArrayRef {
        &self.arrays[index]
    }

    /// The row of `one_or_all` for the row `row`.
    pub(super) fn place(&self, index: usize, row: usize) -> usize {
        if self.literals[index].is_some() { 0 } else { row }
    }

    /// The argument as an array of all rows.
    pub(super) fn array(&self, index: usize) -> Result<ArrayRef> {
        match &self.literals[index] {
            Some(value) => value.to_array_of_size(self.rows),
            None => Ok(Arc::clone(&self.arrays[index])),
        }
    }

    /// An argument of the kind `Text`.
    pub(super) fn text(&self, index: usize) -> Result<Texts<'_>> {
        Texts::new(&self.arrays[index], self.literals[index].is_some())
    }

    /// An argument of the kind `Binary`.
    pub(super) fn binary<'a>(&'a self, index: usize) -> Result<impl Fn(usize) -> Option<&'a [u8]>> {
        let array: &'a BinaryArray = self.arrays[index]
            .as_binary_opt()
            .ok_or_else(|| internal_datafusion_err!("varbinary expected"))?;
        let constant = self.literals[index].is_some();
        Ok(move |row| {
            let row = if constant { 0 } else { row };
            array.is_valid(row).then(|| array.value(row))
        })
    }

    /// An argument that is a number of the type `T`.
    pub(super) fn numbers<T: ArrowPrimitiveType>(&self, index: usize) -> Result<Numbers<'_, T>> {
        let array = self.arrays[index].as_primitive_opt::<T>();
        let Some(array) = array else {
            return internal_err!("{} expected, not {}", T::DATA_TYPE, self.arrays[index].data_type());
        };
        Ok(Numbers { array, constant: self.literals[index].is_some() })
    }

    /// An argument of the kind `BigInt`.
    pub(super) fn bigint(&self, index: usize) -> Result<Numbers<'_, Int64Type>> {
        self.numbers(index)
    }

    /// An argument of the kind `Double`.
    pub(super) fn double(&self, index: usize) -> Result<Numbers<'_, Float64Type>> {
        self.numbers(index)
    }

    /// The answer in text: `write` writes the one of a row, or says that it is NULL before it writes.
    pub(super) fn to_texts<F>(&self, mut write: F) -> Result<ArrayRef>
    where
        F: FnMut(usize, &mut StringBuilder) -> Result<Option<()>>,
    {
        let mut out = StringBuilder::with_capacity(self.rows, self.rows * 16);
        for row in 0..self.rows {
            match write(row, &mut out)? {
                Some(()) => out.append_value(""),
                None => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }

    /// The answer in numbers.
    pub(super) fn to_numbers<T, F>(&self, mut value: F) -> Result<ArrayRef>
    where
        T: ArrowPrimitiveType,
        F: FnMut(usize) -> Result<Option<T::Native>>,
    {
        let mut out = PrimitiveBuilder::<T>::with_capacity(self.rows);
        for row in 0..self.rows {
            out.append_option(value(row)?);
        }
        let array: PrimitiveArray<T> = out.finish();
        // Timestamps with a zone and decimals have more in their type than `T` knows.
        Ok(Arc::new(array.with_data_type(self.return_type().clone())))
    }

    /// The answer in truth values.
    pub(super) fn to_booleans<F>(&self, mut value: F) -> Result<ArrayRef>
    where
        F: FnMut(usize) -> Result<Option<bool>>,
    {
        let mut out = BooleanBuilder::with_capacity(self.rows);
        for row in 0..self.rows {
            out.append_option(value(row)?);
        }
        Ok(Arc::new(out.finish()))
    }
}

/// Texts, one a row.
#[derive(Clone, Copy)]
pub(super) enum Texts<'a> {
    /// The same in each row.
    One(Option<&'a str>),
    /// `Utf8`.
    Plain(&'a StringArray),
    /// `Utf8View`.
    View(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    fn new(array: &'a ArrayRef, constant: bool) -> Result<Self> {
        let texts = match array.data_type() {
            DataType::Utf8 => Self::Plain(array.as_string()),
            DataType::Utf8View => Self::View(array.as_string_view()),
            DataType::Null => Self::One(None),
            other => return internal_err!("varchar expected, not {other}"),
        };
        Ok(if constant { Self::One(texts.at(0)) } else { texts })
    }

    /// The text of a row; none is NULL.
    pub(super) fn at(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::One(text) => *text,
            Self::Plain(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }

    /// Whether all rows have the same.
    pub(super) fn is_constant(&self) -> bool {
        matches!(self, Self::One(_))
    }
}

/// Numbers, one a row.
pub(super) struct Numbers<'a, T: ArrowPrimitiveType> {
    array: &'a PrimitiveArray<T>,
    constant: bool,
}

impl<T: ArrowPrimitiveType> Numbers<'_, T> {
    /// The number of a row; none is NULL.
    pub(super) fn at(&self, row: usize) -> Option<T::Native> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

/// Adds text to the answer of a row.
pub(super) fn put(out: &mut StringBuilder, text: &str) -> Result<()> {
    if out.values_slice().len() + text.len() > LARGEST_TEXT {
        return exec_err!("EXCEEDED_FUNCTION_MEMORY_LIMIT: the texts of one batch are larger than 1 GiB");
    }
    out.write_str(text).map_err(|_| internal_datafusion_err!("text cannot be written"))
}
