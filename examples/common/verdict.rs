//! The verdict: what must hold of a run, and the exit status that tells whether it does.

/// One thing that must hold.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// The claim.
    pub(crate) claim: String,
    /// Why it does not hold, if so.
    pub(crate) broken: Option<String>,
}

impl Check {
    pub(crate) fn new(
        claim: impl Into<String>,
        holds: bool,
        why_not: impl FnOnce() -> String,
    ) -> Self {
        Check {
            claim: claim.into(),
            broken: (!holds).then(why_not),
        }
    }
}

/// The judgement over all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Healthy,
    Unhealthy,
    /// Stopped by Ctrl-C; what was done until then is healthy.
    Interrupted,
}

impl Verdict {
    pub(crate) fn of(checks: &[Check], is_interrupted: bool) -> Self {
        if checks.iter().any(|check| check.broken.is_some()) {
            Verdict::Unhealthy
        } else if is_interrupted {
            Verdict::Interrupted
        } else {
            Verdict::Healthy
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Unhealthy => "unhealthy",
            Verdict::Interrupted => "interrupted",
        }
    }

    pub(crate) fn exit_status(self) -> u8 {
        match self {
            Verdict::Healthy => 0,
            Verdict::Unhealthy => 1,
            Verdict::Interrupted => 130,
        }
    }
}

/// Prints every claim with its mark, then the verdict with what is broken.
pub(crate) fn print(checks: &[Check], verdict: Verdict) {
    say!("\nhealth");
    for check in checks {
        let mark = check.broken.as_ref().map_or("ok", |_| "BROKEN");
        say!("  {:<66} {mark:>6}", check.claim);
    }
    say!("\nverdict: {}", verdict.name());
    for check in checks {
        if let Some(why) = &check.broken {
            say!("  - {}: {why}", check.claim);
        }
    }
}

/// Writes a report as JSON.
///
/// # Errors
/// The file can't be written.
pub(crate) fn write_json(
    path: &std::path::Path,
    report: &impl serde::Serialize,
) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("--json {}: can't write", path.display()))
}

/// Looks whether a report can be written there, before anything is run.
///
/// # Errors
/// One line that says why not.
pub(crate) fn check_writable(path: Option<&std::path::Path>) -> Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    // Opened, not emptied: a report that is already there stays until there is a new one.
    let open = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    match open {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("--json {}: can't write: {error}", path.display())),
    }
}
