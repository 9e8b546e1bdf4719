//! Run with `cargo run --release -p mycelia-benchmarks --bin wait_cycles`
//!
//! What one more ask of a handler costs while many others wait for each other: each ask of a handler looks
//! whether it closes a circle. And how long another thread's asks take meanwhile.

use std::future::poll_fn;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use mycelia::prelude::*;
use mycelia_benchmarks::report::end;
use tokio::sync::Notify;

/// What one more ask costs while many handlers wait for each other, and what asks on another thread cost
#[derive(Debug, Parser)]
struct Options {
    /// Handlers that wait in a star and in a chain
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..=200_000))]
    handlers: u32,
    /// Asks that are measured while they wait
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    asks: u32,
}

/// Who waits for whom.
#[derive(Clone, Copy)]
enum Shape {
    /// No one.
    Idle,
    /// All for one.
    Star(usize),
    /// Each for the next one.
    Chain(usize),
    /// Each for all of the next layer.
    Layers(usize, usize),
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Shape::Idle => "no one waits",
            Shape::Star(_) => "all for one",
            Shape::Chain(_) => "a chain",
            Shape::Layers(..) => "10 layers of 10",
        }
    }

    fn nodes(self) -> usize {
        match self {
            Shape::Idle => 1,
            Shape::Star(count) | Shape::Chain(count) => count + 1,
            Shape::Layers(layers, width) => layers * width,
        }
    }

    /// Those that a node asks; the last ones ask no one.
    fn asked_by(self, node: usize) -> std::ops::Range<usize> {
        match self {
            Shape::Star(count) if node < count => count..count + 1,
            Shape::Chain(count) if node < count => node + 1..node + 2,
            Shape::Layers(layers, width) if node / width + 1 < layers => {
                let next = (node / width + 1) * width;
                next..next + width
            }
            _ => 0..0,
        }
    }

    /// Those that must be asked so that all of them wait.
    fn first(self) -> usize {
        match self {
            Shape::Star(count) => count,
            _ => 1,
        }
    }

    /// The waits of handlers, and the messages, when all of them wait.
    fn waits(self) -> (usize, usize) {
        let first = self.first();
        let waits = match self {
            Shape::Idle => return (0, 0),
            Shape::Star(count) | Shape::Chain(count) => count,
            // Of the first layer one is asked.
            Shape::Layers(layers, width) => width + (layers - 2) * width * width,
        };
        (waits, waits + first)
    }

    /// The subsystems on the shortest circle that the last node closes when it asks the first.
    fn circle(self) -> usize {
        match self {
            Shape::Idle => 0,
            Shape::Star(_) => 3,
            Shape::Chain(count) => count + 2,
            Shape::Layers(layers, _) => layers + 1,
        }
    }
}

struct Layout {
    shape: Shape,
    /// Has one of the last nodes close a circle.
    close: Notify,
    /// The circle's length as it was told, and how long the refused ask took, in nanoseconds.
    told: [AtomicUsize; 2],
    is_over: AtomicBool,
}

#[derive(Message)]
#[message(reply = ())]
struct Down;

#[derive(Message)]
#[message(reply = Vec<u64>)]
struct Measure(u32);

#[derive(Message)]
#[message(reply = ())]
struct Echo;

#[derive(Subsystem, Default)]
#[subsystem(name = "node")]
struct Node;

#[routes]
impl Node {
    #[route("down")]
    async fn down(&mut self, _: Down, ctx: Context, system: System, State(layout): State<Layout>) {
        let node = ctx.name()[1..].parse().unwrap_or(usize::MAX);
        let asked = layout.shape.asked_by(node);
        if !asked.is_empty() {
            let asks = asked.map(|n| system.ask(format!("n{n}://down"), Down));
            join_all(asks).await;
            return;
        }
        layout.close.notified().await;
        let begun = Instant::now();
        let Err(error) = system.ask("n0://down", Down).await else {
            return;
        };
        let names = error.to_string().matches(" -> ").count() + 1;
        layout.told[0].store(names, Ordering::Release);
        layout.told[1].store(begun.elapsed().as_nanos() as usize, Ordering::Release);
    }

