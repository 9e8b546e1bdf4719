//! The outcome as a table in a page of the guide or in the README, between two marks.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::outcome::{OURS, Outcome};
use super::run::Plan;
use crate::{allocator, process, versions};

const END: &str = "<!-- until here -->";

/// The mark that begins the table of a program, which with another allocator has a table of its own.
fn begin(program: &str) -> String {
    match allocator::NAME {
        "system" => format!("<!-- remade by `{program} --page` -->\n"),
        other => format!("<!-- remade by `{program} --page`, {other} -->\n"),
    }
}

/// The columns, of which those are left out that no one fills; others are in the JSON.
const COLUMNS: [(&str, &str); 7] = [
    ("actix", "actix"),
    ("actix-recorded", "actix, recorded"),
    ("kameo", "kameo"),
    ("ractor", "ractor"),
    (OURS, "mycelia, handle"),
    ("mycelia-path", "mycelia, path"),
    ("mycelia-shared-stamps", "mycelia, shared stamps"),
];

fn figure(value: f64) -> String {
    match value {
        value if value >= 1000.0 => {
            let value = value.round() as u64;
            format!("{},{:03}", value / 1000, value % 1000)
        }
        value if value >= 10.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

/// The table, with what it was measured on before it.
fn table(outcomes: &[Outcome], plan: Plan) -> String {
    let peers = ["actix", "kameo", "ractor"].map(|name| format!("{name} {}", versions::of(name)));
    let mut text = format!(
        "Medians of {} rounds of {} messages, contenders in turns, {} allocator, release profile; {}, {} processors; {}.\n\n",
        plan.rounds,
        plan.load.messages,
        allocator::NAME,
        process::processor(),
        process::processors(),
        peers.join(", "),
    );
    let mut columns = COLUMNS.to_vec();
    columns.retain(|(name, _)| outcomes.iter().any(|outcome| outcome.row(name).is_some()));
    let titles: Vec<&str> = columns.iter().map(|(_, title)| *title).collect();
    let titles = titles.join(" | ");
    let _ = writeln!(
        text,
        "| workload | unit | {titles} | mycelia is, to actix |"
    );
    let _ = writeln!(text, "|---|---|{}---|", "---|".repeat(columns.len()));
    for outcome in outcomes {
        let cell = |(contender, _): &(&str, &str)| {
            let row = outcome.row(contender);
            row.map_or(String::new(), |row| figure(row.median()))
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        let ours = outcome.row(OURS).and_then(|row| outcome.against_base(row));
        let ratio = ours.map_or(String::new(), |ratio| format!("{ratio:.2}x"));
        let (title, unit) = (&outcome.workload.title, &outcome.workload.unit);
        let _ = writeln!(
            text,
            "| {title} | {unit} | {} | {ratio} |",
            cells.join(" | ")
        );
    }
    text
}

/// Replaces what stands between a program's two marks in a page.
///
/// # Errors
/// The page can't be read or written, or the marks are not there.
pub(super) fn write(
    path: &Path,
    program: &str,
    outcomes: &[Outcome],
    plan: Plan,
) -> anyhow::Result<()> {
    let begin = begin(program);
    let old =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = replaced(&old, &begin, &table(outcomes, plan)).with_context(|| {
        format!(
            "{} lacks the marks `{}` and `{END}`",
            path.display(),
            begin.trim()
        )
    })?;
    std::fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(page: &str, begin: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let other = format!("{}other\n{END}\n", begin("other"));
        let begin = begin("this");
        let page = format!("before\n{begin}old\n{END}\nbetween\n{other}");
        let new = replaced(&page, &begin, "new\n").unwrap();
        let expected = format!("before\n{begin}\nnew\n\n{END}\nbetween\n{other}");
        assert_eq!(new, expected);
        assert_eq!(replaced(&new, &begin, "new\n").unwrap(), new);
        assert_eq!(replaced("no marks", &begin, "new"), None);
    }

    #[test]
    fn figures_have_two_digits_at_least() {
        assert_eq!(figure(0.5), "0.50");
        assert_eq!(figure(46.4), "46");
        assert_eq!(figure(42_009.4), "42,009");
    }
}
