//! Promises 2 and 5, where several things happen to a subsystem at once: it is unmounted while its parent
//! is restarted, mounted while its parent ends, restarted twice over.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::common::{ON_PURPOSE, figures, named, poll_once, quiet, quiet_panics, until, watchdog};
use crate::family::{Block, Gate, Linger, Name, Node, Panic, with_child};
use mycelia::error::MountError;
use mycelia::observe::Change;
use mycelia::prelude::*;
use mycelia::supervise::{Failure, RestartScope};

async fn system(together: RestartScope) -> (System, Arc<Gate>) {
    quiet_panics();
    let gate = Gate::closed();
    let system = System::builder()
        .threads(2)
        .restart_scope(together)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    (system, gate)
}

/// Has the handler of a subsystem wait for the gate.
async fn linger(system: &System, gate: &Gate, name: &str) {
    system
        .tell(format!("{name}://linger"), Linger)
        .await
        .unwrap();
    gate.begun.acquire().await.unwrap().forget();
}

/// Has a parent fail, and waits until its child is being ended for that.
async fn fail(system: &System, parent: &str) {
    system
        .tell(format!("{parent}://panic"), Panic)
        .await
        .unwrap();
    let child = format!("{parent}/child");
    until("its child is being ended", || {
        system.snapshot().subsystem(&child).is_none()
    })
    .await;
}

async fn is_there(system: &System, name: &str) {
    until("it is there", || {
        let now = system.snapshot();
        now.subsystem(name).is_some_and(|one| !one.is_closed)
    })
    .await;
    let answer = system.ask(format!("{name}://name"), Name).await;
    assert_eq!(answer.unwrap(), name);
}

