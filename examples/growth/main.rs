//! Run with `cargo run --release --example growth`
//!
//! Every feature is used over and over, each in a system of its own: timers, streams, subsystems that end in
//! every way there is, messages kept for later, replicas, blocking handlers, priorities, overflow, watches,
//! threads and whole systems that come and go. After each quarter of the operations, when all is quiet, the
//! live bytes of the heap are counted. Some lists and caches grow up to a bound; the last quarter must reach no
//! new height.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

mod feature;
mod heap;
mod options;
mod scene;
mod subsystems;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use common::silence::Silence;
use common::verdict::{Check, Verdict};
use common::{figures, interrupt, verdict};
use options::Options;
use scene::Scene;

/// How much the last quarter may end above all before it: a histogram's next part, a cache that fills up to its
/// bound and is emptied.
const TOLERANCE: i64 = 32 << 10;

#[mycelia::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(mistake) = options.check() {
        eprintln!("error: {mistake}");
        return ExitCode::from(2);
    }
    match grow(&options).await {
        Ok(verdict) => ExitCode::from(verdict.exit_status()),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn grow(options: &Options) -> anyhow::Result<Verdict> {
    interrupt::listen()?;
    let silence = Silence::begin();
    say!(
        "{:<12} {:>12} {:>36} {:>10} {:>9}",
        "feature",
        "operations",
        "live bytes after each quarter",
        "growth",
        "time"
    );
    let mut checks = Vec::new();
    for feature in options.features() {
        if interrupt::is_wanted() {
            break;
        }
        let quarter = options.quarter(feature);
        let begun = Instant::now();
        let mut scene = Scene::set(feature).await?;
        // What is made once, and kept.
        scene.play(feature, quarter / 4).await?;
        let base = scene.quiet_bytes().await?;
        let mut bytes = [0; 4];
        for after in &mut bytes {
            scene.play(feature, quarter).await?;
            *after = scene.quiet_bytes().await? - base;
        }
        scene.end().await?;
        let [earlier @ .., last] = bytes;
        let growth = last - earlier.into_iter().fold(0, i64::max);
        let after: Vec<String> = bytes.iter().map(|bytes| format!("{bytes:+}")).collect();
        let operations = 4 * quarter + quarter / 4;
        say!(
            "{:<12} {:>12} {:>36} {growth:>+10} {:>8.1}s",
            feature.name(),
            figures::count(operations),
            after.join(" "),
            begun.elapsed().as_secs_f64()
        );
        let claim = format!("{}: nothing is left of what has ended", feature.name());
        checks.push(Check::new(claim, growth <= TOLERANCE, || {
            format!("{growth} bytes more than ever before, after the last quarter")
        }));
    }
    drop(silence);
    let verdict = Verdict::of(&checks, interrupt::is_wanted());
    verdict::print(&checks, verdict);
    Ok(verdict)
}
