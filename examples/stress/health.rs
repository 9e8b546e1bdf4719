//! Health: what a run must have proved.

use examples_lib::figures::{count, growth, percent};
use examples_lib::memory::MB;
use examples_lib::verdict::{Check, open_ledger};

use crate::outcome::Outcome;
use crate::plan::Until;

/// The least share of acquisitions that must find an envelope that was there.
const LEAST_REUSE: f64 = 0.95;

/// Everything that must hold of a run.
pub(crate) fn checks(outcome: &Outcome) -> Vec<Check> {
    let mut checks = messages(outcome);
    checks.extend(resources(outcome));
    checks
}

fn messages(outcome: &Outcome) -> Vec<Check> {
    let account = &outcome.account;
    let planned = match outcome.plan.until {
        Until::Messages(messages) if !outcome.is_interrupted => messages,
        _ => outcome.sent,
    };
    let proofs = [
        outcome.sent,
        account.sent,
        account.handled,
        outcome.calls,
        outcome.recorded(),
    ];
    let is_one = proofs.iter().all(|proof| *proof == planned);
    let lost = account.failed + account.dropped + account.expired + account.undeliverable;
    let checksums = outcome.checksums_agree && outcome.wrong_replies == 0;
    vec![
        Check::new("no send failed", outcome.failure.is_none(), || {
            outcome.failure.clone().unwrap_or_default()
        }),
        Check::new(
            "each message was handled, counted five ways",
            is_one,
            || {
                let [sent, accepted, handled, calls, recorded] = proofs.map(count);
                format!(
                    "of {} messages {sent} were sent, {accepted} accepted, {handled} handled by the ledger, \
                 {calls} by the handlers, {recorded} by the histograms",
                    count(planned)
                )
            },
        ),
        Check::new(
            "none failed, dropped, expired, undeliverable",
            lost == 0,
            || {
                format!(
                    "{} failed, {} dropped, {} expired, {} undeliverable",
                    account.failed, account.dropped, account.expired, account.undeliverable
                )
            },
        ),
        Check {
            claim: "the ledger closes and nothing waits".to_owned(),
            broken: open_ledger(&outcome.ledger),
        },
        Check::new("checksums and replies are right", checksums, || {
            format!(
                "checksums or replies differ; {} wrong replies",
                outcome.wrong_replies
            )
        }),
    ]
}

/// That no more was used than may be.
fn resources(outcome: &Outcome) -> Vec<Check> {
    let pool = &outcome.envelopes;
    let limit = limit(outcome.account.sent) as f64;
    let grown = outcome.memory.map_or(0, |memory| memory.growth()) as f64;
    vec![
        Check::new(
            format!("reuse rate of at least {}", percent(LEAST_REUSE)),
            pool.reuse_rate() >= LEAST_REUSE,
            || format!("the reuse rate is {}", percent(pool.reuse_rate())),
        ),
        Check::new(
            "never more envelopes than the pool's capacity",
            pool.created <= pool.capacity && pool.high_water <= pool.capacity,
            || {
                format!(
                    "{} created, {} in flight, capacity {}",
                    pool.created, pool.high_water, pool.capacity
                )
            },
        ),
        Check::new("memory within its limit", grown <= limit, || {
            format!("memory grew by {}, limit {}", growth(grown), growth(limit))
        }),
    ]
}

/// The most bytes by which a run may grow after its warm-up, and why.
///
/// One megabyte for a million messages or more, in release: a leak of two bytes per message shows. A
/// small run, or one that is not optimised, is allowed the odd first touch of a stack or an arena,
/// which weighs more there than the messages do.
pub(crate) fn limit(messages: u64) -> u64 {
    if messages >= 1_000_000 && !cfg!(debug_assertions) {
        MB
    } else {
        4 * MB
    }
}
