//! Nothing hangs without saying so: a handler whose wait could never end is told at once, and who waits for
//! whom; whether it waits for a reply, for a mount, for an unmount, or for a thread for blocking handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{named, poll_once, quiet, until, watchdog};
use mycelia::Replicas;
use mycelia::error::{MountError, UnmountError};
use mycelia::prelude::*;
use mycelia::supervise::Restart;
use tokio::sync::Semaphore;

/// What the node does, one after the other, and says of it.
#[derive(Message)]
#[message(reply = String)]
struct Do(Vec<Act>);

#[derive(Clone)]
enum Act {
    /// Asks the node of that name to do something.
    Ask(&'static str, Vec<Act>),
    Mount(MountOptions, Vec<Act>),
    MountAll(Vec<MountOptions>, Vec<Act>),
    MountReplicas(Vec<Act>),
    Unmount(&'static str),
    /// A child.
    UnmountChild(&'static str),
    /// Begins to mount, and gives up when the first has come to the gate.
    GiveUp(MountOptions, Vec<Act>),
    /// Waits for the gate.
    Wait,
}

struct Gate {
    begun: AtomicUsize,
    permits: Semaphore,
}

/// Does something when it starts, and when it is asked to.
#[derive(Default)]
struct Node(Vec<Act>);

impl Subsystem for Node {
    const NAME: &'static str = "node";
}

#[routes]
impl Node {
    #[started]
    async fn start(
        &mut self,
        ctx: Context,
        system: System,
        State(gate): State<Gate>,
    ) -> anyhow::Result<()> {
        for act in self.0.clone() {
            run(act, &ctx, &system, &gate).await?;
        }
        Ok(())
    }

    #[route("do")]
    async fn run(
        &mut self,
        Do(acts): Do,
        ctx: Context,
        system: System,
        State(gate): State<Gate>,
    ) -> String {
        for act in acts {
            if let Err(error) = run(act, &ctx, &system, &gate).await {
                return format!("{error:#}");
            }
        }
        "done".into()
    }
}

async fn run(act: Act, ctx: &Context, system: &System, gate: &Gate) -> anyhow::Result<()> {
    match act {
        Act::Ask(name, acts) => {
            let said = Box::pin(system.ask(format!("{name}://do"), Do(acts))).await?;
            anyhow::ensure!(said == "done", said);
        }
        Act::Mount(options, acts) => {
            ctx.mount_with(options, move || Node(acts.clone())).await?;
        }
        Act::MountAll(all, acts) => {
            let first = AtomicUsize::new(0);
            let first = Arc::new(first);
            // Only the last of them does it.
            let count = all.len();
            let make = move || match first.fetch_add(1, Ordering::Relaxed) + 1 == count {
                true => Node(acts.clone()),
                false => Node::default(),
            };
            system.mount_all(all, make).await?;
        }
        Act::MountReplicas(acts) => {
            system
                .mount_replicas(Replicas::round_robin(2), move || Node(acts.clone()))
                .await?;
        }
        Act::Unmount(name) => drop(system.unmount(name).await?),
        Act::UnmountChild(name) => drop(ctx.unmount(name).await?),
        Act::GiveUp(options, acts) => {
            let mount = ctx.mount_with(options, move || Node(acts.clone()));
            let has_begun = until("it starts", || gate.begun.load(Ordering::Relaxed) == 1);
            let (mount, has_begun) = (std::pin::pin!(mount), std::pin::pin!(has_begun));
            futures_util::future::select(mount, has_begun).await;
        }
        Act::Wait => {
            gate.begun.fetch_add(1, Ordering::Relaxed);
            gate.permits.acquire().await?.forget();
        }
    }
    Ok(())
}

async fn nodes(names: &[&'static str]) -> (System, Arc<Gate>) {
    let gate = Arc::new(Gate {
        begun: AtomicUsize::new(0),
        permits: Semaphore::new(0),
    });
    let system = System::builder()
        .threads(2)
        .ask_deadline(None)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    for name in names {
        system.mount_with(named(name), Node::default).await.unwrap();
    }
    (system, gate)
}

async fn ask(system: &System, name: &str, acts: Vec<Act>) -> String {
    system.ask(format!("{name}://do"), Do(acts)).await.unwrap()
}

/// No one waits any more: each of them can ask each other.
async fn everything_works(system: &System, names: &[&'static str]) {
    for one in names {
        for other in names.iter().filter(|other| *other != one) {
            assert_eq!(
                ask(system, one, vec![Act::Ask(other, vec![])]).await,
                "done"
            );
        }
    }
    quiet(system).await;
}

#[mycelia::test]
async fn a_start_that_asks_who_mounts_it_is_told_so_and_the_mount_fails() {
    let _watch = watchdog();
    let (system, _) = nodes(&["parent", "other"]).await;
    let back = vec![Act::Ask("parent", vec![])];
    let said = ask(&system, "parent", vec![Act::Mount(named("child"), back)]).await;
    assert!(said.contains("could not be started"), "{said}");
    assert!(
        said.contains("parent/child -> parent -> parent/child"),
        "{said}"
    );
    // By way of another one, which is told.
    let back = vec![Act::Ask("other", vec![Act::Ask("parent", vec![])])];
    let said = ask(&system, "parent", vec![Act::Mount(named("child"), back)]).await;
    assert!(
        said.contains("other -> parent -> parent/child -> other"),
        "{said}"
    );
    everything_works(&system, &["parent", "other"]).await;
    assert_eq!(
        ask(&system, "parent", vec![Act::Mount(named("child"), vec![])]).await,
        "done"
    );
}

#[mycelia::test]
async fn a_start_that_asks_who_mounts_several_is_told_so_and_none_of_them_stays() {
    let _watch = watchdog();
    let (system, _) = nodes(&["parent"]).await;
    let back = || vec![Act::Ask("parent", vec![])];
    let all = ["x", "y", "z"].map(|name| named(name).thread(0)).to_vec();
    let said = ask(&system, "parent", vec![Act::MountAll(all, back())]).await;
    assert!(said.contains("z -> parent -> z"), "{said}");
    let said = ask(&system, "parent", vec![Act::MountReplicas(back())]).await;
    assert!(said.contains("-> parent -> node/"), "{said}");
    for name in ["x", "y", "z", "node"] {
        let refused = system.unmount(name).await.unwrap_err();
        assert!(matches!(refused, UnmountError::NoSubsystem { .. }));
    }
    everything_works(&system, &["parent"]).await;
}

#[mycelia::test]
async fn one_that_stands_may_ask_who_still_waits_for_the_start_of_others() {
    let _watch = watchdog();
    let (system, gate) = nodes(&["parent", "x"]).await;
    // A handle finds what is mounted under its name before paths do.
    let x = system.route::<Do>("x://do").unwrap();
    system.unmount("x").await.unwrap();
    let all = ["x", "y"].map(|name| named(name).thread(0)).to_vec();
    let mount = ask(&system, "parent", vec![Act::MountAll(all, vec![Act::Wait])]);
    let asked = async {
        until("the last one starts", || {
            gate.begun.load(Ordering::Relaxed) == 1
        })
        .await;
        let mut asked = Box::pin(x.ask(Do(vec![Act::Ask("parent", vec![])])));
        assert!(poll_once(&mut asked).await.is_none());
        until("it has asked", || system.snapshot().total.waiting == 2).await;
        gate.permits.add_permits(1);
        asked.await.unwrap()
    };
    let (mounted, asked) = tokio::join!(mount, asked);
    assert_eq!((&*mounted, &*asked), ("done", "done"));
    everything_works(&system, &["parent", "x", "y"]).await;
}

#[mycelia::test]
async fn a_handler_that_gives_up_its_mount_is_not_waited_for_in_a_circle() {
    let _watch = watchdog();
    let (system, gate) = nodes(&["parent"]).await;
    let start = vec![Act::Wait, Act::Ask("parent", vec![])];
    let acts = vec![Act::GiveUp(named("child"), start), Act::Wait];
    let parent = ask(&system, "parent", acts);
    let child = async {
        until("both wait", || gate.begun.load(Ordering::Relaxed) == 2).await;
        gate.permits.add_permits(2);
        until("the child stands", || {
            system.route::<Do>("parent/child://do").is_ok()
        })
        .await;
    };
    let (parent, ()) = tokio::join!(parent, child);
    assert_eq!(parent, "done");
    everything_works(&system, &["parent", "parent/child"]).await;
}

#[mycelia::test]
async fn a_child_that_asks_who_unmounts_it_is_told_so_and_the_unmount_ends() {
    let _watch = watchdog();
    let (system, gate) = nodes(&["parent"]).await;
    ask(&system, "parent", vec![Act::Mount(named("child"), vec![])]).await;
    let child = ask(
        &system,
        "parent/child",
        vec![Act::Wait, Act::Ask("parent", vec![])],
    );
    let parent = async {
        until("the child waits", || {
            gate.begun.load(Ordering::Relaxed) == 1
        })
        .await;
        let mut parent = Box::pin(ask(&system, "parent", vec![Act::UnmountChild("child")]));
        assert!(poll_once(&mut parent).await.is_none());
        until("the child is leaving", || {
            system.route::<Do>("parent/child://do").is_err()
        })
        .await;
        gate.permits.add_permits(1);
        parent.await
    };
    let (child, parent) = tokio::join!(child, parent);
    assert!(
        child.contains("parent/child -> parent -> parent/child"),
        "{child}"
    );
    assert_eq!(parent, "done");
    everything_works(&system, &["parent"]).await;
}

#[mycelia::test]
async fn an_unmount_of_one_that_waits_for_the_unmounter_is_refused_and_unmounts_nothing() {
    let _watch = watchdog();
    let (system, gate) = nodes(&["a", "b", "c"]).await;
    let a = ask(&system, "a", vec![Act::Wait, Act::Unmount("c")]);
    let others = async {
        until("a waits", || gate.begun.load(Ordering::Relaxed) == 1).await;
        let mut c = Box::pin(ask(
            &system,
            "c",
            vec![Act::Ask("b", vec![Act::Ask("a", vec![])])],
        ));
        assert!(poll_once(&mut c).await.is_none());
        until("a is asked", || system.snapshot().total.waiting == 4).await;
        gate.permits.add_permits(1);
        c.await
    };
    let (a, c) = tokio::join!(a, others);
    assert_eq!(
        a,
        "the unmount would never end: a -> c -> b -> a; break the cycle, or unmount in a spawned task"
    );
    assert_eq!(c, "done");
    everything_works(&system, &["a", "b", "c"]).await;
}

#[mycelia::test]
async fn an_unmount_of_an_ancestor_by_a_handler_below_it_is_refused() {
    let _watch = watchdog();
    let (system, _) = nodes(&["top"]).await;
    ask(&system, "top", vec![Act::Mount(named("mid"), vec![])]).await;
    ask(&system, "top/mid", vec![Act::Mount(named("low"), vec![])]).await;
    let said = ask(&system, "top/mid/low", vec![Act::Unmount("top")]).await;
    assert!(said.contains("top/mid/low -> top -> top/mid/low"), "{said}");
    // In a start, too.
    let said = ask(
        &system,
        "top",
        vec![Act::Mount(named("x"), vec![Act::Unmount("top")])],
    )
    .await;
    assert!(said.contains("top/x -> top -> top/x"), "{said}");
    everything_works(&system, &["top", "top/mid", "top/mid/low"]).await;
}

#[mycelia::test]
async fn a_handler_that_unmounts_its_own_subsystem_goes_on_and_then_it_is_gone() {
    let _watch = watchdog();
    for restart in [Restart::Never, Restart::Transient, Restart::Permanent] {
        let (system, gate) = nodes(&["other"]).await;
        let options = named("own").restart(restart);
        system
            .mount_with(options.clone(), Node::default)
            .await
            .unwrap();
        ask(&system, "own", vec![Act::Mount(named("child"), vec![])]).await;
        let first = ask(
            &system,
            "own",
            vec![Act::Wait, Act::Unmount("own"), Act::Wait],
        );
        let second = async {
            until("it waits", || gate.begun.load(Ordering::Relaxed) == 1).await;
            let mut second = Box::pin(ask(&system, "own", vec![Act::Ask("other", vec![])]));
            assert!(poll_once(&mut second).await.is_none());
            gate.permits.add_permits(1);
            until("it has begun to leave", || {
                system.route::<Do>("own://do").is_err()
            })
            .await;
            gate.permits.add_permits(1);
            second.await
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(
            (&*first, &*second),
            ("done", "done"),
            "what was accepted is handled"
        );
        // Waits until the name is free.
        system.mount_with(options, Node::default).await.unwrap();
        everything_works(&system, &["own", "other"]).await;
        let refused = system.unmount("own/child").await;
        assert!(matches!(refused, Err(UnmountError::NoSubsystem { .. })));
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn a_mount_under_a_name_that_does_not_come_free_is_refused() {
    let _watch = watchdog();
    let (system, gate) = nodes(&["a", "b"]).await;
    let a = ask(
        &system,
        "a",
        vec![Act::Wait, Act::MountAll(vec![named("a")], vec![])],
    );
    let b = async {
        until("a waits", || gate.begun.load(Ordering::Relaxed) == 1).await;
        // `b` waits for `a`, which is to leave and then waits for `b`.
        ask(
            &system,
            "b",
            vec![Act::Wait, Act::MountAll(vec![named("a")], vec![])],
        )
        .await
    };
    let unmount = async {
        until("both wait", || gate.begun.load(Ordering::Relaxed) == 2).await;
        let mut unmount = Box::pin(system.unmount("a"));
        assert!(poll_once(&mut unmount).await.is_none());
        until("a is leaving", || system.route::<Do>("a://do").is_err()).await;
        gate.permits.add_permits(2);
        unmount.await.unwrap();
    };
    let (a, b, ()) = tokio::join!(a, b, unmount);
    assert_eq!(
        a,
        "the mount of `a` would never end: a -> a; break the cycle, or mount in a spawned task"
    );
    assert_eq!(b, "done");
    everything_works(&system, &["a", "b"]).await;
}

#[mycelia::test]
async fn one_more_ask_of_many_layers_that_wait_for_each_other_is_quickly_made() {
    const LAYERS: usize = 10;
    const WIDTH: usize = 10;

    #[derive(Message)]
    #[message(reply = usize)]
    struct Deep;

    #[derive(Subsystem)]
    #[subsystem(name = "deep")]
    struct Layer(usize);

    #[routes]
    impl Layer {
        #[route("ask")]
        async fn ask(&mut self, _: Deep, system: System, State(gate): State<Gate>) -> usize {
            if self.0 + 1 == LAYERS {
                gate.begun.fetch_add(1, Ordering::Relaxed);
                gate.permits.acquire().await.unwrap().forget();
                return 1;
            }
            let next = self.0 + 1;
            let asks = (0..WIDTH).map(|n| system.ask(format!("{next}-{n}://ask"), Deep));
            futures_util::future::join_all(asks).await.len()
        }
    }

    let _watch = watchdog();
    let (system, _) = nodes(&["node"]).await;
    for layer in 0..LAYERS {
        for n in 0..WIDTH {
            let options = named(&format!("{layer}-{n}"));
            system
                .mount_with(options, move || Layer(layer))
                .await
                .unwrap();
        }
    }
    let mut all = Box::pin(system.ask("0-0://ask", Deep));
    assert!(poll_once(&mut all).await.is_none());
    let asks = 1 + WIDTH + (LAYERS - 2) * WIDTH * WIDTH;
    until("all wait", || {
        system.snapshot().total.waiting == asks as u64
    })
    .await;
    system.mount_as("last", || Layer(LAYERS - 2)).await.unwrap();
    let mut more = Box::pin(system.ask("last://ask", Deep));
    assert!(poll_once(&mut more).await.is_none());
    until("it waits too", || {
        system.snapshot().total.waiting == (asks + 1 + WIDTH) as u64
    })
    .await;
    // Answered one by one they would be 10^9 messages.
    system.stop_within(Duration::ZERO).await.unwrap_err();
    assert!(all.await.is_err() && more.await.is_err());
}

#[test]
fn the_errors_say_what_to_do() {
    let cycle = || "a -> b -> a".into();
    let (subsystem, cycle_of) = ("c".into(), cycle());
    let mount = MountError::WaitCycle {
        subsystem,
        cycle: cycle_of,
    };
    assert!(mount.to_string().ends_with("or mount in a spawned task"));
    let unmount = UnmountError::WaitCycle { cycle: cycle() };
    assert!(
        unmount
            .to_string()
            .ends_with("or unmount in a spawned task")
    );
}
