//! Reports: facts in two columns, tables that are printed row by row, and the whole as JSON.
//!
//! The crates that lay out tables want all rows first; here each row is printed when its part of the run has ended.

use std::fmt::Display;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::figures;

/// Facts, a line each: the name in a column so wide, then the value.
#[derive(Debug, Clone, Copy)]
pub struct Facts(pub usize);

impl Facts {
    /// Begins a report with the heading of its configuration.
    pub fn configuration(program: &str, width: usize) -> Self {
        say!("mycelia {program}\n\nconfiguration");
        Facts(width)
    }

    /// Prints a fact.
    pub fn fact(&self, name: &str, value: impl Display) {
        say!("  {name:<width$} {value}", width = self.0);
    }
}

/// A column: its heading, its width, and whether it stands on the left.
#[derive(Debug, Clone, Copy)]
pub struct Column(&'static str, usize, bool);

/// A column of words.
pub const fn left(heading: &'static str, width: usize) -> Column {
    Column(heading, width, true)
}

/// A column of figures.
pub const fn right(heading: &'static str, width: usize) -> Column {
    Column(heading, width, false)
}

/// A table whose rows are printed one by one: what stands in front of each, and its columns.
#[derive(Debug, Clone, Copy)]
pub struct Table<const COLUMNS: usize>(pub &'static str, pub [Column; COLUMNS]);

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Prints the headings.
    pub fn heading(&self) {
        self.row(self.1.map(|column| column.0.to_owned()));
    }

    /// Prints a row.
    pub fn row(&self, cells: [String; COLUMNS]) {
        let columns = self.1.into_iter().zip(cells);
        let cells = columns.map(|(Column(_, width, is_left), cell)| match is_left {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        say!("{}{}", self.0, cells.collect::<Vec<_>>().join(" "));
    }
}

/// Writes a report as JSON: its own part, between what compiled it and what was found.
///
/// # Errors
/// The file can't be written.
pub fn write_json(
    path: &Path,
    part: Value,
    verdict: &str,
    reasons: Vec<String>,
) -> anyhow::Result<()> {
    let mut report = Map::new();
    report.insert("mycelia".into(), json!(env!("CARGO_PKG_VERSION")));
    report.insert("profile".into(), json!(figures::profile()));
    if let Value::Object(part) = part {
        report.extend(part);
    }
    report.insert("verdict".into(), json!(verdict));
    report.insert("reasons".into(), json!(reasons));
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("--json {}: can't write", path.display()))
}
