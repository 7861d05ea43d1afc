//! `trailq quarantine show`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chrono::SecondsFormat;

use super::{Place, named};
use crate::lake::{QuarantineFilter, Quarantined};
use crate::output::escape;

/// Bytes on a line of a hex dump.
const LINE: usize = 16;

/// Show one piece with its bytes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trailq quarantine show 3f2a
  trailq quarantine show 3f2a --raw > record.json
  trailq quarantine show 3f2a --raw | gzip -dc | head")]
pub(super) struct Args {
    /// Its id, or as much of it as no other begins with
    #[arg(value_name = "ID")]
    id: String,
    /// Write the bytes as they are, and nothing else
    #[arg(long)]
    raw: bool,
    /// The most bytes that are shown, 0 for all
    #[arg(long, value_name = "N", default_value_t = 4096, conflicts_with = "raw")]
    max_bytes: usize,
    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let lake = self.place.read().await?;
        let named = named(&lake, std::slice::from_ref(&self.id), true).await?;
        let ids = Some(named.into_iter().map(|piece| piece.id).collect());
        let filter = QuarantineFilter { ids, resolved: true, bytes: true, ..QuarantineFilter::default() };
        let found = lake.quarantined(&filter).await?;
        let piece = found.first().context("it has just gone from quarantine")?;
        let mut out = io::stdout();
        if self.raw {
            if out.is_terminal() {
                bail!("raw bytes are not for a terminal: redirect them to a file");
            }
            out.write_all(&piece.entry.bytes).context("writing the bytes")?;
        } else {
            let text = format!("{}\n{}", fields(piece), self.shown(&piece.entry.bytes));
            out.write_all(text.as_bytes()).context("writing the piece")?;
        }
        out.flush().context("writing the piece")?;
        Ok(ExitCode::SUCCESS)
    }

    /// As text if it is text, as a hex dump otherwise.
    fn shown(&self, bytes: &[u8]) -> String {
        let limit = if self.max_bytes == 0 { bytes.len() } else { self.max_bytes.min(bytes.len()) };
        let part = &bytes[..limit];
        let mut shown = match text(part) {
            Some(text) => escape(text, true).into_owned(),
            None => hex_dump(part),
        };
        if !shown.ends_with('\n') && !shown.is_empty() {
            shown.push('\n');
        }
        if limit < bytes.len() {
            let rest = bytes.len() - limit;
            let _ = writeln!(shown, "… and {rest} bytes more: --max-bytes 0 shows all, --raw writes all");
        }
        shown
    }
}

/// Text, perhaps cut within its last character.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let odd = |character: &char| character.is_control() && !character.is_whitespace();
    (text.chars().filter(odd).count() * 10 <= text.len()).then_some(text)
}

fn fields(piece: &Quarantined) -> String {
    let entry = &piece.entry;
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let fields = [
        ("id", Some(piece.id.clone())),
        ("log_file", Some(entry.log_file.clone())),
        ("version_id", entry.version_id.clone()),
        ("reason", Some(entry.reason.clone())),
        ("detail", Some(entry.detail.clone())),
        ("record_index", number(entry.record_index)),
        ("byte_offset", number(entry.byte_offset)),
        ("byte_length", number(entry.byte_length)),
        ("quarantined_at", Some(time(piece.quarantined_at))),
        ("status", Some(piece.status.as_str().to_owned())),
        ("resolved_at", piece.resolved_at.map(time)),
        ("resolved_by", piece.resolved_by.clone()),
    ];
    let mut lines = String::new();
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = writeln!(lines, "{name:<15} {}", escape(&value, false));
        }
    }
    lines
}

fn hex_dump(bytes: &[u8]) -> String {
    let mut dump = String::new();
    for (line, bytes) in bytes.chunks(LINE).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = bytes
            .iter()
            .map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' })
            .collect();
        let _ =
            writeln!(dump, "{:08x}  {:<width$}  {text}", line * LINE, hex.join(" "), width = LINE * 3 - 1);
    }
    dump
}

#[cfg(test)]
mod tests {
    use super::{hex_dump, text};

    #[test]
    fn text_is_told_from_bytes() {
        assert_eq!(text(b"{\"a\":1}\n"), Some("{\"a\":1}\n"));
        assert_eq!(text("é".as_bytes().split_at(1).0), Some(""));
        assert_eq!(text(&[0x1f, 0x8b, 8, 0]), None);
        assert_eq!(text(&[0, 0, 0, 0]), None);
    }

    #[test]
    fn a_hex_dump_has_sixteen_bytes_a_line() {
        let dump = hex_dump(b"0123456789abcdef\x1b");
        let lines: Vec<_> = dump.lines().collect();
        assert_eq!(lines[0], "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef");
        assert!(lines[1].starts_with("00000010  1b ") && lines[1].ends_with("  ."), "{dump}");
    }
}
