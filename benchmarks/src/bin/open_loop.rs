//! Run with `cargo run --release -p mycelia-benchmarks --bin open_loop`
//!
//! Latency at fixed rates of arrival: 10, 50 and 80 % of what the slowest contender can take.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use mycelia_benchmarks::open_loop::{NOBODY, QUANTILES, Racer, nobody, racers};
use mycelia_benchmarks::report::{Line, end, introduce, lines};
use mycelia_benchmarks::{stats, versions};
use serde_json::{Map, Value, json};

/// Latency at fixed rates of arrival, from the instant at which each message should have been sent
#[derive(Debug, Parser)]
struct Options {
    /// One short round: about 20 seconds
    #[arg(long)]
    quick: bool,
    /// Rates, in percent of the capacity of the slowest contender
    #[arg(long, value_name = "PERCENT", num_args = 1.., default_values_t = [10, 50, 80],
        value_parser = clap::value_parser!(u64).range(1..=200))]
    rates: Vec<u64>,
    /// Rounds of every contender at every rate [default: 3; with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: Option<u64>,
    /// Seconds of every round [default: 2; with --quick 0.5]
    #[arg(long)]
    seconds: Option<f64>,
    /// Only these contenders
    #[arg(long, value_name = "CONTENDER", num_args = 1..)]
    filter: Vec<String>,
    /// Writes all quantiles to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws a chart into a file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// One rate: its share of the capacity, messages per second, and each contender's latencies.
struct Rate {
    percent: u64,
    per_second: f64,
    latencies: Vec<(&'static str, Histogram<u64>)>,
}

fn main() -> ExitCode {
    end(run(&Options::parse()))
}

fn select(filter: &[String]) -> anyhow::Result<Vec<Racer>> {
    let mut racers = racers();
    let names: Vec<&str> = racers.iter().map(|racer| racer.name).collect();
    if let Some(unknown) = filter.iter().find(|name| !names.contains(&name.as_str())) {
        bail!(
            "no contender is called `{unknown}`; contenders: {}",
            names.join(" ")
        );
    }
    racers.retain(|racer| filter.is_empty() || filter.iter().any(|name| name == racer.name));
    Ok(racers)
}

fn run(options: &Options) -> anyhow::Result<()> {
    let racers = select(&options.filter)?;
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 3 });
    let seconds = options
        .seconds
        .unwrap_or(if options.quick { 0.5 } else { 2.0 });
    if !(0.01..=3600.0).contains(&seconds) {
        bail!("--seconds must be 0.01 to 3600");
    }
    introduce();
    let capacities = capacities(&racers)?;
    let slowest = stats::min(&capacities);
    println!("capacity, closed loop, two threads:");
    for (racer, capacity) in racers.iter().zip(&capacities) {
        println!(
            "  {:<14}{:>10.2} million messages/s",
            racer.name,
            capacity / 1e6
        );
    }
    let steps = options.rates.len() * racers.len() * rounds as usize;
    let style = ProgressStyle::with_template("{bar:32}  {percent:>3} %  {msg}")?;
    let bar = ProgressBar::new(steps as u64).with_style(style);
    let mut rates = Vec::new();
    for &percent in &options.rates {
        let per_second = slowest * percent as f64 / 100.0;
        let count = ((per_second * seconds) as u64).max(1000);
        let mut latencies = vec![(NOBODY, Histogram::new(3)?)];
        for racer in &racers {
            latencies.push((racer.name, Histogram::new(3)?));
        }
        for _ in 0..rounds {
            latencies[0].1.add(nobody(count, per_second)?)?;
            for (racer, (_, all)) in racers.iter().zip(&mut latencies[1..]) {
                bar.set_message(format!("{percent} % {}", racer.name));
                let some = (racer.run)(count, per_second)
                    .with_context(|| format!("{percent} %, {}", racer.name))?;
                all.add(some)?;
                bar.inc(1);
            }
        }
        rates.push(Rate {
            percent,
            per_second,
            latencies,
        });
    }
    bar.finish_and_clear();
    rates.iter().for_each(print);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&document(&racers, &capacities, &rates))?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &options.svg {
        let places = QUANTILES.map(|(name, _)| name);
        let panels: Vec<(String, Vec<Line>)> = rates.iter().map(panel).collect();
        lines(path, &places, &panels)?;
    }
    Ok(())
}

/// The best of three short runs each: what else runs on the machine only takes away.
fn capacities(racers: &[Racer]) -> anyhow::Result<Vec<f64>> {
    let mut capacities = vec![0.0_f64; racers.len()];
    for _ in 0..3 {
        for (racer, capacity) in racers.iter().zip(&mut capacities) {
            let measured = (racer.capacity)(200_000).context(racer.name)?;
            *capacity = capacity.max(measured);
        }
    }
    Ok(capacities)
}

fn print(rate: &Rate) {
    println!(
        "\n{} % of the slowest: {:.0} messages/s, one every {:.0} ns; ns from the intended instant",
        rate.percent,
        rate.per_second,
        1e9 / rate.per_second
    );
    let names: String = QUANTILES
        .iter()
        .map(|(name, _)| format!("{name:>14}"))
        .collect();
    println!("  {:<14}{names}{:>12}", "", "messages");
    for (name, latencies) in &rate.latencies {
        let at = |quantile| latencies.value_at_quantile(quantile);
        let values: String = QUANTILES
            .iter()
            .map(|(_, q)| format!("{:>14}", at(*q)))
            .collect();
        println!("  {name:<14}{values}{:>12}", latencies.len());
    }
}

fn panel(rate: &Rate) -> (String, Vec<Line>) {
    let points = |latencies: &Histogram<u64>| {
        let at = |(i, (_, q)): (usize, &(&str, f64))| {
            (i as f64, latencies.value_at_quantile(*q).max(1) as f64)
        };
        QUANTILES.iter().enumerate().map(at).collect()
    };
    let lines = rate.latencies.iter();
    let lines = lines.map(|(name, latencies)| ((*name).into(), points(latencies)));
    let title = format!(
        "latency at {} % of the slowest contender's capacity, {:.0} messages/s",
        rate.percent, rate.per_second
    );
    (title, lines.collect())
}

fn document(racers: &[Racer], capacities: &[f64], rates: &[Rate]) -> Value {
    let named = racers.iter().zip(capacities);
    let capacities: Map<String, Value> = named
        .map(|(racer, capacity)| (racer.name.into(), json!(capacity)))
        .collect();
    let rate = |rate: &Rate| {
        let rows = rate.latencies.iter().map(|(name, latencies)| {
            let at = |(name, q): &(&str, f64)| {
                (format!("{name}_ns"), json!(latencies.value_at_quantile(*q)))
            };
            let quantiles: Map<String, Value> = QUANTILES.iter().map(at).collect();
            let mean = latencies.mean();
            json!({"contender": name, "messages": latencies.len(), "mean_ns": mean,
                "quantiles": quantiles})
        });
        json!({
            "percent": rate.percent,
            "messages_per_second": rate.per_second,
            "rows": rows.collect::<Vec<_>>(),
        })
    };
    json!({
        "mycelia": versions::of("mycelia"),
        "capacities_per_second": capacities,
        "rates": rates.iter().map(rate).collect::<Vec<_>>(),
    })
}
