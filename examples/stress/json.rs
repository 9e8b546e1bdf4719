//! The report, for programs.

use examples_lib::options::CommandLine;
use examples_lib::report::write_json;
use examples_lib::verdict::Verdict;
use mycelia::observe::Latency;
use serde_json::{Map, Value, json};

use crate::health::checks;
use crate::options::Options;
use crate::outcome::Outcome;

/// Writes the report, if that is wanted.
///
/// # Errors
/// The file can't be written.
pub(crate) fn write(
    options: &Options,
    outcomes: &[Outcome],
    verdict: Verdict,
) -> anyhow::Result<()> {
    let Some(path) = options.json() else {
        return Ok(());
    };
    let broken = outcomes
        .iter()
        .flat_map(checks)
        .filter_map(|check| check.broken);
    let report = json!({
        "threads": options.threads,
        "senders": options.senders,
        "modes": outcomes.iter().map(mode).collect::<Vec<_>>(),
    });
    write_json(path, report, verdict.name(), broken.collect())
}

fn mode(outcome: &Outcome) -> Value {
    let (account, pool) = (&outcome.account, &outcome.envelopes);
    json!({
        "mode": outcome.plan.mode.name(),
        "addressing": outcome.plan.addressing.name(),
        "sent": account.sent,
        "handled": account.handled,
        "failed": account.failed,
        "dropped": account.dropped,
        "expired": account.expired,
        "undeliverable": account.undeliverable,
        "refused": account.refused,
        "waiting": account.waiting,
        "handler_calls": outcome.calls,
        "checksums_agree": outcome.checksums_agree,
        "seconds": outcome.took.as_secs_f64(),
        "seconds_paused": outcome.paused.as_secs_f64(),
        "per_second": outcome.per_second(),
        "windows": outcome.stability.windows,
        "variability": outcome.stability.variability(),
        "rss_start": outcome.memory.map(|memory| memory.start),
        "rss_end": outcome.memory.map(|memory| memory.end),
        "allocations": outcome.allocations,
        "allocations_per_message": outcome.allocations_per_message(),
        "pool": {
            "capacity": pool.capacity,
            "created": pool.created,
            "reused": pool.reused,
            "released": pool.released,
            "reuse_rate": pool.reuse_rate(),
            "efficiency": pool.efficiency(),
            "high_water": pool.high_water,
            "boxed": pool.boxed,
        },
        "routes": routes(outcome),
        "interrupted": outcome.is_interrupted,
    })
}

fn routes(outcome: &Outcome) -> Map<String, Value> {
    let mut routes = Map::new();
    for (path, latency) in &outcome.routes {
        let Some(latency) = latency else { continue };
        let route = json!({
            "count": latency.count,
            "wait_ns": quantiles(&latency.wait),
            "service_ns": quantiles(&latency.service),
            "total_ns": quantiles(&latency.total),
        });
        routes.insert((*path).to_owned(), route);
    }
    routes
}

fn quantiles(latency: &Latency) -> Value {
    json!({
        "p50": latency.p50_ns,
        "p90": latency.p90_ns,
        "p99": latency.p99_ns,
        "p999": latency.p999_ns,
        "max": latency.max_ns,
    })
}
