//! The report: a line for each look, what must hold of the whole, and the same as JSON.

use examples_lib::figures::{count, growth, megabytes, nanoseconds};
use examples_lib::memory::MB;
use examples_lib::report::{Facts, Table, right};
use examples_lib::say;
use examples_lib::verdict::{Check, open_ledger};
use serde_json::{Value, json};

use crate::options::Options;
use crate::watch::{LOOKS, Look, Outcome};

/// The most by which memory may grow from the second quarter to the last.
const MOST_GROWTH: u64 = 5 * MB;
/// The waits of the last quarter may be so many times as long as those of the second …
const MOST_TIMES: f64 = 2.0;
/// … or so long: below that, what else the machine does decides.
const MOST_NS: u64 = 10_000_000;

const TABLE: Table<10> = Table(
    "  ",
    [
        right("time", 8),
        right("messages", 12),
        right("wait p50", 9),
        right("p99", 9),
        right("p99.9", 9),
        right("rss", 9),
        right("restarts", 9),
        right("mounts", 8),
        right("waiting", 8),
        right("ledger", 7),
    ],
);

pub(crate) fn configuration(options: &Options) {
    let facts = Facts::configuration("soak", 10);
    facts.fact("time", format!("{:?}", options.duration()));
    let rate = count(options.rate);
    facts.fact(
        "load",
        format!("{rate} messages per second told and asked; timers, streams, breaks, mounts"),
    );
    facts.fact("threads", options.threads);
    say!("");
    TABLE.heading();
}

pub(crate) fn look(look: &Look) {
    let seconds = look.at.as_secs();
    let resident = look.resident.map(|bytes| megabytes(bytes as f64));
    TABLE.row([
        format!("{}:{:02}", seconds / 60, seconds % 60),
        count(look.messages),
        nanoseconds(look.p50_ns),
        nanoseconds(look.p99_ns),
        nanoseconds(look.p999_ns),
        resident.unwrap_or("n/a".to_owned()),
        count(look.restarts),
        count(look.mounts),
        count(look.waiting),
        if look.ledger_closes { "closes" } else { "TORN" }.to_owned(),
    ]);
}

/// The second quarter beside the last: medians of their looks.
#[derive(Debug, Clone, Copy)]
struct Quarters {
    resident: [u64; 2],
    p99_ns: [u64; 2],
}

impl Quarters {
    /// None if there was no whole run.
    fn of(looks: &[Look]) -> Option<Self> {
        let quarter = LOOKS as usize / 4;
        if looks.len() < 4 * quarter {
            return None;
        }
        let both = |of: fn(&Look) -> u64| {
            [quarter, 3 * quarter].map(|from| {
                let mut all: Vec<u64> = looks[from..from + quarter].iter().map(of).collect();
                all.sort_unstable();
                all[all.len() / 2]
            })
        };
        Some(Quarters {
            resident: both(|look| look.resident.unwrap_or(0)),
            p99_ns: both(|look| look.p99_ns),
        })
    }

    fn growth(&self) -> i64 {
        self.resident[1] as i64 - self.resident[0] as i64
    }

    fn times(&self) -> f64 {
        self.p99_ns[1] as f64 / self.p99_ns[0].max(1) as f64
    }
}

pub(crate) fn summary(outcome: &Outcome) {
    let ledger = &outcome.ledger;
    let facts = Facts(16);
    say!("\nin all, after {:.0?}", outcome.took);
    facts.fact("accepted", count(ledger.sent));
    facts.fact("  handled", count(ledger.handled));
    facts.fact("  failed", count(ledger.failed));
    facts.fact("  dropped", count(ledger.dropped));
    facts.fact("  expired", count(ledger.expired));
    facts.fact("  undeliverable", count(ledger.undeliverable));
    facts.fact("refused", count(outcome.refused));
    facts.fact("ticks, items", {
        format!("{}, {}", count(outcome.ticks), count(outcome.items))
    });
    facts.fact("restarts", count(outcome.restarts));
    facts.fact("mounts", count(outcome.mounts));
    if let Some(quarters) = Quarters::of(&outcome.looks) {
        let [before, after] = quarters.resident.map(|bytes| megabytes(bytes as f64));
        let grown = growth(quarters.growth() as f64);
        facts.fact("memory", {
            format!("{before} in the second quarter, {after} in the last: {grown}")
        });
        let [before, after] = quarters.p99_ns.map(nanoseconds);
        facts.fact("wait, p99", {
            let times = quarters.times();
            format!("{before} in the second quarter, {after} in the last: {times:.2} times")
        });
    }
}

