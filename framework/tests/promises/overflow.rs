//! Promise 4, of one mailbox: what has no room waits, is handed back, or is dropped, as the policy says;
//! and what is dropped is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::{figures, poll_once, quiet, until, watchdog};
use mycelia::error::{AskError, Room, SendError};
use mycelia::observe::DeadReason;
use mycelia::prelude::*;
use mycelia::schedule::{Overflow, Priority};
use proptest::prelude::*;
use tokio::sync::Semaphore;

#[derive(Message, Debug, Clone, PartialEq, Eq)]
#[message(reply = u32)]
struct Job(u32);

#[derive(Message)]
#[message(reply = Vec<u32>)]
struct Handled;

struct Gate {
    begun: AtomicU32,
    permits: Semaphore,
}

#[derive(Subsystem, Default)]
struct Work {
    handled: Vec<u32>,
}

#[routes]
impl Work {
    #[route("job")]
    async fn job(&mut self, Job(n): Job, State(gate): State<Gate>) -> u32 {
        gate.begun.fetch_add(1, Ordering::Relaxed);
        gate.permits.acquire().await.unwrap().forget();
        self.handled.push(n);
        n
    }

    #[route("handled")]
    fn handled(&mut self, _: Handled) -> Vec<u32> {
        self.handled.clone()
    }
}

/// A subsystem with room for `capacity` messages, one of which is in its handler already.
async fn busy(capacity: u32, overflow: Overflow) -> (System, Arc<Gate>) {
    let gate = Arc::new(Gate {
        begun: AtomicU32::new(0),
        permits: Semaphore::new(0),
    });
    let system = System::builder()
        .threads(1)
        .pool(64)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    let options = MountOptions::new().capacity(capacity).overflow(overflow);
    system.mount_with(options, Work::default).await.unwrap();
    system.tell("work://job", Job(0)).await.unwrap();
    until("the first is in its handler", || begun(&gate) == 1).await;
    (system, gate)
}

fn begun(gate: &Gate) -> u32 {
    gate.begun.load(Ordering::Relaxed)
}

async fn handled(system: &System, gate: &Gate) -> Vec<u32> {
    gate.permits.add_permits(1000);
    quiet(system).await;
    system.ask("work://handled", Handled).await.unwrap()
}

fn is_full(error: &SendError) -> bool {
    matches!(
        error,
        SendError::Full {
            room: Room::Mailbox,
            ..
        }
    )
}

