//! Trino's functions that take lambdas, and `TRY`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, UInt64Array, new_empty_array};
use arrow::compute::{cast, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::by_name::same_by_name;
use super::types::type_name;

mod attempt;
mod elements;
mod entries;
mod reduce;
mod replace;
mod sort;
#[cfg(test)]
mod tests;

pub(in crate::sql) use replace::REPLACE_BY;

/// The functions of these files.
pub(super) fn higher_order() -> Vec<HigherOrderUDF> {
    [
        elements::higher_order(),
        entries::higher_order(),
        vec![attempt::attempt(), reduce::reduce(), replace::regexp_replace_by(), sort::array_sort()],
    ]
    .concat()
}

/// Built-in functions whose place ours take: a plain function would hide one with lambdas of the same name.
pub(super) const REPLACED: [&str; 1] = ["array_sort"];

/// The types of the parameters of each lambda.
type Parameters = Vec<Vec<DataType>>;

/// A function with lambdas, whose types follow from those of its values and of what its lambdas give.
#[derive(Debug)]
struct Lambdas {
    name: &'static str,
    /// Trino's signatures, for the message to someone who called it with others.
    expected: &'static str,
    /// Its arguments: `v` is a value, `l` a lambda. Those of a shorter call, if there is one, after a blank.
    shape: &'static str,
    /// The types to which the values are cast before the lambdas are looked at.
    values: fn(&[DataType]) -> Option<Vec<DataType>>,
    /// The types of each lambda's parameters. A lambda of which it is not known yet gives None.
    parameters: fn(&[DataType], &[Option<DataType>]) -> Option<Parameters>,
    /// The type of the result.
    gives: fn(&[DataType], &[DataType]) -> Option<DataType>,
    run: fn(&Call) -> Result<ArrayRef>,
    signature: HigherOrderSignature,
}

impl Lambdas {
    fn udf(
        name: &'static str,
        expected: &'static str,
        shape: &'static str,
        values: fn(&[DataType]) -> Option<Vec<DataType>>,
        parameters: fn(&[DataType], &[Option<DataType>]) -> Option<Parameters>,
        gives: fn(&[DataType], &[DataType]) -> Option<DataType>,
        run: fn(&Call) -> Result<ArrayRef>,
    ) -> HigherOrderUDF {
        let signature = HigherOrderSignature::user_defined(Volatility::Immutable);
        HigherOrderUDF::new_from_impl(Self {
            name,
            expected,
            shape,
            values,
            parameters,
            gives,
            run,
            signature,
        })
    }

    fn unexpected(&self, values: &[DataType]) -> datafusion::common::DataFusionError {
        let values: Vec<_> = values.iter().map(type_name).collect();
        plan_datafusion_err!(
            "FUNCTION_NOT_FOUND: Unexpected parameters ({}) for function {}. Expected: {}",
            values.join(", "),
            self.name,
            self.expected
        )
    }
}

same_by_name!(Lambdas);

impl HigherOrderUDFImpl for Lambdas {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        (self.values)(given).ok_or_else(|| self.unexpected(given))
    }

    fn lambda_parameters(
        &self,
        _: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let shape: String = fields
            .iter()
            .map(|field| if matches!(field, ValueOrLambda::Value(_)) { 'v' } else { 'l' })
            .collect();
        let (values, outputs) = split(fields);
        let outputs: Vec<_> = outputs
            .into_iter()
            .map(|output| output.as_ref().map(|field| field.data_type().clone()))
            .collect();
        if !self.shape.split(' ').any(|known| known == shape) {
            return Err(self.unexpected(&values));
        }
        let parameters = (self.parameters)(&values, &outputs).ok_or_else(|| self.unexpected(&values))?;
        let parameters = parameters
            .into_iter()
            .map(|types| {
                types.into_iter().map(|data_type| Arc::new(Field::new("", data_type, true))).collect()
            })
            .collect();
        Ok(LambdaParametersProgress::Complete(parameters))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        let (values, outputs) = split(args.arg_fields);
        let outputs: Vec<_> = outputs.into_iter().map(|field| field.data_type().clone()).collect();
        let gives = (self.gives)(&values, &outputs).ok_or_else(|| self.unexpected(&values))?;
        Ok(Arc::new(Field::new("", gives, true)))
    }

    /// The body of a lambda may not be evaluated at all, where there are no elements.
    fn short_circuits(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Array((self.run)(&Call { args: &args })?))
    }
}

