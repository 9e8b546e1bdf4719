//! The verdict: what must hold of a run, and the exit status that tells whether it does.

use mycelia::observe::Ledger;
use serde_json::Value;

use crate::interrupt;
use crate::options::CommandLine;
use crate::report::write_json;

/// One thing that must hold.
#[derive(Debug, Clone)]
pub struct Check {
    /// The claim.
    pub claim: String,
    /// Why it does not hold, if so.
    pub broken: Option<String>,
}

impl Check {
    /// A claim, and whether it holds.
    pub fn new(claim: impl Into<String>, holds: bool, why_not: impl FnOnce() -> String) -> Self {
        Check {
            claim: claim.into(),
            broken: (!holds).then(why_not),
        }
    }

    /// A claim that must hold of each of several runs: what is wrong with one, and how it is named there.
    pub fn of_all<O>(
        runs: &[O],
        name: impl Fn(usize, &O) -> String,
        claim: impl Into<String>,
        broken: impl Fn(&O) -> Option<String>,
    ) -> Self {
        let first = |(at, run)| Some(format!("{}: {}", name(at, run), broken(run)?));
        Check {
            claim: claim.into(),
            broken: runs.iter().enumerate().find_map(first),
        }
    }
}

/// What is wrong with the ledger of a system that has stopped: it closes, and nothing waits.
pub fn open_ledger(ledger: &Ledger) -> Option<String> {
    let is_open = !ledger.closes() || !ledger.is_quiet();
    is_open.then(|| format!("{ledger:?}"))
}

/// The judgement over all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All holds.
    Healthy,
    /// Something does not.
    Unhealthy,
    /// Stopped by Ctrl-C; what was done until then is healthy.
    Interrupted,
}

impl Verdict {
    /// The judgement over these checks, and over whether there was a Ctrl-C.
    pub fn of(checks: &[Check]) -> Self {
        if checks.iter().any(|check| check.broken.is_some()) {
            Verdict::Unhealthy
        } else if interrupt::is_wanted() {
            Verdict::Interrupted
        } else {
            Verdict::Healthy
        }
    }

    /// Its name, in reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Unhealthy => "unhealthy",
            Verdict::Interrupted => "interrupted",
        }
    }

    /// What the program ends with.
    pub fn exit_status(self) -> u8 {
        match self {
            Verdict::Healthy => 0,
            Verdict::Unhealthy => 1,
            Verdict::Interrupted => 130,
        }
    }
}

/// Prints every claim with its mark and the verdict with what is broken, and writes the report as JSON, if that is
/// wanted. Returns the verdict.
///
/// # Errors
/// The file can't be written.
pub fn conclude(
    checks: &[Check],
    options: &impl CommandLine,
    report: impl FnOnce() -> Value,
) -> anyhow::Result<Verdict> {
    let verdict = Verdict::of(checks);
    say!("\nhealth");
    for check in checks {
        let mark = check.broken.as_ref().map_or("ok", |_| "BROKEN");
        say!("  {:<66} {mark:>6}", check.claim);
    }
    let broken = checks.iter().filter_map(|check| {
        let why = check.broken.as_ref()?;
        Some(format!("{}: {why}", check.claim))
    });
    let reasons: Vec<String> = broken.collect();
    print(verdict, &reasons);
    if let Some(path) = options.json() {
        write_json(path, report(), verdict.name(), reasons)?;
    }
    Ok(verdict)
}

/// Prints the verdict, and why.
pub fn print(verdict: Verdict, reasons: &[String]) {
    say!("\nverdict: {}", verdict.name());
    for reason in reasons {
        say!("  - {reason}");
    }
}
