//! Options: what can't be run is found before anything is run.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::ops::RangeInclusive;
use std::path::Path;

/// The options of a program.
pub trait CommandLine: clap::Parser {
    /// What can't be run, each in one line that says what to change.
    fn mistakes(&self) -> Vec<Option<String>>;

    /// Where the report is to be written as JSON.
    fn json(&self) -> Option<&Path> {
        None
    }
}

/// A mistake, if it is one.
pub fn mistake(is_mistake: bool, text: impl Into<String>) -> Option<String> {
    is_mistake.then(|| text.into())
}

/// A mistake, unless an option's value is in its range.
pub fn outside<T: PartialOrd + Display>(
    option: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Option<String> {
    let (least, most) = (range.start(), range.end());
    (!range.contains(&value)).then(|| format!("{option} must be {least} to {most}"))
}

/// Why a report can't be written there, if so.
pub(crate) fn unwritable(path: &Path) -> Option<String> {
    // Opened, not emptied: a report that is already there stays until there is a new one.
    let open = OpenOptions::new().create(true).append(true).open(path);
    let error = open.err()?;
    Some(format!("--json {}: can't write: {error}", path.display()))
}
