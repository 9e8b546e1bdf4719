//! Promise 2, of messages kept for later: they are handled once, when the subsystem has changed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::common::{figures, poll_once, quiet, watchdog};
use mycelia::error::{AskError, SendError};
use mycelia::prelude::*;
use mycelia::{OrLater, later};
use proptest::prelude::*;

#[derive(Message, Debug, PartialEq)]
struct Put(u32);

/// Takes a thing of that kind, when there is one.
#[derive(Message, Debug)]
#[message(reply = (u32, u32))]
struct Take {
    by: u32,
}

#[derive(Subsystem, Default)]
struct Shelf {
    things: VecDeque<u32>,
    tries: u32,
}

#[routes]
impl Shelf {
    #[route("put")]
    fn put(&mut self, Put(thing): Put) {
        self.things.push_back(thing);
    }

    #[route("take/{kind}")]
    fn take(&mut self, take: Take, Path(kind): Path<String>) -> OrLater<(u32, u32), Take> {
        self.tries += 1;
        let is_it = |thing: &u32| *thing % 2 == u32::from(kind == "odd");
        match self.things.iter().position(is_it) {
            Some(at) => OrLater::Reply((take.by, self.things.remove(at).unwrap())),
            None => later(take),
        }
    }

    #[route("take-async/{kind}")]
    async fn take_async(
        &mut self,
        take: Take,
        Path(kind): Path<String>,
    ) -> anyhow::Result<OrLater<(u32, u32), Take>> {
        tokio::task::yield_now().await;
        anyhow::ensure!(kind != "none", "no such kind");
        Ok(self.take(take, Path(kind)))
    }

    #[route("tries")]
    fn tries(&mut self, _: Take) -> (u32, u32) {
        (0, self.tries)
    }
}

async fn system() -> System {
    let system = System::builder().threads(1).pool(64).start().await.unwrap();
    system.mount(Shelf::default).await.unwrap();
    system
}

