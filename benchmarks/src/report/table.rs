//! The table on the screen.

use super::outcome::Outcome;
use crate::stats;

/// A figure with about three significant digits and its thousands apart.
pub(super) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    if value.abs() < 9.995 {
        return format!("{value:.2}");
    }
    if value.abs() < 99.95 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or("-".into(), |ratio| format!("{ratio:.2}x"))
}

/// Prints an outcome.
pub fn print(outcome: &Outcome) {
    let workload = &outcome.workload;
    println!("\n{}: {}", workload.name, workload.title);
    let unit = workload.unit;
    println!(
        "  {:<14}{:>12}{:>12}{:>12}  {:<12}{:>10}{:>12}{:>10}",
        "", "median", "min", "max", "", "vs actix", "mycelia is", "allocs"
    );
    for row in &outcome.rows {
        println!(
            "  {:<14}{:>12}{:>12}{:>12}  {:<12}{:>10}{:>12}{:>10}",
            row.contender,
            figure(row.median()),
            figure(stats::min(&row.values)),
            figure(stats::max(&row.values)),
            unit,
            times(outcome.against_base(row)),
            times(outcome.ours_against(row)),
            row.allocations.map_or("-".into(), |n| format!("{n:.3}")),
        );
        for note in &row.notes {
            println!(
                "  {:<14}{} {} {}",
                "",
                note.name,
                figure(note.value),
                note.unit
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_have_three_digits_or_their_thousands_apart() {
        assert_eq!(figure(0.123), "0.12");
        assert_eq!(figure(12.34), "12.3");
        assert_eq!(figure(1234567.0), "1,234,567");
        assert_eq!(figure(f64::NAN), "-");
    }
}
