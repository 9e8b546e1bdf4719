//! Overload: a producer ten times as fast as the handler. Where do the messages go?
//!
//! Each run is a process of its own, the same program started again with `--alone`, so that its
//! resident memory is not what another contender left behind. Anyone who can bound its mailbox does.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::contender::{Address, Contender, Threads, check, tell_all};
use crate::contenders::*;
use crate::process;
use crate::tally::Aside;
use crate::workload::{Entry, Load, Reading, Workload};

const HANDLING: Duration = Duration::from_micros(2);
const SENDING: Duration = Duration::from_nanos(200);
const KB: f64 = 1024.0;

fn overload<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    let count = load.share(5, 50_000);
    C::play(Threads::Two, move |stage| async move {
        let to = C::start_bounded(&stage).await?;
        tell_all(&to, 20_000, false).await;
        check::<C::Address>(&to.take().await, 20_000)?;
        let before = process::resident().context("resident memory is not known here")?;
        let begun = Instant::now();
        for n in 0..count {
            while begun.elapsed() < SENDING * n as u32 {
                std::hint::spin_loop();
            }
            to.aside(Aside::Work(HANDLING)).await;
        }
        let produced = begun.elapsed();
        let after = process::resident_peak().unwrap_or(before);
        let handled = to.take().await.count;
        ensure!(handled <= count, "{handled} handled of {count} sent");
        let reading = Reading::of(after.saturating_sub(before) as f64 / KB);
        let reading = reading.note("lost", "messages", (count - handled) as f64);
        let held_back = produced.as_secs_f64() / (SENDING * count as u32).as_secs_f64();
        Ok(reading.note("producer slowed down", "x", held_back))
    })
}

/// Runs a contender's overload in this process and prints what it has measured.
///
/// # Errors
/// There is no such contender; it fails.
pub fn alone(contender: &str, load: Load) -> anyhow::Result<()> {
    let entries = inside();
    let entry = entries.iter().find(|entry| entry.contender == contender);
    let reading = (entry.context("no such contender")?.run)(load)?;
    let notes: Vec<Value> = reading
        .notes
        .iter()
        .map(|note| json!({"name": note.name, "value": note.value}))
        .collect();
    println!("{}", json!({"value": reading.value, "notes": notes}));
    Ok(())
}

/// Runs a contender's overload in a process of its own.
fn apart<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--alone", C::NAME, "--messages", &load.messages.to_string()])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let number = |value: &Value| value.as_f64().context("not a number");
    let mut reading = Reading::of(number(&told["value"])?);
    for (name, unit) in [("lost", "messages"), ("producer slowed down", "x")] {
        let notes = told["notes"].as_array().context("no notes")?;
        let note = notes.iter().find(|note| note["name"] == name);
        reading = reading.note(name, unit, number(&note.context("no note")?["value"])?);
    }
    Ok(reading)
}

fn inside() -> Vec<Entry> {
    let entries = Workload::new("overload", "", "")
        .with::<Actix>(overload::<Actix>)
        .with::<Kameo>(overload::<Kameo>)
        .with::<Ractor>(overload::<Ractor>)
        .with::<Xtra>(overload::<Xtra>)
        .with::<TokioMpsc>(overload::<TokioMpsc>)
        .with::<Crossbeam>(overload::<Crossbeam>)
        .with::<MyceliaHandle>(overload::<MyceliaHandle>)
        .with::<MyceliaPath>(overload::<MyceliaPath>);
    entries.entries
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    let title = "producer 10x faster than the handler: growth of resident memory";
    vec![
        Workload::new("overload", title, "KB")
            .with::<Actix>(apart::<Actix>)
            .with::<Kameo>(apart::<Kameo>)
            .with::<Ractor>(apart::<Ractor>)
            .with::<Xtra>(apart::<Xtra>)
            .with::<TokioMpsc>(apart::<TokioMpsc>)
            .with::<Crossbeam>(apart::<Crossbeam>)
            .with::<MyceliaHandle>(apart::<MyceliaHandle>)
            .with::<MyceliaPath>(apart::<MyceliaPath>)
            .without_ratios(),
    ]
}