#[mycelia::test]
async fn a_message_kept_for_later_is_handled_when_the_subsystem_has_changed() {
    let _watch = watchdog();
    for path in ["shelf://take/odd", "shelf://take-async/odd"] {
        let system = system().await;
        let mut ask = Box::pin(system.ask(path, Take { by: 1 }));
        assert!(poll_once(&mut ask).await.is_none());
        system.tell("shelf://put", Put(2)).await.unwrap();
        assert!(poll_once(&mut ask).await.is_none());
        system.tell("shelf://put", Put(3)).await.unwrap();
        assert_eq!(ask.await.unwrap(), (1, 3));
        assert_eq!(figures(&quiet(&system).await), [3, 3, 0, 0, 0, 0]);
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn kept_messages_keep_their_order_and_newer_ones_go_before_them() {
    let _watch = watchdog();
    let system = system().await;
    let mut asks: Vec<_> = (0..10)
        .map(|by| Box::pin(system.ask("shelf://take/odd", Take { by })))
        .collect();
    for ask in &mut asks {
        assert!(poll_once(ask).await.is_none());
    }
    // Even ones are no business of theirs.
    system.tell("shelf://put", Put(2)).await.unwrap();
    let newer = system.ask("shelf://take/even", Take { by: 99 });
    assert_eq!(newer.await.unwrap(), (99, 2));
    for thing in 0..10 {
        system
            .tell("shelf://put", Put(2 * thing + 1))
            .await
            .unwrap();
    }
    for (by, ask) in (0..).zip(asks) {
        assert_eq!(ask.await.unwrap(), (by, 2 * by + 1));
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn those_kept_are_not_tried_while_nothing_changes() {
    let _watch = watchdog();
    let system = system().await;
    for by in 0..5 {
        system.tell("shelf://take/odd", Take { by }).await.unwrap();
    }
    // Each is tried when it comes; the question itself is handled, and lets each be tried once more.
    let (_, tries) = system.ask("shelf://tries", Take { by: 0 }).await.unwrap();
    assert_eq!(tries, 5);
    let (_, tries) = system.ask("shelf://tries", Take { by: 0 }).await.unwrap();
    assert_eq!(tries, 10);
    system.stop().await.unwrap_err();
}

#[mycelia::test]
async fn kept_messages_wait_take_up_room_expire_and_end_with_their_subsystem() {
    let _watch = watchdog();
    let system = System::builder().threads(1).pool(64).start().await.unwrap();
    let options = MountOptions::new().capacity(3);
    system.mount_with(options, Shelf::default).await.unwrap();
    let mut asks = Vec::new();
    for by in 0..2 {
        let mut ask = Box::pin(system.ask("shelf://take/odd", Take { by }));
        assert!(poll_once(&mut ask).await.is_none());
        asks.push(ask);
    }
    let deadline = Duration::from_millis(20);
    let late = system.ask_within("shelf://take/odd", Take { by: 2 }, deadline);
    assert!(matches!(late.await, Err(AskError::DeadlineExceeded { .. })));
    // It gives its place back at its deadline, though nothing has changed.
    crate::common::until("the late one has expired", || {
        system.snapshot().total.expired == 1
    })
    .await;
    assert_eq!(system.snapshot().total.waiting, 2);
    system.set_capacity("shelf", 2).unwrap();
    let full = system.try_tell("shelf://put", Put(1)).unwrap_err();
    assert!(matches!(full.reason(), SendError::Full { .. }));
    system.set_capacity("shelf", 10).unwrap();
    system.tell("shelf://put", Put(2)).await.unwrap();
    let ledger = system.unmount("shelf").await.unwrap();
    assert_eq!(figures(&ledger), [4, 1, 0, 0, 1, 2]);
    for ask in asks {
        assert!(matches!(ask.await, Err(AskError::Unhandled { .. })));
    }
    system.stop().await.unwrap();
}

/// A model of the shelf: who takes what, when everything is done in order.
fn model(steps: &[Step]) -> Vec<(u32, u32)> {
    let (mut things, mut waiting) = (Vec::new(), Vec::<(u32, bool)>::new());
    let mut taken = Vec::new();
    for step in steps {
        match *step {
            Step::Put(thing) => things.push(thing),
            Step::Take { by, odd } => waiting.push((by, odd)),
        }
        loop {
            let found = waiting.iter().enumerate().find_map(|(at, (_, odd))| {
                let is_it = |thing: &u32| (*thing % 2 == 1) == *odd;
                Some((at, things.iter().position(is_it)?))
            });
            let Some((at, thing)) = found else { break };
            taken.push((waiting.remove(at).0, things.remove(thing)));
        }
    }
    taken
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Put(u32),
    Take { by: u32, odd: bool },
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn everyone_gets_what_a_simple_model_gives_them(
        steps in proptest::collection::vec(
            prop_oneof![
                (0..20_u32).prop_map(Step::Put),
                (0..1000_u32, any::<bool>()).prop_map(|(by, odd)| Step::Take { by, odd }),
            ],
            1..40,
        ),
    ) {
        let _watch = watchdog();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let taken = runtime.block_on(async {
            let system = system().await;
            let mut asks = Vec::new();
            for step in &steps {
                match *step {
                    Step::Put(thing) => system.tell("shelf://put", Put(thing)).await.unwrap(),
                    Step::Take { by, odd } => {
                        let path = if odd { "shelf://take/odd" } else { "shelf://take/even" };
                        let mut ask = Box::pin(system.ask(path, Take { by }));
                        if let Some(taken) = poll_once(&mut ask).await {
                            asks.push(Ok(taken.unwrap()));
                        } else {
                            asks.push(Err(ask));
                        }
                    }
                }
            }
            system.unmount("shelf").await.unwrap();
            let mut taken = Vec::new();
            for ask in asks {
                match ask {
                    Ok(one) => taken.push(one),
                    Err(ask) => taken.extend(ask.await.ok()),
                }
            }
            system.stop().await.unwrap();
            taken
        });
        let mut expected = model(&steps);
        expected.sort_unstable();
        let mut taken = taken;
        taken.sort_unstable();
        prop_assert_eq!(taken, expected);
    }
}
