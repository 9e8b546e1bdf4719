//! Replicas: one name, several subsystems, and every message to one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{ON_PURPOSE, figures, quiet, quiet_panics, until, watchdog};
use mycelia::Replicas;
use mycelia::error::MountError;
use mycelia::observe::Change;
use mycelia::prelude::*;
use tokio::sync::Semaphore;

#[derive(Message)]
#[message(reply = String)]
struct Who;

#[derive(Message)]
struct Wait;

#[derive(Message)]
struct Note(u64);

#[derive(Message)]
struct Panic;

/// What holds those up that wait.
struct Gate(Semaphore);

#[derive(Subsystem, Default)]
#[subsystem(name = "users")]
struct Users {
    last: u64,
}

#[routes]
impl Users {
    #[route("who")]
    fn who(&mut self, _: Who, ctx: Context) -> String {
        ctx.name().to_string()
    }

    #[route("{id}/who")]
    fn who_for(&mut self, _: Who, ctx: Context, Path(_): Path<String>) -> String {
        ctx.name().to_string()
    }

    #[route("wait")]
    async fn wait(&mut self, _: Wait, State(gate): State<Gate>) {
        gate.0.acquire().await.unwrap().forget();
    }

    #[route("{id}/note")]
    fn note(&mut self, Note(number): Note, Path(_): Path<u64>) {
        assert!(number > self.last, "{number} after {}", self.last);
        self.last = number;
    }

    #[route("panic")]
    fn panic(&mut self, _: Panic) {
        panic!("{ON_PURPOSE}");
    }
}

async fn system(threads: usize) -> System {
    quiet_panics();
    let builder = System::builder().threads(threads).pool(64);
    let builder = builder.state(Gate(Semaphore::new(0)));
    builder.start().await.unwrap()
}

fn handled(system: &System, name: &str) -> u64 {
    let now = system.snapshot();
    now.subsystem(name).expect(name).ledger.handled
}

