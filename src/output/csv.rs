//! CSV as RFC 4180 has it, with Athena's distinction: NULL is nothing, an empty text is `""`.
//!
//! Values are written exactly as they are: a text that a spreadsheet would take for a formula stays
//! what the log says, since changed evidence is none. Only on a terminal are control characters
//! spelt out.

use std::io::Write;

use anyhow::Result;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;

use super::text::{Column, escape};
use super::written;

pub(super) struct Csv<'a> {
    out: &'a mut (dyn Write + Send),
    terminal: bool,
    lines: String,
    value: String,
}

impl<'a> Csv<'a> {
    pub(super) fn begin(schema: &Schema, terminal: bool, out: &'a mut (dyn Write + Send)) -> Result<Self> {
        let mut csv = Self { out, terminal, lines: String::new(), value: String::new() };
        for (number, field) in schema.fields().iter().enumerate() {
            csv.value.push_str(field.name());
            csv.end_value(number, false);
        }
        csv.end_line();
        csv.flush()?;
        Ok(csv)
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns: Vec<Column<'_>> =
            batch.columns().iter().map(|c| Column::new(c)).collect::<Result<_>>()?;
        for row in 0..batch.num_rows() {
            for (number, column) in columns.iter().enumerate() {
                let null = column.is_null(row);
                if !null {
                    column.write(row, &mut self.value)?;
                }
                self.end_value(number, null);
            }
            self.end_line();
        }
        self.flush()
    }

    pub(super) fn finish(self) -> Result<()> {
        written(self.out.flush())
    }

    fn end_value(&mut self, number: usize, null: bool) {
        if number > 0 {
            self.lines.push(',');
        }
        if !null {
            let value = if self.terminal { escape(&self.value, false) } else { self.value.as_str().into() };
            push_quoted(&mut self.lines, &value);
        }
        self.value.clear();
    }

    fn end_line(&mut self) {
        self.lines.push_str(if self.terminal { "\n" } else { "\r\n" });
    }

    fn flush(&mut self) -> Result<()> {
        written(self.out.write_all(self.lines.as_bytes()))?;
        self.lines.clear();
        Ok(())
    }
}

fn push_quoted(out: &mut String, value: &str) {
    let outer_blank = value.starts_with(' ') || value.ends_with(' ');
    if !value.is_empty() && !outer_blank && !value.contains([',', '"', '\r', '\n']) {
        out.push_str(value);
        return;
    }
    out.push('"');
    out.push_str(&value.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::super::testing::written;
    use super::super::{Format, Options};
    use super::*;

    fn batch() -> RecordBatch {
        let texts = StringArray::from(vec![Some("a,\"b\"\nc"), Some(""), None, Some("=1+1\u{1b}")]);
        let numbers = Int64Array::from(vec![Some(1), None, Some(-3), Some(4)]);
        let times = TimestampMicrosecondArray::from(vec![0, 1_500_000, 2_000_001, 3]).with_timezone("UTC");
        let columns: [(&str, ArrayRef); 3] =
            [("text", Arc::new(texts)), ("n", Arc::new(numbers)), ("a \"time\"", Arc::new(times))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[tokio::test]
    async fn values_are_quoted_where_they_must_be_and_exact() {
        let (text, summary) = written(vec![batch()], &Options::plain(Format::Csv)).await;
        let expected = "text,n,\"a \"\"time\"\"\"\r\n\
            \"a,\"\"b\"\"\nc\",1,1970-01-01 00:00:00.000000 UTC\r\n\
            \"\",,1970-01-01 00:00:01.500000 UTC\r\n\
            ,-3,1970-01-01 00:00:02.000001 UTC\r\n\
            =1+1\u{1b},4,1970-01-01 00:00:00.000003 UTC\r\n";
        assert_eq!(text, expected);
        assert_eq!(summary.rows, 4);
    }

    #[tokio::test]
    async fn a_terminal_gets_no_control_character() {
        let options = Options { terminal: true, ..Options::plain(Format::Csv) };
        let (text, _) = written(vec![batch()], &options).await;
        assert!(text.contains("=1+1\\u{1b},4,"), "{text}");
        assert!(text.contains("\"a,\"\"b\"\"\\nc\",1,"), "{text}");
    }
}
