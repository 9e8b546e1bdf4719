//! Topics under a scheduler that does its worst: mounts, unmounts and restarts between a publisher's look at the
//! table and its copies.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mycelia::Replicas;
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use mycelia_test::{Outcome, Simulation, SimulationError, check_seeds};

use crate::common::{ON_PURPOSE, quiet_panics, watchdog};

/// The publisher, and how many it has published before.
#[derive(Message, Clone)]
struct Number {
    publisher: u64,
    n: u64,
}

/// The last number that each subscriber has seen of each publisher.
#[derive(Default)]
struct LastSeen(std::sync::Mutex<BTreeMap<(Arc<str>, u64), u64>>);

#[derive(Subsystem, Default)]
struct Reader;

#[routes]
impl Reader {
    #[subscribe("numbers://{publisher}/{*rest}")]
    async fn read(
        &mut self,
        msg: Number,
        Path(publisher): Path<u64>,
        Path(_): Path<String>,
        ctx: Context,
        State(seen): State<LastSeen>,
    ) {
        assert_eq!(publisher, msg.publisher);
        {
            let mut seen = seen.0.lock().unwrap();
            let last = seen.entry((ctx.name().into(), publisher)).or_default();
            assert!(*last < msg.n, "{} after {last}", msg.n);
            *last = msg.n;
        }
        tokio::time::sleep(Duration::from_millis(msg.n % 3)).await;
        if msg.n.is_multiple_of(7) {
            panic!("{ON_PURPOSE}");
        }
    }

    #[subscribe("numbers://0/x")]
    fn exactly(&mut self, _: Number) {}
}

const PUBLISHERS: u64 = 3;
const NUMBERS: u64 = 12;

fn run(seed: u64) -> Result<Outcome<u64>, SimulationError> {
    Simulation::new(seed).threads(2).run(|sim| async move {
        let seen = Arc::new(LastSeen::default());
        let builder = System::builder().pool(24).shared_state(seen.clone());
        let system = sim.system(builder).await.unwrap();
        let options = |name: &'static str| {
            let intensity = MountOptions::new().intensity(1_000, Duration::from_secs(3600));
            intensity.name(name)
        };
        let stays = options("stays").capacity(2);
        system.mount_with(stays, Reader::default).await.unwrap();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let system = system.clone();
                sim.spawn(async move {
                    let path = format!("numbers://{publisher}/x");
                    let mut sums = [0; 4];
                    for n in 1..=NUMBERS {
                        let number = Number { publisher, n };
                        let published = match n % 4 {
                            0 => system.try_publish(&path, number).unwrap(),
                            1 => {
                                let within = Duration::from_millis(2);
                                let published = system.publish_within(&path, number, within);
                                published.await.unwrap()
                            }
                            _ => system.publish(&path, number).await.unwrap(),
                        };
                        let [matched, accepted, missed, closed] = &mut sums;
                        *matched += published.matched;
                        *accepted += published.accepted;
                        *missed += published.missed;
                        *closed += published.closed;
                    }
                    sums
                })
            })
            .collect();
        let changes = {
            let system = system.clone();
            let options = RefCell::new(vec![
                options("two").capacity(1).overflow(Overflow::Reject),
                options("one"),
            ]);
            sim.spawn(async move {
                for _ in 0..2 {
                    let own = options.borrow_mut().pop().unwrap();
                    system.mount_with(own, Reader::default).await.unwrap();
                    let three = Replicas::round_robin(2);
                    system.mount_replicas(three, Reader::default).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(4)).await;
                    system.unmount("reader").await.unwrap();
                }
                system.unmount("one").await.unwrap();
            })
        };
        changes.await.unwrap();
        let mut sums = [0; 4];
        for publisher in publishers {
            for (sum, own) in sums.iter_mut().zip(publisher.await.unwrap()) {
                *sum += own;
            }
        }
        let [matched, accepted, missed, closed] = sums;
        assert_eq!(matched, accepted + missed + closed);
        let topics = system.snapshot().topics.total();
        assert_eq!(
            (
                topics.matched,
                topics.accepted,
                topics.missed,
                topics.closed
            ),
            (matched, accepted, missed, closed)
        );
        assert_eq!((topics.cut, topics.waiting), (0, 0));
        // Who stays is never passed over, and sends away no one who waits.
        assert!(matched >= PUBLISHERS * NUMBERS);
        let ledger = system.stop().await.unwrap().ledger;
        assert!(ledger.closes() && ledger.is_quiet(), "{ledger:?}");
        assert_eq!(ledger.sent, accepted);
        closed
    })
}

#[test]
fn copies_are_accounted_for_and_in_order_whoever_comes_and_goes_meanwhile() {
    quiet_panics();
    let seeds = std::env::var("MYCELIA_TOPIC_SEEDS").ok();
    // So many as are asked for take as long as they take.
    let _watch = seeds.is_none().then(watchdog);
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(400);
    let outcomes = check_seeds(0..seeds, run);
    // Some found their receiver gone between the look and the copy.
    assert!(outcomes.iter().any(|outcome| outcome.value > 0));
}
