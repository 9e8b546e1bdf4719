//! The baseline: what messages took when it was saved, and what the program was built with.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");
const COUNTS: &str = "instructions_per_message";

/// A stored baseline.
#[derive(Debug)]
pub(crate) struct Baseline(Value);

/// What a program was built with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Built {
    rustc: String,
    target: String,
    profile: String,
}

impl Built {
    /// What this program was built with.
    pub(crate) fn now() -> Self {
        Built {
            rustc: env!("BUILT_BY").into(),
            target: env!("BUILT_FOR").into(),
            profile: env!("BUILT_AS").into(),
        }
    }
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.rustc, self.target, self.profile)
    }
}

impl Baseline {
    /// A baseline of these counts and of this program.
    pub(crate) fn new(counts: &[(&str, f64)]) -> Self {
        let mut counts = counts.to_vec();
        counts.sort_by_key(|(name, _)| *name);
        let counts: Map<String, Value> = counts
            .iter()
            .map(|&(name, count)| (name.into(), json!((count * 10.0).round() / 10.0)))
            .collect();
        let built = Built::now();
        Baseline(json!({
            COUNTS: counts,
            "profile": built.profile,
            "rustc": built.rustc,
            "target": built.target,
        }))
    }

    /// Reads the baseline.
    ///
    /// # Errors
    /// There is none, or it is no JSON.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let text = fs::read_to_string(FILE)
            .with_context(|| format!("there is no baseline {FILE}; save one with --save"))?;
        let value = serde_json::from_str(&text).with_context(|| format!("{FILE} is no JSON"))?;
        Ok(Baseline(value))
    }

    /// Writes the baseline; returns where to.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn save(&self) -> anyhow::Result<PathBuf> {
        let text = format!("{:#}\n", self.0);
        fs::write(FILE, text).with_context(|| format!("{FILE} can't be written"))?;
        Ok(Path::new(FILE).into())
    }

    /// The count of a scenario.
    pub(crate) fn of(&self, scenario: &str) -> Option<f64> {
        let count = self.0[COUNTS][scenario].as_f64()?;
        (count > 0.0).then_some(count)
    }

    /// What the counted program was built with.
    pub(crate) fn built(&self) -> Built {
        let text = |key: &str| self.0[key].as_str().unwrap_or("unknown").to_string();
        Built {
            rustc: text("rustc"),
            target: text("target"),
            profile: text("profile"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Baseline, Built};

    #[test]
    fn a_baseline_knows_its_counts_and_what_it_was_built_with() {
        let baseline = Baseline::new(&[("tell", 100.04), ("ask", 7.0)]);
        assert_eq!(baseline.of("tell"), Some(100.0));
        assert_eq!(baseline.of("ask"), Some(7.0));
        assert_eq!(baseline.of("shout"), None);
        assert_eq!(baseline.built(), Built::now());
        let text = baseline.0.to_string();
        assert!(text.find("ask") < text.find("tell"), "not sorted: {text}");
    }
}