/// Everything that must hold.
pub(crate) fn checks(outcome: &Outcome) -> Vec<Check> {
    let ledger = &outcome.ledger;
    let torn = outcome.looks.iter().filter(|look| !look.ledger_closes);
    let torn = torn.count();
    let mut checks = vec![
        Check::new("the ledger closed at every look", torn == 0, || {
            format!("not at {torn}")
        }),
        Check {
            claim: "it closes in the end and nothing waits".to_owned(),
            broken: open_ledger(ledger),
        },
        Check::new(
            "it says what the handlers say",
            ledger.handled == outcome.handled && ledger.failed == outcome.failed,
            || {
                format!(
                    "handled {} and {}, failed {} and {}",
                    ledger.handled, outcome.handled, ledger.failed, outcome.failed
                )
            },
        ),
        Check::new(
            "no fewer were accepted than the senders know of",
            ledger.sent >= outcome.sent,
            || format!("{} of {}", ledger.sent, outcome.sent),
        ),
        // A tick that waits is given up when its clock breaks.
        Check::new(
            "none was dropped, none expired but ticks of a broken clock",
            ledger.dropped == 0 && ledger.expired <= outcome.restarts,
            || format!("{} dropped, {} expired", ledger.dropped, ledger.expired),
        ),
        Check::new(
            "timers, streams, restarts and mounts took place",
            ![
                outcome.ticks,
                outcome.items,
                outcome.restarts,
                outcome.mounts,
            ]
            .contains(&0),
            || "some did not".to_owned(),
        ),
        Check::new("the system stopped clean", outcome.stop.is_none(), || {
            outcome.stop.clone().unwrap_or_default()
        }),
    ];
    if let Some(quarters) = Quarters::of(&outcome.looks) {
        let grown = quarters.growth();
        checks.push(Check::new(
            format!("memory is flat: at most {}", growth(MOST_GROWTH as f64)),
            grown <= MOST_GROWTH as i64,
            || growth(grown as f64),
        ));
        let (times, most) = (quarters.times(), nanoseconds(MOST_NS));
        checks.push(Check::new(
            format!("waits are flat: p99 at most {MOST_TIMES} times, or {most}"),
            times <= MOST_TIMES || quarters.p99_ns[1] <= MOST_NS,
            || format!("{times:.2} times"),
        ));
    }
    checks
}

/// The report as JSON.
pub(crate) fn json(options: &Options, outcome: &Outcome) -> Value {
    let ledger = &outcome.ledger;
    json!({
        "rate": options.rate,
        "threads": options.threads,
        "seconds": outcome.took.as_secs_f64(),
        "sent": ledger.sent,
        "handled": ledger.handled,
        "failed": ledger.failed,
        "dropped": ledger.dropped,
        "expired": ledger.expired,
        "undeliverable": ledger.undeliverable,
        "waiting": ledger.waiting,
        "refused": outcome.refused,
        "ticks": outcome.ticks,
        "items": outcome.items,
        "restarts": outcome.restarts,
        "mounts": outcome.mounts,
        "looks": outcome.looks.iter().map(json_of).collect::<Vec<_>>(),
    })
}

fn json_of(look: &Look) -> Value {
    json!({
        "seconds": look.at.as_secs_f64(),
        "messages": look.messages,
        "wait_p50_ns": look.p50_ns,
        "wait_p99_ns": look.p99_ns,
        "wait_p999_ns": look.p999_ns,
        "rss": look.resident,
        "restarts": look.restarts,
        "mounts": look.mounts,
        "ledger_closes": look.ledger_closes,
    })
}
