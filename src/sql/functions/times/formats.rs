//! `date_format` and `date_parse` with `MySQL`'s patterns, `format_datetime` and `parse_datetime` with Joda's.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimestampMillisecondType};
use datafusion::common::{Result, exec_datafusion_err, internal_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, timestamp};
use super::instants::Instants;
use super::parse::Bucket;
use super::pattern::Pattern;
use super::{joda, mysql};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const FORMAT: &[&[Kind]] = &[&[Kind::Timestamp, Kind::Text]];
    const PARSE: &[&[Kind]] = &[&[Kind::Text, Kind::Text]];
    vec![
        Function::new("date_format", FORMAT, DataType::Utf8, |args| format(args, mysql::pattern)).into(),
        Function::new("format_datetime", FORMAT, DataType::Utf8, format_datetime).into(),
        Function::new("date_parse", PARSE, timestamp(None), |args| parse(args, mysql::pattern)).into(),
        Function::new("parse_datetime", PARSE, timestamp(Some("UTC")), |args| parse(args, joda::pattern))
            .into(),
    ]
}

type Read = fn(&str) -> Result<Pattern, String>;

/// The pattern that was read last: nearly always the only one.
struct Patterns {
    read: Read,
    last: Option<(String, Pattern)>,
}

impl Patterns {
    fn new(read: Read) -> Self {
        Self { read, last: None }
    }

    fn get(&mut self, text: &str) -> Result<&Pattern> {
        if self.last.as_ref().is_none_or(|(last, _)| last != text) {
            let pattern = (self.read)(text).map_err(|why| invalid(&why))?;
            self.last = Some((text.to_owned(), pattern));
        }
        let pattern = self.last.as_ref().map(|(_, pattern)| pattern);
        pattern.ok_or_else(|| internal_datafusion_err!("no pattern was read"))
    }
}

fn invalid(why: &str) -> DataFusionError {
    exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: {why}")
}

fn format(args: &Arguments, read: Read) -> Result<ArrayRef> {
    let instants = Instants::new(args, 0)?;
    let zone_id = match args.one_or_all(0).data_type() {
        DataType::Timestamp(_, Some(zone)) => zone.as_ref(),
        _ => "UTC",
    };
    let texts = args.text(1)?;
    let mut patterns = Patterns::new(read);
    args.to_texts(|row, out| {
        let (Some(utc), Some(text)) = (instants.utc(row), texts.at(row)) else { return Ok(None) };
        patterns.get(text)?.write(utc, instants.zone, zone_id, out).map(Some)
    })
}

fn format_datetime(args: &Arguments) -> Result<ArrayRef> {
    let has_zone = matches!(args.one_or_all(0).data_type(), DataType::Timestamp(_, Some(_)));
    format(args, if has_zone { joda::pattern } else { without_zone })
}

fn without_zone(text: &str) -> Result<Pattern, String> {
    if joda::shows_zone(text) {
        return Err(
            "format_datetime for TIMESTAMP type, cannot use 'Z' nor 'z' in format, as this type does \
            not contain TZ information"
                .to_owned(),
        );
    }
    joda::pattern(text)
}

fn parse(args: &Arguments, read: Read) -> Result<ArrayRef> {
    let (texts, formats) = (args.text(0)?, args.text(1)?);
    let mut patterns = Patterns::new(read);
    let mut bucket = Bucket::default();
    args.to_numbers::<TimestampMillisecondType, _>(|row| {
        let (Some(text), Some(format)) = (texts.at(row), formats.at(row)) else { return Ok(None) };
        patterns.get(format)?.parse(text, &mut bucket).map(Some).map_err(|why| invalid(&why))
    })
}
