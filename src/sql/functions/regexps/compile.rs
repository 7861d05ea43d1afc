//! Patterns, compiled once however many batches and rows they stand in.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::common::{Result, exec_datafusion_err};
use regex::Regex;

use super::super::scalar::{Arguments, Texts};
use super::java::to_rust;

/// A pattern may stand in a column, so that there may be any number of them.
const MOST_KEPT: usize = 256;

static COMPILED: LazyLock<Mutex<HashMap<String, Arc<Regex>>>> = LazyLock::new(Mutex::default);

/// The pattern of each row.
pub(super) struct Patterns<'a> {
    texts: Texts<'a>,
    last: Option<(&'a str, Arc<Regex>)>,
}

impl<'a> Patterns<'a> {
    pub(super) fn new(args: &'a Arguments, index: usize) -> Result<Self> {
        Ok(Self { texts: args.text(index)?, last: None })
    }

    /// Whether it is the same in each row.
    pub(super) fn is_constant(&self) -> bool {
        self.texts.is_constant()
    }

    pub(super) fn at(&mut self, row: usize) -> Result<Option<&Regex>> {
        let Some(text) = self.texts.at(row) else { return Ok(None) };
        let same = self.last.as_ref().is_some_and(|(last, _)| std::ptr::eq(*last, text) || *last == text);
        if !same {
            self.last = Some((text, compiled(text)?));
        }
        Ok(self.last.as_ref().map(|(_, regex)| regex.as_ref()))
    }
}

pub(in crate::sql::functions) fn compiled(pattern: &str) -> Result<Arc<Regex>> {
    let mut kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = kept.get(pattern) {
        return Ok(Arc::clone(regex));
    }
    let regex = Arc::new(compile(pattern)?);
    if kept.len() >= MOST_KEPT {
        kept.clear();
    }
    kept.insert(pattern.to_owned(), Arc::clone(&regex));
    Ok(regex)
}

fn compile(pattern: &str) -> Result<Regex> {
    let rust = to_rust(pattern).map_err(|why| {
        exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: {why} in the regular expression '{pattern}'")
    })?;
    Regex::new(&rust).map_err(|why| {
        // The crate's message draws the pattern over several lines; its last one says what is wrong.
        let why = why.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: not a regular expression: '{pattern}': {why}")
    })
}

#[cfg(test)]
pub(super) fn regex(pattern: &str) -> Regex {
    compile(pattern).unwrap()
}