#[mycelia::test]
async fn a_child_that_two_have_waited_for_is_accounted_for_once() {
    let _watch = watchdog();
    let (system, gate) = system(RestartScope::OneForOne).await;
    system.mount_with(named("top"), with_child).await.unwrap();
    let handle = system.route::<Name>("top/child://name").unwrap();
    handle.ask(Name).await.unwrap();
    linger(&system, &gate, "top/child").await;
    // Unmounted, and then ended with its parent's value too.
    let mut unmounting = Box::pin(system.unmount("top/child"));
    assert!(poll_once(&mut unmounting).await.is_none());
    fail(&system, "top").await;
    gate.permits.add_permits(1);
    assert_eq!(figures(&unmounting.await.unwrap()), [2, 2, 0, 0, 0, 0]);
    is_there(&system, "top/child").await;
    assert_eq!(handle.ask(Name).await.unwrap(), "top/child");
    // Two names of the first child, one lingering, one panic, two names of the second.
    assert_eq!(figures(&quiet(&system).await), [5, 4, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn no_child_is_mounted_while_its_parent_is_made_anew() {
    let _watch = watchdog();
    let (system, gate) = system(RestartScope::OneForOne).await;
    system.mount_with(named("top"), with_child).await.unwrap();
    linger(&system, &gate, "top/child").await;
    fail(&system, "top").await;
    let late = named("late").parent("top");
    let refused = system.mount_with(late.clone(), Node::default).await;
    let parent = "top".into();
    assert_eq!(refused, Err(MountError::Restarting { parent }));
    gate.permits.add_permits(1);
    is_there(&system, "top/child").await;
    system.mount_with(late, Node::default).await.unwrap();
    is_there(&system, "top/late").await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_child_whose_parent_is_unmounted_before_it_stands_is_gone_with_it() {
    let _watch = watchdog();
    let (system, gate) = system(RestartScope::OneForOne).await;
    for (name, thread) in [("top", 0), ("other", 1)] {
        let options = named(name).thread(thread);
        system.mount_with(options, Node::default).await.unwrap();
    }
    // Its thread has no time for it yet.
    let (release, until_released) = channel();
    system
        .tell("other://block", Block(until_released))
        .await
        .unwrap();
    gate.begun.acquire().await.unwrap().forget();
    let child = named("child").parent("top").thread(1);
    let mut mounting = Box::pin(system.mount_with(child, Node::default));
    assert!(poll_once(&mut mounting).await.is_none());
    let mut unmounting = Box::pin(system.unmount("top"));
    assert!(poll_once(&mut unmounting).await.is_none());
    until("no path leads there any more", || {
        system.snapshot().subsystem("top").is_none()
    })
    .await;
    drop(release);
    let mounted = mounting.await;
    assert!(matches!(mounted, Err(MountError::Stopped)), "{mounted:?}");
    unmounting.await.unwrap();
    assert!(system.snapshot().subsystem("top/child").is_none());
    // Both names are free.
    system.mount_with(named("top"), with_child).await.unwrap();
    is_there(&system, "top/child").await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn restarts_that_concern_the_same_subsystem_come_one_after_the_other() {
    let _watch = watchdog();
    let (system, gate) = system(RestartScope::RestForOne).await;
    for name in ["first", "second"] {
        system.mount_with(named(name), with_child).await.unwrap();
    }
    linger(&system, &gate, "second/child").await;
    let mut watch = system.watch("second");
    fail(&system, "second").await;
    // The second one is concerned by this too.
    system.tell("first://panic", Panic).await.unwrap();
    until("it has failed", || {
        let now = system.snapshot();
        now.subsystem("first").unwrap().last_failure.is_some()
    })
    .await;
    gate.permits.add_permits(1);
    let mut restarts = 0;
    while restarts < 2 {
        restarts += u64::from(watch.next().await.unwrap().change == Change::Restarted);
    }
    for name in ["first", "first/child", "second", "second/child"] {
        is_there(&system, name).await;
    }
    assert_eq!(system.snapshot().subsystems.len(), 4);
    assert_eq!(figures(&quiet(&system).await), [7, 5, 2, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn whoever_is_being_started_is_not_disturbed_by_a_sibling_that_fails() {
    #[derive(Subsystem, Default)]
    struct Slow;
    #[routes]
    impl Slow {
        #[started]
        async fn begin(&mut self, ctx: Context, State(gate): State<Gate>) -> anyhow::Result<()> {
            gate.begun.add_permits(1);
            gate.permits.acquire().await?.forget();
            ctx.mount_with(named("child"), Node::default).await?;
            Ok(())
        }
        #[route("name")]
        fn name(&mut self, _: Name, ctx: Context) -> String {
            ctx.name().to_owned()
        }
    }
    let _watch = watchdog();
    let (system, gate) = system(RestartScope::OneForOne).await;
    let top = named("top").restart_scope(RestartScope::AllForOne);
    system.mount_with(top, with_child).await.unwrap();
    let mut mounting = Box::pin(system.mount_with(named("slow").parent("top"), Slow::default));
    assert!(poll_once(&mut mounting).await.is_none());
    gate.begun.acquire().await.unwrap().forget();
    system.tell("top/child://panic", Panic).await.unwrap();
    until("its sibling is there again", || {
        let now = system.snapshot();
        now.subsystem("top/child").unwrap().restarts == 1
    })
    .await;
    gate.permits.add_permits(1);
    mounting.await.unwrap();
    for name in ["top/child", "top/slow", "top/slow/child"] {
        is_there(&system, name).await;
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn whoever_is_failed_by_a_child_while_it_starts_is_started_again() {
    #[derive(Subsystem, Default)]
    struct Slow;
    #[routes]
    impl Slow {
        #[started]
        async fn begin(&mut self, ctx: Context, State(gate): State<Gate>) -> anyhow::Result<()> {
            let child = named("child").intensity(0, Duration::from_secs(1));
            ctx.mount_with(child, Node::default).await?;
            gate.begun.add_permits(1);
            gate.permits.acquire().await?.forget();
            Ok(())
        }
        #[route("name")]
        fn name(&mut self, _: Name, ctx: Context) -> String {
            ctx.name().to_owned()
        }
    }
    let _watch = watchdog();
    let (system, gate) = system(RestartScope::OneForOne).await;
    let mut mounting = Box::pin(system.mount_with(named("slow"), Slow::default));
    assert!(poll_once(&mut mounting).await.is_none());
    for _ in 0..3 {
        gate.begun.acquire().await.unwrap().forget();
        system.tell("slow/child://panic", Panic).await.unwrap();
    }
    gate.begun.acquire().await.unwrap().forget();
    gate.permits.add_permits(1);
    mounting.await.unwrap();
    for name in ["slow", "slow/child"] {
        is_there(&system, name).await;
    }
    assert_eq!(figures(&quiet(&system).await), [5, 2, 3, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn whoever_stops_as_soon_as_it_stands_leaves_its_name_free() {
    #[derive(Subsystem, Default)]
    struct Brief;
    #[routes]
    impl Brief {
        #[started]
        fn begin(&mut self, ctx: Context) {
            ctx.stop();
        }
        #[route("name")]
        fn name(&mut self, _: Name) -> String {
            String::new()
        }
    }
    let _watch = watchdog();
    let (system, _gate) = system(RestartScope::OneForOne).await;
    for _ in 0..200 {
        system.mount(Brief::default).await.unwrap();
        until("it is gone", || {
            system.snapshot().subsystem("brief").is_none()
        })
        .await;
    }
    system.stop().await.unwrap();
}

/// Mounts a child when it is restarted; told to, it panics while it mounts one.
#[derive(Subsystem, Default)]
struct Hasty;

#[derive(Message)]
struct MountAndPanic {
    /// Rounds of a loop in between.
    after: u32,
}

#[routes]
impl Hasty {
    #[restarting]
    async fn again(&mut self, _: Failure, ctx: Context) -> anyhow::Result<()> {
        ctx.mount_with(named("child"), Node::default).await?;
        Ok(())
    }

    #[route("mount")]
    async fn mount(&mut self, MountAndPanic { after }: MountAndPanic, ctx: Context) {
        let mut mounting = pin!(ctx.mount_with(named("child"), Node::default));
        let _ = poll_once(mounting.as_mut()).await;
        for _ in 0..after {
            std::hint::spin_loop();
        }
        panic!("{ON_PURPOSE}")
    }
}

#[mycelia::test]
async fn whoever_panics_while_it_mounts_a_child_finds_the_name_free_when_it_is_made_anew() {
    let _watch = watchdog();
    let (system, _gate) = system(RestartScope::OneForOne).await;
    system.mount(Hasty::default).await.unwrap();
    let mut watch = system.watch("hasty");
    let panic = Change::Failed(Failure::Panic(ON_PURPOSE.into()));
    // The registry may be anywhere on the way of the first mount.
    for round in 0..3000 {
        let after = round % 400 * 5;
        let message = MountAndPanic { after };
        system.tell("hasty://mount", message).await.unwrap();
        assert_eq!(watch.next().await.unwrap().change, panic);
        assert_eq!(watch.next().await.unwrap().change, Change::Restarted);
        system.unmount("hasty/child").await.unwrap();
    }
    system.stop().await.unwrap();
}
