//! What a handle keeps, shows and refuses; and what a crowd of subsystems shares.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{ON_PURPOSE, quiet, quiet_panics, watchdog};
use mycelia::error::{AskError, SendError};
use mycelia::prelude::*;

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

/// A capture whose parser is up to something.
struct Sly;

impl std::str::FromStr for Sly {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "panic" => panic!("{ON_PURPOSE}"),
            "again" => {
                // Back into the system, on whose behalf it runs.
                let system = SYSTEM.with_borrow(|system| system.clone().unwrap());
                system.route::<Show>("sly://it/7").unwrap();
                system.try_tell("sly://it/7", Show).unwrap();
                Ok(Sly)
            }
            text => text.parse::<u64>().map(|_| Sly),
        }
    }
}

thread_local! {
    static SYSTEM: std::cell::RefCell<Option<System>> = const { std::cell::RefCell::new(None) };
}

#[derive(Subsystem, Default)]
#[subsystem(name = "sly")]
struct SlyShop;

#[routes]
impl SlyShop {
    #[route("it/{id}")]
    fn it(&mut self, _: Show, Path(_): Path<Sly>) -> Option<String> {
        None
    }
}

#[mycelia::test]
async fn a_path_whose_capture_does_not_parse_resolves_to_no_handle() {
    let _watch = watchdog();
    let system = system().await;
    system.mount(Shop::default).await.unwrap();
    let replicas = mycelia::Replicas::round_robin(2);
    let options = MountOptions::new().name("shops");
    system
        .mount_replicas_with(replicas, options, Shop::default)
        .await
        .unwrap();
    for name in ["shop", "shops", "shops/1"] {
        let refused = system.route::<Show>(format!("{name}://items/seven"));
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, SendError::BadCapture { .. }),
            "{refused:?}"
        );
        let text =
            "://items/{id}`: capture 0, `seven`, is not a `u64`: invalid digit found in string";
        assert_eq!(refused.to_string(), format!("`{name}{text}"));
        system.route::<Show>(format!("{name}://items/7")).unwrap();
        // Captures that are given later are looked at later.
        system
            .route::<Show>(format!("{name}://items/{{id}}"))
            .unwrap();
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_parser_that_panics_or_comes_back_while_a_handle_is_resolved_hurts_nobody() {
    quiet_panics();
    let _watch = watchdog();
    let system = system().await;
    system.mount(SlyShop::default).await.unwrap();
    let resolve = |path: &str| {
        let call = std::panic::AssertUnwindSafe(|| system.route::<Show>(path).map(drop));
        std::panic::catch_unwind(call)
    };
    for _ in 0..3 {
        assert!(resolve("sly://it/panic").is_err());
        SYSTEM.set(Some(system.clone()));
        assert_eq!(resolve("sly://it/again").unwrap(), Ok(()));
        SYSTEM.set(None);
        assert_eq!(resolve("sly://it/7").unwrap(), Ok(()));
    }
    let total = quiet(&system).await;
    assert_eq!((total.sent, total.handled), (3, 3));
    system.unmount("sly").await.unwrap();
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
async fn histograms_are_by_kind_and_a_subsystem_has_its_own_on_request() {
    let _watch = watchdog();
    let system = system().await;
    const COUNT: usize = 600;
    let each = (0..COUNT).map(|n| {
        let options = MountOptions::new().name(format!("shop-{n}"));
        match n {
            0 => options.own_histograms(true),
            1 => options.wait_goal(Duration::from_secs(1)),
            _ => options,
        }
    });
    system.mount_all(each, Shop::default).await.unwrap();
    system.mount_as("other", OtherShop::default).await.unwrap();
    for n in 0..COUNT {
        let path = format!("shop-{n}://items/1");
        system.ask(&path, Show).await.unwrap();
        system.ask(&path, Show).await.unwrap();
    }
    system.ask("other://items/1", Show).await.unwrap();
    quiet(&system).await;
    let now = system.snapshot();
    // Everyone has a summary, two have histograms.
    for one in &now.subsystems {
        let expected = if &*one.name == "other" { 1 } else { 2 };
        assert_eq!((one.wait.count, one.service.count), (expected, expected));
        assert!(one.service.sum_ns >= one.service.max_ns);
        let has_own = ["shop-0", "shop-1"].contains(&&*one.name);
        let own = one.routes[0].latency.map(|latency| latency.count);
        assert_eq!(own, has_own.then_some(2), "{}", one.name);
    }
    // Every message is in one of the histograms by kind, those of both threads together.
    let all = now.kinds.iter().flat_map(|kind| &kind.routes);
    let recorded = all.filter_map(|route| Some(route.latency?.count));
    assert_eq!(recorded.sum::<u64>(), now.total.handled);
    let count = |kind: &mycelia::observe::KindSnapshot| kind.latency("items/{id}").unwrap().count;
    assert_eq!(count(now.kind::<Shop>().unwrap()), 2 * COUNT as u64);
    assert_eq!(count(now.kind::<OtherShop>().unwrap()), 1);
    assert!(now.pool.reuse_rate() > 0.9, "{:?}", now.pool);
    assert!((now.pool.efficiency() - 1.0).abs() < 1e-9, "{:?}", now.pool);

    // What is unmounted stays in; a new mount of the name begins again.
    system.unmount("shop-0").await.unwrap();
    system.mount_as("shop-0", Shop::default).await.unwrap();
    let now = system.snapshot();
    assert_eq!(count(now.kind::<Shop>().unwrap()), 2 * COUNT as u64);
    assert_eq!(now.subsystem("shop-0").unwrap().wait.count, 0);
    system.stop().await.unwrap();
}
