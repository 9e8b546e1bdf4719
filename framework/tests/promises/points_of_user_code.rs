//! Each point where a host calls code of its subsystem's × each way in which that code can misbehave: the message
//! ends once, the books close, the neighbour on the same thread never notices, and the stop returns.

use std::cell::RefCell;
use std::panic::panic_any;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use crate::common::{named, quiet_threads, until, watchdog};
use futures_util::Stream;
use mycelia::error::{CaptureError, MountError};
use mycelia::extract::{Address, Delivery, Extractor, States};
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::schedule::MissedTick;
use mycelia::supervise::Failure;
use mycelia::{OrLater, later};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);

/// Where user code is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Handler,
    AsyncHandler,
    BlockingHandler,
    BeforeTheFuture,
    Unpack,
    ValueDrop,
    FutureDrop,
    MessageDrop,
    SweptMessageDrop,
    CaptureDrop,
    CaptureClone,
    ReplyDrop,
    ErrorDisplay,
    ErrorDrop,
    ErrorInto,
    PayloadDrop,
    Factory,
    FactoryDrop,
    Started,
    Restarting,
    Stopped,
    StreamPoll,
    StreamDrop,
    TimerCall,
    TimerDrop,
    TimerMessageDrop,
}

const POINTS: [Point; 26] = [
    Point::Handler,
    Point::AsyncHandler,
    Point::BlockingHandler,
    Point::BeforeTheFuture,
    Point::Unpack,
    Point::ValueDrop,
    Point::FutureDrop,
    Point::MessageDrop,
    Point::SweptMessageDrop,
    Point::CaptureDrop,
    Point::CaptureClone,
    Point::ReplyDrop,
    Point::ErrorDisplay,
    Point::ErrorDrop,
    Point::ErrorInto,
    Point::PayloadDrop,
    Point::Factory,
    Point::FactoryDrop,
    Point::Started,
    Point::Restarting,
    Point::Stopped,
    Point::StreamPoll,
    Point::StreamDrop,
    Point::TimerCall,
    Point::TimerDrop,
    Point::TimerMessageDrop,
];

/// What it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Panics,
    PanicsWithABomb,
    PanicsWithTwo,
    Tells,
    AsksItself,
    AsksTheNeighbour,
    ForgetsAnAsk,
    Mounts,
    UnmountsItself,
    UnmountsTheNeighbour,
    Stops,
    TakesASnapshot,
    Blocks,
}

const DEEDS: [Deed; 13] = [
    Deed::Panics,
    Deed::PanicsWithABomb,
    Deed::PanicsWithTwo,
    Deed::Tells,
    Deed::AsksItself,
    Deed::AsksTheNeighbour,
    Deed::ForgetsAnAsk,
    Deed::Mounts,
    Deed::UnmountsItself,
    Deed::UnmountsTheNeighbour,
    Deed::Stops,
    Deed::TakesASnapshot,
    Deed::Blocks,
];

/// A payload whose drop panics, as often as it says.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

/// What is to be done where, once.
#[derive(Default)]
struct Plan {
    armed: Mutex<Option<(Point, Deed)>>,
    system: Mutex<Option<System>>,
    done: AtomicU32,
}

/// Begins something, and drops it in the middle.
fn begin<T>(future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let _ = future
        .as_mut()
        .poll(&mut TaskContext::from_waker(Waker::noop()));
}

