//! Rounds, and what is made of them: a table, JSON, a chart.

mod outcome;
mod run;
mod select;
mod table;

mod chart;
mod json;
mod page;

mod command;

pub use chart::{Line, bars, lines};
pub use command::{Options, command, end, introduce};
pub use json::document;
pub use outcome::{BASE, OURS, Outcome, Row};
pub use run::{Plan, run};
pub use select::select;
pub use table::print;
