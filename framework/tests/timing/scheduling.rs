//! Promise 6, of strategies: shares are what the strategy says, goals are kept, and a strategy may change
//! at any time.
//!
//! Time is the handlers' own where a test allows it: they turn a manual clock, and the machine's noise
//! has no part in what is measured.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{ON_PURPOSE, quiet_panics, until, watchdog};
use mycelia::observe::Snapshot;
use mycelia::prelude::*;
use mycelia::schedule::{Adaptive, Load, LoadBased, RoundRobin, Slice, Strategy, Weighted};
use mycelia::time::{Clock, ClockHand, Stamp};

const NAMES: [&str; 3] = ["one", "two", "four"];
const WEIGHTS: [u32; 3] = [1, 2, 4];

/// Messages of each flood that go round and round; no slice of a test has as many.
const FLOOD: usize = 500;

/// Floods that go on until they are told to end.
#[derive(Default)]
struct Floods {
    is_over: AtomicBool,
    /// Nanoseconds handled by each, until they come to `enough`.
    handled_ns: Mutex<[u64; 3]>,
    enough_ns: AtomicU64,
    /// What the notes waited.
    waits_ns: Mutex<Vec<u64>>,
}

/// How a handler spends its time.
#[derive(Clone)]
enum Pace {
    Clock(ClockHand),
    Spinning,
}

#[derive(Message)]
struct Drop;

#[derive(Subsystem)]
struct Flooded {
    number: usize,
    path: String,
    takes: Duration,
    pace: Pace,
}

#[routes]
impl Flooded {
    /// Sends itself the next message, and takes its time.
    #[route("drop")]
    fn drop(&mut self, _: Drop, State(floods): State<Floods>, system: System) {
        if floods.is_over.load(Ordering::Relaxed) {
            return;
        }
        system.try_tell(&*self.path, Drop).unwrap();
        match &self.pace {
            Pace::Clock(hand) => hand.advance(self.takes),
            Pace::Spinning => {
                let begun = Instant::now();
                while begun.elapsed() < self.takes {
                    std::hint::spin_loop();
                }
            }
        }
        let mut handled_ns = floods.handled_ns.lock().unwrap();
        if handled_ns.iter().sum::<u64>() < floods.enough_ns.load(Ordering::Relaxed) {
            handled_ns[self.number] += self.takes.as_nanos() as u64;
        }
    }
}

#[derive(Message)]
struct Note {
    sent: Stamp,
}

#[derive(Message)]
#[message(reply = ())]
struct Call;

struct Neighbour {
    clock: Clock,
}

impl Subsystem for Neighbour {
    const NAME: &'static str = "neighbour";
}

#[routes]
impl Neighbour {
    #[route("note")]
    fn note(&mut self, Note { sent }: Note, State(floods): State<Floods>) {
        let wait_ns = self.clock.between_ns(sent, self.clock.now());
        floods.waits_ns.lock().unwrap().push(wait_ns);
    }

    #[route("call")]
    fn call(&mut self, _: Call) {}

