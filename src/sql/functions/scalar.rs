//! How a scalar function of Trino is told to DataFusion: its name, the types it takes, the type it
//! returns, and a plain Rust function from arrays to an array.

use std::fmt::{self, Debug};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::by_name::same_by_name;
pub(super) use super::scalar_arguments::{Arguments, Texts, put};

/// What an argument may be. Trino's implicit casts are allowed: a number where a larger type is
/// expected, NULL anywhere. Text never becomes anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `varchar`.
    Text,
    /// `varbinary`.
    Binary,
    /// Any integer, as `bigint`.
    BigInt,
    /// Any number, as `double`.
    Double,
    /// `date`.
    Date,
    /// A date or a timestamp of any kind, as it is.
    Instant,
    /// A timestamp with or without zone, as it is; a date as `timestamp`.
    Timestamp,
    /// A time of day, as it is.
    Time,
    /// An interval of any kind, as it is.
    Interval,
    /// An array of anything.
    Array,
    /// Anything.
    Any,
}

/// `timestamp(3)`, or with a zone.
pub(super) fn timestamp(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, zone.map(Into::into))
}

impl Kind {
    /// The type that an argument of the type `given` is cast to; none if it does not fit.
    fn accept(self, given: &DataType) -> Option<DataType> {
        if let DataType::Dictionary(_, value) = given {
            return match self.accept(value)? {
                DataType::Utf8View => Some(DataType::Utf8),
                accepted => Some(accepted),
            };
        }
        let null = given.is_null();
        let fits = match self {
            Self::Text if null => return Some(DataType::Utf8),
            Self::Text => matches!(given, DataType::Utf8 | DataType::Utf8View),
            Self::Binary => {
                let other = matches!(given, DataType::LargeBinary | DataType::BinaryView);
                return (null || other || *given == DataType::Binary).then_some(DataType::Binary);
            }
            Self::BigInt => return (null || given.is_integer()).then_some(DataType::Int64),
            Self::Double => return (null || given.is_numeric()).then_some(DataType::Float64),
            Self::Date => return (null || *given == DataType::Date32).then_some(DataType::Date32),
            Self::Instant if null => return Some(timestamp(None)),
            Self::Instant => matches!(given, DataType::Date32 | DataType::Timestamp(..)),
            Self::Timestamp if null || *given == DataType::Date32 => return Some(timestamp(None)),
            Self::Timestamp => matches!(given, DataType::Timestamp(..)),
            Self::Time => matches!(given, DataType::Time32(_) | DataType::Time64(_)),
            Self::Interval => matches!(given, DataType::Interval(_) | DataType::Duration(_)),
            Self::Array => matches!(given, DataType::List(_)),
            Self::Any => true,
        };
        fits.then(|| given.clone())
    }

    fn trino(self) -> &'static str {
        match self {
            Self::Text => "varchar(x)",
            Self::Binary => "varbinary",
            Self::BigInt => "bigint",
            Self::Double => "double",
            Self::Date => "date",
            Self::Instant | Self::Timestamp => "timestamp(p)",
            Self::Time => "time(p)",
            Self::Interval => "interval",
            Self::Array => "array(E)",
            Self::Any => "T",
        }
    }
}

type Call = Box<dyn Fn(&Arguments) -> Result<ArrayRef> + Send + Sync>;
type ReturnType = Box<dyn Fn(&ReturnFieldArgs) -> Result<DataType> + Send + Sync>;
type CheckTypes = fn(&str, &[DataType]) -> Result<Vec<DataType>>;
type Simplify = Box<dyn Fn(Vec<Expr>, &SimplifyContext) -> Result<ExprSimplifyResult> + Send + Sync>;

/// A scalar function: its name says all about it.
pub(super) struct Function {
    name: &'static str,
    aliases: Vec<String>,
    takes: &'static [&'static [Kind]],
    repeats: bool,
    check: Option<CheckTypes>,
    returns: ReturnType,
    call: Call,
    simplify: Option<Simplify>,
    signature: Signature,
}

