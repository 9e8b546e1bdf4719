//! The model: a system whose seed chooses everything, and what must hold at its end.
//!
//! Shared by the example, which runs very many seeds, and by the test `simulation` of the framework.

mod beside;
mod book;
mod client;
mod faults;
mod futures;
mod keys;
mod managed;
mod later;
mod node;
mod plan;
mod sum;
mod tasks;
mod work;

use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Duration;

use mycelia::WeakSystem;
use mycelia::error::{MountError, StopError, UnmountError};
use mycelia::prelude::*;
use mycelia::schedule::{Adaptive, LoadBased, RoundRobin, Slice, Weighted};
use mycelia_test::{Outcome, Plant, Rng, Simulation, SimulationError, SimulationHandle};
use tokio::task::JoinHandle;

use book::Book;
use faults::{Bomb, ON_PURPOSE};
use futures::RudelyWoken;
use later::Way;
use plan::Plan;
pub(crate) use sum::Sum;
use work::{Deed, Names, Work};

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

/// A system with its clients.
struct Scene {
    system: System,
    plan: Rc<Plan>,
    book: Arc<Book>,
    names: Arc<Names>,
    clients: Vec<JoinHandle<()>>,
}

async fn scenario(sim: SimulationHandle) -> Sum {
    let rng = sim.rng();
    let plan = Plan::new(&rng, THREADS);
    let beside = sim.spawn(beside::come_and_go(sim.clone(), plan.beside));
    let keys = rng.chance(0.2);
    let keys = keys.then(|| sim.spawn(keys::come_and_go(sim.clone())));
    let scene = Scene::set(&sim, plan, &rng).await;
    let mut sum = scene.play(&rng).await;
    sum += beside.await.expect("a panic there ends the simulation");
    if let Some(keys) = keys {
        sum += keys.await.expect("a panic there ends the simulation");
    }
    sum
}

impl Scene {
    async fn set(sim: &SimulationHandle, plan: Plan, rng: &Rng) -> Self {
        let plan = Rc::new(plan);
        let book = Arc::new(Book::new(plan.faults(rng)));
        let names = Arc::new(plan.names());
        let mut builder = System::builder()
            .pool(plan.pool)
            .restart_scope(plan.together)
            .keep_dead_letters(1)
            .shared_state(book.clone())
            .shared_state(names.clone());
        if book.faults.strike() {
            let fails = book.clone();
            builder = builder.before_stop(move |_| async move {
                fails.faults.panic();
                #[expect(unreachable_code, reason = "a reply is needed that is not `!`")]
                ()
            });
        }
        let system = sim.system(builder).await.expect("the settings are good");
        for node in &plan.nodes {
            let mounted = node.mount(&system, &book).await;
            let is_fine = match &mounted {
                Ok(()) => true,
                // Its own code failed, or that of its parent.
                Err(MountError::StartFailed { .. } | MountError::NoParent { .. }) => {
                    plan.faults > 0
                }
                Err(_) => false,
            };
            assert!(is_fine, "nothing is in its way: {mounted:?}");
        }
        let mut clients = Vec::new();
        for number in 1..=plan.clients {
            let client = client::Client::new(number, &system, &plan, &book, &names, sim.rng());
            clients.push(sim.spawn(client.run()));
        }
        drop(sim.spawn(give_later(book.clone(), sim.rng())));
        let mover = move_about(system.downgrade(), plan.clone(), book.clone(), sim.rng());
        clients.push(sim.spawn(mover));
        Scene {
            system,
            plan,
            book,
            names,
            clients,
        }
    }

    async fn play(self, rng: &Rng) -> Sum {
        let Scene {
            system,
            plan,
            book,
            names,
            clients,
        } = self;
        if let Some(within) = plan.stops_early {
            tokio::time::sleep(Duration::from_millis(rng.below(60).into())).await;
            return end(&system, &book, within, clients).await;
        }
        all(clients).await;
        become_quiet(&system, &plan, &book, &names).await;
        end(&system, &book, PATIENCE, Vec::new()).await
    }
}

