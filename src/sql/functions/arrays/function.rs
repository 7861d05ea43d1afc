//! What the functions of arrays and maps have in common: types in, types out, and a body over whole columns.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::type_coercion::binary::{binary_numeric_coercion, comparison_coercion};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::super::by_name::same_by_name;
use super::super::types::unexpected;

/// The types that a call takes, to which its arguments are cast, and the one that it gives.
pub(crate) struct Types {
    pub(crate) takes: Vec<DataType>,
    pub(crate) gives: DataType,
}

impl Types {
    /// Types that fit.
    #[allow(clippy::unnecessary_wraps)] // Functions that may find none end with it.
    pub(crate) fn new(takes: impl Into<Vec<DataType>>, gives: DataType) -> Option<Self> {
        Some(Self { takes: takes.into(), gives })
    }
}

/// A function whose types follow from those of its arguments.
#[derive(Debug)]
pub(crate) struct Function {
    name: &'static str,
    /// Trino's signatures, for the message to someone who called it with others.
    expected: &'static str,
    types: fn(&[DataType]) -> Option<Types>,
    /// Computes the column, from columns of one length and for the type that it is to have.
    run: fn(&[ArrayRef], &DataType) -> Result<ArrayRef>,
    signature: Signature,
}

impl Function {
    /// Makes a function that depends on its arguments alone.
    pub(crate) fn udf(
        name: &'static str,
        expected: &'static str,
        types: fn(&[DataType]) -> Option<Types>,
        run: fn(&[ArrayRef], &DataType) -> Result<ArrayRef>,
    ) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::from(Self { name, expected, types, run, signature })
    }

    /// Makes a function that answers differently each time.
    pub(crate) fn volatile_udf(
        name: &'static str,
        expected: &'static str,
        types: fn(&[DataType]) -> Option<Types>,
        run: fn(&[ArrayRef], &DataType) -> Result<ArrayRef>,
    ) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Volatile);
        ScalarUDF::from(Self { name, expected, types, run, signature })
    }

    fn types(&self, given: &[DataType]) -> Result<Types> {
        (self.types)(given).ok_or_else(|| unexpected(self.name, given, self.expected))
    }
}

same_by_name!(Function);

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.types(given)?.takes)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(self.types(given)?.gives)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let once = self.signature.volatility == Volatility::Immutable
            && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if once { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let array = (self.run)(&arrays, args.return_field.data_type())?;
        Ok(if once {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

/// The type to which values of both can be brought without loss, as Trino does by itself.
pub(crate) fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Date32, Dictionary, List, Map, Null, Struct, Timestamp, Utf8, Utf8View};
    match (left, right) {
        _ if left == right => Some(left.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        (Dictionary(_, value), other) | (other, Dictionary(_, value)) => common(value, other),
        (Utf8 | Utf8View, Utf8 | Utf8View) => Some(Utf8),
        (List(left), List(right)) => Some(list_of(common(left.data_type(), right.data_type())?)),
        (Struct(left), Struct(right)) => Some(Struct(common_fields(left, right)?)),
        (Map(left, _), Map(right, _)) => match (left.data_type(), right.data_type()) {
            (Struct(left), Struct(right)) => {
                let both = common_fields(left, right)?;
                let [key, value] = both.as_ref() else { return None };
                Some(map_of(key.data_type().clone(), value.data_type().clone()))
            }
            _ => None,
        },
        (Date32 | Timestamp(..), Date32 | Timestamp(..)) => comparison_coercion(left, right),
        _ if left.is_numeric() && right.is_numeric() => binary_numeric_coercion(left, right),
        _ => None,
    }
}

fn common_fields(left: &Fields, right: &Fields) -> Option<Fields> {
    if left.len() != right.len() {
        return None;
    }
    left.iter()
        .zip(right)
        .map(|(left, right)| {
            let both = common(left.data_type(), right.data_type())?;
            Some(Field::new(left.name(), both, true))
        })
        .collect()
}

/// `array(element)`.
pub(crate) fn list_of(element: DataType) -> DataType {
    DataType::new_list(element, true)
}

/// `map(key, value)`, its parts named as in the lake's files.
pub(crate) fn map_of(key: DataType, value: DataType) -> DataType {
    let entry = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
}

/// `row(…)` without names: Athena shows them as `field0`, `field1` …
pub(crate) fn row_of(types: impl IntoIterator<Item = DataType>) -> DataType {
    let fields = types
        .into_iter()
        .enumerate()
        .map(|(place, data_type)| Field::new(format!("field{place}"), data_type, true))
        .collect();
    DataType::Struct(fields)
}

/// The type of an array's elements.
pub(crate) fn element_of(array: &DataType) -> Option<&DataType> {
    match array {
        DataType::List(element) => Some(element.data_type()),
        DataType::Null => Some(&DataType::Null),
        _ => None,
    }
}

/// The type of an array as it is given; NULL can be one of no elements.
pub(crate) fn array_of(array: &DataType) -> Option<DataType> {
    match array {
        DataType::List(_) => Some(array.clone()),
        DataType::Null => Some(list_of(DataType::Null)),
        _ => None,
    }
}

/// The types of a map's keys and values.
pub(crate) fn sides_of(map: &DataType) -> Option<(&DataType, &DataType)> {
    let DataType::Map(entries, _) = map else { return None };
    let DataType::Struct(entry) = entries.data_type() else { return None };
    match entry.as_ref() {
        [key, value] => Some((key.data_type(), value.data_type())),
        _ => None,
    }
}

/// Whether a value of this type can be where Trino wants a `bigint`.
pub(crate) fn is_bigint(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_null()
}

/// Whether it is text.
pub(crate) fn is_varchar(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_varchar(value),
        _ => false,
    }
}
