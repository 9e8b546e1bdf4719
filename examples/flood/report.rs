//! The report: a line for each policy, what must hold of all, and the same as JSON.

use std::path::Path;

use serde::Serialize;

use crate::common::figures::{count, growth, megabytes, profile, rate};
use crate::common::memory::MB;
use crate::common::verdict::{Check, Verdict, write_json};
use crate::options::{Options, Policy};
use crate::run::Outcome;

/// The most by which memory may grow between the warm-up and the end.
const MOST_GROWTH: u64 = 5 * MB;

/// Of what the producer wants, it must come to this part at least: the machine may be busy.
const LEAST_PART: f64 = 0.3;

pub(crate) fn configuration(options: &Options) {
    let fact = |name: &str, value: String| say!("  {name:<10} {value}");
    say!("mycelia flood\n\nconfiguration");
    fact("each", format!("{:?}", options.duration()));
    let work = options.work();
    let most = rate(1.0 / work.as_secs_f64());
    fact(
        "handler",
        format!("{work:?} per message, at most {most} per second"),
    );
    fact(
        "producer",
        format!(
            "wants to send {} messages of 1 KB per second, {} times as many",
            rate(options.rate()),
            options.times
        ),
    );
    fact(
        "mailbox",
        format!("{} messages", count(options.capacity.into())),
    );
    say!(
        "\n  {:<12} {:>11} {:>9} {:>10} {:>9} {:>6} {:>11} {:>11} {:>8} {:>9} {:>9} {:>9}",
        "policy",
        "offered",
        "per s",
        "handled",
        "per s",
        "times",
        "dropped",
        "refused",
        "waiting",
        "rss start",
        "rss end",
        "growth"
    );
}

pub(crate) fn policy(one: &Outcome) {
    let (start, end) = match one.memory {
        Some([start, end, _]) => (megabytes(start as f64), megabytes(end as f64)),
        None => ("n/a".to_owned(), "n/a".to_owned()),
    };
    say!(
        "  {:<12} {:>11} {:>9} {:>10} {:>9} {:>6.1} {:>11} {:>11} {:>8} {:>9} {:>9} {:>9}",
        one.policy.name(),
        count(one.offered),
        rate(one.offered_per_second()),
        count(one.handled),
        rate(one.handled_per_second()),
        one.times(),
        count(one.dropped),
        count(one.refused),
        count(one.most_waiting),
        start,
        end,
        one.growth()
            .map_or("n/a".to_owned(), |bytes| growth(bytes as f64)),
    );
}

/// Everything that must hold of all policies.
pub(crate) fn checks(options: &Options, outcomes: &[Outcome]) -> Vec<Check> {
    let all = |claim: String, broken: &dyn Fn(&Outcome) -> Option<String>| {
        let found = outcomes
            .iter()
            .find_map(|one| Some(format!("{}: {}", one.policy.name(), broken(one)?)));
        Check {
            claim,
            broken: found,
        }
    };
    let not = |is_broken: bool, why: String| is_broken.then_some(why);
    let most = megabytes(MOST_GROWTH as f64);
    vec![
        all(format!("memory grew by at most {most}"), &|one| {
            let grown = one.growth().unwrap_or(0);
            not(grown > MOST_GROWTH as i64, growth(grown as f64))
        }),
        all("handled + dropped + refused = offered".into(), &|one| {
            let ended = one.handled + one.dropped + one.refused;
            not(ended != one.offered, format!("{ended} of {}", one.offered))
        }),
        all("the ledger says what the messages say".into(), &|one| {
            let ledger = &one.ledger;
            let theirs = [ledger.sent, ledger.handled, ledger.dropped];
            let ours = [one.handled + one.dropped, one.handled, one.dropped];
            let others = ledger.failed + ledger.expired + ledger.undeliverable;
            let why = format!("sent, handled, dropped: {theirs:?} and {ours:?}; {others} others");
            not(theirs != ours || others > 0, why)
        }),
        all("the ledger closes and nothing waits".into(), &|one| {
            let ledger = &one.ledger;
            not(
                !ledger.closes() || !ledger.is_quiet(),
                format!("{ledger:?}"),
            )
        }),
        all("each dropped message is a dead letter".into(), &|one| {
            let letters = one.dead_letters;
            not(letters != one.dropped, format!("{letters} letters"))
        }),
        all(
            "no more wait than the mailbox has room for".into(),
            &|one| {
                let waiting = one.most_waiting;
                not(waiting > options.capacity.into(), count(waiting))
            },
        ),
        all("each policy did its own, and no other".into(), &|one| {
            let is_wrong = match one.policy {
                Policy::Wait => one.dropped + one.refused > 0,
                Policy::Reject => one.dropped > 0 || one.refused == 0,
                Policy::DropNewest | Policy::DropOldest => one.refused > 0 || one.dropped == 0,
            };
            let why = format!("{} dropped, {} refused", one.dropped, one.refused);
            not(is_wrong, why)
        }),
        all(
            "wait slows the producer down, the others do not".into(),
            &|one| {
                let is_wrong = match one.policy {
                    // What it sent was handled, or lay in the mailbox.
                    Policy::Wait => {
                        one.offered > one.handled_meanwhile + u64::from(options.capacity) + 1
                    }
                    _ => one.times() < LEAST_PART * options.times as f64,
                };
                not(is_wrong, format!("{:.1} times", one.times()))
            },
        ),
        all("the handler kept the order".into(), &|one| {
            not(one.disorders > 0, count(one.disorders))
        }),
        all("each system stopped clean".into(), &|one| one.stop.clone()),
    ]
}

#[derive(Serialize)]
struct Report {
    mycelia: &'static str,
    profile: &'static str,
    work_us: u128,
    capacity: u32,
    wanted_per_second: f64,
    policies: Vec<Row>,
    verdict: &'static str,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    policy: &'static str,
    seconds: f64,
    offered: u64,
    offered_per_second: f64,
    handled: u64,
    handled_per_second: f64,
    times: f64,
    dropped: u64,
    refused: u64,
    dead_letters: u64,
    most_waiting: u64,
    rss_start: Option<u64>,
    rss_end: Option<u64>,
    rss_most: Option<u64>,
}

impl From<&Outcome> for Row {
    fn from(one: &Outcome) -> Self {
        Row {
            policy: one.policy.name(),
            seconds: one.took.as_secs_f64(),
            offered: one.offered,
            offered_per_second: one.offered_per_second(),
            handled: one.handled,
            handled_per_second: one.handled_per_second(),
            times: one.times(),
            dropped: one.dropped,
            refused: one.refused,
            dead_letters: one.dead_letters,
            most_waiting: one.most_waiting,
            rss_start: one.memory.map(|[start, _, _]| start),
            rss_end: one.memory.map(|[_, end, _]| end),
            rss_most: one.memory.map(|[_, _, most]| most),
        }
    }
}

/// Writes the report as JSON.
///
/// # Errors
/// The file can't be written.
pub(crate) fn json(
    path: &Path,
    options: &Options,
    outcomes: &[Outcome],
    (checks, verdict): (&[Check], Verdict),
) -> anyhow::Result<()> {
    let broken = checks.iter().filter_map(|check| {
        let why = check.broken.as_ref()?;
        Some(format!("{}: {why}", check.claim))
    });
    write_json(
        path,
        &Report {
            mycelia: env!("CARGO_PKG_VERSION"),
            profile: profile(),
            work_us: options.work().as_micros(),
            capacity: options.capacity,
            wanted_per_second: options.rate(),
            policies: outcomes.iter().map(Row::from).collect(),
            verdict: verdict.name(),
            reasons: broken.collect(),
        },
    )
}
