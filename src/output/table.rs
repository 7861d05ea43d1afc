//! A table for people: as wide as the terminal, NULL told from text, and harmless whatever a log says.

use std::io::Write;

use anyhow::Result;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, presets};

use super::text::{Column, escape};
use super::{Options, written};

/// A column narrower than this cannot be read; then each row is shown as a list of its values.
const NARROWEST: usize = 12;
/// How a missing value is shown.
const NULL: &str = "NULL";

pub(super) struct Table<'a> {
    out: &'a mut (dyn Write + Send),
    names: Vec<String>,
    numeric: Vec<bool>,
    rows: Vec<Vec<Option<String>>>,
    width: Option<u16>,
    color: bool,
    keep_lines: bool,
}

impl<'a> Table<'a> {
    pub(super) fn new(schema: &Schema, options: &Options, out: &'a mut (dyn Write + Send)) -> Self {
        Self {
            out,
            names: schema.fields().iter().map(|field| escape(field.name(), false).into_owned()).collect(),
            numeric: schema.fields().iter().map(|field| is_number(field.data_type())).collect(),
            rows: Vec::new(),
            width: options.width,
            color: options.color,
            keep_lines: options.keep_lines,
        }
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns: Vec<Column<'_>> =
            batch.columns().iter().map(|c| Column::new(c)).collect::<Result<_>>()?;
        for row in 0..batch.num_rows() {
            let values = columns.iter().map(|column| self.value(column, row)).collect::<Result<_>>()?;
            self.rows.push(values);
        }
        Ok(())
    }

    fn value(&self, column: &Column<'_>, row: usize) -> Result<Option<String>> {
        if column.is_null(row) {
            return Ok(None);
        }
        let mut text = String::new();
        column.write(row, &mut text)?;
        Ok(Some(escape(&text, self.keep_lines).into_owned()))
    }

    pub(super) fn finish(self) -> Result<()> {
        let text = if self.is_too_wide() { self.records() } else { self.grid() };
        written(self.out.write_all(text.as_bytes()))?;
        written(self.out.flush())
    }

    fn is_too_wide(&self) -> bool {
        let Some(width) = self.width else { return false };
        let columns = self.names.len();
        columns > 1
            && usize::from(width) / columns < NARROWEST
            && !self.rows.is_empty()
            && self.natural_width() > width.into()
    }

    fn natural_width(&self) -> usize {
        let widest = |number: usize| {
            let values = self.rows.iter().map(|row| row[number].as_deref().unwrap_or(NULL));
            values.chain([self.names[number].as_str()]).map(|text| text.chars().count()).max().unwrap_or(0)
        };
        (0..self.names.len()).map(|number| widest(number) + 3).sum::<usize>() + 1
    }

    fn grid(&self) -> String {
        let mut table = self.empty();
        table.set_header(self.names.iter().map(|name| self.styled(name, Color::Cyan)));
        for row in &self.rows {
            table.add_row(row.iter().map(|value| self.cell(value.as_deref())));
        }
        for (number, numeric) in self.numeric.iter().enumerate() {
            if let (true, Some(column)) = (numeric, table.column_mut(number)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{table}\n")
    }

    /// One list of name and value for each row, for answers of many columns.
    fn records(&self) -> String {
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut table = self.empty();
            let title = format!("row {}", number + 1);
            table.set_header([self.styled(&title, Color::Cyan), Cell::new("")]);
            for (name, value) in self.names.iter().zip(row) {
                // NULLs would be most of the list: what is not there is not shown.
                if value.is_some() {
                    table.add_row([self.styled(name, Color::Cyan), self.cell(value.as_deref())]);
                }
            }
            text.push_str(&table.to_string());
            text.push('\n');
        }
        text
    }

    fn empty(&self) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED).force_no_tty();
        match self.width {
            Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        if self.color {
            table.enforce_styling();
        }
        table
    }

    fn styled(&self, text: &str, color: Color) -> Cell {
        if self.color { Cell::new(text).fg(color) } else { Cell::new(text) }
    }

    fn cell(&self, value: Option<&str>) -> Cell {
        match value {
            Some(text) => Cell::new(text),
            None => self.styled(NULL, Color::DarkGrey),
        }
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() && !matches!(data_type, DataType::Dictionary(..))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::written;
    use super::super::{Format, Options, Summary};
    use crate::sql::testing::session;

    async fn table(sql: &str, options: Options) -> (String, Summary) {
        let session = session(&[
            json!({"eventname": "GetObject", "useragent": "two\nlines \u{1b}[31m", "eventtime": "1"}),
            json!({"eventname": "日本", "eventtime": "2", "resources": [{"arn": "x"}]}),
        ]);
        let batches = session.collect(sql, &[]).await.unwrap();
        written(batches, &options).await
    }

    #[tokio::test]
    async fn a_table_is_aligned_and_harmless() {
        let sql =
            "SELECT eventname, useragent, length(eventname) AS n FROM cloudtrail_logs ORDER BY eventtime";
        let (text, _) = table(sql, Options::plain(Format::Table)).await;
        let expected = "\
┌───────────┬───────────────────────┬───┐
│ eventname ┆ useragent             ┆ n │
╞═══════════╪═══════════════════════╪═══╡
│ GetObject ┆ two\\nlines \\u{1b}[31m ┆ 9 │
│ 日本      ┆ NULL                  ┆ 2 │
└───────────┴───────────────────────┴───┘
";
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn rows_beyond_the_limit_are_counted() {
        let options = Options { max_rows: Some(3), ..Options::plain(Format::Table) };
        let sql = "SELECT * FROM generate_series(1, 20000)";
        let (text, summary) = table(sql, options).await;
        assert_eq!(text.lines().count(), 3 + 4);
        assert_eq!(summary, Summary { rows: 3, left_out: 19_997, more: false });
    }

    #[tokio::test]
    async fn many_columns_become_a_list_of_values_on_a_terminal() {
        let options = Options { width: Some(60), ..Options::plain(Format::Table) };
        let (text, _) = table("SELECT * FROM cloudtrail_logs ORDER BY eventtime", options).await;
        assert!(text.contains("│ row 2     ┆"), "{text}");
        assert!(text.contains("│ eventname ┆ GetObject"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[tokio::test]
    async fn long_values_wrap_within_the_width() {
        let options = Options { width: Some(40), ..Options::plain(Format::Table) };
        let (text, _) = table("SELECT repeat('abc ', 50) AS long, 1 AS n", options).await;
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert_eq!(text.matches("abc").count(), 50);
    }
}