async fn all(clients: Vec<JoinHandle<()>>) {
    for client in clients {
        client
            .await
            .expect("a client that panics ends the simulation");
    }
}

/// Gives replies that subsystems have given out of their hands.
async fn give_later(book: Arc<Book>, rng: Rng) {
    while !book.outside.has_ended() {
        tokio::time::sleep(Duration::from_millis(rng.below(4).into())).await;
        // A panic of a client's ends the simulation.
        let way = match plan::way(&rng) {
            Way::Panic => Way::Answer,
            way => way,
        };
        book.outside.give_one(way);
    }
}

/// Unmounts subsystems, mounts them again, restarts, pauses and clears them, while messages flow.
async fn move_about(system: WeakSystem, plan: Rc<Plan>, book: Arc<Book>, rng: Rng) {
    for _ in 0..plan.moves {
        tokio::time::sleep(Duration::from_millis(rng.below(20).into())).await;
        let Some(system) = system.upgrade() else {
            return;
        };
        let node = rng.pick(&plan.nodes);
        match rng.below(8) {
            // What is kept takes up room, and waits for what would need it.
            0 if plan.keeps => {}
            0 => {
                let capacity = rng.chance(0.7).then(|| 1 + rng.below(8));
                drop(system.set_capacity(&node.name, capacity));
            }
            1 => drop(system.set_overflow(&node.name, *rng.pick(&client::OVERFLOWS))),
            2 => change_strategy(&system, &rng),
            3..6 => managed::manage(&system, &node.name, &rng).await,
            _ => {
                let within = Duration::from_millis(rng.below(10).into());
                let unmounted = match (rng.chance(0.5), book.faults.strike()) {
                    (true, _) => system.unmount_within(&node.name, within).await,
                    (_, true) => RudelyWoken(Box::pin(system.unmount(&node.name))).await,
                    _ => system.unmount(&node.name).await,
                };
                let is_fine = match &unmounted {
                    Ok(ledger) => ledger.closes() && ledger.is_quiet(),
                    Err(UnmountError::HooksFailed { ledger, .. }) => {
                        plan.faults > 0 && ledger.closes() && ledger.is_quiet()
                    }
                    Err(error) => matches!(
                        error,
                        UnmountError::NoSubsystem { .. } | UnmountError::Stopped
                    ),
                };
                assert!(is_fine, "{}: {unmounted:?}", node.name);
                if rng.chance(0.5) {
                    tokio::time::sleep(Duration::from_millis(rng.below(5).into())).await;
                }
                // Its children went with it; a child whose parent is gone has nowhere to go.
                for node in plan
                    .nodes
                    .iter()
                    .filter(|one| one.name.starts_with(&node.name))
                {
                    let mounted = node.mount(&system, &book).await;
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
fn change_strategy(system: &System, rng: &Rng) {
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
        let in_flight = now.pool.in_flight;
        let is_home = in_flight <= book.faults.forgotten();
        let spawned: u32 = now.subsystems.iter().map(|one| one.spawned).sum();
        if now.total.is_quiet() && is_home && pending.is_none() && spawned == 0 {
            return;
        }
        assert!(
            waited < PATIENCE,
            "it never becomes quiet: {pending:?}, {now:?}"
        );
        book.outside.give_all();
        for name in &names.all {
            let work = Work::new(book, client::LAST, Deed::Open);
            book.told(system.try_tell(format!("{name}://work"), work));
        }
        let pause = Duration::from_millis(50);
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}

/// Stops the system, and compares the accounts.
async fn end(system: &System, book: &Book, within: Duration, clients: Vec<JoinHandle<()>>) -> Sum {
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
    all(clients).await;
    // Those do nothing any more.
    book.outside.give_all();
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
            let is_bomb = panic.payload().is::<Bomb>();
            if !text.contains(ON_PURPOSE) && !is_bomb && !is_simulated {
                before(panic);
            }
        }));
    });
}

/// The name of threads on which a panic is part of a simulation's error.
pub(crate) const WORKER: &str = "simulations";
