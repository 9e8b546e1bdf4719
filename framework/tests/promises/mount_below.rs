//! Promise 5, of those who mount below a parent that fails: they learn whether to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{ON_PURPOSE, named, poll_once, quiet_panics, until, watchdog};
use crate::family::{Gate, Name, Node, Panic, with_child};
use mycelia::error::MountError;
use mycelia::observe::Change;
use mycelia::prelude::*;
use mycelia::supervise::{Backoff, Restart, RestartScope};
use mycelia_test::{Simulation, check_seeds};

const MS: Duration = Duration::from_millis(1);
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Waits for the gate at each start.
#[derive(Subsystem, Default)]
struct Slow;

#[routes]
impl Slow {
    #[started]
    async fn begin(&mut self, State(gate): State<Gate>) {
        gate.pass().await;
    }

    #[route("panic")]
    fn panic(&mut self, _: Panic) {
        panic!("{ON_PURPOSE}")
    }
}

fn below(parent: &str) -> MountOptions {
    named("late").parent(parent)
}

fn restarting(parent: &str) -> Result<(), MountError> {
    let parent = parent.into();
    Err(MountError::Restarting { parent })
}

/// A system that gives those who are slow to end `patience`.
async fn system(patience: Duration) -> (System, Arc<Gate>) {
    quiet_panics();
    let gate = Gate::closed();
    let builder = System::builder().threads(2).stop_deadline(patience);
    let system = builder.shared_state(gate.clone()).start().await.unwrap();
    (system, gate)
}

/// Has a subsystem panic, and returns when those who watch hear of it.
async fn fail(system: &System, name: &str) {
    let mut watch = system.watch(name);
    let panic = system.tell(format!("{name}://panic"), Panic);
    panic.await.unwrap();
    while !matches!(watch.next().await.unwrap().change, Change::Failed(_)) {}
}

async fn mount_late(system: &System, parent: &str) -> Result<(), MountError> {
    system.mount_with(below(parent), Node::default).await
}

#[mycelia::test]
async fn below_a_parent_that_waits_out_its_pause_a_mount_is_told_to_come_again() {
    let _watch = watchdog();
    let (system, _gate) = system(FOR_EVER).await;
    // Alone it decides for itself; with a child the registry has it restarted.
    for (name, factory) in [
        ("alone", Node::default as fn() -> Node),
        ("with-child", with_child),
    ] {
        let options = named(name).backoff(Backoff::new(FOR_EVER, FOR_EVER));
        system.mount_with(options, factory).await.unwrap();
        mount_late(&system, name).await.unwrap();
        system.unmount(&format!("{name}/late")).await.unwrap();
        fail(&system, name).await;
        for _ in 0..3 {
            assert_eq!(mount_late(&system, name).await, restarting(name));
        }
        let several = [below(name), named("later").parent(name)];
        let several = system.mount_all(several, Node::default).await;
        assert_eq!(several, restarting(name));
    }
    // Who is unmounted does not wait for its pause; those with children end as the system does.
    system.unmount("alone").await.unwrap();
    let gone = mount_late(&system, "alone").await;
    assert!(matches!(gone, Err(MountError::NoParent { .. })), "{gone:?}");
    let _ = system.stop_within(Duration::ZERO).await;
    let stopped = mount_late(&system, "with-child").await;
    assert_eq!(stopped, Err(MountError::Stopped));
}

