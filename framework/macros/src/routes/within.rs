//! The time that a route gives its handler: `within = "2s"`.

use syn::{Error, LitStr};

/// Milliseconds.
pub(super) fn read(literal: &LitStr) -> syn::Result<u64> {
    parse(&literal.value()).map_err(|text| Error::new(literal.span(), text))
}

fn parse(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wrong = || {
        format!(
            "`{text}` is no time for a handler: write a whole number and `ms`, `s` or `m`, as in `within = \"2s\"`"
        )
    };
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    let number: u64 = match number {
        "" => return Err(wrong()),
        number => number.parse().map_err(|_| too_long(text))?,
    };
    match number.checked_mul(unit) {
        Some(0) => {
            Err("a handler with no time at all could do nothing: give it at least `1ms`".into())
        }
        // A year.
        Some(time) if time <= 31_536_000_000 => Ok(time),
        _ => Err(too_long(text)),
    }
}

fn too_long(text: &str) -> String {
    format!("`{text}` is longer than a year: leave out `within` if the handler may take any time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_and_a_unit() {
        for (text, milliseconds) in [("1ms", 1), ("250ms", 250), ("2s", 2_000), ("10m", 600_000)] {
            assert_eq!(parse(text), Ok(milliseconds));
        }
        for text in ["", "2", "s", "2 s", "2h", "-2s", "1.5s", "2S", "2ss", " 2s"] {
            assert!(parse(text).unwrap_err().contains("whole number"), "{text}");
        }
        for text in ["600000m", "99999999999999999999s"] {
            assert!(parse(text).unwrap_err().contains("a year"), "{text}");
        }
        assert!(parse("0s").unwrap_err().contains("at least"));
    }
}
