//! The TOML file: its keys are flags, its values their defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::Command;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::with_commas_escaped;

/// What a file says, by the id of the flag.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

/// Tables and the flags that they are values of.
const TABLES: [(&str, &str); 2] = [("queue", "queue_url"), ("bucket", "bucket")];
/// Keys of such tables.
const QUEUE_KEYS: [&str; 5] = ["url", "role_arn", "external_id", "region", "endpoint"];
const BUCKET_KEYS: [&str; 3] = ["name", "role_arn", "external_id"];

impl File {
    /// Reads the text of a file whose keys are the flags of `known`.
    pub(super) fn parse(path: &Path, text: &str, known: &Command) -> Result<Self> {
        let place = |span: std::ops::Range<usize>| {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            format!("{}, line {line}", path.display())
        };
        let table = DeTable::parse(text).map_err(|error| {
            anyhow!("{}: {}", place(error.span().unwrap_or_default()), error.message().trim())
        })?;
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in table.get_ref() {
            let name = key.get_ref().as_ref();
            let told = read(name, value, known).map_err(|error| anyhow!("{}: {error}", place(key.span())))?;
            values.entry(told.0).or_default().extend(told.1);
        }
        Ok(File { path: path.to_owned(), values })
    }

    /// Whether the file says something about a flag.
    pub(super) fn sets(&self, id: &str) -> bool {
        self.values.contains_key(id)
    }

    /// The same command, with what the file says as defaults.
    pub(super) fn as_defaults(&self, command: Command) -> Command {
        let ids: Vec<String> =
            command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
        ids.into_iter().fold(command, |command, id| match self.values.get(&id) {
            Some(values) => {
                // Defaults live as long as the command, which lives as long as the process.
                let values: Vec<&'static str> =
                    values.iter().map(|value| &*Box::leak(value.clone().into_boxed_str())).collect();
                command.mut_arg(id, |argument| argument.default_values(values))
            }
            None => command,
        })
    }
}

/// The flag that a key stands for, and its values.
fn read(key: &str, value: &Spanned<DeValue<'_>>, known: &Command) -> Result<(String, Vec<String>)> {
    let table = TABLES.iter().find(|(table, _)| *table == key);
    if let (Some((table, id)), DeValue::Array(items)) = (table, value.get_ref())
        && items.iter().any(|item| item.get_ref().is_table())
    {
        let keys: &[&str] = if *table == "queue" { &QUEUE_KEYS } else { &BUCKET_KEYS };
        let parts: Result<Vec<String>> = items.iter().map(|item| part(table, item.get_ref(), keys)).collect();
        return Ok(((*id).to_owned(), parts?));
    }
    if key == "queue" {
        bail!("queue is a table, [[queue]] with a url; a URL alone is a queue_url");
    }
    let flags = || known.get_arguments().filter(|argument| argument.get_long().is_some());
    let names = || flags().map(|argument| argument.get_id().as_str()).filter(|id| !is_none_of_the_file(id));
    let Some(id) = names().find(|id| *id == key) else {
        bail!("there is no setting {key:?}{}", meant(key, names().chain(["queue"])));
    };
    match value.get_ref() {
        DeValue::Array(items) => {
            let values: Result<Vec<String>> = items.iter().map(|item| scalar(key, item.get_ref())).collect();
            Ok((id.to_owned(), values?))
        }
        value => Ok((id.to_owned(), vec![scalar(key, value)?])),
    }
}

fn is_none_of_the_file(id: &str) -> bool {
    matches!(id, "help" | "version" | "config" | "check")
}

/// A table as a value of its flag: `url=…,role_arn=…`.
fn part(table: &str, value: &DeValue<'_>, keys: &[&str]) -> Result<String> {
    let Some(entries) = value.as_table() else { bail!("[[{table}]] is a table, and here is something else") };
    let mut parts = Vec::new();
    for (key, value) in entries {
        let key = key.get_ref().as_ref();
        if !keys.contains(&key) {
            bail!("[[{table}]] has no key {key:?}{}", meant(key, keys.iter().copied()));
        }
        let value = scalar(key, value.get_ref())?;
        // Spaces part one queue or bucket from the next, and no URL, name, ARN or external id has any.
        if value.contains(char::is_whitespace) {
            bail!("a space in {key} of [[{table}]]");
        }
        parts.push(format!("{key}={}", with_commas_escaped(&value)));
    }
    if !entries.keys().any(|key| key.get_ref() == keys[0]) {
        bail!("[[{table}]] needs a {}", keys[0]);
    }
    Ok(parts.join(","))
}

fn scalar(key: &str, value: &DeValue<'_>) -> Result<String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        DeValue::Datetime(time) => Ok(time.to_string()),
        other => bail!("{key} cannot be of type {}", other.type_str()),
    }
}

/// The nearest name, as an offer.
fn meant<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let nearest = names.min_by_key(|name| strsim::damerau_levenshtein(wanted, name));
    nearest.map(|name| format!("; do you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn command() -> Command {
        Command::new("daemon")
            .arg(Arg::new("queue_url").long("queue-url").num_args(1..))
            .arg(Arg::new("bucket").long("bucket").num_args(1..))
            .arg(Arg::new("wait_time").long("wait-time").default_value("20"))
            .arg(Arg::new("path_style").long("path-style"))
    }

    fn parsed(text: &str) -> Result<File> {
        File::parse(Path::new("trailq.toml"), text, &command())
    }

    #[test]
    fn keys_are_flags_and_tables_are_their_parts() {
        let text = "wait_time = 1_0\npath_style = true\nbucket = ['a', 'b']\n\
                    [[queue]]\nurl = 'https://q/1'\nrole_arn = 'arn:x'\n[[queue]]\nurl = 'https://q/2'\nexternal_id = 'a,b'\n";
        let file = parsed(text).unwrap();
        let matches = file.as_defaults(command()).get_matches_from(["daemon", "--bucket", "c"]);
        let values = |id: &str| matches.get_many::<String>(id).unwrap().cloned().collect::<Vec<_>>();
        assert_eq!(
            values("queue_url"),
            ["role_arn=arn:x,url=https://q/1", r"external_id=a\,b,url=https://q/2"]
        );
        assert_eq!((values("wait_time"), values("path_style")), (vec!["10".into()], vec!["true".into()]));
        assert_eq!(values("bucket"), ["c"]);
        assert!(file.sets("wait_time") && !file.sets("lake"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_the_nearest_name() {
        for (text, told) in [
            (
                "\nwaittime = 3",
                "trailq.toml, line 2: there is no setting \"waittime\"; do you mean \"wait_time\"?",
            ),
            ("[[queue]]\nurll = 'x'", "line 1: [[queue]] has no key \"urll\"; do you mean \"url\"?"),
            ("[[bucket]]\nrole_arn = 'x'", "line 1: [[bucket]] needs a name"),
            ("[[bucket]]\nname = 'a b'", "line 1: a space in name of [[bucket]]"),
            ("wait_time = {}", "line 1: wait_time cannot be of type table"),
            ("a = 1\nb = = 2", "line 2: "),
            ("config = 'x'", "there is no setting \"config\""),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
