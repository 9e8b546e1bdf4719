//! The first message makes its subsystem, or is told why not.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use mycelia::error::{AskError, MountError, Room, SendError};
use mycelia::prelude::*;
use mycelia::{Key, OnDemand};

use super::{Add, AskThrough, Front, WhoAreYou, is_there, system, users};
use crate::common::{ON_PURPOSE, figures, quiet, until, watchdog};

#[mycelia::test]
async fn the_first_message_makes_its_subsystem_and_the_next_ones_find_it() {
    let _watch = watchdog();
    let system = system(2).await;
    let store = users(&system, OnDemand::new()).await;
    assert_eq!(system.ask("users/7://add", Add(1)).await.unwrap(), 1);
    assert_eq!(system.ask("users/7://add", Add(2)).await.unwrap(), 3);
    assert_eq!(system.ask("users/ada://add", Add(5)).await.unwrap(), 5);
    assert_eq!(
        system.ask("users/7://who", WhoAreYou).await.unwrap(),
        "users/7"
    );
    system.tell("users/8://add", Add(1)).await.unwrap();
    assert_eq!(store.made.load(Ordering::SeqCst), 3);
    let blocking = system.clone();
    let told = std::thread::spawn(move || blocking.ask_blocking("users/9://add", Add(4)));
    assert_eq!(told.join().unwrap().unwrap(), 4);
    assert_eq!(figures(&quiet(&system).await), [6, 6, 0, 0, 0, 0]);
    system.stop().await.unwrap();
    assert_eq!(store.saved.load(Ordering::SeqCst), 4);
}

#[mycelia::test]
async fn many_senders_of_one_name_make_it_once() {
    let _watch = watchdog();
    let system = system(2).await;
    let store = users(&system, OnDemand::new()).await;
    let all = (0..100).map(|_| system.ask("users/7://add", Add(1)));
    let mut sums = Vec::from_iter(join_all(all).await.into_iter().map(Result::unwrap));
    sums.sort_unstable();
    assert_eq!(sums, Vec::from_iter(1..=100));
    assert_eq!(store.made.load(Ordering::SeqCst), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn they_are_spread_over_the_threads() {
    let _watch = watchdog();
    let system = system(2).await;
    users(&system, OnDemand::new()).await;
    for key in 0..10 {
        let path = format!("users/{key}://add");
        system.ask(path, Add(1)).await.unwrap();
    }
    let all = system.snapshot().subsystems;
    assert_eq!(all.iter().filter(|one| one.thread == 0).count(), 5);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn one_who_does_not_wait_is_told_that_it_is_being_mounted() {
    let _watch = watchdog();
    let system = system(1).await;
    users(&system, OnDemand::new()).await;
    let refused = system.try_tell("users/7://add", Add(1)).unwrap_err();
    assert!(refused.reason().is_retryable());
    assert!(matches!(
        refused.reason(),
        SendError::Full { room: Room::Start, subsystem } if &**subsystem == "users/7"
    ));
    until("it stands", || is_there(&system, "users/7")).await;
    system
        .try_tell("users/7://add", refused.into_message())
        .unwrap();
    assert_eq!(figures(&quiet(&system).await), [1, 1, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_no_one_takes_makes_nothing() {
    let _watch = watchdog();
    let system = system(1).await;
    let store = users(&system, OnDemand::new()).await;
    let no_route = system.tell("users/7://nothing", Add(1)).await.unwrap_err();
    assert!(matches!(no_route.reason(), SendError::NoRoute { .. }));
    for path in ["users://add", "users/7/8://add", "others/7://add"] {
        let unknown = system.tell(path, Add(1)).await.unwrap_err();
        assert!(
            matches!(unknown.reason(), SendError::NoSubsystem { .. }),
            "{path}"
        );
    }
    assert_eq!(store.made.load(Ordering::SeqCst), 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn one_that_does_not_start_is_told_to_all_who_wait_and_the_next_one_tries_again() {
    let _watch = watchdog();
    let system = system(1).await;
    users(&system, OnDemand::new()).await;
    for name in ["users/panics", "users/refused"] {
        for _ in 0..2 {
            let path = format!("{name}://add");
            let all = (0..10).map(|_| system.ask(&*path, Add(1)));
            for told in join_all(all).await {
                let error = told.unwrap_err();
                assert!(error.to_string().contains(ON_PURPOSE), "{error}");
            }
        }
        assert!(!is_there(&system, name));
    }
    assert_eq!(system.ask("users/good://add", Add(1)).await.unwrap(), 1);
    assert_eq!(figures(&quiet(&system).await), [1, 1, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_that_has_one_mounted_that_waits_for_it_is_told() {
    let _watch = watchdog();
    let system = system(2).await;
    users(&system, OnDemand::new()).await;
    system.mount(Front::default).await.unwrap();
    let asked = system.ask("front://through", AskThrough("users/7://add".into()));
    assert_eq!(asked.await.unwrap(), 1);
    let asked = system.ask(
        "front://through",
        AskThrough("users/asks-back://add".into()),
    );
    let error = asked.await.unwrap_err();
    assert!(matches!(error, AskError::Failed(_)), "{error}");
    let text = format!("{error:#}");
    assert!(text.contains("could not be started"), "{text}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_stop_ends_those_who_wait_for_a_start() {
    let _watch = watchdog();
    let system = system(1).await;
    users(&system, OnDemand::new()).await;
    let asks = join_all((0..50).map(|key| system.ask(format!("users/{key}://add"), Add(1))));
    let (told, stopped) = tokio::join!(asks, system.stop());
    stopped.unwrap();
    for told in told {
        match told {
            Ok(sum) => assert_eq!(sum, 1),
            Err(AskError::Undelivered(undelivered)) => {
                assert_eq!(*undelivered.reason(), SendError::Stopped);
            }
            Err(AskError::Unhandled { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[mycelia::test]
async fn a_pattern_that_can_not_be_is_refused() {
    let _watch = watchdog();
    let system = system(1).await;
    users(&system, OnDemand::new()).await;
    let new = |_: Key| Front;
    for pattern in [
        "users",
        "{id}",
        "users/{}",
        "users/{id}/x",
        "us ers/{id}",
        "users/id",
    ] {
        let refused = system.mount_on_demand(pattern, OnDemand::new(), new).await;
        assert!(
            matches!(
                refused,
                Err(MountError::BadSetting {
                    setting: "pattern",
                    ..
                })
            ),
            "{pattern}"
        );
    }
    let taken = system
        .mount_on_demand("users/{name}", OnDemand::new(), new)
        .await;
    assert!(matches!(taken, Err(MountError::NameTaken { .. })));
    let none = system
        .mount_on_demand("b/{id}", OnDemand::new().at_most(0), new)
        .await;
    assert!(matches!(
        none,
        Err(MountError::BadSetting {
            setting: "at_most",
            ..
        })
    ));
    let named = OnDemand::new().options(MountOptions::new().name("other"));
    let named = system.mount_on_demand("b/{id}", named, new).await;
    assert!(matches!(
        named,
        Err(MountError::BadSetting {
            setting: "name",
            ..
        })
    ));
    system.stop().await.unwrap();
}
