//! The report, for programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use mycelia::observe::Latency;
use serde::Serialize;

use crate::common::verdict::Verdict;
use crate::figures;
use crate::health::checks;
use crate::options::Options;
use crate::outcome::Outcome;

#[derive(Serialize)]
struct Report {
    mycelia: &'static str,
    profile: &'static str,
    threads: usize,
    senders: u64,
    modes: Vec<Mode>,
    verdict: &'static str,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct Mode {
    mode: &'static str,
    addressing: &'static str,
    sent: u64,
    handled: u64,
    failed: u64,
    dropped: u64,
    expired: u64,
    undeliverable: u64,
    refused: u64,
    waiting: u64,
    handler_calls: u64,
    checksums_agree: bool,
    seconds: f64,
    seconds_paused: f64,
    per_second: f64,
    windows: usize,
    variability: f64,
    rss_start: Option<u64>,
    rss_end: Option<u64>,
    allocations: u64,
    allocations_per_message: f64,
    pool: Pool,
    routes: BTreeMap<&'static str, Route>,
    interrupted: bool,
}

#[derive(Serialize)]
struct Pool {
    capacity: u64,
    created: u64,
    reused: u64,
    released: u64,
    reuse_rate: f64,
    efficiency: f64,
    high_water: u64,
    boxed: u64,
}

#[derive(Serialize)]
struct Route {
    count: u64,
    wait_ns: Quantiles,
    service_ns: Quantiles,
    total_ns: Quantiles,
}

#[derive(Serialize)]
struct Quantiles {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

impl From<&Latency> for Quantiles {
    fn from(latency: &Latency) -> Self {
        Quantiles {
            p50: latency.p50_ns,
            p90: latency.p90_ns,
            p99: latency.p99_ns,
            p999: latency.p999_ns,
            max: latency.max_ns,
        }
    }
}

impl From<&Outcome> for Mode {
    fn from(outcome: &Outcome) -> Self {
        let (account, pool) = (&outcome.account, &outcome.envelopes);
        let routes = outcome.routes.iter().filter_map(|(path, latency)| {
            let latency = latency.as_ref()?;
            let route = Route {
                count: latency.count,
                wait_ns: (&latency.wait).into(),
                service_ns: (&latency.service).into(),
                total_ns: (&latency.total).into(),
            };
            Some((*path, route))
        });
        Mode {
            mode: outcome.plan.mode.name(),
            addressing: outcome.plan.addressing.name(),
            sent: account.sent,
            handled: account.handled,
            failed: account.failed,
            dropped: account.dropped,
            expired: account.expired,
            undeliverable: account.undeliverable,
            refused: account.refused,
            waiting: account.waiting,
            handler_calls: outcome.calls,
            checksums_agree: outcome.checksums_agree,
            seconds: outcome.took.as_secs_f64(),
            seconds_paused: outcome.paused.as_secs_f64(),
            per_second: outcome.per_second(),
            windows: outcome.stability.windows,
            variability: outcome.stability.variability(),
            rss_start: outcome.memory.map(|memory| memory.start),
            rss_end: outcome.memory.map(|memory| memory.end),
            allocations: outcome.allocations,
            allocations_per_message: outcome.allocations_per_message(),
            pool: Pool {
                capacity: pool.capacity,
                created: pool.created,
                reused: pool.reused,
                released: pool.released,
                reuse_rate: pool.reuse_rate(),
                efficiency: pool.efficiency(),
                high_water: pool.high_water,
                boxed: pool.boxed,
            },
            routes: routes.collect(),
            interrupted: outcome.is_interrupted,
        }
    }
}

/// Writes the report.
///
/// # Errors
/// The file can't be written.
pub(crate) fn write(
    path: &Path,
    options: &Options,
    outcomes: &[Outcome],
    verdict: Verdict,
) -> anyhow::Result<()> {
    let broken = outcomes
        .iter()
        .flat_map(checks)
        .filter_map(|check| check.broken);
    let report = Report {
        mycelia: env!("CARGO_PKG_VERSION"),
        profile: figures::profile(),
        threads: options.threads,
        senders: options.senders,
        modes: outcomes.iter().map(Mode::from).collect(),
        verdict: verdict.name(),
        reasons: broken.collect(),
    };
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("--json {}: can't write", path.display()))
}