/// Arguments by kind: the types of the values, and what is known of the lambdas.
fn split<L>(fields: &[ValueOrLambda<FieldRef, L>]) -> (Vec<DataType>, Vec<&L>) {
    let (mut values, mut lambdas) = (Vec::new(), Vec::new());
    for field in fields {
        match field {
            ValueOrLambda::Value(field) => values.push(field.data_type().clone()),
            ValueOrLambda::Lambda(lambda) => lambdas.push(lambda),
        }
    }
    (values, lambdas)
}

/// A call over one batch.
struct Call<'a> {
    args: &'a HigherOrderFunctionArgs,
}

impl Call<'_> {
    fn gives(&self) -> &DataType {
        self.args.return_field.data_type()
    }

    /// A value, as a column.
    fn value(&self, at: usize) -> Result<ArrayRef> {
        match &self.args.args[at] {
            ValueOrLambda::Value(value) => value.to_array(self.args.number_rows),
            ValueOrLambda::Lambda(_) => plan_err!("SYNTAX_ERROR: argument {} is a lambda", at + 1),
        }
    }

    fn lambda(&self, at: usize) -> Result<&LambdaArgument> {
        match &self.args.args[at] {
            ValueOrLambda::Lambda(lambda) => Ok(lambda),
            ValueOrLambda::Value(_) => plan_err!("TYPE_MISMATCH: argument {} is no lambda", at + 1),
        }
    }

    /// What a lambda gives for columns of parameters, the n-th of which belong to the n-th of `rows` of the batch.
    fn evaluate(&self, at: usize, parameters: &[ArrayRef], rows: &UInt64Array) -> Result<ArrayRef> {
        let (ValueOrLambda::Lambda(field) | ValueOrLambda::Value(field)) = &self.args.arg_fields[at];
        if rows.is_empty() {
            return Ok(new_empty_array(field.data_type()));
        }
        let closures: Vec<_> = parameters.iter().map(|column| || Ok(Arc::clone(column))).collect();
        let closures: Vec<&dyn Fn() -> Result<ArrayRef>> =
            closures.iter().map(|closure| closure as _).collect();
        let value =
            self.lambda(at)?.evaluate(&closures, |captured| Ok(take_arrays(captured, rows, None)?))?;
        value.into_array(rows.len())
    }

    /// The same, of a lambda that says yes or no.
    fn test(&self, at: usize, parameters: &[ArrayRef], rows: &UInt64Array) -> Result<BooleanArray> {
        let answers = self.evaluate(at, parameters, rows)?;
        let answers = if answers.data_type() == &DataType::Boolean {
            answers
        } else {
            cast(&answers, &DataType::Boolean)?
        };
        if let Some(answers) = answers.as_boolean_opt() {
            return Ok(answers.clone());
        }
        exec_err!("TYPE_MISMATCH: a lambda that gives a boolean is expected")
    }
}

/// Whether a lambda's result can be a condition.
fn is_boolean(output: &DataType) -> bool {
    matches!(output, DataType::Boolean | DataType::Null)
}

/// The row of the batch to which each element belongs.
fn owners(lengths: impl Iterator<Item = usize>) -> UInt64Array {
    lengths.enumerate().flat_map(|(row, length)| std::iter::repeat_n(row as u64, length)).collect()
}

/// A NULL of a type, as the result of a whole call.
fn null(data_type: &DataType) -> Result<ColumnarValue> {
    Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(data_type)?))
}
