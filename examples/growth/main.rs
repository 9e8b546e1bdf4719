//! Run with `cargo run --release --example growth`
//!
//! Every feature is used over and over, each in a system of its own: timers, streams, subsystems that end in
//! every way there is, messages kept for later, replicas, blocking handlers, priorities, overflow, watches,
//! threads and whole systems that come and go. After each quarter of the operations, when all is quiet, the
//! live bytes of the heap are counted. Some lists and caches grow up to a bound; the last quarter must reach no
//! new height.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

mod feature;
mod options;
mod scene;
mod subsystems;

use std::process::ExitCode;
use std::time::Instant;

use examples_lib::figures::count;
use examples_lib::heap::Counting;
use examples_lib::report::{Table, left, right};
use examples_lib::silence::Silence;
use examples_lib::verdict::{Check, Verdict, conclude};
use examples_lib::{interrupt, program};
use options::Options;
use scene::Scene;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TABLE: Table<5> = Table(
    "",
    [
        left("feature", 12),
        right("operations", 12),
        right("live bytes after each quarter", 36),
        right("growth", 10),
        right("time", 9),
    ],
);

/// How much the last quarter may end above all before it: a histogram's next part, a cache that fills up to its
/// bound and is emptied.
const TOLERANCE: i64 = 32 << 10;

#[mycelia::main]
async fn main() -> ExitCode {
    program::run(grow).await
}

async fn grow(options: &Options) -> anyhow::Result<Verdict> {
    let silence = Silence::begin();
    TABLE.heading();
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
        TABLE.row([
            feature.name().to_owned(),
            count(operations),
            after.join(" "),
            format!("{growth:+}"),
            format!("{:.1}s", begun.elapsed().as_secs_f64()),
        ]);
        let claim = format!("{}: nothing is left of what has ended", feature.name());
        checks.push(Check::new(claim, growth <= TOLERANCE, || {
            format!("{growth} bytes more than ever before, after the last quarter")
        }));
    }
    drop(silence);
    conclude(&checks, options, Default::default)
}