impl Plan {
    /// Does what is planned for that point, if anything is.
    fn reach(self: &Arc<Self>, point: Point) {
        let deed = {
            let mut armed = self.armed.lock().unwrap();
            match armed.take_if(|(at, _)| *at == point) {
                Some((_, deed)) => deed,
                None => return,
            }
        };
        self.done.fetch_add(1, Ordering::SeqCst);
        let system = self.system.lock().unwrap().clone();
        let Some(system) = system else { return };
        match deed {
            Deed::Panics => panic!("at {point:?}"),
            Deed::PanicsWithABomb => panic_any(Bomb(1)),
            Deed::PanicsWithTwo => panic_any(Bomb(2)),
            Deed::Tells => {
                for path in ["sub://count", "neighbour://count"] {
                    let _ = system.try_tell(path, Count);
                }
            }
            Deed::AsksItself => begin(system.ask("sub://count", Count)),
            Deed::AsksTheNeighbour => begin(system.ask("neighbour://count", Count)),
            Deed::ForgetsAnAsk => {
                let system = system.clone();
                let mut ask =
                    Box::pin(
                        async move { system.ask_within("neighbour://count", Count, MS).await },
                    );
                let _ = ask
                    .as_mut()
                    .poll(&mut TaskContext::from_waker(Waker::noop()));
                // A forgotten asker's envelope is its own as long as it lives.
                std::mem::forget(ask);
            }
            Deed::Mounts => begin(system.mount_as("new", Neighbour::default)),
            Deed::UnmountsItself => begin(system.unmount("sub")),
            Deed::UnmountsTheNeighbour => begin(system.unmount("neighbour")),
            Deed::Stops => begin(system.stop()),
            Deed::TakesASnapshot => drop(system.snapshot()),
            Deed::Blocks => std::thread::sleep(2 * MS),
        }
    }
}

/// Reaches its point when it is dropped.
struct Drops(Arc<Plan>, Point);

impl Drop for Drops {
    fn drop(&mut self) {
        self.0.reach(self.1);
    }
}

#[derive(Message)]
#[message(reply = u32)]
struct Count;

/// A message for a point.
#[derive(Message)]
#[message(reply = u32)]
struct Go {
    plan: Arc<Plan>,
    point: Point,
    _drops: Option<Drops>,
}

#[derive(Message)]
#[message(reply = Replied)]
struct Get(Arc<Plan>);

struct Replied(#[allow(dead_code, reason = "it is dropped")] Drops);

/// Waits for something forever.
#[derive(Message)]
#[message(reply = u32)]
struct Hang(Arc<Plan>);

#[derive(Message)]
struct Tick {
    _drops: Option<Drops>,
}

struct Speaks(Arc<Plan>);

impl std::fmt::Debug for Speaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "speaks")
    }
}

impl std::fmt::Display for Speaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.reach(Point::ErrorDisplay);
        write!(f, "speaks")
    }
}

impl std::error::Error for Speaks {}

impl Drop for Speaks {
    fn drop(&mut self) {
        self.0.reach(Point::ErrorDrop);
    }
}

struct Becomes(Arc<Plan>);

impl From<Becomes> for anyhow::Error {
    fn from(Becomes(plan): Becomes) -> Self {
        plan.reach(Point::ErrorInto);
        Speaks(plan).into()
    }
}

/// A capture with code of its own.
struct Word(Arc<Plan>);

thread_local! {
    /// What the captures that this thread parses belong to.
    static PLAN: RefCell<Option<Arc<Plan>>> = const { RefCell::new(None) };
}

impl FromStr for Word {
    type Err = std::fmt::Error;

    fn from_str(_: &str) -> Result<Self, Self::Err> {
        Ok(Word(PLAN.with_borrow(Clone::clone).ok_or(std::fmt::Error)?))
    }
}

impl Clone for Word {
    fn clone(&self) -> Self {
        self.0.reach(Point::CaptureClone);
        Word(self.0.clone())
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        self.0.reach(Point::CaptureDrop);
    }
}

/// An argument with code of its own.
struct Unpacks;

impl Extractor for Unpacks {
    type Packed = ();

    fn pack(_: &mut Address<'_>) -> Result<(), CaptureError> {
        Ok(())
    }

    fn unpack((): (), delivery: &Delivery<'_>) -> Self {
        delivery.state::<Plan>().unwrap().reach(Point::Unpack);
        Unpacks
    }

    fn check(_: &States) -> Result<(), MountError> {
        Ok(())
    }
}

struct Items(Drops);

impl Stream for Items {
    type Item = Tick;

    fn poll_next(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Tick>> {
        self.0.0.reach(Point::StreamPoll);
        Poll::Ready(None)
    }
}

#[derive(Subsystem)]
struct Sub {
    count: u32,
    _drops: Drops,
}

#[routes]
impl Sub {
    #[started]
    fn begin(&mut self, State(plan): State<Plan>) {
        plan.reach(Point::Started);
    }

    #[restarting]
    fn begin_again(&mut self, _: Failure, State(plan): State<Plan>) {
        plan.reach(Point::Restarting);
    }

