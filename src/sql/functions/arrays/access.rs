//! Looking into arrays, maps and rows: `element_at`, `x[i]`, `row.field`, `cardinality`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Result, exec_err, plan_datafusion_err, plan_err};
use datafusion::functions::core::get_field;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use super::super::casts::to_varchar;
use super::super::maps::Maps;
use super::super::types::{type_name, unexpected};
use super::function::{Function, Types, array_of, common, element_of, is_bigint, sides_of};
use super::lists::{Lists, keys};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        Function::udf(
            "element_at",
            "element_at(array(E), bigint), element_at(map(K,V), K)",
            element_types,
            element_at,
        ),
        Function::udf(
            "cardinality",
            "cardinality(array(E)), cardinality(map(K,V))",
            cardinality_types,
            cardinality,
        ),
        ScalarUDF::from(Subscript { signature: Signature::user_defined(Volatility::Immutable) }),
        ScalarUDF::from(FieldOf { signature: Signature::user_defined(Volatility::Immutable) }),
    ]
}

/// The types of `x[i]` and `element_at(x, i)`.
fn element_types(given: &[DataType]) -> Option<Types> {
    let [of, at] = given else { return None };
    if let Some((key, value)) = sides_of(of) {
        common(key, at)?;
        return Types::new([of.clone(), key.clone()], value.clone());
    }
    let element = element_of(of).filter(|_| is_bigint(at))?;
    Types::new([array_of(of)?, DataType::Int64], element.clone())
}

fn element_at(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    pick(args, false)
}

/// What stands at a place of an array, or under a key of a map. `strict` is `x[i]`: what is not there is an error.
fn pick(args: &[ArrayRef], strict: bool) -> Result<ArrayRef> {
    if matches!(args[0].data_type(), DataType::Map(..)) {
        return pick_value(&args[0], &args[1], strict);
    }
    let lists = Lists::new(&args[0])?;
    let at = args[1].as_primitive::<Int64Type>();
    let places = lists
        .rows()
        .enumerate()
        .map(|(row, elements)| match elements {
            Some(elements) if at.is_valid(row) => {
                let place = place(at.value(row), elements.len(), strict)?;
                Ok(place.map(|place| (elements.start + place) as u64))
            }
            _ => Ok(None),
        })
        .collect::<Result<UInt64Array>>()?;
    Ok(take(&lists.values, &places, None)?)
}

fn place(at: i64, length: usize, strict: bool) -> Result<Option<usize>> {
    if at == 0 {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1");
    }
    let back = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
    if strict && at < 0 {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: Array subscript is negative: {at}");
    }
    if strict && back > length {
        return exec_err!(
            "INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length: {at} > {length}"
        );
    }
    Ok((back <= length).then(|| if at > 0 { back - 1 } else { length - back }))
}

fn pick_value(map: &ArrayRef, key: &ArrayRef, strict: bool) -> Result<ArrayRef> {
    let maps = Maps::new(map)?;
    let texts = (maps.keys.as_string_opt::<i32>(), key.as_string_opt::<i32>());
    let found = if let (Some(keys), Some(key)) = texts {
        find(&maps, key, |entry, row| keys.value(entry) == key.value(row))
    } else {
        let (rows, begins) = keys(&[Arc::clone(&maps.keys), Arc::clone(key)])?;
        find(&maps, key, |entry, row| rows.row(entry) == rows.row(begins[1] + row))
    };
    if strict
        && let Some(row) =
            (0..found.len()).find(|&row| found.is_null(row) && key.is_valid(row) && maps.row(row).is_some())
    {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: Key not present in map: {}", text(key, row)?);
    }
    Ok(take(&maps.values, &found, None)?)
}

fn find(maps: &Maps, key: &dyn Array, same: impl Fn(usize, usize) -> bool) -> UInt64Array {
    (0..maps.len())
        .map(|row| {
            let mut entries = maps.row(row).filter(|_| key.is_valid(row))?;
            entries.find(|&entry| same(entry, row)).map(|entry| entry as u64)
        })
        .collect()
}

/// A value as messages show it.
pub(crate) fn text(array: &ArrayRef, row: usize) -> Result<String> {
    if !array.data_type().is_nested() {
        let one = to_varchar(&array.slice(row, 1))?;
        return Ok(one.as_string_opt::<i32>().map_or(String::new(), |text| text.value(0).to_owned()));
    }
    let options = FormatOptions::default().with_null("null");
    Ok(ArrayFormatter::try_new(array, &options)?.value(row).to_string())
}

fn cardinality_types(given: &[DataType]) -> Option<Types> {
    match given {
        [map @ DataType::Map(..)] => Types::new([map.clone()], DataType::Int64),
        [array] => Types::new([array_of(array)?], DataType::Int64),
        _ => None,
    }
}

fn cardinality(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let lengths: Int64Array = match args[0].data_type() {
        DataType::Map(..) => {
            let maps = Maps::new(&args[0])?;
            (0..maps.len()).map(|row| maps.row(row).map(|entries| count(entries.len()))).collect()
        }
        _ => Lists::new(&args[0])?
            .rows()
            .map(|elements| elements.map(|elements| count(elements.len())))
            .collect(),
    };
    Ok(Arc::new(lengths))
}

/// A number of elements as a `bigint`.
pub(crate) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// `x[i]`, of an array, a map or a row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Subscript {
    signature: Signature,
}

