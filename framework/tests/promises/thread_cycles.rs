//! Nothing hangs without saying so: a blocking handler whose wait needs the very thread that it holds is told
//! so, and one that is not async can't wait at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{on_no_executor, poll_once, quiet, until, watchdog};
use mycelia::error::{MountError, StopError, UnmountError};
use mycelia::prelude::*;
use tokio::sync::Semaphore;

struct Gate {
    begun: AtomicUsize,
    permits: Semaphore,
}

#[derive(Message)]
#[message(reply = String)]
struct Block(&'static str);

#[derive(Message)]
#[message(reply = ())]
struct Write;

/// Blocks its thread while it asks the disk, or fills the disk's mailbox.
#[derive(Subsystem, Default)]
struct Front;

#[routes]
impl Front {
    #[route("tell", blocking)]
    fn tell(&mut self, Block(to): Block, system: System, State(gate): State<Gate>) -> String {
        gate.begun.fetch_add(1, Ordering::Relaxed);
        on_no_executor(gate.permits.acquire()).unwrap().forget();
        let told = (0..3).try_for_each(|_| system.tell_blocking(to, Write));
        told.map_or_else(|error| error.to_string(), |()| "done".into())
    }

    #[route("ask", blocking)]
    fn ask(&mut self, Block(to): Block, system: System, State(gate): State<Gate>) -> String {
        gate.begun.fetch_add(1, Ordering::Relaxed);
        on_no_executor(gate.permits.acquire()).unwrap().forget();
        let told = on_no_executor(system.ask(to, Write));
        told.map_or_else(|error| error.to_string(), |()| "done".into())
    }

    /// Fills the disk's mailbox, and unmounts the disk.
    #[route("unmount", blocking)]
    fn unmount(&mut self, Block(to): Block, system: System) -> String {
        system.tell_blocking(to, Write).unwrap();
        let unmounted = on_no_executor(system.unmount("disk"));
        unmounted.map_or_else(|error| error.to_string(), |_| "done".into())
    }

    /// Mounts what asks the disk when it starts.
    #[route("mount", blocking)]
    fn mount(&mut self, _: Block, system: System) -> String {
        let mounted = on_no_executor(system.mount(Late::default));
        mounted.map_or_else(|error| error.to_string(), |()| "done".into())
    }

    /// Blocks its subsystem's own thread.
    #[route("sync")]
    fn sync(&mut self, _: Write, system: System) {
        let refused = on_no_executor(system.mount(Late::default)).unwrap_err();
        let subsystem = "late".into();
        assert_eq!(refused, MountError::WouldBlock { subsystem });
        let refused = on_no_executor(system.unmount("disk")).unwrap_err();
        assert_eq!(refused, UnmountError::WouldBlock);
        let refused = on_no_executor(system.stop()).unwrap_err();
        assert!(matches!(refused, StopError::InHandler { .. }), "{refused}");
    }

    #[route("stop", blocking)]
    fn stop(&mut self, _: Write, system: System) {
        let refused = on_no_executor(system.stop()).unwrap_err();
        assert!(
            refused.to_string().contains("a handler of `front-0`"),
            "{refused}"
        );
    }
}

#[derive(Subsystem, Default)]
struct Disk;

#[routes]
impl Disk {
    #[route("write", blocking)]
    fn write(&mut self, _: Write) {}

    #[route("through")]
    async fn through(&mut self, _: Write, system: System) -> anyhow::Result<()> {
        Ok(system.ask("disk://write", Write).await?)
    }
}

/// Writes when it starts.
#[derive(Subsystem, Default)]
struct Late;

#[routes]
impl Late {
    #[started]
    async fn start(&mut self, system: System) -> anyhow::Result<()> {
        Ok(system.ask("disk://write", Write).await?)
    }

    #[route("write")]
    fn write(&mut self, _: Write) {}
}

/// As many threads for blocking handlers as there are fronts.
async fn fronts(count: usize) -> (System, Arc<Gate>) {
    let gate = Arc::new(Gate {
        begun: AtomicUsize::new(0),
        permits: Semaphore::new(0),
    });
    let system = System::builder()
        .threads(2)
        .blocking_threads(count)
        .ask_deadline(None)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    for n in 0..count {
        system
            .mount_as(format!("front-{n}"), Front::default)
            .await
            .unwrap();
    }
    system
        .mount_with(MountOptions::new().capacity(1), Disk::default)
        .await
        .unwrap();
    system.mount_as("mid", Disk::default).await.unwrap();
    (system, gate)
}

#[mycelia::test]
async fn the_holder_of_the_last_thread_is_told_when_its_wait_needs_that_thread() {
    let _watch = watchdog();
    let (system, gate) = fronts(1).await;
    gate.permits.add_permits(3);
    let held = "-> a thread for blocking handlers, all 1 held by front-0";
    let said = system
        .ask("front-0://tell", Block("disk://write"))
        .await
        .unwrap();
    assert!(said.contains(&format!("front-0 -> disk {held}")), "{said}");
    let said = system
        .ask("front-0://ask", Block("disk://write"))
        .await
        .unwrap();
    assert!(said.contains(&format!("front-0 -> disk {held}")), "{said}");
    let said = system
        .ask("front-0://ask", Block("mid://through"))
        .await
        .unwrap();
    assert!(
        said.contains(&format!("front-0 -> mid -> disk {held}")),
        "{said}"
    );
    let ledger = quiet(&system).await;
    assert_eq!((ledger.failed, ledger.undeliverable), (0, 0), "{ledger:?}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_holder_of_the_last_thread_is_told_when_its_mount_or_unmount_needs_that_thread() {
    let _watch = watchdog();
    let (system, _) = fronts(1).await;
    let held = "-> a thread for blocking handlers, all 1 held by front-0";
    let said = system.ask("front-0://mount", Block("")).await.unwrap();
    assert!(
        said.contains(&format!("front-0 -> late -> disk {held}")),
        "{said}"
    );
    until("the mount went on", || {
        system.route::<Write>("late://write").is_ok()
    })
    .await;
    let path = Block("disk://write");
    let said = system.ask("front-0://unmount", path).await.unwrap();
    assert!(said.contains(&format!("front-0 -> disk {held}")), "{said}");
    // The unmount went on, and its name comes free.
    system.mount(Disk::default).await.unwrap();
    system.ask("disk://write", Write).await.unwrap();
    let ledger = quiet(&system).await;
    assert_eq!((ledger.failed, ledger.undeliverable), (0, 0), "{ledger:?}");
}

#[mycelia::test]
async fn of_all_who_hold_the_threads_one_at_least_goes_on() {
    let _watch = watchdog();
    let (system, gate) = fronts(2).await;
    let ask = |n| system.ask(format!("front-{n}://ask"), Block("disk://write"));
    let open = async {
        until("both hold a thread", || {
            gate.begun.load(Ordering::Relaxed) == 2
        })
        .await;
        gate.permits.add_permits(2);
    };
    let (one, two, ()) = tokio::join!(ask(0), ask(1), open);
    let mut said = [one.unwrap(), two.unwrap()];
    said.sort();
    assert_eq!(said[1], "done");
    assert!(said[0].contains("all 2 held by front-"), "{said:?}");
    // While one of them can go on, no one is told anything.
    gate.begun.store(0, Ordering::Relaxed);
    let mut idle = Box::pin(ask(0));
    assert!(poll_once(&mut idle).await.is_none());
    until("it holds a thread", || {
        gate.begun.load(Ordering::Relaxed) == 1
    })
    .await;
    let mut asked = Box::pin(ask(1));
    assert!(poll_once(&mut asked).await.is_none());
    until("so does the other", || {
        gate.begun.load(Ordering::Relaxed) == 2
    })
    .await;
    gate.permits.add_permits(2);
    let (one, two) = tokio::join!(idle, asked);
    assert!([one.unwrap(), two.unwrap()].contains(&"done".to_owned()));
    quiet(&system).await;
}

#[mycelia::test]
async fn a_handler_that_is_not_async_is_told_that_it_can_t_wait() {
    let _watch = watchdog();
    let (system, _) = fronts(1).await;
    system.ask("front-0://sync", Write).await.unwrap();
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_blocking_handler_is_a_handler_to_a_stop() {
    let _watch = watchdog();
    let (system, _) = fronts(1).await;
    system.ask("front-0://stop", Write).await.unwrap();
    system.stop().await.unwrap();
}
