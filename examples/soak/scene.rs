//! The scene: a shop with shelves that break now and then, a desk that asks it, a clock, a feed, a guest.
//!
//! Every message notes in the [`Notes`] that a handler has begun with it, how long it waited, and how its
//! handler ended, so that the ledger can be held against that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mycelia::prelude::*;
use mycelia::schedule::MissedTick;
use mycelia::supervise::Failure;

use examples_lib::silence::ON_PURPOSE;

/// Children of the shop.
pub(crate) const SHELVES: u64 = 4;
/// Between two ticks of the clock.
const TICK: Duration = Duration::from_millis(10);
/// Between two items of the feed.
const ITEM: Duration = Duration::from_millis(5);

/// What the handlers have seen.
pub(crate) struct Notes {
    pub(crate) handled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) ticks: AtomicU64,
    pub(crate) items: AtomicU64,
    pub(crate) restarts: AtomicU64,
    /// How long messages waited since the last look, in nanoseconds.
    waits: Mutex<Histogram<u64>>,
}

impl Notes {
    /// # Errors
    /// None, in fact: two digits are in range.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Notes {
            handled: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            items: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            waits: Mutex::new(Histogram::new_with_max(60_000_000_000, 2)?),
        })
    }

    /// The waits since the last look: median, 99th and 99.9th percentile.
    pub(crate) fn take_waits(&self) -> [u64; 3] {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let found = [0.5, 0.99, 0.999].map(|quantile| waits.value_at_quantile(quantile));
        waits.reset();
        found
    }

    fn handled(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    fn waited(&self, since: Instant) {
        let waited = since.elapsed().as_nanos() as u64;
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.saturating_record(waited);
    }
}

/// Puts something on a shelf.
#[derive(Message)]
pub(crate) struct Put {
    pub(crate) sent: Instant,
    pub(crate) what: Vec<u8>,
}

/// Asks how much was put there since it was made.
#[derive(Message)]
#[message(reply = u64)]
pub(crate) struct HowMuch {
    pub(crate) sent: Instant,
}

/// Breaks a shelf.
#[derive(Message)]
pub(crate) struct Break;

#[derive(Message)]
struct Tick;

#[derive(Message)]
struct Item(Vec<u8>);

#[derive(Subsystem, Default)]
#[subsystem(name = "shop")]
struct Shop;

#[derive(Subsystem, Default)]
#[subsystem(name = "shelf")]
struct Shelf {
    sum: u64,
}

#[derive(Subsystem, Default)]
#[subsystem(name = "desk")]
struct Desk;

#[derive(Subsystem, Default)]
#[subsystem(name = "clock")]
struct Clock;

#[derive(Subsystem, Default)]
#[subsystem(name = "feed")]
struct Feed;

#[derive(Subsystem, Default)]
#[subsystem(name = "guest")]
pub(crate) struct Guest {
    sum: u64,
}

#[routes]
impl Shop {
    #[started]
    async fn open(&mut self, ctx: Context) -> anyhow::Result<()> {
        for shelf in 0..SHELVES {
            // One that breaks too often has the whole shop restarted.
            let options = MountOptions::new()
                .name(shelf.to_string())
                .intensity(3, Duration::from_secs(10));
            ctx.mount_with(options, Shelf::default).await?;
        }
        Ok(())
    }

    #[restarting]
    fn count(&mut self, _: Failure, State(notes): State<Notes>) {
        notes.restarts.fetch_add(1, Ordering::Relaxed);
    }

    #[route("shelves")]
    fn shelves(&mut self, msg: HowMuch, State(notes): State<Notes>) -> u64 {
        notes.waited(msg.sent);
        notes.handled();
        SHELVES
    }
}

#[routes]
impl Shelf {
    #[restarting]
    fn count(&mut self, _: Failure, State(notes): State<Notes>) {
        notes.restarts.fetch_add(1, Ordering::Relaxed);
    }

    #[route("put")]
    fn put(&mut self, msg: Put, State(notes): State<Notes>) {
        notes.waited(msg.sent);
        self.sum += msg.what.len() as u64;
        notes.handled();
    }

    #[route("sum")]
    fn sum(&mut self, msg: HowMuch, State(notes): State<Notes>) -> u64 {
        notes.waited(msg.sent);
        notes.handled();
        self.sum
    }