const SUBSCRIPT: &str = "array(E)[bigint], map(K,V)[K], row(…)[integer]";

impl ScalarUDFImpl for Subscript {
    fn name(&self) -> &'static str {
        "$subscript"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [row @ DataType::Struct(_), at] if at.is_integer() => Ok(vec![row.clone(), DataType::Int64]),
            _ => match element_types(given) {
                Some(types) => Ok(types.takes),
                None => Err(unexpected("[]", given, SUBSCRIPT)),
            },
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match element_types(given) {
            Some(types) => Ok(types.gives),
            None => Err(unexpected("[]", given, SUBSCRIPT)),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let given: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let data_type = match given.first() {
            Some(DataType::Struct(fields)) => {
                let at = args.scalar_arguments.get(1).copied().flatten();
                fields[field_number(at, fields.len())?].data_type().clone()
            }
            _ => self.return_type(&given)?,
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let once = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if once { 1 } else { args.number_rows };
        let of = args.args[0].to_array(rows)?;
        let array = if let DataType::Struct(fields) = of.data_type() {
            let ColumnarValue::Scalar(at) = &args.args[1] else {
                return exec_err!("TYPE_MISMATCH: Subscript expression on ROW requires a constant");
            };
            child(&of, field_number(Some(at), fields.len())?)?
        } else {
            pick(&[of, args.args[1].to_array(rows)?], true)?
        };
        Ok(if once {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

/// Which field `row[i]` means, from 0.
fn field_number(at: Option<&ScalarValue>, fields: usize) -> Result<usize> {
    let at = match at {
        Some(ScalarValue::Int64(Some(at))) => *at,
        Some(ScalarValue::Int32(Some(at))) => i64::from(*at),
        _ => return plan_err!("TYPE_MISMATCH: Subscript expression on ROW requires a constant"),
    };
    match usize::try_from(at) {
        Ok(at) if (1..=fields).contains(&at) => Ok(at - 1),
        Ok(0) => plan_err!("INVALID_FUNCTION_ARGUMENT: ROW subscript indices start at 1"),
        _ => plan_err!("INVALID_FUNCTION_ARGUMENT: Invalid subscript index: {at}. ROW has {fields} fields"),
    }
}

/// A field of rows, NULL where the row is.
fn child(rows: &ArrayRef, place: usize) -> Result<ArrayRef> {
    let rows = rows.as_struct();
    let column = rows.column(place);
    match rows.nulls() {
        None => Ok(Arc::clone(column)),
        Some(nulls) => {
            let places: UInt64Array =
                nulls.iter().enumerate().map(|(row, valid)| valid.then_some(row as u64)).collect();
            Ok(take(column, &places, None)?)
        }
    }
}

/// `"$field"(x, 'name')`: the field of a row, whatever the case of its name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FieldOf {
    signature: Signature,
}

impl FieldOf {
    fn place(of: &DataType, name: Option<&ScalarValue>) -> Result<usize> {
        let Some(Some(name)) = name.and_then(ScalarValue::try_as_str) else {
            return plan_err!("SYNTAX_ERROR: a field is named by a word");
        };
        let DataType::Struct(fields) = of else {
            return plan_err!(
                "TYPE_MISMATCH: Expression of type {} is not of type ROW: it has no field '{name}'",
                type_name(of)
            );
        };
        fields
            .iter()
            .position(|field| field.name() == name)
            .or_else(|| fields.iter().position(|field| field.name().eq_ignore_ascii_case(name)))
            .ok_or_else(|| {
                plan_datafusion_err!(
                    "COLUMN_NOT_FOUND: Column '{name}' cannot be resolved: no such field in {}",
                    type_name(of)
                )
            })
    }
}

impl ScalarUDFImpl for FieldOf {
    fn name(&self) -> &'static str {
        "$field"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Err(unexpected("$field", given, "a row and the name of its field"))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [of, _] = args.arg_fields else {
            return plan_err!("SYNTAX_ERROR: a field of one row");
        };
        let place = Self::place(of.data_type(), args.scalar_arguments[1])?;
        let DataType::Struct(fields) = of.data_type() else {
            return plan_err!("TYPE_MISMATCH: {} has no fields", of.data_type());
        };
        let field = fields[place].as_ref().clone();
        Ok(Arc::new(field.with_nullable(true)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let (of, Expr::Literal(name, _)) = (info.get_data_type(&args[0])?, &args[1]) else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let place = Self::place(&of, Some(name))?;
        let DataType::Struct(fields) = &of else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let name = fields[place].name();
        // Which of two fields of one name get_field takes is not ours to say.
        if fields.iter().filter(|field| field.name() == name).count() > 1 {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let name = lit(name.as_str());
        Ok(ExprSimplifyResult::Simplified(get_field().call(vec![args[0].clone(), name])))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(name) = &args.args[1] else {
            return exec_err!("SYNTAX_ERROR: a field is named by a word");
        };
        let place = Self::place(&args.args[0].data_type(), Some(name))?;
        match &args.args[0] {
            ColumnarValue::Array(rows) => Ok(ColumnarValue::Array(child(rows, place)?)),
            ColumnarValue::Scalar(row) => {
                let field = child(&row.to_array()?, place)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&field, 0)?))
            }
        }
    }
}
