//! An event, or a future that returns, says only what is already so: after the end of a subsystem its name is
//! free, after its start or its restart it answers; and those that have failed for good are gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{ON_PURPOSE, figures, named, quiet, quiet_panics, until, watchdog};
use mycelia::error::MountError;
use mycelia::observe::{Change, EndReason};
use mycelia::prelude::*;
use mycelia::supervise::{Failure, Restart};

#[derive(Message)]
struct Halt;

#[derive(Message)]
struct Fail;

#[derive(Message)]
#[message(reply = u64)]
struct Life;

/// Knows which value of its kind it is.
#[derive(Subsystem)]
struct Sub {
    life: u64,
}

#[routes]
impl Sub {
    #[route("halt")]
    fn halt(&mut self, _: Halt, ctx: Context) {
        ctx.stop();
    }

    #[route("fail")]
    fn fail(&mut self, _: Fail) {
        panic!("{ON_PURPOSE}");
    }

    #[route("life")]
    fn life(&mut self, _: Life) -> u64 {
        self.life
    }
}

/// Makes values that count themselves.
fn counted() -> (Arc<AtomicU64>, impl Fn() -> Sub + Clone + Send + 'static) {
    let made = Arc::new(AtomicU64::new(0));
    let factory = {
        let made = made.clone();
        move || Sub {
            life: made.fetch_add(1, Ordering::SeqCst) + 1,
        }
    };
    (made, factory)
}

async fn system() -> System {
    quiet_panics();
    System::builder().threads(2).start().await.unwrap()
}

#[tokio::test]
async fn after_the_event_of_its_end_a_name_is_free_however_it_ended() {
    let _watchdog = watchdog();
    let system = system().await;
    let (_, factory) = counted();
    let mut watch = system.watch("sub");
    let mut ends = [0; 3];
    for n in 0..500 {
        let options = match n % 3 {
            2 => named("sub").restart(Restart::Never),
            _ => named("sub"),
        };
        system.mount_with(options, factory.clone()).await.unwrap();
        assert_eq!(system.ask("sub://life", Life).await.unwrap(), n + 1);
        let mut unmounts = None;
        match n % 3 {
            0 => system.tell("sub://halt", Halt).await.unwrap(),
            1 => {
                let system = system.clone();
                let unmount = async move { system.unmount("sub").await };
                unmounts = Some(tokio::spawn(unmount));
            }
            _ => system.tell("sub://fail", Fail).await.unwrap(),
        }
        let reason = loop {
            if let Change::Ended(reason) = watch.next().await.unwrap().change {
                break reason;
            }
        };
        let end = match reason {
            EndReason::Stopped => 0,
            EndReason::Unmounted => 1,
            EndReason::Failed(Failure::Panic(_)) => 2,
            other => panic!("{other:?}"),
        };
        ends[end] += 1;
        assert!(system.snapshot().subsystem("sub").is_none());
        if let Some(unmounts) = unmounts {
            unmounts.await.unwrap().unwrap();
        }
    }
    assert_eq!(ends, [167, 167, 166]);
    system.stop().await.unwrap();
}

#[tokio::test]
async fn after_the_event_of_its_start_a_name_answers_and_after_that_of_its_restart_the_new_value() {
    let _watchdog = watchdog();
    let system = system().await;
    let (made, factory) = counted();
    for with_child in [false, true] {
        for _ in 0..100 {
            let mut watch = system.watch("sub");
            let mounts = {
                let (system, factory) = (system.clone(), factory.clone());
                tokio::spawn(async move { system.mount(factory).await })
            };
            assert_eq!(watch.next().await.unwrap().change, Change::Started);
            let life = system.ask("sub://life", Life).await.unwrap();
            assert_eq!(life, made.load(Ordering::SeqCst));
            mounts.await.unwrap().unwrap();
            if with_child {
                // The registry restarts it then.
                let child = named("child").parent("sub");
                system.mount_with(child, || Sub { life: 0 }).await.unwrap();
            }
            system.tell("sub://fail", Fail).await.unwrap();
            assert!(matches!(
                watch.next().await.unwrap().change,
                Change::Failed(_)
            ));
            assert_eq!(watch.next().await.unwrap().change, Change::Restarted);
            assert_eq!(made.load(Ordering::SeqCst), life + 1);
            assert_eq!(system.snapshot().subsystem("sub").unwrap().restarts, 1);
            assert_eq!(system.ask("sub://life", Life).await.unwrap(), life + 1);
            system.unmount("sub").await.unwrap();
            system.mount_as("sub", || Sub { life: 0 }).await.unwrap();
            system.unmount("sub").await.unwrap();
        }
    }
    system.stop().await.unwrap();
}

