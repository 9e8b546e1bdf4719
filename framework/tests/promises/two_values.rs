//! Two values of one subsystem never live at once, though a blocking handler can't be interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::common::{ON_PURPOSE, figures, named, quiet, quiet_panics, until, watchdog};
use mycelia::error::StopError;
use mycelia::observe::Change;
use mycelia::prelude::*;
use mycelia::supervise::{Restart, RestartScope};

#[derive(Message)]
#[message(reply = u32)]
struct Get;

/// Waits on its blocking thread until the test lets it go on.
#[derive(Message)]
#[message(reply = u32)]
struct Work {
    begun: Sender<()>,
    go_on: Receiver<()>,
}

fn work() -> (Work, Receiver<()>, Sender<()>) {
    let ((begun, has_begun), (let_go_on, go_on)) = (channel(), channel());
    (Work { begun, go_on }, has_begun, let_go_on)
}

#[derive(Default)]
struct Alive {
    now: AtomicU32,
    most: AtomicU32,
    made: AtomicU32,
    /// Dropped on another thread than where they were made.
    abroad: AtomicU32,
}

struct Counted(Arc<Alive>, std::thread::ThreadId);

impl Counted {
    fn new(alive: Arc<Alive>) -> Self {
        let now = 1 + alive.now.fetch_add(1, Ordering::SeqCst);
        alive.most.fetch_max(now, Ordering::SeqCst);
        alive.made.fetch_add(1, Ordering::SeqCst);
        Counted(alive, std::thread::current().id())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        if self.1 != std::thread::current().id() {
            self.0.abroad.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[derive(Subsystem)]
struct Worker {
    counted: Counted,
}

#[routes]
impl Worker {
    #[route("get")]
    fn get(&mut self, _: Get) -> u32 {
        self.counted.0.made.load(Ordering::SeqCst)
    }

    #[route("work", blocking)]
    fn work(&mut self, Work { begun, go_on }: Work) -> u32 {
        begun.send(()).unwrap();
        let _ = go_on.recv();
        1
    }

    #[route("stop/work", blocking)]
    fn stop_and_work(&mut self, work: Work, ctx: Context) -> u32 {
        ctx.stop();
        self.work(work)
    }

    #[route("boom")]
    fn boom(&mut self, _: Get) -> u32 {
        panic!("{ON_PURPOSE}")
    }
}

async fn system(together: RestartScope) -> (System, Arc<Alive>) {
    quiet_panics();
    let system = System::builder()
        .threads(2)
        .restart_scope(together)
        .start()
        .await
        .unwrap();
    let alive = Arc::new(Alive::default());
    let counted = alive.clone();
    let factory = move || Worker {
        counted: Counted::new(counted.clone()),
    };
    system.mount_with(named("worker"), factory).await.unwrap();
    (system, alive)
}

#[mycelia::test]
async fn a_restart_waits_for_a_blocking_handler_of_the_old_value_and_its_asker_does_not() {
    let _watch = watchdog();
    let (system, alive) = system(RestartScope::AllForOne).await;
    let other = Arc::new(Alive::default());
    let factory = move || Worker {
        counted: Counted::new(other.clone()),
    };
    system.mount_with(named("fragile"), factory).await.unwrap();
    let (message, has_begun, let_go_on) = work();
    let asking = system.clone();
    let asked = tokio::spawn(async move { asking.ask("worker://work", message).await });
    tokio::task::spawn_blocking(move || has_begun.recv())
        .await
        .unwrap()
        .unwrap();
    let mut watch = system.watch("worker");
    let waiting = system.clone();
    let next = tokio::spawn(async move { waiting.ask("worker://get", Get).await });
    // Restarts both.
    let failed = system.ask("fragile://boom", Get).await;
    assert!(matches!(failed, Err(AskError::Panicked { .. })));
    // Told while the call still runs.
    let asked = asked.await.unwrap();
    assert!(
        matches!(asked, Err(AskError::Unhandled { .. })),
        "{asked:?}"
    );
    assert_eq!(alive.made.load(Ordering::SeqCst), 1);
    assert!(!next.is_finished());
    let_go_on.send(()).unwrap();
    assert_eq!(next.await.unwrap().unwrap(), 2);
    assert_eq!(watch.next().await.unwrap().change, Change::Restarted);
    assert_eq!(alive.most.load(Ordering::SeqCst), 1);
    assert_eq!(alive.abroad.load(Ordering::SeqCst), 0);
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [3, 1, 2, 0, 0, 0]);
    system.stop().await.unwrap();
    assert_eq!(alive.now.load(Ordering::SeqCst), 0);
}

#[mycelia::test]
async fn one_that_is_there_always_stops_itself_only_when_its_blocking_handler_has_returned() {
    let _watch = watchdog();
    let (system, alive) = system(RestartScope::OneForOne).await;
    system.unmount("worker").await.unwrap();
    let counted = alive.clone();
    let factory = move || Worker {
        counted: Counted::new(counted.clone()),
    };
    let options = named("worker").restart(Restart::Permanent);
    system.mount_with(options, factory).await.unwrap();
    let (message, has_begun, let_go_on) = work();
    let stops = system.ask("worker://stop/work", message).await;
    // Its own end cuts it off.
    assert!(
        matches!(stops, Err(AskError::Unhandled { .. })),
        "{stops:?}"
    );
    has_begun.recv().unwrap();
    assert_eq!(alive.now.load(Ordering::SeqCst), 1);
    let_go_on.send(()).unwrap();
    assert_eq!(system.ask("worker://get", Get).await.unwrap(), 3);
    assert_eq!(alive.most.load(Ordering::SeqCst), 1);
    assert_eq!(alive.abroad.load(Ordering::SeqCst), 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_stop_that_is_out_of_time_waits_for_no_restart_and_no_blocking_handler() {
    let _watch = watchdog();
    let (system, alive) = system(RestartScope::AllForOne).await;
    let factory = || Worker {
        counted: Counted::new(Arc::default()),
    };
    system.mount_with(named("fragile"), factory).await.unwrap();
    let (message, has_begun, let_go_on) = work();
    system.tell("worker://work", message).await.unwrap();
    tokio::task::spawn_blocking(move || has_begun.recv())
        .await
        .unwrap()
        .unwrap();
    let _ = system.ask("fragile://boom", Get).await;
    until("the message of the call has ended", || {
        system.snapshot().total.failed == 2
    })
    .await;
    system.tell("worker://get", Get).await.unwrap();
    let stopped = system.stop_within(Duration::from_millis(20)).await;
    let Err(StopError::Stuck { subsystems, ledger }) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(subsystems, ["worker".into()]);
    assert!(ledger.closes() && ledger.is_quiet(), "{ledger:?}");
    assert_eq!(alive.made.load(Ordering::SeqCst), 1);
    drop(let_go_on);
}