#[mycelia::test]
async fn below_a_parent_that_has_failed_for_good_a_mount_is_told_that_it_has_ended() {
    let _watch = watchdog();
    let (system, _gate) = system(FOR_EVER).await;
    for (name, factory) in [
        ("alone", Node::default as fn() -> Node),
        ("with-child", with_child),
    ] {
        let options = named(name).restart(Restart::Never).keep_failed(true);
        system.mount_with(options, factory).await.unwrap();
        fail(&system, name).await;
        for _ in 0..3 {
            assert_eq!(mount_late(&system, name).await, Err(MountError::Stopped));
        }
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn below_a_parent_whose_start_fails_a_mount_learns_whether_it_is_tried_again() {
    let _watch = watchdog();
    let (system, _gate) = system(FOR_EVER).await;
    for is_tried_again in [true, false] {
        let (name, options) = match is_tried_again {
            true => ("again", named("again").intensity(9, FOR_EVER)),
            false => ("once", named("once")),
        };
        let options = options.backoff(Backoff::new(MS, FOR_EVER));
        let is_broken = Arc::new(AtomicBool::new(false));
        let broken = is_broken.clone();
        let factory = move || {
            assert!(!broken.load(Ordering::Relaxed), "{ON_PURPOSE}");
            Node::default()
        };
        system.mount_with(options, factory).await.unwrap();
        is_broken.store(true, Ordering::Relaxed);
        let mut watch = system.watch(name);
        fail(&system, name).await;
        for _ in 0..2 {
            while !matches!(watch.next().await.unwrap().change, Change::Failed(_)) {}
        }
        let refused = mount_late(&system, name).await;
        match is_tried_again {
            true => assert_eq!(refused, restarting(name)),
            // Its name is free at once, and soon after the system stops.
            false => assert!(
                matches!(
                    refused,
                    Err(MountError::Stopped | MountError::NoParent { .. })
                ),
                "{refused:?}"
            ),
        }
        is_broken.store(false, Ordering::Relaxed);
        // Once it is there, so are those who come again.
        while is_tried_again && mount_late(&system, name).await.is_err() {
            tokio::time::sleep(MS).await;
        }
    }
    let late = system.ask("again/late://name", Name).await;
    assert_eq!(late.unwrap(), "again/late");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn below_one_that_waits_for_its_sibling_to_be_made_anew_a_mount_is_told_to_come_again() {
    let _watch = watchdog();
    let (system, gate) = system(FOR_EVER).await;
    let top = named("top").restart_scope(RestartScope::AllForOne);
    system.mount_with(top, Node::default).await.unwrap();
    gate.permits.add_permits(1);
    let slow = named("slow").parent("top");
    system.mount_with(slow, || Slow).await.unwrap();
    let younger = named("younger").parent("top");
    system.mount_with(younger, with_child).await.unwrap();
    gate.begun.acquire().await.unwrap().forget();
    system.tell("top/slow://panic", Panic).await.unwrap();
    // The older one is being started again; the younger has no value yet.
    gate.begun.acquire().await.unwrap().forget();
    let refused = mount_late(&system, "top/younger").await;
    assert_eq!(refused, restarting("top/younger"));
    gate.permits.add_permits(1);
    while mount_late(&system, "top/younger").await.is_err() {
        tokio::time::sleep(MS).await;
    }
    // Its start mounts the other.
    until("both are there", || {
        let now = system.snapshot();
        let is_there = |name| now.subsystem(name).is_some();
        is_there("top/younger/child") && is_there("top/younger/late")
    })
    .await;
    system.stop().await.unwrap();
}

/// What happens to the parent of a child that is just being started, or to the parent's parent.
#[derive(Clone, Copy)]
enum Overtakes {
    Fails(&'static str),
    FailsForGood(&'static str),
    IsUnmounted(&'static str),
}

/// How the mount of a child below `top/mid` ends that is overtaken so, whether its start then comes to its
/// end or is given up.
async fn overtaken(by: Overtakes, is_given_up: bool) -> Result<(), MountError> {
    let patience = if is_given_up { MS * 20 } else { FOR_EVER };
    let (system, gate) = system(patience).await;
    let options = |name| match by {
        Overtakes::FailsForGood(_) => named(name).restart(Restart::Never),
        _ => named(name).restart(Restart::Permanent),
    };
    let top = options("top");
    system.mount_with(top, Node::default).await.unwrap();
    let mid = options("mid").parent("top");
    system.mount_with(mid, with_child).await.unwrap();
    let slow = named("slow").parent("top/mid");
    let mut mounting = Box::pin(system.mount_with(slow, || Slow));
    assert!(poll_once(&mut mounting).await.is_none());
    gate.begun.acquire().await.unwrap().forget();
    let mut unmounting = None;
    match by {
        Overtakes::Fails(who) | Overtakes::FailsForGood(who) => fail(&system, who).await,
        Overtakes::IsUnmounted(who) => {
            let unmounting = unmounting.insert(Box::pin(system.unmount(who)));
            assert!(poll_once(unmounting).await.is_none());
        }
    }
    until("its sibling is being ended, and so is it", || {
        system.snapshot().subsystem("top/mid/child").is_none()
    })
    .await;
    if !is_given_up {
        gate.permits.add_permits(1);
    }
    let outcome = mounting.await;
    if let Some(unmounting) = unmounting {
        unmounting.await.unwrap();
    }
    system.stop_within(FOR_EVER).await.unwrap();
    outcome
}

#[mycelia::test]
async fn a_mount_that_its_parent_s_failure_overtakes_learns_whether_the_parent_comes_back() {
    let _watch = watchdog();
    for is_given_up in [false, true] {
        let again = overtaken(Overtakes::Fails("top/mid"), is_given_up).await;
        assert_eq!(again, restarting("top/mid"));
        let over = overtaken(Overtakes::FailsForGood("top/mid"), is_given_up).await;
        assert_eq!(over, Err(MountError::Stopped));
    }
    let over = overtaken(Overtakes::IsUnmounted("top/mid"), false).await;
    assert_eq!(over, Err(MountError::Stopped));
}

#[mycelia::test]
async fn a_mount_whose_parent_ends_with_its_own_parent_learns_that_the_parent_has_ended() {
    let _watch = watchdog();
    for is_given_up in [false, true] {
        for by in [Overtakes::Fails("top"), Overtakes::FailsForGood("top")] {
            let over = overtaken(by, is_given_up).await;
            assert_eq!(over, Err(MountError::Stopped));
        }
    }
    let over = overtaken(Overtakes::IsUnmounted("top"), false).await;
    assert_eq!(over, Err(MountError::Stopped));
}

/// Mounts below `top` again and again until that succeeds or `top` has ended for good.
async fn insist(system: System, name: String) -> Result<(), MountError> {
    loop {
        let options = named(&name).parent("top");
        match system.mount_with(options, Node::default).await {
            Err(MountError::Restarting { parent }) => assert_eq!(&*parent, "top"),
            other => return other,
        }
        tokio::time::sleep(MS).await;
    }
}

#[test]
fn who_is_told_to_come_again_gets_in_and_who_is_told_that_the_parent_has_ended_never_does() {
    let _watch = watchdog();
    quiet_panics();
    check_seeds(0..300, |seed| {
        Simulation::new(seed).run(|sim| async move {
            let builder = System::builder().shared_state(Gate::closed());
            let system = sim.system(builder).await.unwrap();
            let rng = sim.rng();
            let pause = rng.below(4) * MS;
            let mut top = named("top").backoff(Backoff::new(pause, pause));
            let ends = rng.chance(0.3);
            if ends {
                top = top.restart(Restart::Never).keep_failed(true);
            }
            let factory = if rng.chance(0.5) {
                with_child
            } else {
                Node::default
            };
            system.mount_with(top, factory).await.unwrap();
            let mut watch = system.watch("top");
            let panics = if ends { 1 } else { 1 + rng.below(3) };
            for _ in 0..panics {
                system.tell("top://panic", Panic).await.unwrap();
            }
            let insisting: Vec<_> = (0..3)
                .map(|n| {
                    let system = system.clone();
                    let wait = rng.below(6) * MS / 2;
                    sim.spawn(async move {
                        tokio::time::sleep(wait).await;
                        insist(system, format!("late-{n}")).await
                    })
                })
                .collect();
            let mut failures = 0;
            while failures < panics {
                let change = watch.next().await.unwrap().change;
                failures += u32::from(matches!(change, Change::Failed(_)));
            }
            for outcome in insisting {
                let outcome = outcome.await.unwrap();
                match ends {
                    // It may have come before the failure.
                    true => assert!(
                        matches!(outcome, Ok(()) | Err(MountError::Stopped)),
                        "{outcome:?}"
                    ),
                    false => assert_eq!(outcome, Ok(())),
                }
            }
            let late = mount_late(&system, "top").await;
            match ends {
                true => assert_eq!(late, Err(MountError::Stopped)),
                false => assert!(
                    matches!(late, Ok(()) | Err(MountError::Restarting { .. })),
                    "{late:?}"
                ),
            }
            system.stop().await.unwrap();
        })
    });
}
