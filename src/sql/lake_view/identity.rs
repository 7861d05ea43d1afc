//! `$lake_identity`: `userIdentity` as CloudTrail Lake has it, with `creationDate` as a TIMESTAMP.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::event::parse_time;

/// Where `creationDate` is.
const CREATION_DATE: [&str; 3] = ["sessioncontext", "attributes", "creationdate"];

/// A timestamp without a zone, as Trino has it by default.
pub(super) const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// The identity made of the stored one.
pub(super) fn lake_identity(identity: Expr) -> Expr {
    ScalarUDF::from(LakeIdentity { signature: Signature::any(1, Volatility::Immutable) }).call(vec![identity])
}

/// The argument of `$lake_identity`, if that is what `expr` is, and a member at `path` is the same in it.
pub(in crate::sql) fn argument_of_lake_identity<'a>(expr: &'a Expr, path: &[&str]) -> Option<&'a Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    // A part of the path leads to what has the date inside.
    let differs = CREATION_DATE.starts_with(path);
    (call.func.inner().is::<LakeIdentity>() && !differs).then(|| call.args.first())?
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LakeIdentity {
    signature: Signature,
}

impl ScalarUDFImpl for LakeIdentity {
    fn name(&self) -> &'static str {
        "$lake_identity"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(typed(&types[0], &CREATION_DATE))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let identity = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(with_times(&identity, &CREATION_DATE)?))
    }
}

/// The type with a timestamp at `path`.
fn typed(data_type: &DataType, path: &[&str]) -> DataType {
    match (data_type, path) {
        (DataType::Struct(fields), [name, rest @ ..]) => {
            let field = |field: &FieldRef| {
                if field.name() != name {
                    return field.clone();
                }
                Arc::new(Field::new(field.name(), typed(field.data_type(), rest), field.is_nullable()))
            };
            DataType::Struct(fields.iter().map(field).collect::<Fields>())
        }
        (_, []) => TIMESTAMP,
        _ => data_type.clone(),
    }
}

fn with_times(column: &ArrayRef, path: &[&str]) -> Result<ArrayRef> {
    let [name, rest @ ..] = path else {
        let texts = cast(column, &DataType::Utf8View)?;
        let texts = texts.as_string_view();
        let millis = |text: Option<&str>| parse_time(text?).map(|micros| micros.div_euclid(1000));
        return Ok(Arc::new(texts.iter().map(millis).collect::<TimestampMillisecondArray>()));
    };
    let Some(members) = column.as_struct_opt() else {
        return exec_err!("{} is no member of {}", name, column.data_type());
    };
    let DataType::Struct(fields) = typed(column.data_type(), path) else {
        return exec_err!("{} is no member of {}", name, column.data_type());
    };
    let columns = fields.iter().zip(members.columns()).map(|(field, member)| {
        if field.name() == name { with_times(member, rest) } else { Ok(member.clone()) }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let nulls = members.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, nulls, members.len())?))
}
