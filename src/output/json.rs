//! JSON: one array, or one object on each line. NULL is `null`, so that every row has every key.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::{Context, Result};
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::record_batch::RecordBatch;

use super::text::is_disguise;
use super::written;

pub(super) struct Json<'a> {
    out: &'a mut (dyn Write + Send),
    array: bool,
    rows: usize,
}

impl<'a> Json<'a> {
    pub(super) fn array(out: &'a mut (dyn Write + Send)) -> Self {
        Self { out, array: true, rows: 0 }
    }

    pub(super) fn lines(out: &'a mut (dyn Write + Send)) -> Self {
        Self { out, array: false, rows: 0 }
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let builder = WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, LineDelimited>(Vec::new());
        writer.write(batch).context("writing rows as JSON")?;
        writer.finish().context("writing rows as JSON")?;
        let lines = String::from_utf8(writer.into_inner()).context("writing rows as JSON")?;
        let mut text = String::with_capacity(lines.len() + 16);
        for line in lines.lines() {
            if self.array {
                text.push_str(if self.rows == 0 { "[\n" } else { ",\n" });
            }
            push_visible(&mut text, line);
            if !self.array {
                text.push('\n');
            }
            self.rows += 1;
        }
        written(self.out.write_all(text.as_bytes()))
    }

    pub(super) fn finish(self) -> Result<()> {
        if self.array {
            let end: &[u8] = if self.rows == 0 { b"[]\n" } else { b"\n]\n" };
            written(self.out.write_all(end))?;
        }
        written(self.out.flush())
    }
}

/// Spells out, as JSON may, what a terminal would obey: the same text to a program, harmless to a person.
fn push_visible(out: &mut String, json: &str) {
    for c in json.chars() {
        if c.is_control() || is_disguise(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Format, Options, write};
    use crate::sql::Script;
    use crate::sql::testing::session;

    async fn output(sql: &str, format: Format) -> String {
        let session = session(&[
            json!({"eventname": "a\u{1b}\u{9b}\u{202e}\u{e0041}é\n", "event_time": "2026-01-05T13:51:00.25Z",
                   "resources": [{"arn": "x"}], "event_date": "2026-01-05"}),
            json!({"eventname": "b"}),
        ]);
        let script = Script::parse(sql).unwrap();
        let answer = session.run(&script, &script.statements()[0], &[]).await.unwrap();
        let mut out = Vec::new();
        write(answer, &Options::plain(format), &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    const SQL: &str = "SELECT eventname, event_time, event_date, resources, 1.5 AS x, true AS y
        FROM cloudtrail_logs ORDER BY eventname";

    #[tokio::test]
    async fn lines_are_whole_objects() {
        let text = output(SQL, Format::Ndjson).await;
        let resource = r#"{"arn":"x","accountid":null,"type":null}"#;
        let expected = format!(
            "{{\"eventname\":\"a\\u001b\\u009b\\u202e\\udb40\\udc41é\\n\",\"event_time\":\"2026-01-05T13:51:00.250Z\",\
             \"event_date\":\"2026-01-05\",\"resources\":[{resource}],\"x\":1.5,\"y\":true}}\n\
             {{\"eventname\":\"b\",\"event_time\":null,\"event_date\":null,\"resources\":null,\"x\":1.5,\"y\":true}}\n"
        );
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn an_array_is_one_json_text() {
        let rows: Value = serde_json::from_str(&output(SQL, Format::Json).await).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 2);
        assert_eq!(rows[0]["eventname"], "a\u{1b}\u{9b}\u{202e}\u{e0041}é\n");
        let none = output("SELECT eventname FROM cloudtrail_logs WHERE false", Format::Json).await;
        assert_eq!(none, "[]\n");
    }
}
