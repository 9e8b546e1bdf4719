//! Promises 1 and 2, of plain actix actors among subsystems: they get their messages in order, once each, and
//! what they can't answer counts as failed.

use crate::common::{ON_PURPOSE, figures, quiet, quiet_panics, watchdog};
use actix::{Actor, ActorContext, Handler};
use mycelia::error::{AskError, MountError};
use mycelia::observe::DeadReason;
use mycelia::prelude::*;

/// The reply is the sum.
#[derive(Message, actix::Message)]
#[message(reply = u64)]
#[rtype(result = "u64")]
struct Deposit(u64);

#[derive(Message, actix::Message)]
#[rtype(result = "()")]
struct Close;

#[derive(Message, actix::Message)]
#[rtype(result = "()")]
struct Panic;

#[derive(Default)]
struct Account {
    sum: u64,
    last: u64,
}

impl Actor for Account {
    type Context = actix::Context<Self>;
}

impl Handler<Deposit> for Account {
    type Result = u64;

    fn handle(&mut self, Deposit(amount): Deposit, _: &mut Self::Context) -> u64 {
        assert!(amount > self.last, "{amount} after {}", self.last);
        self.last = amount;
        self.sum += amount;
        self.sum
    }
}

impl Handler<Close> for Account {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Panic> for Account {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("{ON_PURPOSE}");
    }
}

async fn system() -> System {
    let system = System::builder().threads(2).pool(16).start().await.unwrap();
    let account = Account::default().start();
    system
        .mount_actor("account", account, |routes| {
            routes
                .on::<Deposit>("deposit")
                .on::<Close>("close")
                .on::<Panic>("panic");
        })
        .await
        .unwrap();
    system
}

#[mycelia::test]
async fn an_actix_actor_gets_what_is_sent_to_its_path_once_and_in_order() {
    let _watch = watchdog();
    let system = system().await;
    for amount in 1..=200 {
        let deposit = Deposit(amount);
        system.tell("account://deposit", deposit).await.unwrap();
    }
    let sum = system.ask("account://deposit", Deposit(1000)).await;
    assert_eq!(sum.unwrap(), 200 * 201 / 2 + 1000);
    assert_eq!(figures(&quiet(&system).await), [201, 201, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_is_sent_to_an_actix_actor_that_has_stopped_counts_as_failed_and_its_asker_is_told() {
    let _watch = watchdog();
    let system = system().await;
    let mut letters = system.dead_letters();
    system.ask("account://close", Close).await.unwrap();
    let asked = system.ask("account://deposit", Deposit(1)).await;
    assert!(matches!(asked, Err(AskError::Failed(_))), "{asked:?}");
    let deposit = Deposit(2);
    system.tell("account://deposit", deposit).await.unwrap();
    let letter = letters.next().await.unwrap();
    assert!(matches!(letter.reason, DeadReason::Failed(_)), "{letter}");
    assert_eq!(figures(&quiet(&system).await), [3, 1, 2, 0, 0, 0]);
    // The subsystem that stands for it is none the worse.
    let now = system.snapshot();
    assert_eq!(now.subsystem("account").unwrap().restarts, 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn routes_to_an_actix_actor_with_a_mistake_are_refused_when_they_are_mounted() {
    let _watch = watchdog();
    let system = system().await;
    let account = Account::default().start();
    let bad = [
        ("{", "deposit", "pattern `{`: "),
        (
            "deposit",
            "deposit",
            "two handlers take `promises::actors::Deposit` on `deposit`",
        ),
        (
            "{a}/deposit",
            "{b}/deposit",
            "the patterns `{a}/deposit` and `{b}/deposit` match the same paths",
        ),
    ];
    for (first, second, start) in bad {
        let mounted = system.mount_actor("other", account.clone(), |routes| {
            routes.on::<Deposit>(first).on::<Deposit>(second);
        });
        let text = mounted.await.unwrap_err().to_string();
        let text = text.strip_prefix("`other`: ").unwrap_or(&text);
        assert!(text.starts_with(start), "{text}");
    }
    let taken = system.mount_actor("account", account, |_| {}).await;
    assert!(matches!(taken, Err(MountError::NameTaken { .. })));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_message_at_which_an_actix_actor_panics_has_failed_and_so_have_those_after_it() {
    let _watch = watchdog();
    quiet_panics();
    let system = system().await;
    system.ask("account://panic", Panic).await.unwrap_err();
    for _ in 0..3 {
        match system.ask("account://deposit", Deposit(1)).await {
            Err(AskError::Failed { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    system.tell("account://deposit", Deposit(1)).await.unwrap();
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [5, 0, 5, 0, 0, 0]);
    // The bridge stays, and has not failed itself.
    assert_eq!(system.snapshot().subsystem("account").unwrap().restarts, 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_message_that_waits_at_an_actix_actor_whose_thread_ends_has_failed() {
    let _watch = watchdog();
    let system = System::builder().threads(1).start().await.unwrap();
    let arbiter = actix::Arbiter::new();
    let sleeper = Sleeper::start_in_arbiter(&arbiter.handle(), |_| Sleeper);
    let routes = |routes: &mut mycelia::ActorRoutes<'_, Sleeper>| {
        routes.on::<Deposit>("deposit");
    };
    system
        .mount_actor("sleeper", sleeper, routes)
        .await
        .unwrap();
    let waits = system.route::<Deposit>("sleeper://deposit").unwrap();
    let asked = tokio::spawn(async move { waits.ask(Deposit(1)).await });
    crate::common::until("it has come", || system.snapshot().total.sent == 1).await;
    arbiter.stop();
    arbiter.join().unwrap();
    match asked.await.unwrap() {
        Err(AskError::Failed { .. }) => {}
        other => panic!("{other:?}"),
    }
    system.stop().await.unwrap();
}

/// Never answers.
struct Sleeper;

impl Actor for Sleeper {
    type Context = actix::Context<Self>;
}

impl Handler<Deposit> for Sleeper {
    type Result = actix::ResponseFuture<u64>;

    fn handle(&mut self, _: Deposit, _: &mut Self::Context) -> Self::Result {
        Box::pin(std::future::pending())
    }
}
