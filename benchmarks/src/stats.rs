//! What is said of several rounds: median, extremes, and ratios paired by round.

/// The middle of the values, or the mean of the two in the middle; NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// The smallest value; infinite for none.
pub fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The largest value; infinite for none.
pub fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The median of `above[i] / below[i]`. Rounds are paired, so that a change in the machine's speed
/// between them cancels out. `None` unless both have the same number of rounds.
pub fn paired_ratio(above: &[f64], below: &[f64]) -> Option<f64> {
    if above.is_empty() || above.len() != below.len() {
        return None;
    }
    let ratios: Vec<f64> = above.iter().zip(below).map(|(a, b)| a / b).collect();
    let ratio = median(&ratios);
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_are_paired_by_round() {
        // The second round ran on a machine half as fast; the ratio does not see it.
        assert_eq!(paired_ratio(&[10.0, 20.0], &[5.0, 10.0]), Some(2.0));
        assert_eq!(paired_ratio(&[1.0], &[]), None);
    }
}
