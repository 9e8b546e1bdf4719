//! The root: systems, subsystems, messages, handles, the macros.

use super::{Add, Counter};
use crate::common::watchdog;
use futures_util::FutureExt;
use mycelia::extract::{Deadline, Path};
use mycelia::observe::{EndReason, StopReason};
use mycelia::supervise::Failure;
use std::time::Duration;

use mycelia::{
    ActorRoutes, AsPath, At, Builder, Context, Encoded, Exit, IntoReply, Key, Message,
    MountOptions, Mounting, OnDemand, OrLater, Replicas, Route, RouteGroup, RouteOptions,
    RouteTable, Routes, StopReport, Subscribing, Subsystem, System, TopicStream, WeakSystem,
    encode, later, routes,
};

#[derive(Subsystem, Default)]
struct Door {
    is_open: bool,
}

#[derive(Message)]
#[message(reply = &'static str)]
struct Enter;

#[derive(Message)]
struct Open;

#[routes]
impl Door {
    #[started]
    fn begin(&mut self, context: Context) {
        assert_eq!(context.name(), "door");
    }

    #[restarting]
    fn again(&mut self, _: Failure) {}

    #[stopped]
    fn end(&mut self, reason: EndReason) {
        assert_eq!(reason, EndReason::SystemStopped);
    }

    #[route("enter/{who}")]
    fn enter(&mut self, message: Enter, Path(_who): Path<String>) -> OrLater<&'static str, Enter> {
        match self.is_open {
            true => OrLater::Reply("welcome"),
            false => later(message),
        }
    }

    #[subscribe("words://{_word}")]
    fn word(&mut self, _: Word) {}

    #[route("open")]
    fn open(&mut self, _: Open, Deadline(_): Deadline) {
        self.is_open = true;
    }
}

#[derive(Message, Clone, PartialEq, Debug)]
struct Word(u64);

/// Routes without the macro.
struct ByHand;

impl Subsystem for ByHand {
    const NAME: &'static str = "by-hand";
}

impl Routes for ByHand {
    fn routes(table: &mut RouteTable<Self>) {
        let topic: Subscribing<'_, Self> = table.subscribe("words://{word}");
        topic.on(|_: &mut ByHand, _: Word, (): ()| ());
        let options: RouteOptions = RouteOptions::new().within(Duration::from_secs(1));
        table.on_async_with(
            "sum",
            options,
            async |_: &mut ByHand, Add(n): Add, (): ()| n,
        );
    }
}

/// An actor that exists already.
struct Bare;

impl actix::Actor for Bare {
    type Context = actix::Context<Self>;
}

#[derive(Message, actix::Message)]
#[rtype(result = "()")]
struct Nudge;

impl actix::Handler<Nudge> for Bare {
    type Result = ();

    fn handle(&mut self, _: Nudge, _: &mut Self::Context) {}
}

fn is_path<P: AsPath>(_: &P) {}
fn answers<R, A: IntoReply<R>>(_: &A) {}

#[mycelia::test]
async fn a_program_builds_a_system_mounts_sends_and_stops() -> anyhow::Result<()> {
    let _watchdog = watchdog();
    let builder: Builder = System::builder().name("face").threads(2);
    let system: System = builder.start().await?;
    let mounting: Mounting<'_> = system.mount(Door::default);
    mounting.await?;
    let options = MountOptions::new().name("other");
    system.mount_with(options, Counter::default).await?;
    system.mount(|| ByHand).await?;
    system
        .mount_replicas(Replicas::round_robin(2), Counter::default)
        .await?;
    let actor = actix::Actor::start(Bare);
    let nudges = |actor: &mut ActorRoutes<'_, Bare>| {
        actor.on::<Nudge>("nudge");
    };
    system.mount_actor("bare", actor, nudges).await?;

    let who: Encoded<&str> = encode("a/b");
    let path = format!("door://enter/{who}");
    is_path(&path);
    answers::<u64, _>(&7_u64);
    let entered = system.ask(&path, Enter);
    let (entered, opened) =
        futures_util::future::join(entered, system.tell("door://open", Open)).await;
    opened?;
    assert_eq!(entered?, "welcome");
    let route: Route<Enter> = system.route("door://enter/{who}")?;
    let group: RouteGroup<Enter> = system.group(["door://enter/{who}"])?;
    assert_eq!(group.routes().len(), 1);
    let at: At<'_, Enter, &str> = route.at("me");
    assert_eq!(at.ask(Enter).await?, "welcome");
    assert_eq!(system.ask("by-hand://sum", Add(3)).await?, 3);
    system.ask("bare://nudge", Nudge).await?;

    let mut words: TopicStream<Word> = system.subscribe("words://{word}", 1)?;
    assert_eq!(system.publish("words://a", Word(7)).await?.accepted, 3);
    assert_eq!(words.next().await, Some(Word(7)));

    let weak: WeakSystem = system.downgrade();
    let report: StopReport = weak.upgrade().expect("it runs").stop().await?;
    assert_eq!(report.reason, StopReason::Requested);
    let exit = Exit::from(Ok(report));
    assert_eq!(exit.code(), 0);
    Ok(())
}

#[test]
fn main_runs_a_program_to_its_end() {
    #[mycelia::main]
    async fn main() -> anyhow::Result<u64> {
        Ok(async { 7 }.map(|seven| seven).await)
    }
    assert_eq!(main().unwrap(), 7);
}

#[mycelia::test]
async fn a_key_is_given_to_the_factory() {
    let _watch = watchdog();
    let system = System::builder().threads(1).start().await.unwrap();
    let on_demand = OnDemand::new()
        .idle(std::time::Duration::from_secs(60))
        .at_most(100)
        .options(MountOptions::new().capacity(10));
    let new = |key: Key| Counter {
        sum: key.parse().unwrap(),
    };
    system
        .mount_on_demand("counters/{from}", on_demand, new)
        .await
        .unwrap();
    assert_eq!(system.ask("counters/7://sum", Add(1)).await.unwrap(), 8);
    system.stop().await.unwrap();
}
