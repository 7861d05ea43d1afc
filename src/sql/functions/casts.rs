//! `CAST` and `TRY_CAST` between the types of Trino, as `"$cast"(x, 'type')` and `"$try_cast"(x, 'type')`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::args::{column, result, rows};
use super::types::{Type, type_name};
use failures::Failures;

mod addresses;
mod containers;
mod failures;
mod from_json;
mod number_text;
mod numbers;
mod text;
mod time_text;
mod times;
mod to_json;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(CastFunction::new("$cast", false)),
        ScalarUDF::from(CastFunction::new("$try_cast", true)),
    ]
}

/// Values as text.
pub(super) fn to_varchar(values: &ArrayRef) -> Result<ArrayRef> {
    CastFunction::new("$cast", false).evaluate(values, &Type::Varchar(None))
}

/// `"$cast"(x, 'type')` fails at the first value that cannot be cast, `"$try_cast"` gives NULL for it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CastFunction {
    name: &'static str,
    is_try: bool,
    signature: Signature,
}

impl CastFunction {
    fn new(name: &'static str, is_try: bool) -> Self {
        Self { name, is_try, signature: Signature::any(2, Volatility::Immutable) }
    }

    fn evaluate(&self, input: &ArrayRef, to: &Type) -> Result<ArrayRef> {
        let mut failures = Failures::new(!self.is_try);
        let values = cast(input, to, &mut failures)?;
        match failures.first(&values, input) {
            Some(error) if !self.is_try => Err(error),
            _ => failures.as_nulls(values),
        }
    }
}

