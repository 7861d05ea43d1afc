//! `trim`, `ltrim`, `rtrim`, `lpad`, `rpad`.

use arrow::array::StringBuilder;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, put};
use super::substring::place;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        trim("trim", true, true).alias("btrim").into(),
        trim("ltrim", true, false).into(),
        trim("rtrim", false, true).into(),
        pad("lpad", |out, text, padding| {
            padding(out)?;
            put(out, text)
        }),
        pad("rpad", |out, text, padding| {
            put(out, text)?;
            padding(out)
        }),
    ]
}

fn trim(name: &'static str, start: bool, end: bool) -> Function {
    const TAKES: &[&[Kind]] = &[&[Kind::Text], &[Kind::Text, Kind::Text]];
    Function::new(name, TAKES, DataType::Utf8, move |args| {
        let texts = args.text(0)?;
        let sets = if args.len() > 1 { Some(args.text(1)?) } else { None };
        args.to_texts(|row, out| {
            let Some(text) = texts.at(row) else { return Ok(None) };
            let trimmed = match &sets {
                None => trimmed(text, start, end, is_white_space),
                Some(sets) => {
                    let Some(set) = sets.at(row) else { return Ok(None) };
                    trimmed(text, start, end, |c| set.contains(c))
                }
            };
            put(out, trimmed).map(Some)
        })
    })
}

fn trimmed(text: &str, start: bool, end: bool, unwanted: impl Fn(char) -> bool) -> &str {
    let text = if start { text.trim_start_matches(&unwanted) } else { text };
    if end { text.trim_end_matches(&unwanted) } else { text }
}

/// White space as Java has it: a blank that forbids a line break is none.
fn is_white_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | '\u{1c}'..=' ' | '\u{1680}' | '\u{180e}' | '\u{2000}'..='\u{2006}'
        | '\u{2008}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{205f}' | '\u{3000}')
}

type Padding<'a> = &'a dyn Fn(&mut StringBuilder) -> Result<()>;

fn pad(name: &'static str, write: fn(&mut StringBuilder, &str, Padding<'_>) -> Result<()>) -> ScalarUDF {
    const TAKES: &[&[Kind]] = &[&[Kind::Text, Kind::BigInt, Kind::Text]];
    let call = move |args: &Arguments| {
        let (texts, sizes, fills) = (args.text(0)?, args.bigint(1)?, args.text(2)?);
        args.to_texts(|row, out| {
            let (Some(text), Some(size), Some(fill)) = (texts.at(row), sizes.at(row), fills.at(row)) else {
                return Ok(None);
            };
            let size = match usize::try_from(size) {
                Ok(size) if i32::try_from(size).is_ok() => size,
                _ => {
                    return exec_err!(
                        "INVALID_FUNCTION_ARGUMENT: Target length must be in the range [0..2147483647]"
                    );
                }
            };
            if fill.is_empty() {
                return exec_err!("INVALID_FUNCTION_ARGUMENT: Padding string must not be empty");
            }
            let length = text.chars().count();
            let text = &text[..place(text, size)];
            write(out, text, &|out| put_repeated(out, fill, size.saturating_sub(length))).map(Some)
        })
    };
    Function::new(name, TAKES, DataType::Utf8, call).into()
}

fn put_repeated(out: &mut StringBuilder, fill: &str, mut missing: usize) -> Result<()> {
    let length = fill.chars().count();
    while missing >= length {
        put(out, fill)?;
        missing -= length;
    }
    put(out, &fill[..place(fill, missing)])
}
