//! An unmount ends: after what was accepted, at its deadline, or with an error that names who holds it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::common::{figures, poll_once, quiet, until, watchdog};
use crate::family::{Block, Gate, Linger, Name, Node, with_child};
use mycelia::error::UnmountError;
use mycelia::prelude::*;

const SOON: Duration = Duration::from_millis(20);

async fn system() -> (System, Arc<Gate>) {
    let gate = Gate::closed();
    let system = System::builder()
        .threads(2)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    (system, gate)
}

fn no_subsystem<T: std::fmt::Debug>(result: Result<T, UnmountError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, UnmountError::NoSubsystem { .. }), "{error}");
}

#[mycelia::test]
async fn what_waits_at_the_deadline_is_undeliverable_and_a_handler_that_awaits_is_cut_off() {
    let _watch = watchdog();
    let (system, gate) = system().await;
    system.mount(with_child).await.unwrap();
    for name in ["node", "node/child"] {
        system
            .tell(format!("{name}://linger"), Linger)
            .await
            .unwrap();
    }
    gate.begun.acquire_many(2).await.unwrap().forget();
    let mut asked = Box::pin(system.ask("node/child://name", Name));
    assert!(poll_once(&mut asked).await.is_none());
    let ledger = system.unmount_within("node", SOON).await.unwrap();
    assert_eq!(figures(&ledger), [1, 0, 1, 0, 0, 0]);
    assert!(matches!(asked.await, Err(AskError::Unhandled { .. })));
    // The names are free.
    system.mount(with_child).await.unwrap();
    assert_eq!(
        system.ask("node/child://name", Name).await.unwrap(),
        "node/child"
    );
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [4, 1, 2, 0, 0, 1]);
}

#[mycelia::test]
async fn an_unmount_that_ends_in_time_does_so_whatever_its_deadline_is() {
    let _watch = watchdog();
    let (system, gate) = system().await;
    for deadline in [
        Duration::from_secs(3600),
        Duration::MAX,
        Duration::from_secs(u64::MAX),
    ] {
        system.mount(with_child).await.unwrap();
        system.tell("node://linger", Linger).await.unwrap();
        gate.begun.acquire().await.unwrap().forget();
        let mut unmount = Box::pin(system.unmount_within("node", deadline));
        assert!(poll_once(&mut unmount).await.is_none());
        gate.permits.add_permits(1);
        assert_eq!(figures(&unmount.await.unwrap()), [1, 1, 0, 0, 0, 0]);
    }
    system.mount(with_child).await.unwrap();
    system.unmount_within("node", Duration::ZERO).await.unwrap();
    no_subsystem(system.unmount_within("node", SOON).await);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_that_blocks_its_thread_is_named_and_the_unmount_ends_when_it_returns() {
    let _watch = watchdog();
    let (system, gate) = system().await;
    system.mount(with_child).await.unwrap();
    let (unblock, until_then) = mpsc::channel();
    system
        .tell("node/child://block", Block(until_then))
        .await
        .unwrap();
    gate.begun.acquire().await.unwrap().forget();
    let stuck = system.unmount_within("node", SOON).await.unwrap_err();
    assert_eq!(
        stuck.to_string(),
        "handlers of node/child block their thread; the unmount goes on until they return"
    );
    no_subsystem(system.unmount("node").await);
    drop(unblock);
    // Waits until the name is free.
    system.mount(with_child).await.unwrap();
    assert_eq!(system.ask("node://name", Name).await.unwrap(), "node");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_unmount_that_nobody_waits_for_goes_on_and_ends_at_its_deadline() {
    let _watch = watchdog();
    let (system, gate) = system().await;
    system.mount(with_child).await.unwrap();
    system.tell("node://linger", Linger).await.unwrap();
    gate.begun.acquire().await.unwrap().forget();
    assert!(
        poll_once(system.unmount_within("node", SOON))
            .await
            .is_none()
    );
    until("it is leaving", || {
        system.route::<Name>("node://name").is_err()
    })
    .await;
    system.mount(with_child).await.unwrap();
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [1, 0, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[derive(Default)]
struct Calls(AtomicUsize);

/// Blocks a thread for blocking handlers, of which there is one.
#[derive(Subsystem, Default)]
struct Disk;

#[routes]
impl Disk {
    #[route("block", blocking)]
    fn block(&mut self, Block(until): Block, State(gate): State<Gate>) {
        gate.begun.add_permits(1);
        let _ = until.recv();
    }

    #[route("call", blocking)]
    fn call(&mut self, _: Linger, State(calls): State<Calls>) {
        calls.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[mycelia::test]
async fn a_blocking_call_that_had_no_thread_before_the_deadline_is_never_made() {
    let _watch = watchdog();
    let (gate, calls) = (Gate::closed(), Arc::new(Calls::default()));
    let builder = System::builder().threads(2).blocking_threads(1);
    let builder = builder
        .shared_state(gate.clone())
        .shared_state(calls.clone());
    let system = builder.start().await.unwrap();
    for name in ["busy", "disk"] {
        system.mount_as(name, Disk::default).await.unwrap();
    }
    let (unblock, until_then) = mpsc::channel();
    system
        .tell("busy://block", Block(until_then))
        .await
        .unwrap();
    gate.begun.acquire().await.unwrap().forget();
    system.tell("disk://call", Linger).await.unwrap();
    let ledger = system.unmount_within("disk", SOON).await.unwrap();
    assert_eq!(figures(&ledger), [1, 0, 1, 0, 0, 0]);
    system.mount(Disk::default).await.unwrap();
    system.tell("disk://call", Linger).await.unwrap();
    drop(unblock);
    quiet(&system).await;
    assert_eq!(calls.0.load(Ordering::Relaxed), 1);
    system.stop().await.unwrap();
}

#[derive(Message)]
#[message(reply = u64)]
struct Go;

/// Unmounts, within a deadline, in its handlers.
#[derive(Subsystem, Default)]
struct Parent;

#[routes]
impl Parent {
    #[started]
    async fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
        ctx.mount(Node::default).await?;
        Ok(())
    }

    #[route("child")]
    async fn unmount_child(&mut self, _: Go, ctx: Context) -> anyhow::Result<u64> {
        Ok(ctx.unmount_within("node", SOON).await?.failed)
    }

    #[route("self")]
    async fn unmount_self(
        &mut self,
        _: Go,
        system: System,
        State(gate): State<Gate>,
    ) -> anyhow::Result<u64> {
        system.unmount_within("parent", SOON).await?;
        gate.pass().await;
        Ok(0)
    }
}

#[mycelia::test]
async fn a_handler_that_unmounts_a_child_within_a_deadline_waits_no_longer() {
    let _watch = watchdog();
    let (system, gate) = system().await;
    system.mount(Parent::default).await.unwrap();
    system.tell("parent/node://linger", Linger).await.unwrap();
    gate.begun.acquire().await.unwrap().forget();
    assert_eq!(system.ask("parent://child", Go).await.unwrap(), 1);
    no_subsystem(system.unmount("parent/node").await);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_that_unmounts_its_own_subsystem_within_a_deadline_is_cut_off_at_it() {
    let _watch = watchdog();
    let (system, _) = system().await;
    system.mount(Parent::default).await.unwrap();
    let asked = system.ask("parent://self", Go).await;
    assert!(
        matches!(asked, Err(AskError::Unhandled { .. })),
        "{asked:?}"
    );
    system.mount(Parent::default).await.unwrap();
    system.stop().await.unwrap();
}
