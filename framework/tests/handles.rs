//! What a handle keeps, shows and refuses; and what a crowd of subsystems shares.

mod common;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use common::{quiet, watchdog};
use mycelia::prelude::*;
use mycelia::{AskError, OWN_BOOKS, SendError};

#[derive(Message)]
#[message(reply = Option<String>)]
struct Show;

#[derive(Message)]
#[message(reply = ())]
struct Hang;

#[derive(Subsystem, Default)]
#[subsystem(name = "shop")]
struct Shop;

#[routes]
impl Shop {
    #[route("items/{id}")]
    fn item(&mut self, _: Show, Path(_): Path<u64>, Query(query): Query) -> Option<String> {
        query
    }

    #[route("hang/{id}")]
    async fn hang(&mut self, _: Hang, Path(_): Path<u64>) {
        std::future::pending().await
    }
}

/// Another type with the same pattern and name.
#[derive(Subsystem, Default)]
#[subsystem(name = "shop")]
struct OtherShop;

#[routes]
impl OtherShop {
    #[route("items/{id}")]
    fn item(&mut self, _: Show, Path(_): Path<String>, Query(query): Query) -> Option<String> {
        query.map(|query| format!("other {query}"))
    }
}

async fn system() -> System {
    System::builder().threads(2).start().await.unwrap()
}

#[mycelia::test]
async fn a_handle_to_a_path_keeps_its_captures_and_its_query_over_a_mount_of_another_type() {
    let _watch = watchdog();
    let system = system().await;
    system.mount(Shop::default).await.unwrap();
    let item = system.route::<Show>("shop://items/7?color=red").unwrap();
    assert_eq!(item.ask(Show).await.unwrap().as_deref(), Some("color=red"));
    system.unmount("shop").await.unwrap();
    system.mount(OtherShop::default).await.unwrap();
    let shown = item.ask(Show).await.unwrap();
    assert_eq!(shown.as_deref(), Some("other color=red"));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handle_says_closed_while_what_was_last_mounted_there_is_of_another_type_and_gone() {
    let _watch = watchdog();
    let system = system().await;
    system.mount(Shop::default).await.unwrap();
    let item = system.route::<Show>("shop://items/{id}").unwrap();
    let refused = item.at((7, 8)).try_tell(Show).unwrap_err();
    assert!(matches!(refused.reason(), SendError::BadCapture { .. }));
    system.unmount("shop").await.unwrap();
    for _ in 0..2 {
        system.mount(OtherShop::default).await.unwrap();
        assert_eq!(item.at(7).ask(Show).await.unwrap(), None);
        system.unmount("shop").await.unwrap();
        let refused = item.at(7).try_tell(Show).unwrap_err();
        assert!(matches!(refused.reason(), SendError::Closed { .. }));
        let asked = item.at(7).ask(Show).await;
        assert!(matches!(asked, Err(AskError::Undelivered(_))), "{asked:?}");
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_path_may_be_text_or_bytes_of_any_kind() {
    let _watch = watchdog();
    let system = system().await;
    system.mount(Shop::default).await.unwrap();
    // The second time, the thread knows where a text leads.
    for _ in 0..2 {
        let replies = [
            system.ask("shop://items/1?q", Show).await,
            system.ask(String::from("shop://items/2?q"), Show).await,
            system.ask(Cow::Borrowed("shop://items/3?q"), Show).await,
            system.ask(Arc::<str>::from("shop://items/4?q"), Show).await,
            system.ask(b"shop://items/5?q".as_slice(), Show).await,
            system.ask(b"shop://items/6?q".to_vec(), Show).await,
        ];
        for reply in replies {
            assert_eq!(reply.unwrap().as_deref(), Some("q"));
        }
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handle_shows_where_it_leads() {
    let _watch = watchdog();
    let system = system().await;
    system.mount(Shop::default).await.unwrap();
    let item = system.route::<Show>("shop://items/{id}").unwrap();
    assert_eq!(format!("{item:?}"), "Route(shop://items/{id})");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_ask_by_a_handle_with_captures_names_the_subsystem_that_was_too_slow() {
    let _watch = watchdog();
    let system = system().await;
    system.mount(Shop::default).await.unwrap();
    let hang = system.route::<Hang>("shop://hang/{id}").unwrap();
    let soon = Duration::from_millis(5);
    match hang.at(7).ask_within(Hang, soon).await {
        Err(AskError::DeadlineExceeded { subsystem, .. }) => assert_eq!(&*subsystem, "shop"),
        other => panic!("{other:?}"),
    }
    let _ = system.stop_within(Duration::ZERO).await;
}

#[mycelia::test]
async fn beyond_a_number_of_subsystems_their_histograms_are_shared_and_say_so() {
    let _watch = watchdog();
    let system = system().await;
    let count = OWN_BOOKS + 50;
    let each = (0..count).map(|n| MountOptions::new().name(format!("shop-{n}")));
    system.mount_all(each, Shop::default).await.unwrap();
    for n in 0..count {
        let path = format!("shop-{n}://items/1");
        system.ask(&path, Show).await.unwrap();
    }
    quiet(&system).await;
    let now = system.snapshot();
    let routes = now.subsystems.iter().flat_map(|one| &one.routes);
    let used: Vec<_> = routes.filter(|route| route.latency.is_some()).collect();
    let shared = used.iter().filter(|route| route.is_shared).count();
    assert_eq!((used.len(), shared), (count, 50));
    // Those who share have one count for all of their kind and thread.
    let counted: u64 = used
        .iter()
        .filter(|route| !route.is_shared)
        .map(|route| route.latency.map_or(0, |latency| latency.count))
        .sum();
    assert_eq!(counted, OWN_BOOKS as u64);
    assert!(now.pool.reuse_rate() > 0.9, "{:?}", now.pool);
    assert!((now.pool.efficiency() - 1.0).abs() < 1e-9, "{:?}", now.pool);
    system.stop().await.unwrap();
}
