//! Flags, environment and a TOML file to one set of options.
//!
//! The flags' definitions are the only list of settings. A key of the file is a long flag with
//! underscores, `[[queue]]` and `[[bucket]]` are tables whose keys are the parts of `--queue-url` and
//! `--bucket`; what the file says becomes the default of the flag. So a flag on the command line beats the
//! environment, which beats the file, which beats what is built in.

mod file;
mod place;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, Parser};

use file::File;
pub(crate) use place::split_at_commas;
pub use place::{Bucket, Queue};

/// The command whose flags are the file's keys. Others take from the file what they have themselves.
const OWNER: &str = "daemon";

/// Where a setting has its value from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A flag on the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The file.
    File,
    /// Built in.
    Default,
}

/// One setting of the command that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The long flag, without dashes.
    pub name: String,
    /// The environment variable, if there is one.
    pub variable: Option<String>,
    /// Its values as text; none if it is not set.
    pub values: Vec<String>,
    /// What holds if it is not set, in words.
    pub unset: Option<String>,
    /// Where they are from.
    pub origin: Origin,
}

/// What holds for the command that runs.
#[derive(Debug, Clone, Default)]
pub struct Effective {
    /// The file, if one was named.
    pub file: Option<PathBuf>,
    /// All settings, in the order of the help.
    pub settings: Vec<Setting>,
}

/// Parses the command line of this process, the environment, and the file if one is named.
///
/// What is wrong with flags ends the process, as clap does it.
pub fn parse<P: Parser>() -> Result<(P, Effective)> {
    let command = P::command();
    let matches = command.clone().get_matches();
    let (with_file, file) = with_file(command.clone(), &matches)?;
    let matches = if file.is_some() { with_file.get_matches() } else { matches };
    let parsed = P::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    Ok((parsed, effective(&command, &matches, file)))
}

/// Makes what the file says the defaults of the subcommand that runs.
fn with_file(command: Command, matches: &ArgMatches) -> Result<(Command, Option<File>)> {
    let (mut names, mut given) = (Vec::new(), matches);
    while let Some((name, deeper)) = given.subcommand() {
        names.push(name);
        given = deeper;
    }
    let path = given.try_get_one::<PathBuf>("config").ok().flatten();
    let Some(path) = path else { return Ok((command, None)) };
    let file = read(path, &command)?;
    Ok((with_defaults(command, &names, &file), Some(file)))
}

fn with_defaults(command: Command, names: &[&str], file: &File) -> Command {
    match names {
        [] => file.as_defaults(command),
        [name, deeper @ ..] => command.mut_subcommand(name, |command| with_defaults(command, deeper, file)),
    }
}

fn read(path: &Path, command: &Command) -> Result<File> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the configuration file {}", path.display()))?;
    let known = command.find_subcommand(OWNER).context("no command has settings")?;
    File::parse(path, &text, known)
}

fn effective(command: &Command, matches: &ArgMatches, file: Option<File>) -> Effective {
    let mut settings = Vec::new();
    if let Some((name, given)) = matches.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        for argument in command.get_arguments() {
            let (id, Some(long)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
            if matches!(id, "help" | "version" | "config" | "check") {
                continue;
            }
            let values = given.get_raw(id).into_iter().flatten();
            settings.push(Setting {
                name: long.to_owned(),
                variable: argument.get_env().map(|name| name.to_string_lossy().into_owned()),
                values: values.map(|value| value.to_string_lossy().into_owned()).collect(),
                unset: argument.get_help().and_then(|help| told_default(&help.to_string())),
                origin: match given.value_source(id) {
                    Some(ValueSource::CommandLine) => Origin::Flag,
                    Some(ValueSource::EnvVariable) => Origin::Environment,
                    _ if file.as_ref().is_some_and(|file| file.sets(id)) => Origin::File,
                    _ => Origin::Default,
                },
            });
        }
    }
    Effective { file: file.map(|file| file.path), settings }
}

/// What the help of a flag says in place of a default value: `[default: one a core]`.
fn told_default(help: &str) -> Option<String> {
    let (_, rest) = help.split_once("[default: ")?;
    rest.split_once(']').map(|(words, _)| words.to_owned())
}

impl Setting {
    /// Where the value is from, in words.
    pub fn origin_told(&self, file: Option<&Path>) -> String {
        match (self.origin, file) {
            (Origin::Flag, _) => format!("--{}", self.name),
            (Origin::Environment, _) => self.variable.clone().unwrap_or_default(),
            (Origin::File, Some(file)) => file.display().to_string(),
            _ => "default".to_owned(),
        }
    }
}

/// A time such as `300`, `300s`, `5m` or `1h 30m`. A number alone is seconds.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(std::time::Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}: write 90s, 5m or 1h"))
}