impl ScalarUDFImpl for CastFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of a cast is in its second argument")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some(Some(Some(to))) = args.scalar_arguments[1].map(ScalarValue::try_as_str) else {
            return plan_err!("SYNTAX_ERROR: the type of a cast must be a constant");
        };
        let from = args.arg_fields[0].data_type();
        let returned = target(from, args.scalar_arguments[0], &Type::parse(to)?)?;
        Ok(Arc::new(Field::new(self.name, returned, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(to) = &args.args[1] else { return internal_err!("a constant type") };
        let to = Type::parse(to.try_as_str().flatten().unwrap_or_default())?;
        let input = column(&args.args[0], rows(&args))?;
        let values = self.evaluate(&input, &to)?;
        result(&args.args, in_zone(values, args.return_field.data_type())?)
    }

    /// Shows a cast that DataFusion does alike as DataFusion's own, for the rules that prune know those.
    fn simplify(&self, mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(to) = native(&args, info)? else { return Ok(ExprSimplifyResult::Original(args)) };
        let input = args.swap_remove(0);
        Ok(ExprSimplifyResult::Simplified(match to {
            Native::Nothing => input,
            Native::Cast(to) => Expr::Cast(Cast::new(Box::new(input), to)),
        }))
    }
}

/// The type of the result: a time keeps the zone that it had, or that a literal names.
fn target(from: &DataType, literal: Option<&ScalarValue>, to: &Type) -> Result<DataType> {
    if !Type::of(from).is_some_and(|from| is_known(&from, to)) {
        return plan_err!("TYPE_MISMATCH: Cannot cast {} to {to}", type_name(from));
    }
    let returned = to.arrow();
    let DataType::Timestamp(unit, Some(_)) = returned else { return Ok(returned) };
    let named = match (from, literal.and_then(|text| text.try_as_str().flatten())) {
        (DataType::Timestamp(_, Some(zone)), _) => Some(Arc::clone(zone)),
        (_, Some(text)) => times::zone_of(text).map(Into::into),
        _ => None,
    };
    Ok(DataType::Timestamp(unit, Some(named.unwrap_or_else(|| "UTC".into()))))
}

/// Moments in the zone of the result: only the zone's name differs.
fn in_zone(values: ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    match (values.data_type(), wanted) {
        (DataType::Timestamp(_, Some(given)), DataType::Timestamp(_, Some(zone))) if given != zone => {
            Ok(compute::cast(&values, wanted)?)
        }
        _ => Ok(values),
    }
}

/// What DataFusion would do instead.
enum Native {
    Nothing,
    Cast(DataType),
}

fn native(args: &[Expr], info: &SimplifyContext) -> Result<Option<Native>> {
    let Expr::Literal(to, _) = &args[1] else { return Ok(None) };
    let Some(Some(to)) = to.try_as_str() else { return Ok(None) };
    let from = info.get_data_type(&args[0])?;
    let to = Type::parse(to)?;
    if matches!(to, Type::Varchar(Some(_)) | Type::Char(_) | Type::Uuid) {
        return Ok(None);
    }
    let returned = to.arrow();
    Ok(if from == returned {
        Some(Native::Nothing)
    } else {
        is_same_natively(&from, &returned).then_some(Native::Cast(returned))
    })
}

/// Whether Arrow's cast has the same result for every value.
fn is_same_natively(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp, Utf8, Utf8View};
    matches!(
        (from, to),
        (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
            | (Int16, Int32 | Int64 | Float32 | Float64)
            | (Int32, Int64 | Float64)
            | (Int64 | Float32, Float64)
            | (Utf8View, Utf8)
            | (Date32, Timestamp(TimeUnit::Second | TimeUnit::Millisecond, None))
    )
}

/// Whether Trino casts from one type to the other.
#[allow(clippy::match_same_arms, reason = "a line for each family of types")]
fn is_known(from: &Type, to: &Type) -> bool {
    use Type::{
        Array, Bigint, Boolean, Char, Date, Decimal, Double, Integer, IntervalDayToSecond,
        IntervalYearToMonth, IpAddress, IpPrefix, Json, Map, Real, Row, Smallint, Time, Timestamp,
        TimestampWithTimeZone, Tinyint, Unknown, Uuid, Varbinary, Varchar,
    };
    match (from, to) {
        (Unknown, _) => true,
        (_, Json) => to_json::is_known(from),
        (Json, _) => from_json::is_known(to),
        (Array(from), Array(to)) => is_known(from, to),
        (Map(from_key, from_value), Map(to_key, to_value)) => {
            is_known(from_key, to_key) && is_known(from_value, to_value)
        }
        (Row(from), Row(to)) => {
            from.len() == to.len() && from.iter().zip(to).all(|((_, from), (_, to))| is_known(from, to))
        }
        (Array(_) | Map(..) | Row(_), _) | (_, Array(_) | Map(..) | Row(_) | Unknown) => false,
        (Varchar(_) | Char(_), IntervalDayToSecond | IntervalYearToMonth) => false,
        (Varchar(_) | Char(_), _) => true,
        (Varbinary, Varchar(_) | Char(_)) => false,
        (_, Varchar(_) | Char(_)) => true,
        (
            Boolean | Tinyint | Smallint | Integer | Bigint | Real | Double | Decimal(..),
            Boolean | Tinyint | Smallint | Integer | Bigint | Real | Double | Decimal(..),
        ) => true,
        (Date | Timestamp(_) | TimestampWithTimeZone(_), Date | Timestamp(_) | TimestampWithTimeZone(_)) => {
            true
        }
        (Time(_) | Timestamp(_) | TimestampWithTimeZone(_), Time(_)) => true,
        (IpAddress, IpAddress | IpPrefix | Varbinary) | (IpPrefix, IpPrefix | IpAddress) => true,
        (Varbinary, IpAddress | Varbinary) | (Uuid, Uuid) => true,
        (IntervalDayToSecond, IntervalDayToSecond) | (IntervalYearToMonth, IntervalYearToMonth) => true,
        _ => false,
    }
}

/// The values of `input` as another type. Rows that cannot be cast are noted, and hold anything.
fn cast(input: &ArrayRef, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    let input = &plain(input)?;
    let from = known(input)?;
    match (&from, to) {
        (Type::Unknown, _) => Ok(new_null_array(&to.arrow(), input.len())),
        (Type::Json, Type::Json) => Ok(Arc::clone(input)),
        (Type::Json, _) => from_json::cast(input, to, failures),
        (_, Type::Json) => to_json::cast(input, &from),
        (_, Type::Varchar(_) | Type::Char(_)) => text::cast(input, &from, to, failures),
        (_, Type::Boolean) => numbers::boolean(input, &from, failures),
        (
            _,
            Type::Tinyint
            | Type::Smallint
            | Type::Integer
            | Type::Bigint
            | Type::Real
            | Type::Double
            | Type::Decimal(..),
        ) => numbers::cast(input, &from, to, failures),
        (_, Type::Date | Type::Time(_) | Type::Timestamp(_) | Type::TimestampWithTimeZone(_)) => {
            times::cast(input, &from, to, failures)
        }
        (_, Type::IpAddress | Type::IpPrefix | Type::Uuid | Type::Varbinary) => {
            addresses::cast(input, &from, to, failures)
        }
        (_, Type::Array(_) | Type::Map(..) | Type::Row(_)) => containers::cast(input, to, failures),
        (_, Type::Unknown | Type::IntervalDayToSecond | Type::IntervalYearToMonth) => Ok(Arc::clone(input)),
    }
}

/// A column without the encodings that hold the same values in another way.
fn plain(input: &ArrayRef) -> Result<ArrayRef> {
    Ok(match input.data_type() {
        DataType::Dictionary(_, value) => compute::cast(input, value)?,
        DataType::RunEndEncoded(_, value) => compute::cast(input, value.data_type())?,
        DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            compute::cast(input, &DataType::List(Arc::clone(element)))?
        }
        DataType::Date64 => compute::cast(input, &DataType::Date32)?,
        _ => Arc::clone(input),
    })
}

fn known(input: &ArrayRef) -> Result<Type> {
    let data_type = input.data_type();
    Type::of(data_type).ok_or_else(|| unknown(data_type))
}

fn unknown(data_type: &DataType) -> DataFusionError {
    plan_datafusion_err!("TYPE_MISMATCH: Cannot cast {}", type_name(data_type))
}

#[cfg(test)]
mod tests;
