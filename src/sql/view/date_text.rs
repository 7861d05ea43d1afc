//! `$date_text`: a date as the text of a partition column, such as 2026/01/05.

use std::sync::Arc;

use arrow::array::{AsArray, StringViewArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};
use chrono::{Datelike, NaiveDate};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

/// How a partition column writes its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sql) enum Form {
    /// 2026/01/05
    Slashes,
    /// 2026-01-05
    Dashes,
    /// 20260105
    Digits,
    /// 2026
    Year,
    /// 01
    Month,
    /// 05
    Day,
}

impl Form {
    const ALL: [Self; 6] = [Self::Slashes, Self::Dashes, Self::Digits, Self::Year, Self::Month, Self::Day];

    /// Its pattern, which names it.
    pub(in crate::sql) fn pattern(self) -> &'static str {
        match self {
            Self::Slashes => "yyyy/MM/dd",
            Self::Dashes => "yyyy-MM-dd",
            Self::Digits => "yyyyMMdd",
            Self::Year => "yyyy",
            Self::Month => "MM",
            Self::Day => "dd",
        }
    }

    /// Dates of years that four digits cannot write have no text.
    fn write(self, date: NaiveDate) -> Option<String> {
        let (year, month, day) = (date.year(), date.month(), date.day());
        (0..=9999).contains(&year).then(|| match self {
            Self::Slashes => format!("{year:04}/{month:02}/{day:02}"),
            Self::Dashes => format!("{year:04}-{month:02}-{day:02}"),
            Self::Digits => format!("{year:04}{month:02}{day:02}"),
            Self::Year => format!("{year:04}"),
            Self::Month => format!("{month:02}"),
            Self::Day => format!("{day:02}"),
        })
    }

    /// The texts of dates.
    pub(in crate::sql) fn texts(self, dates: impl Iterator<Item = Option<i32>>) -> StringViewArray {
        let mut texts = StringViewBuilder::new();
        // Rows of one date stand together.
        let mut last: (Option<i32>, Option<String>) = (None, None);
        for day in dates {
            if day != last.0 {
                let date = day.and_then(Date32Type::to_naive_date_opt);
                last = (day, date.and_then(|date| self.write(date)));
            }
            texts.append_option(last.1.as_deref());
        }
        texts.finish()
    }

    /// The form with this pattern.
    pub(in crate::sql) fn named(pattern: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.pattern() == pattern)
    }

    /// The form of a whole date in which `text` is written, as far as it goes, or which it is a pattern of.
    pub(in crate::sql) fn of(text: &str) -> Option<Self> {
        let rest = ["%Y", "yyyy"].into_iter().find_map(|year| text.strip_prefix(year));
        let rest = rest.or_else(|| {
            let (year, rest) = text.split_at_checked(4)?;
            year.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
        })?;
        match rest.bytes().next()? {
            b'/' => Some(Self::Slashes),
            b'-' => Some(Self::Dashes),
            _ if rest.bytes().all(|byte| byte.is_ascii_digit()) => Some(Self::Digits),
            _ if rest.starts_with("%m") || rest.starts_with("MM") => Some(Self::Digits),
            _ => None,
        }
    }

    /// Whether it is a whole date.
    pub(in crate::sql) fn is_whole(self) -> bool {
        matches!(self, Self::Slashes | Self::Dashes | Self::Digits)
    }
}

/// The text of the date of a log file or, if it has none, of the event's.
///
/// Not by `coalesce`, which the optimizer rewrites, so that pruning would not know it any more.
pub(in crate::sql) fn date_text(log_date: Expr, event_date: Expr, form: Form) -> Expr {
    let signature = Signature::any(3, Volatility::Immutable);
    ScalarUDF::from(DateText { signature }).call(vec![log_date, event_date, lit(form.pattern())])
}

/// The form, if `expr` is a `$date_text`.
pub(in crate::sql) fn form_of(expr: &Expr) -> Option<Form> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let ([_, _, Expr::Literal(pattern, _)], true) =
        (call.args.as_slice(), call.func.inner().is::<DateText>())
    else {
        return None;
    };
    Form::named(pattern.try_as_str()??)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateText {
    signature: Signature,
}

impl ScalarUDFImpl for DateText {
    fn name(&self) -> &'static str {
        "$date_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [log_date, event_date, ColumnarValue::Scalar(pattern)] = args.args.as_slice() else {
            return exec_err!("the form of $date_text is a literal");
        };
        let Some(form) = pattern.try_as_str().flatten().and_then(Form::named) else {
            return exec_err!("no form {pattern} of $date_text");
        };
        let dates = |dates: &ColumnarValue| {
            let dates = cast(&dates.to_array(args.number_rows)?, &DataType::Date32)?;
            Ok::<_, DataFusionError>(dates.as_primitive::<Date32Type>().clone())
        };
        let (log_dates, event_dates) = (dates(log_date)?, dates(event_date)?);
        let dates = log_dates.iter().zip(&event_dates).map(|(log_date, event_date)| log_date.or(event_date));
        Ok(ColumnarValue::Array(Arc::new(form.texts(dates))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_tells_its_form_as_soon_as_it_has_one() {
        let forms = [
            ("2026/01/05", Some(Form::Slashes)),
            ("2026/", Some(Form::Slashes)),
            ("2026-01%", Some(Form::Dashes)),
            ("202601", Some(Form::Digits)),
            ("2026", None),
            ("20260%", None),
            ("x026-01", None),
            ("2é26-01", None),
            ("%Y-%m-%d", Some(Form::Dashes)),
            ("yyyy/MM/dd", Some(Form::Slashes)),
            ("%Y%m%d", Some(Form::Digits)),
            ("%Y", None),
            ("", None),
        ];
        for (text, form) in forms {
            assert_eq!(Form::of(text), form, "{text}");
        }
    }
}