#[tokio::test]
async fn the_ends_of_children_are_told_before_their_parent_s_and_all_names_are_free_then() {
    let _watchdog = watchdog();
    let system = system().await;
    let (_, factory) = counted();
    for _ in 0..50 {
        let mut watch = system.watch_all();
        system.mount(factory.clone()).await.unwrap();
        for n in 0..3 {
            let child = named(&format!("c{n}")).parent("sub");
            system.mount_with(child, factory.clone()).await.unwrap();
        }
        system.tell("sub://halt", Halt).await.unwrap();
        let mut ended = Vec::new();
        while ended.len() < 4 {
            let event = watch.next().await.unwrap();
            if matches!(event.change, Change::Ended(_)) {
                assert!(system.snapshot().subsystem(&event.subsystem).is_none());
                ended.push(event.subsystem.to_string());
            }
        }
        assert_eq!(ended, ["sub/c2", "sub/c1", "sub/c0", "sub"]);
    }
    system.stop().await.unwrap();
}

#[tokio::test]
async fn those_that_have_failed_for_good_are_gone_children_and_all() {
    let _watchdog = watchdog();
    let system = system().await;
    let (_, factory) = counted();
    system.mount_as("top", factory.clone()).await.unwrap();
    for n in 0..1000 {
        let job = MountOptions::new().name(format!("job{n}"));
        let job = job.restart(Restart::Never);
        let job = if n % 2 == 0 { job.parent("top") } else { job };
        let name = if n % 2 == 0 {
            format!("top/job{n}")
        } else {
            format!("job{n}")
        };
        system.mount_with(job, factory.clone()).await.unwrap();
        system.tell(format!("{name}://fail"), Fail).await.unwrap();
    }
    let left = || system.snapshot().subsystems.len();
    until("only the parent is left", || left() == 1).await;
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [1000, 0, 1000, 0, 0, 0]);
    let handle = system.route::<Life>("top://life").unwrap();
    system.mount_as("job1", factory.clone()).await.unwrap();
    let child = named("job2").parent("top");
    system.mount_with(child, factory).await.unwrap();
    handle.ask(Life).await.unwrap();
    system.stop().await.unwrap();
}

#[tokio::test]
async fn those_that_are_to_be_kept_are_closed_and_can_be_seen_until_they_are_unmounted() {
    let _watchdog = watchdog();
    let system = system().await;
    let (_, factory) = counted();
    let kept = named("kept").restart(Restart::Never).keep_failed(true);
    system.mount_with(kept, factory.clone()).await.unwrap();
    let handle = system.route::<Life>("kept://life").unwrap();
    let mut watch = system.watch("kept");
    system.tell("kept://fail", Fail).await.unwrap();
    while !matches!(
        watch.next().await.unwrap().change,
        Change::Ended(EndReason::Failed(_))
    ) {}
    let now = system.snapshot();
    let kept = now.subsystem("kept").unwrap();
    assert!(kept.is_closed && kept.last_failure.as_deref().unwrap().contains(ON_PURPOSE));
    let taken = system.mount_as("kept", factory.clone()).await;
    assert!(matches!(taken, Err(MountError::NameTaken { .. })));
    assert!(handle.ask(Life).await.is_err());
    assert_eq!(system.unmount("kept").await.unwrap().failed, 1);
    system.mount_as("kept", factory).await.unwrap();
    handle.ask(Life).await.unwrap();
    system.stop().await.unwrap();
}