    #[route("sleep")]
    async fn sleep(&mut self, _: Call) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Starts a system of one thread with three floods, whose messages take so long.
async fn flooded(
    strategy: impl Strategy,
    clock: Clock,
    pace: Pace,
    takes: [Duration; 3],
) -> (System, Arc<Floods>) {
    let floods = Arc::new(Floods::default());
    let system = System::builder()
        .threads(1)
        .pool(4 * FLOOD)
        .clock(clock.clone())
        .strategy(strategy)
        .shared_state(floods.clone())
        .start()
        .await
        .unwrap();
    for (number, name) in NAMES.into_iter().enumerate() {
        let (pace, takes) = (pace.clone(), takes[number]);
        let options = MountOptions::new().name(name).weight(WEIGHTS[number]);
        let factory = move || Flooded {
            number,
            path: format!("{name}://drop"),
            takes,
            pace: pace.clone(),
        };
        system.mount_with(options, factory).await.unwrap();
        for _ in 0..FLOOD {
            system.tell(&*format!("{name}://drop"), Drop).await.unwrap();
        }
    }
    mount_neighbour(&system, clock, MountOptions::new()).await;
    (system, floods)
}

async fn mount_neighbour(system: &System, clock: Clock, options: MountOptions) {
    let factory = move || Neighbour {
        clock: clock.clone(),
    };
    system.mount_with(options, factory).await.unwrap();
}

async fn end(system: System, floods: Arc<Floods>) {
    floods.is_over.store(true, Ordering::Relaxed);
    let report = system.stop().await.unwrap();
    assert_eq!(report.ledger.sent, report.ledger.handled);
    assert!(report.ledger.closes());
}

/// Waits until the strategy of that name is obeyed, and every flood handled something by it.
async fn obeyed(system: &System, strategy: &str, is_obeyed: impl Fn(&Snapshot) -> bool) {
    until("the strategy is obeyed", || {
        let now = system.snapshot();
        now.strategy == strategy && is_obeyed(&now)
    })
    .await;
    let before = system.snapshot();
    until("everyone had several turns", || {
        let now = system.snapshot();
        NAMES.into_iter().all(|name| {
            let handled = |of: &Snapshot| of.subsystem(name).unwrap().ledger.handled;
            handled(&now) > handled(&before) + FLOOD as u64
        })
    })
    .await;
}

fn is_timed(now: &Snapshot) -> bool {
    now.subsystems.iter().all(|one| one.slice_time.is_some())
}

/// The shares of the three floods in the next `interval` of handling.
async fn shares(floods: &Floods, interval: Duration) -> [f64; 3] {
    *floods.handled_ns.lock().unwrap() = [0; 3];
    let enough_ns = interval.as_nanos() as u64;
    floods.enough_ns.store(enough_ns, Ordering::Relaxed);
    let handled_ns = || *floods.handled_ns.lock().unwrap();
    until("enough is handled", || {
        handled_ns().iter().sum::<u64>() >= enough_ns
    })
    .await;
    floods.enough_ns.store(0, Ordering::Relaxed);
    proportions(handled_ns())
}

fn proportions(amounts: [u64; 3]) -> [f64; 3] {
    let sum: u64 = amounts.iter().sum();
    amounts.map(|amount| amount as f64 / sum as f64)
}

/// How far, of what it should have, the share is off that is furthest off.
fn furthest_off(shares: [f64; 3], weights: [u32; 3]) -> f64 {
    let expected = proportions(weights.map(u64::from));
    let off = |at: usize| (shares[at] / expected[at] - 1.0).abs();
    off(0).max(off(1)).max(off(2))
}

fn assert_shares(shares: [f64; 3], weights: [u32; 3], tolerance: f64, what: &str) {
    let off = furthest_off(shares, weights);
    assert!(off <= tolerance, "{what}: {shares:?} for {weights:?}");
}

#[mycelia::test]
async fn time_is_shared_by_weight_whatever_the_handlers_take() {
    let _watch = watchdog();
    for takes_us in [
        [3, 3, 3],
        [1, 9, 40],
        [40, 9, 1],
        [700, 2, 31],
        [5, 900, 70],
    ] {
        let (clock, hand) = Clock::manual();
        let takes = takes_us.map(Duration::from_micros);
        let pace = Pace::Clock(hand);
        let (system, floods) = flooded(Weighted::default(), clock, pace, takes).await;
        obeyed(&system, "weighted", is_timed).await;
        let shares = shares(&floods, Duration::from_millis(500)).await;
        assert_shares(shares, WEIGHTS, 0.02, &format!("{takes_us:?} µs"));
        end(system, floods).await;
    }
}

#[mycelia::test]
async fn a_switch_of_the_strategy_changes_the_shares_of_floods_under_way() {
    let _watch = watchdog();
    let (clock, hand) = Clock::manual();
    let takes = [Duration::from_micros(3); 3];
    let equal = RoundRobin::default();
    let (system, floods) = flooded(equal, clock, Pace::Clock(hand), takes).await;
    let interval = Duration::from_millis(200);
    for _ in 0..3 {
        obeyed(&system, "round-robin", |now| !is_timed(now)).await;
        assert_shares(shares(&floods, interval).await, [1, 1, 1], 0.05, "equal");
        system.set_strategy(Weighted::default());
        obeyed(&system, "weighted", is_timed).await;
        assert_shares(shares(&floods, interval).await, WEIGHTS, 0.02, "weighted");
        system.set_strategy(equal);
    }
    end(system, floods).await;
}

/// What each of the three has handled, and nanoseconds of service, at about one instant.
async fn account(system: &System) -> [(u64, u64); 3] {
    loop {
        let begun = Instant::now();
        let now = system.snapshot();
        // The machine may halt anyone who looks, between one subsystem and the next.
        if begun.elapsed() > Duration::from_millis(2) {
            tokio::task::yield_now().await;
            continue;
        }
        return NAMES.map(|name| {
            let one = now.subsystem(name).unwrap();
            assert!(one.ledger.waiting > 0, "{name} is saturated: {one:?}");
            (one.ledger.handled, one.service.sum_ns)
        });
    }
}

/// The shares of messages, and of service time, while floods that take so long are handled for so long.
async fn measured(
    clock: Clock,
    pace: Pace,
    takes: [Duration; 3],
    interval: Duration,
) -> ([f64; 3], [f64; 3]) {
    let (system, floods) = flooded(Weighted::default(), clock, pace, takes).await;
    obeyed(&system, "weighted", is_timed).await;
    let before = account(&system).await;
    shares(&floods, interval).await;
    let after = account(&system).await;
    end(system, floods).await;
    let messages = [0, 1, 2].map(|at| after[at].0 - before[at].0);
    let time_ns = [0, 1, 2].map(|at| after[at].1 - before[at].1);
    (proportions(messages), proportions(time_ns))
}

#[mycelia::test]
async fn the_books_show_shares_of_messages_by_weight_if_all_take_the_same() {
    let _watch = watchdog();
    let (clock, hand) = Clock::manual();
    let takes = [Duration::from_micros(3); 3];
    let interval = Duration::from_secs(5);
    let (messages, time) = measured(clock, Pace::Clock(hand), takes, interval).await;
    assert_shares(messages, WEIGHTS, 0.05, "messages");
    assert_shares(time, WEIGHTS, 0.05, "time");
}

#[mycelia::test]
async fn service_time_is_shared_by_weight_on_a_real_clock_too() {
    let _watch = watchdog();
    // Far more than it costs to go from one message to the next, which is part of a turn.
    for takes_us in [[30, 30, 30], [150, 60, 30]] {
        let takes = takes_us.map(Duration::from_micros);
        let interval = Duration::from_millis(300);
        let mut tries = Vec::new();
        // A thread that the machine halts for long in a handler has not paid for that at the end.
        while tries.len() < 5 {
            let (_, time) = measured(Clock::default(), Pace::Spinning, takes, interval).await;
            tries.push(time);
            if furthest_off(time, WEIGHTS) <= 0.05 {
                break;
            }
        }
        let last = tries[tries.len() - 1];
        let off = furthest_off(last, WEIGHTS);
        assert!(off <= 0.05, "{takes_us:?} µs: {tries:?} for {WEIGHTS:?}");
    }
}

/// What 99 in 100 of the next some hundred notes to the neighbour wait at most.
async fn p99(system: &System, clock: &Clock, floods: &Floods) -> Duration {
    const NOTES: usize = 300;
    floods.waits_ns.lock().unwrap().clear();
    for _ in 0..NOTES {
        let sent = clock.now();
        system
            .tell("neighbour://note", Note { sent })
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    until("all notes have come", || {
        floods.waits_ns.lock().unwrap().len() == NOTES
    })
    .await;
    let mut waits_ns = floods.waits_ns.lock().unwrap().clone();
    waits_ns.sort_unstable();
    Duration::from_nanos(waits_ns[NOTES * 99 / 100])
}

#[mycelia::test]
async fn adaptive_keeps_the_goal_of_a_marked_subsystem_that_round_robin_misses() {
    let _watch = watchdog();
    let mut tries = Vec::new();
    for _ in 0..3 {
        let (clock, hand) = Clock::manual();
        let takes = [Duration::from_micros(10); 3];
        let (pace, equal) = (Pace::Clock(hand), RoundRobin::default());
        let (system, floods) = flooded(equal, clock.clone(), pace, takes).await;
        obeyed(&system, "round-robin", |_| true).await;
        // Half of what it would get from shorter slices alone, an eighth of the stated ones.
        let goal = p99(&system, &clock, &floods).await / 16;
        system.unmount("neighbour").await.unwrap();
        let marked = MountOptions::new().wait_goal(goal);
        mount_neighbour(&system, clock.clone(), marked).await;
        let shown = system.snapshot().subsystem("neighbour").unwrap().wait_goal;
        assert_eq!(shown, Some(goal));

        let equal = p99(&system, &clock, &floods).await;
        system.set_strategy(Adaptive::default());
        // It learns from the messages that come.
        p99(&system, &clock, &floods).await;
        let adapted = p99(&system, &clock, &floods).await;
        end(system, floods).await;
        if equal > goal && adapted <= goal {
            return;
        }
        tries.push((goal, equal, adapted));
    }
    panic!("goal, wait under round-robin, wait under adaptive: {tries:?}");
}

#[derive(Message)]
struct Numbered {
    sender: usize,
    number: u64,
}

#[derive(Subsystem, Default)]
struct Ordered {
    next: [u64; 2],
}

#[routes]
impl Ordered {
    #[route("numbered")]
    fn numbered(&mut self, message: Numbered) -> anyhow::Result<()> {
        let expected = self.next[message.sender];
        anyhow::ensure!(message.number == expected, "{expected} was to come");
        self.next[message.sender] += 1;
        Ok(())
    }
}

#[mycelia::test]
async fn a_strategy_can_be_switched_while_messages_flow_and_none_is_lost_or_overtaken() {
    let _watch = watchdog();
    let system = System::builder()
        .threads(1)
        .pool(500)
        .start()
        .await
        .unwrap();
    for (name, weight) in [("a", 1), ("b", 3)] {
        let options = MountOptions::new()
            .name(name)
            .weight(weight)
            .wait_goal(Duration::from_micros(100));
        system.mount_with(options, Ordered::default).await.unwrap();
    }
    let is_enough = Arc::new(AtomicBool::new(false));
    let senders = [0, 1].map(|sender| {
        let (system, is_enough) = (system.clone(), is_enough.clone());
        std::thread::spawn(move || {
            let mut number = 0;
            while !is_enough.load(Ordering::Relaxed) {
                for path in ["a://numbered", "b://numbered"] {
                    let message = Numbered { sender, number };
                    system.tell_blocking(path, message).unwrap();
                }
                number += 1;
            }
            2 * number
        })
    });
    for round in 1..=10 {
        let slice = Slice::new(round);
        system.set_strategy(Weighted::default());
        obeys(&system, "weighted", None).await;
        system.set_strategy(LoadBased(slice));
        obeys(&system, "load-based", None).await;
        system.set_strategy(Adaptive(slice));
        obeys(&system, "adaptive", None).await;
        system.set_strategy(Halving);
        obeys(&system, "user-defined", None).await;
        system.set_strategy(RoundRobin(slice));
        obeys(&system, "round-robin", Some(round)).await;
    }
    is_enough.store(true, Ordering::Relaxed);
    let sent: u64 = senders.map(|sender| sender.join().unwrap()).iter().sum();
    let report = system.stop().await.unwrap();
    // A message out of order would have failed.
    assert_eq!(report.ledger.handled, sent);
    assert!(report.ledger.closes() && report.ledger.is_quiet());
}

/// Waits until a strategy is followed, its slices are there, and more messages were handled.
async fn obeys(system: &System, strategy: &str, slice: Option<u32>) {
    let before = system.snapshot().total.handled;
    until("the strategy is obeyed while messages flow", || {
        let now = system.snapshot();
        let slices = now.subsystems.iter().map(|one| one.slice);
        now.strategy == strategy
            && slices.into_iter().all(|of| slice.is_none_or(|s| s == of))
            && now.total.handled > before
    })
    .await;
}

/// A user's strategy: half of the slice that holds now.
struct Halving;

impl Strategy for Halving {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        for (load, slice) in loads.iter().zip(slices) {
            *slice = slice.with_messages(load.slice.messages() / 2);
        }
    }
}

/// A user's strategy that gives each subsystem what a table says.
struct Stated(Vec<(&'static str, Slice)>);

impl Strategy for Stated {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        for (load, slice) in loads.iter().zip(slices) {
            let stated = self.0.iter().find(|(name, _)| *name == &*load.name);
            *slice = stated.map_or(Slice::default(), |(_, slice)| *slice);
        }
    }

    fn name(&self) -> &'static str {
        "stated"
    }
}

#[mycelia::test]
async fn a_users_strategy_decides_the_shares() {
    let _watch = watchdog();
    let (clock, hand) = Clock::manual();
    let takes = [3, 10, 25].map(Duration::from_micros);
    let time = |us| Slice::new(u32::MAX).within(Duration::from_micros(us));
    let stated = vec![("one", time(90)), ("two", time(30)), ("four", time(60))];
    let (system, floods) = flooded(Stated(stated), clock, Pace::Clock(hand), takes).await;
    obeyed(&system, "stated", |now| {
        now.subsystem("four").unwrap().slice_time == Some(Duration::from_micros(60))
    })
    .await;
    let shares = shares(&floods, Duration::from_millis(300)).await;
    assert_shares(shares, [3, 1, 2], 0.02, "as stated");
    end(system, floods).await;
}

#[mycelia::test]
async fn absurd_slices_starve_nobody() {
    let _watch = watchdog();
    let nothing = Slice::new(0).within(Duration::ZERO);
    let everything = Slice::new(u32::MAX);
    let for_ever = everything.within(Duration::MAX);
    for slices in [
        [Slice::new(0); 3],
        [nothing; 3],
        [everything; 3],
        [for_ever; 3],
        [nothing, for_ever, everything],
    ] {
        let takes = [Duration::from_micros(5); 3];
        let stated = NAMES.into_iter().zip(slices).collect();
        let (system, floods) =
            flooded(Stated(stated), Clock::default(), Pace::Spinning, takes).await;
        until("the slices are given", || {
            let now = system.snapshot();
            NAMES.into_iter().zip(slices).all(|(name, slice)| {
                let one = now.subsystem(name).unwrap();
                (one.slice, one.slice_time) == (slice.messages(), slice.time())
            })
        })
        .await;
        for _ in 0..20 {
            system.ask("neighbour://call", Call).await.unwrap();
            system.ask("neighbour://sleep", Call).await.unwrap();
        }
        let handled = || {
            let now = system.snapshot();
            NAMES.map(|name| now.subsystem(name).unwrap().ledger.handled)
        };
        let before = handled();
        until("every flood goes on", || {
            handled()
                .iter()
                .zip(before)
                .all(|(now, before)| *now > before)
        })
        .await;
        end(system, floods).await;
    }
}

/// What goes wrong in a user's strategy.
#[derive(PartialEq)]
enum Flaw {
    Deciding,
    Naming,
    Ending,
}

struct Flawed(Flaw);

impl Strategy for Flawed {
    fn slices(&mut self, _: &[Load], slices: &mut [Slice]) {
        slices[0] = Slice::new(77);
        assert!(self.0 != Flaw::Deciding, "{ON_PURPOSE}");
    }

