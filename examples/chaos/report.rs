//! The report: a line for each round, what must hold of all, and the same as JSON.

use examples_lib::figures::{count, nanoseconds};
use examples_lib::report::{Facts, Table, left, right};
use examples_lib::say;
use examples_lib::verdict::{Check, open_ledger};
use serde_json::{Value, json};

use crate::options::Options;
use crate::round::{Outcome, median};

/// The neighbours may wait so many times as long as in calm …
const MOST_TIMES: f64 = 20.0;
/// … or, where calm is very calm, so long at the 99th percentile.
const MOST_NS: u64 = 20_000_000;

const TABLE: Table<13> = Table(
    "  ",
    [
        left("round", 6),
        right("seconds", 7),
        right("accepted", 9),
        right("handled", 9),
        right("failed", 7),
        right("dropped", 7),
        right("expired", 7),
        right("undeliv", 7),
        right("sent on", 8),
        right("restarts", 8),
        right("mounts", 7),
        right("wait p50", 8),
        right("p99", 8),
    ],
);

pub(crate) fn configuration(options: &Options, seed: u64) {
    let facts = Facts::configuration("chaos", 10);
    let (messages, rounds) = (count(options.messages), options.rounds);
    facts.fact(
        "messages",
        format!("{messages} under chaos and as many in calm, in {rounds} rounds each"),
    );
    facts.fact("rate", format!("{} per second", count(options.rate)));
    let (threads, senders) = (options.threads, options.senders);
    facts.fact(
        "threads",
        format!("{threads} for subsystems, {senders} for senders"),
    );
    facts.fact("seed", seed);
    if let Some(plant) = options.plant {
        facts.fact("planted", format!("{plant:?}"));
    }
    say!("");
    TABLE.heading();
}

pub(crate) fn round(outcome: &Outcome) {
    let ledger = &outcome.ledger;
    TABLE.row([
        outcome.name().to_owned(),
        format!("{:.1}", outcome.took.as_secs_f64()),
        count(ledger.sent),
        count(ledger.handled),
        count(ledger.failed),
        count(ledger.dropped),
        count(ledger.expired),
        count(ledger.undeliverable),
        count(outcome.refused),
        count(outcome.restarts),
        count(outcome.attacks.mounts),
        nanoseconds(outcome.neighbours.p50_ns),
        nanoseconds(outcome.neighbours.p99_ns),
    ]);
}

/// The neighbours' waits: the medians of the rounds.
pub(crate) struct Neighbours {
    calm_ns: u64,
    chaos_ns: u64,
}

impl Neighbours {
    pub(crate) fn of(outcomes: &[Outcome]) -> Self {
        let of = |is_chaos: bool| {
            let rounds = outcomes.iter().filter(move |one| one.is_chaos == is_chaos);
            median(rounds.map(|one| one.neighbours.p99_ns))
        };
        Neighbours {
            calm_ns: of(false),
            chaos_ns: of(true),
        }
    }

    fn ratio(&self) -> f64 {
        self.chaos_ns as f64 / self.calm_ns.max(1) as f64
    }
}

pub(crate) fn summary(outcomes: &[Outcome]) {
    let chaos = || outcomes.iter().filter(|one| one.is_chaos);
    let sum = |of: fn(&Outcome) -> u64| count(chaos().map(of).sum());
    say!("\nunder chaos, all rounds together");
    let facts = Facts(24);
    facts.fact("messages of the senders", sum(|one| one.sent));
    facts.fact("the attacker's", {
        let (kills, stops) = (sum(|one| one.attacks.kills), sum(|one| one.attacks.stops));
        let unmounts = sum(|one| one.attacks.unmounts);
        let mounts = sum(|one| one.attacks.mounts);
        format!("{kills} kills, {stops} stops, {unmounts} unmounts, {mounts} mounts")
    });
    facts.fact("restarts", sum(|one| one.restarts));
    facts.fact("faults", {
        let (faults, captures) = (sum(|one| one.faults), sum(|one| one.attacks.unwound));
        let forgotten = sum(|one| one.forgotten);
        format!("{faults} of hooks, factories, timers, values; {captures} captures; {forgotten} asks forgotten")
    });
    let abandoned = sum(|one| one.abandoned.systems);
    facts.fact(
        "other systems dropped",
        format!("{abandoned}, while they worked"),
    );
    let escalations = sum(|one| one.attacks.escalations);
    facts.fact("escalations", format!("{escalations}, as far as was seen"));
    facts.fact("lost", sum(|one| one.account.lost));
    facts.fact("ended twice", sum(|one| one.account.twice));
    facts.fact("out of order", sum(|one| one.account.disorders));
    let neighbours = Neighbours::of(outcomes);
    facts.fact("neighbours' wait, p99", {
        let (calm, chaos) = (
            nanoseconds(neighbours.calm_ns),
            nanoseconds(neighbours.chaos_ns),
        );
        let ratio = neighbours.ratio();
        format!("{calm} in calm, {chaos} under chaos: {ratio:.2} times; medians of the rounds")
    });
}