#[mycelia::test]
async fn wait_makes_tell_wait_and_try_tell_hand_back() {
    let _watch = watchdog();
    let (system, gate) = busy(2, Overflow::Wait).await;
    system.tell("work://job", Job(1)).await.unwrap();
    let refused = system.try_tell("work://job", Job(2)).unwrap_err();
    assert!(is_full(refused.reason()));
    assert_eq!(refused.into_message(), Job(2));
    let mut waiting = Box::pin(system.tell("work://job", Job(3)));
    assert!(poll_once(&mut waiting).await.is_none());
    gate.permits.add_permits(2);
    waiting.await.unwrap();
    assert_eq!(handled(&system, &gate).await, [0, 1, 3]);
    assert_eq!(figures(&quiet(&system).await), [4, 4, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn reject_hands_back_at_once_whatever_the_verb() {
    let _watch = watchdog();
    let (system, gate) = busy(2, Overflow::Reject).await;
    system.tell("work://job", Job(1)).await.unwrap();
    let refused = system.tell("work://job", Job(2)).await.unwrap_err();
    assert!(is_full(refused.reason()));
    assert_eq!(refused.into_message(), Job(2));
    let handle = system.route::<Job>("work://job").unwrap();
    assert!(is_full(handle.tell(Job(3)).await.unwrap_err().reason()));
    match handle.ask(Job(4)).await.unwrap_err() {
        AskError::Undelivered(refused) => {
            assert!(is_full(refused.reason()));
            assert_eq!(refused.into_message(), Job(4));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(handled(&system, &gate).await, [0, 1]);
    assert_eq!(system.snapshot().dead_letters, 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn drop_newest_drops_what_has_no_room_and_counts_it() {
    let _watch = watchdog();
    let (system, gate) = busy(2, Overflow::DropNewest).await;
    let mut letters = system.dead_letters();
    for n in 1..=5 {
        system.tell("work://job", Job(n)).await.unwrap();
    }
    // An asker is told.
    let asked = system.ask("work://job", Job(6)).await.unwrap_err();
    assert!(matches!(asked, AskError::Undelivered(refused) if is_full(refused.reason())));
    assert_eq!(handled(&system, &gate).await, [0, 1]);
    assert_eq!(figures(&quiet(&system).await), [7, 3, 0, 4, 0, 0]);
    for _ in 0..4 {
        let letter = letters.try_next().unwrap();
        assert_eq!(letter.path(), "work://job");
        assert_eq!(letter.reason, DeadReason::Dropped(Overflow::DropNewest));
    }
    assert_eq!(letters.try_next(), None);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn drop_oldest_drops_what_has_waited_longest_and_keeps_the_order_of_the_rest() {
    let _watch = watchdog();
    let (system, gate) = busy(4, Overflow::DropOldest).await;
    for n in 1..=10 {
        system.tell("work://job", Job(n)).await.unwrap();
        assert!(system.snapshot().total.waiting <= 4);
    }
    assert_eq!(handled(&system, &gate).await, [0, 8, 9, 10]);
    assert_eq!(figures(&quiet(&system).await), [12, 5, 0, 7, 0, 0]);
    let letters = system.snapshot().last_dead_letters;
    assert_eq!(letters.len(), 7);
    assert!(
        letters
            .iter()
            .all(|letter| letter.reason == DeadReason::Dropped(Overflow::DropOldest))
    );
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_ask_that_was_dropped_for_a_newer_message_says_so() {
    let _watch = watchdog();
    let (system, gate) = busy(2, Overflow::DropOldest).await;
    let mut first = Box::pin(system.ask("work://job", Job(1)));
    assert!(poll_once(&mut first).await.is_none());
    let mut second = Box::pin(system.ask("work://job", Job(2)));
    assert!(poll_once(&mut second).await.is_none());
    let dropped = first.await.unwrap_err();
    assert!(matches!(dropped, AskError::Dropped { .. }) && dropped.is_retryable());
    gate.permits.add_permits(2);
    assert_eq!(second.await.unwrap(), 2);
    assert_eq!(figures(&quiet(&system).await), [3, 2, 0, 1, 0, 0]);
    // Its asker knows.
    assert_eq!(system.snapshot().dead_letters, 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn where_all_messages_are_in_handlers_drop_oldest_drops_the_new_one() {
    let _watch = watchdog();
    let (system, gate) = busy(1, Overflow::DropOldest).await;
    system.tell("work://job", Job(1)).await.unwrap();
    assert_eq!(handled(&system, &gate).await, [0]);
    assert_eq!(figures(&quiet(&system).await), [3, 2, 0, 1, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_least_urgent_are_dropped_first_and_control_never() {
    let _watch = watchdog();
    let (system, gate) = busy(5, Overflow::DropOldest).await;
    let job = system.route::<Job>("work://job").unwrap();
    let send = async |priority, n| job.with_priority(priority).tell(Job(n)).await.unwrap();
    send(Priority::Control, 1).await;
    send(Priority::High, 2).await;
    send(Priority::Normal, 3).await;
    send(Priority::Low, 4).await;
    // Full. In this order they make room: 4, 3, 2, then the newest of all.
    for n in 10..13 {
        send(Priority::Control, n).await;
    }
    send(Priority::Control, 13).await;
    assert_eq!(handled(&system, &gate).await, [0, 1, 10, 11, 12]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn policy_and_capacity_can_be_changed_while_messages_wait() {
    let _watch = watchdog();
    let (system, gate) = busy(2, Overflow::Wait).await;
    system.tell("work://job", Job(1)).await.unwrap();
    // One that waits for room finds it when there is more.
    let mut waiting = Box::pin(system.tell("work://job", Job(2)));
    assert!(poll_once(&mut waiting).await.is_none());
    system.set_capacity("work", 3).unwrap();
    waiting.await.unwrap();
    // Or is handed back.
    let mut waiting = Box::pin(system.tell("work://job", Job(3)));
    assert!(poll_once(&mut waiting).await.is_none());
    system.set_overflow("work", Overflow::Reject).unwrap();
    assert!(is_full(waiting.await.unwrap_err().reason()));
    system.set_overflow("work", Overflow::DropNewest).unwrap();
    system.tell("work://job", Job(4)).await.unwrap();
    system.set_capacity("work", None).unwrap();
    system.tell("work://job", Job(5)).await.unwrap();
    // What drops the oldest takes effect at once too, though a handler waits.
    system.set_capacity("work", 4).unwrap();
    system.set_overflow("work", Overflow::DropOldest).unwrap();
    system.tell("work://job", Job(6)).await.unwrap();
    gate.permits.add_permits(1);
    until("the next is in its handler", || begun(&gate) == 2).await;
    for n in 7..=9 {
        system.tell("work://job", Job(n)).await.unwrap();
    }
    assert_eq!(handled(&system, &gate).await, [0, 2, 7, 8, 9]);
    let ledger = quiet(&system).await;
    assert_eq!(ledger.dropped, 4);
    assert!(matches!(
        system.set_capacity("nobody", 1),
        Err(SendError::NoSubsystem { .. })
    ));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_message_that_panics_when_it_is_dropped_hurts_nobody() {
    struct Mine;
    impl Drop for Mine {
        fn drop(&mut self) {
            panic!("{}", crate::common::ON_PURPOSE);
        }
    }
    #[derive(Message)]
    struct Lay(#[allow(dead_code)] Mine);
    #[derive(Subsystem, Default)]
    struct Field;
    #[routes]
    impl Field {
        #[route("lay")]
        async fn lay(&mut self, lay: Lay, State(gate): State<Gate>) {
            gate.permits.acquire().await.unwrap().forget();
            std::mem::forget(lay);
        }
    }
    let _watch = watchdog();
    crate::common::quiet_panics();
    let (system, gate) = busy(2, Overflow::Wait).await;
    let options = MountOptions::new()
        .capacity(2)
        .overflow(Overflow::DropOldest);
    system.mount_with(options, Field::default).await.unwrap();
    for _ in 0..5 {
        system.tell("field://lay", Lay(Mine)).await.unwrap();
    }
    gate.permits.add_permits(1000);
    quiet(&system).await;
    let field = system.snapshot().subsystem("field").unwrap().ledger;
    assert_eq!(field.sent, 5);
    assert_eq!(field.handled + field.dropped, 5);
    system.stop().await.unwrap();
}

/// Many senders at once, with every policy: nothing is lost, nothing doubled, order is kept.
async fn storm(overflow: Overflow, capacity: u32, mixed: bool) {
    const SENDERS: u32 = 4;
    const EACH: u32 = 3_000;

    #[derive(Message)]
    struct Numbered {
        sender: u32,
        n: u32,
    }

    #[derive(Subsystem)]
    struct Sink {
        last: Vec<[Option<u32>; 4]>,
    }

    #[routes]
    impl Sink {
        #[route("{priority}")]
        fn take(&mut self, Numbered { sender, n }: Numbered, Path(priority): Path<usize>) {
            let last = &mut self.last[sender as usize][priority];
            assert!(last.is_none_or(|last| last < n), "out of order");
            *last = Some(n);
        }
    }

    let system = System::builder()
        .threads(1)
        .pool(256)
        .start()
        .await
        .unwrap();
    let options = MountOptions::new().capacity(capacity).overflow(overflow);
    let factory = || Sink {
        last: vec![[None; 4]; SENDERS as usize],
    };
    system.mount_with(options, factory).await.unwrap();
    let threads = (0..SENDERS).map(|sender| {
        let system = system.clone();
        std::thread::spawn(move || {
            let mut refused = 0_u64;
            for n in 0..EACH {
                let priority = match mixed {
                    true => Priority::ALL[(n % 4) as usize],
                    false => Priority::Normal,
                };
                let path = format!("sink://{}", priority as usize);
                let to = system.route::<Numbered>(path).unwrap();
                let sent = to
                    .with_priority(priority)
                    .tell_blocking(Numbered { sender, n });
                refused += u64::from(sent.is_err());
            }
            refused
        })
    });
    let threads: Vec<_> = threads.collect();
    let refused: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    let ledger = quiet(&system).await;
    assert_eq!(ledger.sent + refused, u64::from(SENDERS * EACH));
    assert_eq!(ledger.sent, ledger.handled + ledger.dropped);
    match overflow {
        Overflow::Wait => assert_eq!((refused, ledger.dropped), (0, 0)),
        Overflow::Reject => assert_eq!(ledger.dropped, 0),
        _ => assert_eq!(refused, 0),
    }
    assert_eq!(system.snapshot().dead_letters, ledger.dropped);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn under_every_policy_many_senders_lose_nothing_and_keep_their_order() {
    let _watch = watchdog();
    for overflow in [
        Overflow::Wait,
        Overflow::Reject,
        Overflow::DropNewest,
        Overflow::DropOldest,
    ] {
        for capacity in [1, 3, 50] {
            for mixed in [false, true] {
                storm(overflow, capacity, mixed).await;
            }
        }
    }
}

/// What a sender does next.
#[derive(Debug, Clone)]
enum Step {
    Tell(Priority),
    Handle(u32),
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_usize).prop_map(|at| Step::Tell(Priority::ALL[at])),
        1 => (1..5_u32).prop_map(Step::Handle),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Holds a mailbox against a model of it: a list for each priority.
async fn against_a_model(capacity: u32, overflow: Overflow, steps: Vec<Step>) {
    let (system, gate) = busy(capacity, overflow).await;
    let job = system.route::<Job>("work://job").unwrap();
    let mut waiting: Vec<(Priority, u32)> = Vec::new();
    let (mut in_handler, mut entered, mut dropped) = (1_u32, 1_u32, 0_u64);
    for (n, step) in (1..).zip(steps) {
        match step {
            Step::Tell(priority) => {
                let is_full = waiting.len() as u32 + in_handler >= capacity;
                let told = job.with_priority(priority).try_tell(Job(n));
                let oldest = waiting
                    .iter()
                    .enumerate()
                    .filter(|(_, (p, _))| *p != Priority::Control)
                    .max_by_key(|(at, (p, _))| (*p, std::cmp::Reverse(*at)))
                    .map(|(at, _)| at);
                match (is_full, overflow) {
                    (false, _) => waiting.push((priority, n)),
                    (true, Overflow::DropNewest) => dropped += 1,
                    (true, Overflow::DropOldest) => {
                        dropped += 1;
                        if let Some(oldest) = oldest {
                            waiting.remove(oldest);
                            waiting.push((priority, n));
                        }
                    }
                    (true, _) => {
                        assert!(told.is_err());
                        continue;
                    }
                }
                assert!(told.is_ok());
                if in_handler == 0 {
                    // Nothing was before it.
                    assert_eq!(waiting.pop(), Some((priority, n)));
                    in_handler = 1;
                    entered += 1;
                    until("it has begun", || begun(&gate) == entered).await;
                }
            }
            Step::Handle(count) => {
                let before = system.snapshot().total.handled;
                let count = count.min(waiting.len() as u32 + in_handler);
                gate.permits.add_permits(count as usize);
                let all = waiting.len() as u32 + in_handler;
                entered += count.min(all - in_handler);
                until("so many were handled, and the next has begun", || {
                    system.snapshot().total.handled == before + u64::from(count)
                        && begun(&gate) == entered
                })
                .await;
                for _ in 0..count {
                    in_handler = 0;
                    let next = waiting
                        .iter()
                        .enumerate()
                        .min_by_key(|(at, (p, _))| (*p, *at))
                        .map(|(at, _)| at);
                    if let Some(next) = next {
                        waiting.remove(next);
                        in_handler = 1;
                    }
                }
            }
        }
        let ledger = system.snapshot().total;
        assert!(ledger.closes());
        assert_eq!(ledger.dropped, dropped);
        assert_eq!(ledger.waiting, waiting.len() as u64 + u64::from(in_handler));
    }
    gate.permits.add_permits(1000);
    quiet(&system).await;
    system.stop().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_mailbox_does_what_a_simple_model_of_it_does(
        capacity in 1..8_u32,
        policy in 0..4_usize,
        steps in steps(),
    ) {
        let _watch = watchdog();
        let overflow = [
            Overflow::Wait,
            Overflow::Reject,
            Overflow::DropNewest,
            Overflow::DropOldest,
        ][policy];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(against_a_model(capacity, overflow, steps));
    }
}
