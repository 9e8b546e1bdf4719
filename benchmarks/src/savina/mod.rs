//! Programs after the Savina suite: many actors that talk to each other, the same for every contender.
//!
//! A program is a cast of [`Role`]s that know each other by number. A role handles a message and says
//! what it sends; a *troupe* is what makes actors of roles, in the idiom of one contender. Each program
//! ends with a result that is known beforehand, and a wrong one is an error.
//!
//! Source: S. Imam, V. Sarkar: "Savina, an actor benchmark suite", AGERE! 2014.

mod stage;

pub mod programs;
mod troupes;

use anyhow::ensure;

use crate::contenders::{Actix, Kameo, MyceliaHandle, Ractor, Xtra};
use crate::workload::{Load, Reading, Run, Workload};
use programs::*;
use stage::Troupe;

pub use stage::{Note, Outbox, Play, Program, Role};

fn perform<T: Troupe, P: Program>(threads: usize, messages: u64) -> anyhow::Result<Reading> {
    let play = P::play(messages);
    let finale = T::perform(threads, play.roles)?;
    ensure!(
        finale.result == play.result,
        "the result is {} and should be {}",
        finale.result,
        play.result
    );
    let each = |all: f64| all / play.messages as f64;
    Ok(Reading {
        value: each(finale.reading.value),
        allocations: finale.reading.allocations.map(each),
        notes: Vec::new(),
    })
}

fn on_one<T: Troupe, P: Program>(load: Load) -> anyhow::Result<Reading> {
    perform::<T, P>(1, load.share(5, 1000))
}

fn on_two<T: Troupe, P: Program>(load: Load) -> anyhow::Result<Reading> {
    perform::<T, P>(2, load.share(5, 1000))
}

/// Ping-pong between two threads is a matter of microseconds.
fn apart<T: Troupe, P: Program>(load: Load) -> anyhow::Result<Reading> {
    perform::<T, P>(2, load.share(100, 1000))
}

fn workload<P: Program>(name: &'static str, title: &'static str) -> Workload {
    Workload::new(name, title, "ns/message")
        .with::<Actix>(on_two::<Actix, P>)
        .with::<Kameo>(on_two::<Kameo, P>)
        .with::<Ractor>(on_two::<Ractor, P>)
        .with::<MyceliaHandle>(on_two::<MyceliaHandle, P>)
}

/// All programs, each on two threads.
pub fn workloads() -> Vec<Workload> {
    vec![
        workload::<PingPong>("ping-pong", "two actors, one message between them"),
        workload::<Counting>("counting", "one actor counts what another sends"),
        workload::<ThreadRing>("thread-ring", "one message round a ring of 100"),
        workload::<ForkJoin>("fork-join", "one actor throws at 60, in turn"),
        workload::<Big>("big", "120 actors, each pings others at random"),
        workload::<Bank>("bank", "transfers between 1,000 accounts"),
        workload::<Dictionary>("dictionary", "20 workers read and write one dictionary"),
        workload::<Smokers>("smokers", "one arbiter serves 200 smokers at random"),
    ]
}

/// Ping-pong for `against`: on one thread, and with an actor on each of two.
pub fn ping_pongs() -> Vec<Workload> {
    let with = |workload: Workload, runs: [Run; 5]| {
        let [actix, kameo, ractor, xtra, mycelia] = runs;
        workload
            .with::<Actix>(actix)
            .with::<Kameo>(kameo)
            .with::<Ractor>(ractor)
            .with::<Xtra>(xtra)
            .with::<MyceliaHandle>(mycelia)
    };
    let one = Workload::new(
        "ping-pong-1",
        "ping-pong of two actors, one thread",
        "ns/message",
    );
    let two = Workload::new(
        "ping-pong-2",
        "ping-pong of two actors, two threads",
        "ns/message",
    );
    vec![
        with(
            one,
            [
                on_one::<Actix, PingPong>,
                on_one::<Kameo, PingPong>,
                on_one::<Ractor, PingPong>,
                on_one::<Xtra, PingPong>,
                on_one::<MyceliaHandle, PingPong>,
            ],
        ),
        with(
            two,
            [
                apart::<Actix, PingPong>,
                apart::<Kameo, PingPong>,
                apart::<Ractor, PingPong>,
                apart::<Xtra, PingPong>,
                apart::<MyceliaHandle, PingPong>,
            ],
        ),
    ]
}