    #[stopped]
    fn end(&mut self, _: EndReason, State(plan): State<Plan>) {
        plan.reach(Point::Stopped);
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.count += 1;
        self.count
    }

    #[route("sync")]
    fn sync(&mut self, go: Go) -> u32 {
        go.plan.reach(go.point);
        1
    }

    #[route("async")]
    async fn later(&mut self, go: Go) -> u32 {
        tokio::task::yield_now().await;
        go.plan.reach(go.point);
        1
    }

    #[route("blocking", blocking)]
    fn blocking(&mut self, go: Go) -> u32 {
        go.plan.reach(go.point);
        1
    }

    #[route("unpack")]
    async fn unpack(&mut self, _: Go, _: Unpacks) -> u32 {
        1
    }

    #[route("word/{word}")]
    fn word(&mut self, go: Go, Path(word): Path<Word>) -> OrLater<u32, Go> {
        match go.point {
            Point::CaptureDrop => {
                drop(word);
                OrLater::Reply(1)
            }
            _ => {
                std::mem::forget(word);
                later(go)
            }
        }
    }

    #[route("get")]
    fn get(&mut self, Get(plan): Get) -> Replied {
        Replied(Drops(plan, Point::ReplyDrop))
    }

    #[route("hang")]
    async fn hang(&mut self, Hang(plan): Hang) -> u32 {
        let _drops = Drops(plan, Point::FutureDrop);
        std::future::pending().await
    }

    #[route("speak")]
    fn speak(&mut self, go: Go) -> Result<u32, Speaks> {
        Err(Speaks(go.plan.clone()))
    }

    #[route("become")]
    fn turn_into(&mut self, go: Go) -> Result<u32, Becomes> {
        Err(Becomes(go.plan.clone()))
    }

    #[route("payload")]
    fn payload(&mut self, go: Go) -> u32 {
        panic_any(Drops(go.plan.clone(), Point::PayloadDrop))
    }

    #[route("fail")]
    fn fail(&mut self, _: Go) -> u32 {
        panic!("fails")
    }

    #[route("tick")]
    fn tick(&mut self, _: Tick) {}

    #[route("task")]
    fn task(&mut self, go: Go, ctx: Context) -> anyhow::Result<u32> {
        let (plan, point) = (go.plan.clone(), go.point);
        match point {
            Point::StreamPoll | Point::StreamDrop => {
                ctx.stream("tick", Items(Drops(plan, Point::StreamDrop)))?;
            }
            Point::TimerMessageDrop => {
                let _drops = Some(Drops(plan, point));
                ctx.after(LONG, "tick", Tick { _drops })?.cancel();
            }
            _ => {
                let drops = Drops(plan, Point::TimerDrop);
                let task = ctx.every(MS, MissedTick::Skip, "tick", move || {
                    drops.0.reach(Point::TimerCall);
                    Tick { _drops: None }
                })?;
                if point == Point::TimerDrop {
                    task.cancel();
                }
            }
        }
        Ok(1)
    }
}

/// A subsystem whose handler does something before it has made its future.
struct Eager;

impl Subsystem for Eager {
    const NAME: &'static str = "eager";
}

fn eager<'a>(_: &'a mut Eager, go: Go, (): ()) -> Pin<Box<dyn Future<Output = u32> + 'a>> {
    go.plan.reach(go.point);
    Box::pin(async { 1 })
}

impl Routes for Eager {
    fn routes(table: &mut RouteTable<Self>) {
        table.on_async("go", eager);
    }
}

#[derive(Subsystem, Default)]
struct Neighbour {
    count: u32,
}

#[routes]
impl Neighbour {
    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.count += 1;
        self.count
    }
}