#[mycelia::test]
async fn in_turn_each_replica_gets_as_many() {
    let _watch = watchdog();
    let system = system(2).await;
    system
        .mount_replicas(Replicas::round_robin(3), Users::default)
        .await
        .unwrap();
    let who = system.route::<Who>("users://who").unwrap();
    for _ in 0..30 {
        system.ask("users://who", Who).await.unwrap();
        who.ask(Who).await.unwrap();
    }
    for name in ["users/0", "users/1", "users/2"] {
        assert_eq!(handled(&system, name), 20);
    }
    let threads = (0..3).map(|n| {
        system
            .snapshot()
            .subsystem(&format!("users/{n}"))
            .unwrap()
            .thread
    });
    let on_first = threads.filter(|thread| *thread == 0).count();
    assert!(on_first == 1 || on_first == 2, "all on one thread");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_replica_can_be_reached_by_its_own_name() {
    let _watch = watchdog();
    let system = system(1).await;
    system
        .mount_replicas(Replicas::round_robin(2), Users::default)
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(system.ask("users/1://who", Who).await.unwrap(), "users/1");
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_least_loaded_gets_the_message() {
    let _watch = watchdog();
    let system = system(2).await;
    system
        .mount_replicas(Replicas::least_loaded(3), Users::default)
        .await
        .unwrap();
    // One that is held up, with two more waiting behind.
    for _ in 0..3 {
        system.tell("users/0://wait", Wait).await.unwrap();
    }
    for _ in 0..20 {
        let who = system.ask("users://who", Who).await.unwrap();
        assert_ne!(who, "users/0");
    }
    system.tell("users/1://wait", Wait).await.unwrap();
    for _ in 0..20 {
        assert_eq!(system.ask("users://who", Who).await.unwrap(), "users/2");
    }
    Users::open(&system, 4).await;
    system.stop().await.unwrap();
}

impl Users {
    async fn open(system: &System, permits: usize) {
        system.mount(|| Opener).await.unwrap();
        system.ask("opener://open", Open(permits)).await.unwrap();
    }
}

#[derive(Message)]
#[message(reply = ())]
struct Open(usize);

#[derive(Subsystem)]
struct Opener;

#[routes]
impl Opener {
    #[route("open")]
    fn open(&mut self, Open(permits): Open, State(gate): State<Gate>) {
        gate.0.add_permits(permits);
    }
}

#[mycelia::test]
async fn what_has_the_same_capture_goes_to_the_same_replica_by_path_and_by_handle() {
    let _watch = watchdog();
    let system = system(2).await;
    let replicas = Replicas::by_capture(5, "id");
    system
        .mount_replicas(replicas, Users::default)
        .await
        .unwrap();
    let who = system.route::<Who>("users://{id}/who").unwrap();
    let mut met = std::collections::HashSet::new();
    for id in 0..100_u64 {
        let first = system.ask(&format!("users://{id}/who"), Who).await.unwrap();
        assert_eq!(who.at(id).ask(Who).await.unwrap(), first);
        assert_eq!(who.at(id.to_string()).ask(Who).await.unwrap(), first);
        assert_eq!(who.at(id as i64).ask(Who).await.unwrap(), first);
        let fixed = system.route::<Who>(&format!("users://{id}/who")).unwrap();
        assert_eq!(fixed.ask(Who).await.unwrap(), first);
        met.insert(first);
    }
    assert_eq!(met.len(), 5, "{met:?}");
    // Written in two ways, it is the same text.
    let plain = system.ask("users://Zoe/who", Who).await.unwrap();
    assert_eq!(system.ask("users://%5aoe/who", Who).await.unwrap(), plain);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn messages_of_one_sender_with_one_capture_keep_their_order() {
    let _watch = watchdog();
    let system = system(2).await;
    let replicas = Replicas::by_capture(3, "id");
    system
        .mount_replicas(replicas, Users::default)
        .await
        .unwrap();
    let note = system.route::<Note>("users://{id}/note").unwrap();
    for number in 1..=2_000 {
        match number % 2 {
            0 => note.at(7).tell(Note(number)).await.unwrap(),
            _ => system.tell("users://7/note", Note(number)).await.unwrap(),
        }
    }
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [2_000, 2_000, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn replicas_fail_one_by_one() {
    let _watch = watchdog();
    let system = system(2).await;
    system
        .mount_replicas(Replicas::round_robin(3), Users::default)
        .await
        .unwrap();
    system.tell("users/1://panic", Panic).await.unwrap();
    quiet(&system).await;
    let now = system.snapshot();
    let restarts = |n: usize| now.subsystem(&format!("users/{n}")).unwrap().restarts;
    assert_eq!([restarts(0), restarts(1), restarts(2)], [0, 1, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_replica_that_has_ended_for_good_gets_nothing_in_turn() {
    let _watch = watchdog();
    let system = system(2).await;
    let options = MountOptions::new().restart(mycelia::supervise::Restart::Never);
    let replicas = Replicas::round_robin(3);
    system
        .mount_replicas_with(replicas, options, Users::default)
        .await
        .unwrap();
    let mut watch = system.watch("users/1");
    system.tell("users/1://panic", Panic).await.unwrap();
    while !matches!(watch.next().await.unwrap().change, Change::Ended(_)) {}
    for _ in 0..9 {
        assert_ne!(system.ask("users://who", Who).await.unwrap(), "users/1");
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_replica_that_fails_too_often_stops_the_system_as_any_subsystem_does() {
    let _watch = watchdog();
    let system = system(2).await;
    let options = MountOptions::new().intensity(0, std::time::Duration::from_secs(60));
    let replicas = Replicas::round_robin(2);
    system
        .mount_replicas_with(replicas, options, Users::default)
        .await
        .unwrap();
    system.tell("users://panic", Panic).await.unwrap();
    assert!(matches!(
        system.stopped().await,
        mycelia::observe::StopReason::Escalated { .. }
    ));
    system.stop().await.unwrap_err();
}

#[mycelia::test]
async fn unmounted_they_end_all_and_return_the_sum_of_their_accounts() {
    let _watch = watchdog();
    let system = system(2).await;
    let mut watch = system.watch("users");
    system
        .mount_replicas(Replicas::round_robin(3), Users::default)
        .await
        .unwrap();
    for _ in 0..10 {
        system.ask("users://who", Who).await.unwrap();
    }
    let ledger = system.unmount("users").await.unwrap();
    assert_eq!(figures(&ledger), [10, 10, 0, 0, 0, 0]);
    assert!(system.snapshot().subsystem("users/0").is_none());
    assert!(matches!(
        watch.next().await.unwrap().change,
        Change::Started
    ));
    assert!(matches!(
        watch.next().await.unwrap().change,
        Change::Ended(_)
    ));
    assert_eq!(figures(&quiet(&system).await), [10, 10, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handle_finds_them_again_however_many_there_are_then() {
    let _watch = watchdog();
    let system = system(2).await;
    system.mount(Users::default).await.unwrap();
    let who = system.route::<Who>("users://{id}/who").unwrap();
    assert_eq!(who.at(1).ask(Who).await.unwrap(), "users");
    for count in [2, 5, 1] {
        system.unmount("users").await.unwrap();
        assert!(
            who.at(1)
                .ask(Who)
                .await
                .unwrap_err()
                .to_string()
                .contains("closed")
        );
        let replicas = Replicas::by_capture(count, "id");
        system
            .mount_replicas(replicas, Users::default)
            .await
            .unwrap();
        let mut met = std::collections::HashSet::new();
        for id in 0..100 {
            met.insert(who.at(id).ask(Who).await.unwrap());
        }
        assert_eq!(met.len(), count);
    }
    system.unmount("users").await.unwrap();
    system.mount(Users::default).await.unwrap();
    assert_eq!(who.at(1).ask(Who).await.unwrap(), "users");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn if_one_cannot_start_none_is_there() {
    let _watch = watchdog();
    let system = system(2).await;
    let made = Arc::new(AtomicUsize::new(0));
    let factory = {
        let made = made.clone();
        move || {
            let before = made.fetch_add(1, Ordering::Relaxed);
            assert_ne!(before, 2, "{ON_PURPOSE}");
            Users::default()
        }
    };
    let mounted = system
        .mount_replicas(Replicas::round_robin(4), factory)
        .await;
    assert!(
        matches!(mounted, Err(MountError::StartFailed { .. })),
        "{mounted:?}"
    );
    assert!(system.try_tell("users://wait", Wait).is_err());
    until("all have gone", || system.snapshot().subsystems.is_empty()).await;
    // Their names are free.
    system
        .mount_replicas(Replicas::round_robin(4), Users::default)
        .await
        .unwrap();
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_cannot_be_mounted_says_why() {
    let _watch = watchdog();
    let system = system(1).await;
    let replicas = || Replicas::by_capture(2, "name");
    let mounted = system.mount_replicas(replicas(), Users::default).await;
    assert!(
        matches!(mounted, Err(MountError::NoCapture { .. })),
        "{mounted:?}"
    );
    let replicas = || Replicas::round_robin(2);
    system
        .mount_replicas(replicas(), Users::default)
        .await
        .unwrap();
    let mounted = system.mount_replicas(replicas(), Users::default).await;
    assert!(
        matches!(mounted, Err(MountError::NameTaken { .. })),
        "{mounted:?}"
    );
    let below = MountOptions::new().name("child").parent("users");
    let mounted = system.mount_with(below, Users::default).await;
    assert!(
        matches!(mounted, Err(MountError::NoParent { .. })),
        "{mounted:?}"
    );
    let twice = ["a", "b", "a"].map(|name| MountOptions::new().name(name));
    let mounted = system.mount_all(twice, Users::default).await;
    assert!(
        matches!(mounted, Err(MountError::NameTaken { .. })),
        "{mounted:?}"
    );
    assert!(system.snapshot().subsystem("b").is_none());
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn replicas_can_be_children_and_have_children() {
    let _watch = watchdog();
    let system = system(2).await;
    system.mount_as("town", Users::default).await.unwrap();
    let below = MountOptions::new().parent("town");
    let replicas = Replicas::round_robin(2);
    system
        .mount_replicas_with(replicas, below, Users::default)
        .await
        .unwrap();
    let below = MountOptions::new().name("cat").parent("town/users/1");
    system.mount_with(below, Users::default).await.unwrap();
    let who = system.ask("town/users/1/cat://who", Who).await.unwrap();
    assert_eq!(who, "town/users/1/cat");
    system.ask("town/users://who", Who).await.unwrap();
    // The parent is restarted: what is below it ends.
    system.tell("town://panic", Panic).await.unwrap();
    until("the parent is alone", || {
        system.snapshot().subsystems.len() == 1
    })
    .await;
    let gone = system.ask("town/users://who", Who).await.unwrap_err();
    assert!(gone.to_string().contains("no subsystem"), "{gone}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn many_are_mounted_at_once() {
    let _watch = watchdog();
    let system = system(2).await;
    let each = (0..1_000).map(|n| MountOptions::new().name(format!("user-{n}")));
    system.mount_all(each, Users::default).await.unwrap();
    for n in [0, 500, 999] {
        let who = system.ask(&format!("user-{n}://who"), Who).await.unwrap();
        assert_eq!(who, format!("user-{n}"));
    }
    assert_eq!(system.snapshot().subsystems.len(), 1_000);
    let none: [MountOptions; 0] = [];
    system.mount_all(none, Users::default).await.unwrap();
    system.stop().await.unwrap();
}