    #[route("break")]
    fn break_down(&mut self, _: Break, State(notes): State<Notes>) {
        notes.failed.fetch_add(1, Ordering::Relaxed);
        panic!("{ON_PURPOSE}")
    }
}

#[routes]
impl Desk {
    /// Asks a shelf beside its mailbox, and answers then.
    #[route("later/{shelf}")]
    fn sum_later(
        &mut self,
        msg: HowMuch,
        reply: Reply<HowMuch>,
        Path(shelf): Path<u64>,
        system: System,
        ctx: Context,
        State(notes): State<Notes>,
    ) {
        notes.waited(msg.sent);
        let ask = HowMuch {
            sent: Instant::now(),
        };
        ctx.spawn(async move {
            // The shelf may be away just now.
            let sum = system.ask(format!("shop/{shelf}://sum"), ask).await;
            // Noted first: the account is looked at when all have been answered.
            notes.handled();
            reply.send(sum.unwrap_or(0));
        });
    }

    /// Asks a shelf in its turn.
    #[route("sum/{shelf}")]
    async fn sum(
        &mut self,
        msg: HowMuch,
        Path(shelf): Path<u64>,
        system: System,
        State(notes): State<Notes>,
    ) -> u64 {
        notes.waited(msg.sent);
        let ask = HowMuch {
            sent: Instant::now(),
        };
        // The shelf may be away just now.
        let sum = system.ask(format!("shop/{shelf}://sum"), ask).await;
        notes.handled();
        sum.unwrap_or(0)
    }
}

#[routes]
impl Clock {
    #[started]
    fn wind(&mut self, ctx: Context) -> anyhow::Result<()> {
        ctx.every(TICK, MissedTick::Skip, "tick", || Tick)?;
        Ok(())
    }

    #[restarting]
    fn count(&mut self, _: Failure, State(notes): State<Notes>) {
        notes.restarts.fetch_add(1, Ordering::Relaxed);
    }

    #[route("tick")]
    fn tick(&mut self, _: Tick, State(notes): State<Notes>) {
        notes.ticks.fetch_add(1, Ordering::Relaxed);
        notes.handled();
    }

    #[route("break")]
    fn break_down(&mut self, _: Break, State(notes): State<Notes>) {
        notes.failed.fetch_add(1, Ordering::Relaxed);
        panic!("{ON_PURPOSE}")
    }
}

#[routes]
impl Feed {
    #[started]
    fn read(&mut self, ctx: Context) -> anyhow::Result<()> {
        let items = futures_util::stream::unfold(0_u8, |n| async move {
            tokio::time::sleep(ITEM).await;
            Some((Item(vec![n; 256]), n.wrapping_add(1)))
        });
        ctx.stream("item", items)?;
        Ok(())
    }

    #[restarting]
    fn count(&mut self, _: Failure, State(notes): State<Notes>) {
        notes.restarts.fetch_add(1, Ordering::Relaxed);
    }

    #[route("item")]
    fn item(&mut self, Item(bytes): Item, State(notes): State<Notes>) {
        std::hint::black_box(&bytes);
        notes.items.fetch_add(1, Ordering::Relaxed);
        notes.handled();
    }

    #[route("break")]
    fn break_down(&mut self, _: Break, State(notes): State<Notes>) {
        notes.failed.fetch_add(1, Ordering::Relaxed);
        panic!("{ON_PURPOSE}")
    }
}

#[routes]
impl Guest {
    #[route("put")]
    fn put(&mut self, msg: Put, State(notes): State<Notes>) {
        notes.waited(msg.sent);
        self.sum += msg.what.len() as u64;
        notes.handled();
    }
}

/// Starts a system with all but the guest.
///
/// # Errors
/// The system does not start, or a subsystem is not mounted.
pub(crate) async fn start(threads: usize, notes: &std::sync::Arc<Notes>) -> anyhow::Result<System> {
    let system = System::builder()
        .name("soak")
        .threads(threads)
        .shared_state(notes.clone())
        .start()
        .await?;
    system.mount(Shop::default).await?;
    system.mount(Desk::default).await?;
    system.mount(Clock::default).await?;
    system.mount(Feed::default).await?;
    Ok(system)
}
