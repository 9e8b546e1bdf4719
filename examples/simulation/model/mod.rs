//! The model: a system whose seed chooses everything, and what must hold at its end.
//!
//! Shared by the example, which runs very many seeds, and by the test `simulation` of the framework.

mod book;
mod client;
mod node;
mod plan;
mod tasks;

use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Duration;

use mycelia::error::{MountError, StopError};
use mycelia::prelude::*;
use mycelia::schedule::{Adaptive, LoadBased, RoundRobin, Slice, Weighted};
use mycelia::test::{Outcome, Plant, Simulation, SimulationError, SimulationHandle};

use book::Book;
pub(crate) use book::Sum;
use node::{Names, Node, ON_PURPOSE};
use plan::Plan;

const THREADS: usize = 2;
/// Far longer, on the simulation's clock, than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the model with one seed.
pub(crate) fn simulate(
    seed: u64,
    plant: Option<Plant>,
    is_traced: bool,
) -> Result<Outcome<Sum>, SimulationError> {
    quiet_panics();
    Simulation::new(seed)
        .threads(THREADS)
        .plant(plant)
        .trace(is_traced)
        .run(scenario)
}

async fn scenario(sim: SimulationHandle) -> Sum {
    let rng = sim.rng();
    let plan = Rc::new(Plan::new(&rng, THREADS));
    let book = Arc::new(Book::default());
    let names = Arc::new(Names(
        plan.nodes.iter().map(|node| node.name.clone()).collect(),
    ));
    let builder = System::builder()
        .pool(plan.pool)
        .restart_scope(plan.together)
        .keep_dead_letters(1)
        .shared_state(book.clone())
        .shared_state(names.clone());
    let system = sim.system(builder).await.expect("the settings are good");
    for node in &plan.nodes {
        system
            .mount_with(node.options.clone(), Node::default)
            .await
            .expect("nothing is in its way");
    }
    let mut clients = Vec::new();
    for number in 1..=plan.clients {
        let client = client::Client::new(number, &system, &plan, &book, &names, sim.rng());
        clients.push(sim.spawn(client.run()));
    }
    let mover = move_about(system.clone(), plan.clone(), sim.rng());
    clients.push(sim.spawn(mover));
    if let Some(within) = plan.stops_early {
        tokio::time::sleep(Duration::from_millis(rng.below(60).into())).await;
        return end(&system, &book, within, clients).await;
    }
    for client in clients {
        client
            .await
            .expect("a client that panics ends the simulation");
    }
    become_quiet(&system, &plan, &book, &names).await;
    end(&system, &book, PATIENCE, Vec::new()).await
}

/// Unmounts subsystems, and mounts them again, while messages flow.
async fn move_about(system: System, plan: Rc<Plan>, rng: mycelia::test::Rng) {
    for _ in 0..plan.moves {
        tokio::time::sleep(Duration::from_millis(rng.below(20).into())).await;
        let node = rng.pick(&plan.nodes);
        match rng.below(5) {
            // What is kept takes up room, and waits for what would need it.
            0 if plan.keeps => {}
            0 => {
                let capacity = rng.chance(0.7).then(|| 1 + rng.below(8));
                drop(system.set_capacity(&node.name, capacity));
            }
            1 => drop(system.set_overflow(&node.name, *rng.pick(&client::OVERFLOWS))),
            2 => change_strategy(&system, &rng),
            _ => {
                let _ = system.unmount(&node.name).await;
                if rng.chance(0.5) {
                    tokio::time::sleep(Duration::from_millis(rng.below(5).into())).await;
                }
                // Its children went with it; a child whose parent is gone has nowhere to go.
                for node in plan
                    .nodes
                    .iter()
                    .filter(|one| one.name.starts_with(&node.name))
                {
                    let mounted = system.mount_with(node.options.clone(), Node::default).await;
                    let is_fine = matches!(
                        mounted,
                        Ok(())
                            | Err(MountError::Stopped
                                | MountError::Restarting { .. }
                                | MountError::NoParent { .. }
                                | MountError::NameTaken { .. }
                                | MountError::StartFailed { .. })
                    );
                    assert!(is_fine, "{:?}: {mounted:?}", node.parent);
                }
            }
        }
    }
}

/// Changes how the threads' time is shared out.
fn change_strategy(system: &System, rng: &mycelia::test::Rng) {
    let slice = Slice::new(1 + rng.below(64));
    match rng.below(4) {
        0 => system.set_strategy(RoundRobin(slice)),
        1 => system.set_strategy(Weighted(Duration::from_micros(
            1 + u64::from(rng.below(100)),
        ))),
        2 => system.set_strategy(LoadBased(slice)),
        _ => system.set_strategy(Adaptive(slice)),
    }
}

/// Waits until nothing waits, and no timer and no stream has anything left to do. What was kept for later
/// needs a change for that.
async fn become_quiet(system: &System, plan: &Plan, book: &Arc<Book>, names: &Names) {
    let mut waited = Duration::ZERO;
    loop {
        let now = system.snapshot();
        let pending = book.tasks.pending(plan.nothing_is_dropped);
        if now.total.is_quiet() && now.pool.in_flight == 0 && pending.is_none() {
            return;
        }
        assert!(
            waited < PATIENCE,
            "it never becomes quiet: {pending:?}, {now:?}"
        );
        for node in 0..names.0.len() {
            let work = node::Work::new(book, client::LAST, node::Deed::Open);
            let told = system.try_tell(names.path(node as u8), work);
            book.told(told.is_ok());
        }
        let pause = Duration::from_millis(50);
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}

/// Stops the system, and compares the accounts.
async fn end(
    system: &System,
    book: &Book,
    within: Duration,
    clients: Vec<tokio::task::JoinHandle<()>>,
) -> Sum {
    let restarts = system
        .snapshot()
        .subsystems
        .iter()
        .map(|one| u64::from(one.restarts))
        .sum();
    match system.stop_within(within).await {
        Ok(_) | Err(StopError::DeadlineExceeded(_) | StopError::Escalated(_)) => {}
        Err(error) => panic!("it does not stop: {error}"),
    }
    for client in clients {
        client
            .await
            .expect("a client that panics ends the simulation");
    }
    book.compare(&system.snapshot(), restarts)
}

/// Keeps the panics that the model provokes out of the output.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            // What fails a simulation is in its error.
            let is_simulated = std::thread::current().name() == Some(WORKER);
            if !text.contains(ON_PURPOSE) && !is_simulated {
                before(panic);
            }
        }));
    });
}

/// The name of threads on which a panic is part of a simulation's error.
pub(crate) const WORKER: &str = "simulations";
