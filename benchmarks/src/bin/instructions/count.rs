//! How it is counted: this program again, under valgrind's callgrind, with N messages and with 2 N.
//!
//! What the second run takes more than the first is what N messages take; the start, the end and the
//! warm-up of the pool cancel out. What does not: the supervisor's ticks, which come by real time and so
//! a few more often in the longer run. The spread over the rounds shows how little they weigh.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::scenario::Scenario;

/// There is no valgrind on this machine.
#[derive(Debug)]
pub(crate) struct NoValgrind;

impl std::fmt::Display for NoValgrind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no valgrind; install it: `apt-get install valgrind`")
    }
}

impl std::error::Error for NoValgrind {}

/// Instructions per message over several rounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) median: f64,
    /// From the least to the most, as a share of the median.
    pub(crate) spread: f64,
}

/// Makes sure that there is a valgrind.
///
/// # Errors
/// [`NoValgrind`], or it can't be run.
pub(crate) fn find_valgrind() -> anyhow::Result<()> {
    let quiet = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match quiet {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(NoValgrind.into()),
        Err(error) => Err(error).context("valgrind can't be run"),
    }
}

/// Counts the instructions of a message.
///
/// # Errors
/// A run failed, or valgrind did not say what it counted.
pub(crate) fn per_message(scenario: Scenario, messages: u64, rounds: u64) -> anyhow::Result<Count> {
    let mut counts = Vec::new();
    for _ in 0..rounds {
        let few = instructions(scenario, messages)?;
        let many = instructions(scenario, 2 * messages)?;
        counts.push((many as f64 - few as f64) / messages as f64);
    }
    counts.sort_by(f64::total_cmp);
    let median = counts[counts.len() / 2];
    let spread = (counts[counts.len() - 1] - counts[0]) / median;
    Ok(Count { median, spread })
}

/// All instructions of one run.
fn instructions(scenario: Scenario, messages: u64) -> anyhow::Result<u64> {
    // By its process, so that all runs are of this very program, even if it is built anew meanwhile.
    let program = format!("/proc/{}/exe", std::process::id());
    let output = Command::new("valgrind")
        // No options from the environment or from files in the way.
        .args(["--command-line-only=yes", "--tool=callgrind"])
        .arg("--callgrind-out-file=/dev/null")
        .arg(program)
        .args(["--scenario", scenario.name()])
        .args(["--messages", &messages.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("valgrind can't be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let own = said.lines().filter(|line| !line.starts_with("=="));
        let own: Vec<&str> = own.collect();
        bail!("{messages} messages: {}: {}", output.status, own.join("; "));
    }
    collected(&said).with_context(|| format!("valgrind did not say what it counted: {said}"))
}

/// The total in what callgrind says: `==1234== Collected : 5678`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::collected;

    #[test]
    fn the_total_is_found_in_what_callgrind_says() {
        let said =
            "==7== Events    : Ir\n==7== Collected : 124588\n==7==\n==7== I   refs:  124,588\n";
        assert_eq!(collected(said), Some(124_588));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