/// Has a subsystem's code reach the point.
async fn provoke(system: &System, plan: &Arc<Plan>, point: Point) {
    let go = || Go {
        plan: plan.clone(),
        point,
        _drops: None,
    };
    let with_drops = || Go {
        _drops: Some(Drops(plan.clone(), point)),
        ..go()
    };
    let path = match point {
        Point::Handler | Point::MessageDrop => "sub://sync",
        Point::AsyncHandler => "sub://async",
        Point::BlockingHandler => "sub://blocking",
        Point::BeforeTheFuture => "eager://go",
        Point::Unpack => "sub://unpack",
        Point::CaptureDrop | Point::CaptureClone => "sub://word/x",
        Point::ErrorDisplay | Point::ErrorDrop => "sub://speak",
        Point::ErrorInto => "sub://become",
        Point::PayloadDrop => "sub://payload",
        Point::ValueDrop | Point::Factory | Point::Started | Point::Restarting => "sub://fail",
        Point::StreamPoll
        | Point::StreamDrop
        | Point::TimerCall
        | Point::TimerDrop
        | Point::TimerMessageDrop => "sub://task",
        Point::FutureDrop | Point::SweptMessageDrop => {
            let hang = system.ask_within("sub://hang", Hang(plan.clone()), 20 * MS);
            if point == Point::FutureDrop {
                let _ = hang.await;
                return;
            }
            let swept = system.ask_within("sub://sync", with_drops(), 10 * MS);
            let _ = tokio::join!(hang, swept);
            return;
        }
        Point::ReplyDrop => {
            let _ = system.tell("sub://get", Get(plan.clone())).await;
            return;
        }
        Point::FactoryDrop | Point::Stopped => {
            let _ = tokio::time::timeout(LONG, system.unmount("sub")).await;
            return;
        }
    };
    let message = match point {
        Point::MessageDrop => with_drops(),
        _ => go(),
    };
    // As a tell: what no asker takes is dropped by the host.
    let _ = system.tell(path, message).await;
}

async fn walk(point: Point, deed: Deed) {
    let plan = Arc::new(Plan::default());
    let system = System::builder()
        .threads(1)
        .pool(64)
        .ask_deadline(50 * MS)
        .stop_deadline(200 * MS)
        .shared_state(plan.clone())
        .start()
        .await
        .unwrap();
    PLAN.set(Some(plan.clone()));
    *plan.system.lock().unwrap() = Some(system.clone());
    let drops = Drops(plan.clone(), Point::FactoryDrop);
    let factory = move || {
        drops.0.reach(Point::Factory);
        let _drops = Drops(drops.0.clone(), Point::ValueDrop);
        Sub { count: 0, _drops }
    };
    let policy = named("sub").intensity(100, LONG);
    system.mount_with(policy, factory).await.unwrap();
    system.mount(|| Eager).await.unwrap();
    system.mount(Neighbour::default).await.unwrap();
    assert_eq!(system.ask("neighbour://count", Count).await.unwrap(), 1);
    *plan.armed.lock().unwrap() = Some((point, deed));
    provoke(&system, &plan, point).await;
    let ends_late = matches!(point, Point::FutureDrop);
    if !ends_late {
        until(&format!("{point:?} is reached by {deed:?}"), || {
            plan.done.load(Ordering::SeqCst) == 1
        })
        .await;
    }
    // The neighbour's value is the same as before, unless it was to end.
    if !matches!(deed, Deed::UnmountsTheNeighbour | Deed::Stops) {
        let again = system.ask("neighbour://count", Count).await;
        assert!(again.is_ok_and(|n| n > 1), "{point:?} {deed:?}");
    }
    let snapshot = system.snapshot();
    let restarts = |name: &str| snapshot.subsystem(name).map_or(0, |one| one.restarts);
    assert_eq!(restarts("neighbour"), 0, "{point:?} {deed:?}");
    plan.system.lock().unwrap().take();
    // It may have been stopped before.
    let stopped = tokio::time::timeout(20_000 * MS, system.stop_within(200 * MS)).await;
    assert!(
        stopped.is_ok(),
        "{point:?} {deed:?}: the stop does not return"
    );
    until(&format!("{point:?} {deed:?}: the books close"), || {
        let total = system.snapshot().total;
        total.closes() && total.is_quiet()
    })
    .await;
    assert_eq!(plan.done.load(Ordering::SeqCst), 1, "{point:?} {deed:?}");
    PLAN.set(None);
}

#[mycelia::test]
async fn user_code_at_every_point_of_a_host_may_do_what_it_will() {
    let _watch = watchdog();
    quiet_threads();
    for point in POINTS {
        for deed in DEEDS {
            walk(point, deed).await;
        }
    }
}