/// Everything that must hold of all rounds.
pub(crate) fn checks(outcomes: &[Outcome], is_interrupted: bool) -> Vec<Check> {
    let name = |at: usize, one: &Outcome| format!("run {} ({})", at + 1, one.name());
    let all = |claim: &str, broken: &dyn Fn(&Outcome) -> Option<String>| {
        Check::of_all(outcomes, name, claim, broken)
    };
    let not = |is_broken: bool, why: String| is_broken.then_some(why);
    let example = |one: &Outcome| one.example.clone().unwrap_or_default();
    let mut checks = vec![
        all("every message was accepted", &|one| {
            let is_broken = one.sent != one.planned && !is_interrupted;
            not(is_broken, format!("{} of {}", one.sent, one.planned))
        }),
        all("none is lost: each accepted message has an end", &|one| {
            let lost = one.account.lost;
            not(lost > 0, format!("{lost} lost; {}", example(one)))
        }),
        all("none ended twice, or without being accepted", &|one| {
            let (twice, phantoms) = (one.account.twice, one.account.phantoms);
            let why = format!("{twice} twice, {phantoms} not accepted; {}", example(one));
            not(twice + phantoms > 0, why)
        }),
        all("the messages of each sender came in order", &|one| {
            let disorders = one.account.disorders;
            not(disorders > 0, format!("{disorders}; {}", example(one)))
        }),
        all(
            "each came where it was sent, and each reply is right",
            &|one| {
                let (strays, wrong) = (one.account.strays, one.wrong_replies);
                let why = format!("{strays} strays, {wrong} wrong replies; {}", example(one));
                not(strays + wrong > 0, why)
            },
        ),
        all("the ledger closes and nothing waits", &|one| {
            open_ledger(&one.ledger)
        }),
        all("the ledger says what the handlers say", &|one| {
            let (ledger, own) = (&one.ledger, &one.account);
            let gone = ledger.dropped + ledger.expired + ledger.undeliverable;
            let theirs = [ledger.sent, ledger.handled, ledger.failed, gone];
            let ours = [own.accepted, own.handled, own.failed, own.gone];
            let why = format!(
                "sent, handled, failed, unhandled: the ledger {theirs:?}, the handlers {ours:?}"
            );
            not(theirs != ours, why)
        }),
        all("dead letters are the told messages not handled", &|one| {
            let (letters, dead) = (one.dead_letters, one.account.dead);
            not(
                letters != dead,
                format!("{letters} letters, {dead} messages"),
            )
        }),
        all("each wait of a neighbour's message was recorded", &|one| {
            let (recorded, begun) = (one.neighbours.count, one.begun_by_neighbours);
            not(recorded != begun, format!("{recorded} of {begun}"))
        }),
        all("in calm nothing fails, under chaos much does", &|one| {
            let (ledger, attacks) = (&one.ledger, &one.attacks);
            let much = [ledger.failed, one.restarts, attacks.kills, attacks.unmounts];
            let is_broken = match one.is_chaos {
                true => much.contains(&0) && !is_interrupted,
                false => ledger.failed + one.restarts > 0,
            };
            not(
                is_broken,
                format!("failed, restarts, kills, unmounts: {much:?}"),
            )
        }),
        all("each system stopped clean", &|one| one.stop.clone()),
        all("all envelopes came home, but for asks forgotten", &|one| {
            let (kept, forgotten) = (one.kept, one.forgotten);
            not(
                kept > forgotten,
                format!("{kept} kept, {forgotten} forgotten"),
            )
        }),
        all("nothing is left of the systems that were dropped", &|one| {
            one.abandoned.broken.clone()
        }),
    ];
    let neighbours = Neighbours::of(outcomes);
    let (ratio, most) = (neighbours.ratio(), nanoseconds(MOST_NS));
    checks.push(Check::new(
        format!("neighbours wait at most {MOST_TIMES} times as long, or {most} (p99)"),
        is_interrupted || ratio <= MOST_TIMES || neighbours.chaos_ns <= MOST_NS,
        || format!("{ratio:.1} times, {}", nanoseconds(neighbours.chaos_ns)),
    ));
    checks
}

/// The report as JSON.
pub(crate) fn json(options: &Options, seed: u64, outcomes: &[Outcome]) -> Value {
    let neighbours = Neighbours::of(outcomes);
    json!({
        "seed": seed,
        "rate": options.rate,
        "threads": options.threads,
        "senders": options.senders,
        "rounds": outcomes.iter().map(json_of).collect::<Vec<_>>(),
        "neighbours_p99_ns_calm": neighbours.calm_ns,
        "neighbours_p99_ns_chaos": neighbours.chaos_ns,
        "neighbours_ratio": neighbours.ratio(),
    })
}

fn json_of(one: &Outcome) -> Value {
    let (ledger, account, attacks) = (&one.ledger, &one.account, &one.attacks);
    json!({
        "kind": one.name(),
        "seconds": one.took.as_secs_f64(),
        "messages": one.sent,
        "sent": ledger.sent,
        "handled": ledger.handled,
        "failed": ledger.failed,
        "dropped": ledger.dropped,
        "expired": ledger.expired,
        "undeliverable": ledger.undeliverable,
        "waiting": ledger.waiting,
        "sent_on": one.refused,
        "lost": account.lost,
        "ended_twice": account.twice,
        "out_of_order": account.disorders,
        "restarts": one.restarts,
        "escalations": attacks.escalations,
        "kills": attacks.kills,
        "stops": attacks.stops,
        "unmounts": attacks.unmounts,
        "mounts": attacks.mounts,
        "neighbours_p50_ns": one.neighbours.p50_ns,
        "neighbours_p99_ns": one.neighbours.p99_ns,
    })
}