impl Function {
    /// `takes` lists the argument lists that it has in Trino; the first that fits counts.
    pub(super) fn new(
        name: &'static str,
        takes: &'static [&'static [Kind]],
        returns: DataType,
        call: impl Fn(&Arguments) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            aliases: Vec::new(),
            takes,
            repeats: false,
            check: None,
            returns: Box::new(move |_| Ok(returns.clone())),
            call: Box::new(call),
            simplify: None,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    /// Another name of the same.
    pub(super) fn alias(mut self, alias: &str) -> Self {
        self.aliases.push(alias.to_owned());
        self
    }

    /// The last argument may stand any number of times.
    pub(super) fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// The type it returns follows from the fields of its arguments and from those that are constant.
    pub(super) fn returns(
        mut self,
        returns: impl Fn(&ReturnFieldArgs) -> Result<DataType> + Send + Sync + 'static,
    ) -> Self {
        self.returns = Box::new(returns);
        self
    }

    /// It returns the type of its argument number `index`.
    pub(super) fn returns_type_of(self, index: usize) -> Self {
        self.returns(move |args| Ok(args.arg_fields[index].data_type().clone()))
    }

    /// Checks the types further, or changes them, once they fit.
    pub(super) fn check(mut self, check: CheckTypes) -> Self {
        self.check = Some(check);
        self
    }

    /// What the optimizer may put in place of a call.
    pub(super) fn simplify(
        mut self,
        simplify: impl Fn(Vec<Expr>, &SimplifyContext) -> Result<ExprSimplifyResult> + Send + Sync + 'static,
    ) -> Self {
        self.simplify = Some(Box::new(simplify));
        self
    }

    /// Its value may change from row to row, or from query to query.
    pub(super) fn volatility(mut self, volatility: Volatility) -> Self {
        self.signature = Signature::user_defined(volatility);
        self
    }

    fn accept(&self, takes: &[Kind], given: &[DataType]) -> Option<Vec<DataType>> {
        let fits = given.len() == takes.len() || (self.repeats && given.len() > takes.len());
        if !fits {
            return None;
        }
        let kinds = takes.iter().chain(std::iter::repeat(takes.last().unwrap_or(&Kind::Any)));
        given.iter().zip(kinds).map(|(given, kind)| kind.accept(given)).collect()
    }

    fn expected(&self) -> String {
        let list = |kinds: &&[Kind]| {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind.trino()).collect();
            format!("{}({}{})", self.name, kinds.join(", "), if self.repeats { ", …" } else { "" })
        };
        self.takes.iter().map(list).collect::<Vec<_>>().join(", ")
    }
}

/// The error of a function that has no such arguments.
pub(super) fn unexpected<T>(name: &str, given: &[DataType], expected: &str) -> Result<T> {
    Err(super::types::unexpected(name, given, expected))
}

impl Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

same_by_name!(Function);

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match self.takes.iter().find_map(|takes| self.accept(takes, given)) {
            Some(types) => match self.check {
                Some(check) => check(self.name, &types),
                None => Ok(types),
            },
            None => unexpected(self.name, given, &self.expected()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let fields: Vec<_> = types
            .iter()
            .map(|data_type| arrow::datatypes::Field::new("x", data_type.clone(), true).into())
            .collect();
        let scalars = vec![None; types.len()];
        (self.returns)(&ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &scalars })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<arrow::datatypes::FieldRef> {
        let data_type = (self.returns)(&args)?;
        Ok(arrow::datatypes::Field::new(self.name, data_type, true).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = !args.args.is_empty()
            && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
            && self.signature.volatility != Volatility::Volatile;
        let values = (self.call)(&Arguments::new(args, constant)?)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
        }
        Ok(ColumnarValue::Array(values))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match &self.simplify {
            Some(simplify) => simplify(args, info),
            None => Ok(ExprSimplifyResult::Original(args)),
        }
    }
}