    /// Asks the first node again and again, and gives up each time: how long the asks took to be made.
    #[route("measure")]
    async fn measure(
        &mut self,
        Measure(asks): Measure,
        system: System,
        State(layout): State<Layout>,
    ) -> Vec<u64> {
        let idle = matches!(layout.shape, Shape::Idle);
        let path = if idle { "echo://echo" } else { "n0://down" };
        let mut took = Vec::new();
        for _ in 0..asks {
            let begun = Instant::now();
            if idle {
                let mut ask = std::pin::pin!(system.ask(path, Echo));
                poll_fn(|cx| {
                    let _ = ask.as_mut().poll(cx);
                    Poll::Ready(())
                })
                .await;
            } else {
                let mut ask = std::pin::pin!(system.ask(path, Down));
                poll_fn(|cx| {
                    let _ = ask.as_mut().poll(cx);
                    Poll::Ready(())
                })
                .await;
            }
            took.push(begun.elapsed().as_nanos() as u64);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took
    }

    #[route("echo")]
    fn echo(&mut self, _: Echo) {}

    /// Asks until all is over; how long each ask took.
    #[route("beat")]
    async fn beat(&mut self, _: Measure, system: System, State(layout): State<Layout>) -> Vec<u64> {
        let mut took = Vec::new();
        while !layout.is_over.load(Ordering::Acquire) {
            let begun = Instant::now();
            if system.ask("echo-2://echo", Echo).await.is_ok() {
                took.push(begun.elapsed().as_nanos() as u64);
            }
            if took.len() % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        took
    }
}

fn main() -> ExitCode {
    end(run(&Options::parse()))
}

#[tokio::main(flavor = "current_thread")]
async fn run(options: &Options) -> anyhow::Result<()> {
    let count = options.handlers as usize;
    println!(
        "{:<16} {:>8} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "", "waits", "one more ask", "slowest", "a circle", "others 99.9%", "others worst"
    );
    let shapes = [
        Shape::Idle,
        Shape::Star(count),
        Shape::Chain(count),
        Shape::Layers(10, 10),
    ];
    for shape in shapes {
        measure(shape, options.asks)
            .await
            .with_context(|| shape.name())?;
    }
    Ok(())
}

async fn measure(shape: Shape, asks: u32) -> anyhow::Result<()> {
    let layout = Arc::new(Layout {
        shape,
        close: Notify::new(),
        told: [AtomicUsize::new(0), AtomicUsize::new(0)],
        is_over: AtomicBool::new(false),
    });
    let system = System::builder()
        .threads(2)
        .pool(1 << 19)
        .ask_deadline(None)
        .shared_state(layout.clone())
        .start()
        .await?;
    let nodes = (0..shape.nodes()).map(|n| MountOptions::new().name(format!("n{n}")).thread(0));
    system.mount_all(nodes, Node::default).await?;
    for (name, thread) in [("measure", 0), ("echo", 0), ("echo-2", 1), ("beat", 1)] {
        let options = MountOptions::new().name(name).thread(thread);
        system.mount_with(options, Node::default).await?;
    }
    let (waits, messages) = shape.waits();
    if waits > 0 {
        for n in 0..shape.first() {
            system.tell(format!("n{n}://down"), Down).await?;
        }
        let begun = Instant::now();
        while system.snapshot().total.waiting != messages as u64 {
            ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "not all of them wait"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let beat = system.ask("beat://beat", Measure(0));
    let measured = async {
        let took = system.ask("measure://measure", Measure(asks)).await;
        layout.close.notify_one();
        let begun = Instant::now();
        while waits > 0
            && layout.told[1].load(Ordering::Acquire) == 0
            && begun.elapsed() < Duration::from_secs(60)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        layout.is_over.store(true, Ordering::Release);
        took
    };
    let (beat, took) = tokio::join!(beat, measured);
    let (beat, mut took) = (beat?, took?);
    let circle = layout.told[0].load(Ordering::Acquire);
    let expected = shape.circle();
    ensure!(
        circle == expected,
        "the circle has {circle} names, not {expected}"
    );
    took.sort_unstable();
    let mut others = Histogram::<u64>::new(3)?;
    beat.iter().try_for_each(|ns| others.record(*ns))?;
    let us = |ns: u64| format!("{:.1} us", ns as f64 / 1e3);
    println!(
        "{:<16} {waits:>8} {:>12} {:>12} {:>12} {:>12} {:>12}",
        shape.name(),
        us(took[took.len() / 2]),
        us(took[took.len() - 1]),
        match waits {
            0 => "-".to_owned(),
            _ => us(layout.told[1].load(Ordering::Acquire) as u64),
        },
        us(others.value_at_quantile(0.999)),
        us(others.max()),
    );
    // What waits is cut off.
    drop(system.stop_within(Duration::ZERO).await);
    Ok(())
}
