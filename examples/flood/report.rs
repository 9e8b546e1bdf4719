//! The report: a line for each policy, what must hold of all, and the same as JSON.

use examples_lib::figures::{count, growth, megabytes, rate};
use examples_lib::memory::MB;
use examples_lib::report::{Facts, Table, left, right};
use examples_lib::say;
use examples_lib::verdict::{Check, open_ledger};
use serde_json::{Value, json};

use crate::options::{Options, Policy};
use crate::run::Outcome;

/// The most by which memory may grow between the warm-up and the end.
const MOST_GROWTH: u64 = 5 * MB;

/// Of what the producer wants, it must come to this part at least: the machine may be busy.
const LEAST_PART: f64 = 0.3;

const TABLE: Table<12> = Table(
    "  ",
    [
        left("policy", 12),
        right("offered", 11),
        right("per s", 9),
        right("handled", 10),
        right("per s", 9),
        right("times", 6),
        right("dropped", 11),
        right("refused", 11),
        right("waiting", 8),
        right("rss start", 9),
        right("rss end", 9),
        right("growth", 9),
    ],
);

pub(crate) fn configuration(options: &Options) {
    let facts = Facts::configuration("flood", 10);
    facts.fact("each", format!("{:?}", options.duration()));
    let work = options.work();
    let most = rate(1.0 / work.as_secs_f64());
    facts.fact(
        "handler",
        format!("{work:?} per message, at most {most} per second"),
    );
    let (wanted, times) = (rate(options.rate()), options.times);
    facts.fact(
        "producer",
        format!("wants to send {wanted} messages of 1 KB per second, {times} times as many"),
    );
    let capacity = count(options.capacity.into());
    facts.fact("mailbox", format!("{capacity} messages"));
    say!("");
    TABLE.heading();
}

pub(crate) fn policy(one: &Outcome) {
    let known = |bytes: Option<String>| bytes.unwrap_or("n/a".to_owned());
    let memory = |at: usize| known(one.memory.map(|bytes| megabytes(bytes[at] as f64)));
    TABLE.row([
        one.policy.name().to_owned(),
        count(one.offered),
        rate(one.offered_per_second()),
        count(one.handled),
        rate(one.handled_per_second()),
        format!("{:.1}", one.times()),
        count(one.dropped),
        count(one.refused),
        count(one.most_waiting),
        memory(0),
        memory(1),
        known(one.growth().map(|bytes| growth(bytes as f64))),
    ]);
}

/// Everything that must hold of all policies.
pub(crate) fn checks(options: &Options, outcomes: &[Outcome]) -> Vec<Check> {
    let name = |_, one: &Outcome| one.policy.name().to_owned();
    let all = |claim: String, broken: &dyn Fn(&Outcome) -> Option<String>| {
        Check::of_all(outcomes, name, claim, broken)
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
            open_ledger(&one.ledger)
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

/// The report as JSON.
pub(crate) fn json(options: &Options, outcomes: &[Outcome]) -> Value {
    json!({
        "work_us": options.work().as_micros(),
        "capacity": options.capacity,
        "wanted_per_second": options.rate(),
        "policies": outcomes.iter().map(json_of).collect::<Vec<_>>(),
    })
}

fn json_of(one: &Outcome) -> Value {
    json!({
        "policy": one.policy.name(),
        "seconds": one.took.as_secs_f64(),
        "offered": one.offered,
        "offered_per_second": one.offered_per_second(),
        "handled": one.handled,
        "handled_per_second": one.handled_per_second(),
        "times": one.times(),
        "dropped": one.dropped,
        "refused": one.refused,
        "dead_letters": one.dead_letters,
        "most_waiting": one.most_waiting,
        "rss_start": one.memory.map(|[start, _, _]| start),
        "rss_end": one.memory.map(|[_, end, _]| end),
        "rss_most": one.memory.map(|[_, _, most]| most),
    })
}