    fn name(&self) -> &'static str {
        assert!(self.0 != Flaw::Naming, "{ON_PURPOSE}");
        "flawed"
    }
}

impl std::ops::Drop for Flawed {
    fn drop(&mut self) {
        assert!(self.0 != Flaw::Ending, "{ON_PURPOSE}");
    }
}

#[mycelia::test]
async fn a_strategy_that_panics_anywhere_leaves_the_system_as_it_was() {
    let _watch = watchdog();
    quiet_panics();
    for (flaw, name) in [
        (Flaw::Deciding, "round-robin"),
        (Flaw::Naming, "nameless"),
        (Flaw::Ending, "flawed"),
    ] {
        let takes = [Duration::from_micros(5); 3];
        let equal = RoundRobin(Slice::new(9));
        let (system, floods) = flooded(equal, Clock::default(), Pace::Spinning, takes).await;
        let has = |slice| {
            let now = system.snapshot();
            now.subsystems.iter().any(|one| one.slice == slice)
        };
        until("the first is obeyed", || has(9)).await;
        let decides = flaw != Flaw::Deciding;
        system.set_strategy(Flawed(flaw));
        until("the next was tried", || system.snapshot().strategy == name).await;
        if decides {
            until("it is obeyed", || has(77)).await;
        } else {
            until("round-robin stands in", || !has(9)).await;
            assert!(!has(77));
        }
        system.ask("neighbour://sleep", Call).await.unwrap();
        system.set_strategy(equal);
        until("the last is obeyed", || has(9) && !has(77)).await;
        end(system, floods).await;
    }
}
