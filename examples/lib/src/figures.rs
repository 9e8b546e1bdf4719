//! Figures: numbers as people read them.

/// How the example was compiled.
pub fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}

/// `1234567` as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate per second, rounded to a whole number.
pub fn rate(per_second: f64) -> String {
    count(per_second.round() as u64)
}

/// A share as per cent.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// Nanoseconds in the unit that suits them, with three significant digits.
pub fn nanoseconds(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    match value {
        ..10.0 => format!("{value:.2} {unit}"),
        ..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// Bytes in megabytes.
pub fn megabytes(bytes: f64) -> String {
    format!("{:.2} MB", bytes / crate::memory::MB as f64)
}

/// A change of bytes, with its sign.
pub fn growth(bytes: f64) -> String {
    format!("{:+.2} MB", bytes / crate::memory::MB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_read_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(percent(0.4950), "49.50 %");
        assert_eq!(nanoseconds(999), "999 ns");
        assert_eq!(nanoseconds(1_230), "1.23 µs");
        assert_eq!(nanoseconds(45_600), "45.6 µs");
        assert_eq!(nanoseconds(1_449_983), "1.45 ms");
    }
}
