//! The report, for people: our figures, and the original's beside them.

use examples_lib::figures::{count, growth, megabytes, nanoseconds, percent, profile, rate};
use examples_lib::report::Facts;
use examples_lib::say;
use examples_lib::verdict::{self, Check, Verdict};

use crate::health::{checks, limit};
use crate::options::Options;
use crate::original;
use crate::outcome::Outcome;
use crate::plan::{Mode, Until};

pub(crate) fn configuration(options: &Options) {
    let facts = Facts::configuration("stress test", 18);
    facts.fact("profile", profile());
    facts.fact("mycelia", env!("CARGO_PKG_VERSION"));
    if let Some(rustc) = option_env!("RUSTC_VERSION") {
        facts.fact("rustc", rustc);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    facts.fact("cores", cores);
    let (threads, senders) = (options.threads, options.senders);
    facts.fact(
        "threads",
        format!("{threads} for subsystems, {senders} for senders"),
    );
    let plans = options.plans();
    if let Some(plan) = plans.first() {
        facts.fact("strategy", plan.strategy_name());
        let pool = count(plan.pool as u64);
        facts.fact("pool", format!("{pool} envelopes, all created at start"));
        let pause = match plan.pause.is_zero() {
            true => "no pauses".to_owned(),
            false => format!("{:?} pause between them", plan.pause),
        };
        let burst = count(plan.burst);
        facts.fact("bursts", format!("of {burst} messages, {pause}"));
        let warm_up = count(plan.warm_up());
        facts.fact("warm-up", format!("{warm_up} messages before each run"));
    }
    facts.fact("allocator", "system, with a counter in front");
    for (at, plan) in plans.iter().enumerate() {
        facts.fact(&format!("run {}", at + 1), plan.title());
    }
}

/// A section's rows: name, our figure, the original's.
struct Section(Mode);

impl Section {
    fn open(mode: Mode, title: &str) -> Self {
        say!("\n  {title}");
        Section(mode)
    }

    fn row(&self, name: &str, ours: impl AsRef<str>) {
        let original = original::figure(self.0, name);
        let line = format!("    {name:<24} {:>16} {original:>16}", ours.as_ref());
        say!("{}", line.trim_end());
    }
}

pub(crate) fn run(number: usize, outcome: &Outcome) {
    let plan = &outcome.plan;
    let amount = match plan.until {
        Until::Messages(messages) => format!("{} messages", count(messages)),
        Until::Elapsed(duration) => format!("{duration:?}"),
    };
    say!("\nrun {number}: {}, {amount}", plan.title());
    if plan.mode == Mode::Sequential {
        say!("  one round trip after another; a million of them would take most of a minute");
    }
    let has_original = !original::figure(plan.mode, "sent").is_empty();
    let original = if has_original { "original" } else { "" };
    let heading = format!("{:28} {:>16} {original:>16}", "", "ours");
    say!("\n{}", heading.trim_end());
    performance(outcome);
    memory_use(outcome);
    pool(outcome);
    stability(outcome);
    latency(outcome);
    ledger(outcome);
    for (at, remark) in original::remarks(plan.mode).iter().enumerate() {
        let lead = if at == 0 { "\n  note: " } else { "        " };
        say!("{lead}{remark}");
    }
}

fn performance(outcome: &Outcome) {
    let section = Section::open(outcome.plan.mode, "performance");
    section.row("sent", count(outcome.account.sent));
    section.row("handled", count(outcome.account.handled));
    section.row("seconds", format!("{:.3}", outcome.took.as_secs_f64()));
    if !outcome.paused.is_zero() {
        section.row("in pauses", format!("{:.3}", outcome.paused.as_secs_f64()));
    }
    section.row("per second", rate(outcome.per_second()));
    if !outcome.paused.is_zero() {
        section.row("per second, no pauses", rate(outcome.per_second_busy()));
    }
}

fn memory_use(outcome: &Outcome) {
    let section = Section::open(outcome.plan.mode, "memory, after the warm-up");
    match &outcome.memory {
        Some(memory) => {
            let grown = memory.growth() as f64;
            let minutes = outcome.took.as_secs_f64().max(1e-9) / 60.0;
            section.row("rss start", megabytes(memory.start as f64));
            section.row("rss end", megabytes(memory.end as f64));
            section.row("growth", growth(grown));
            section.row("growth per minute", growth(grown / minutes));
        }
        None => section.row("rss", "n/a"),
    }
    section.row(
        "limit of growth",
        growth(limit(outcome.account.sent) as f64),
    );
    section.row("allocations", count(outcome.allocations));
    section.row(
        "allocations per message",
        format!("{:.4}", outcome.allocations_per_message()),
    );
}

fn pool(outcome: &Outcome) {
    let pool = &outcome.envelopes;
    let section = Section::open(outcome.plan.mode, "pool");
    section.row("capacity", count(pool.capacity));
    section.row("created", count(pool.created));
    section.row("  after the warm-up", count(pool.created_after_warm_up));
    section.row("reused", count(pool.reused));
    section.row("released", count(pool.released));
    section.row("reuse rate", percent(pool.reuse_rate()));
    section.row("efficiency", percent(pool.efficiency()));
    section.row("high water", count(pool.high_water));
    section.row("boxed", count(pool.boxed));
}

fn stability(outcome: &Outcome) {
    let stability = &outcome.stability;
    let title = format!("handled per second, in {} equal windows", stability.windows);
    let section = Section::open(outcome.plan.mode, &title);
    section.row("average", rate(stability.avg));
    section.row("lowest", rate(stability.min));
    section.row("highest", rate(stability.max));
    section.row("sigma", rate(stability.sigma));
    section.row("variability", percent(stability.variability()));
}

fn latency(outcome: &Outcome) {
    say!("\n  latency of every message, by route");
    let columns = ["p50", "p90", "p99", "p99.9", "max"].map(|name| format!("{name:>10}"));
    say!("    {:24}{}", "", columns.concat());
    for (path, latency) in &outcome.routes {
        let Some(latency) = latency else {
            say!("    {path:<24}  no messages");
            continue;
        };
        say!("    {path}, {} messages", count(latency.count));
        let intervals = [
            ("wait, sent to begun", &latency.wait),
            ("service, the handler", &latency.service),
            ("total", &latency.total),
        ];
        for (name, of) in intervals {
            let values = [of.p50_ns, of.p90_ns, of.p99_ns, of.p999_ns, of.max_ns];
            let columns = values.map(|ns| format!("{:>10}", nanoseconds(ns)));
            say!("      {name:<22}{}", columns.concat());
        }
    }
}

fn ledger(outcome: &Outcome) {
    let account = &outcome.account;
    let section = Section::open(outcome.plan.mode, "ledger");
    section.row("accepted", count(account.sent));
    section.row("  handled", count(account.handled));
    section.row("  failed", count(account.failed));
    section.row("  dropped", count(account.dropped));
    section.row("  expired", count(account.expired));
    section.row("  undeliverable", count(account.undeliverable));
    section.row("  waiting", count(account.waiting));
    section.row("refused", count(account.refused));
    say!(
        "    and, not measured, {} to warm up and {} to ask for checksums",
        count(outcome.warm_up),
        count(outcome.control)
    );
}

/// Prints what must hold, a column for each run, and the verdict.
pub(crate) fn health(outcomes: &[Outcome]) -> Verdict {
    say!("\nhealth");
    let runs: Vec<Vec<Check>> = outcomes.iter().map(checks).collect();
    let column = |text: &str| format!("{text:>8}");
    let numbers = (1..=runs.len()).map(|run| column(&format!("run {run}")));
    say!("    {:48}{}", "", numbers.collect::<String>());
    for (at, check) in runs.first().into_iter().flatten().enumerate() {
        let mark = |run: &Vec<Check>| column(run[at].broken.as_ref().map_or("ok", |_| "BROKEN"));
        let marks: String = runs.iter().map(mark).collect();
        say!("    {:<48}{marks}", check.claim);
    }
    let all = || outcomes.iter().zip(&runs);
    let reasons = all().flat_map(|(outcome, run)| {
        let broken = run.iter().filter_map(|check| check.broken.as_ref());
        broken.map(|why| format!("{}: {why}", outcome.plan.title()))
    });
    let reasons: Vec<String> = reasons.collect();
    let verdict = Verdict::of(&runs.concat());
    verdict::print(verdict, &reasons);
    verdict
}
