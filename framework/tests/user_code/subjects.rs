//! The subsystems of a world: the one whose user code misbehaves, its neighbours, and those who send to it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::supervise::Failure;
use mycelia::{OrLater, later};

use crate::common::ON_PURPOSE;
use crate::extractors::{Fussy, Unpacks};
use crate::table::Site;
use crate::tasks::Begin;
use crate::world::{Token, World};

#[derive(Message)]
#[message(reply = u32)]
pub(crate) struct Ping;

#[derive(Message)]
pub(crate) struct Note;

#[derive(Message)]
#[message(reply = ())]
pub(crate) struct Wait;

/// A message with a value of the user's in it.
#[derive(Message)]
#[message(reply = Reply)]
pub(crate) struct Hit(#[allow(dead_code, reason = "it is dropped")] pub(crate) Token);

pub(crate) struct Reply(#[allow(dead_code, reason = "it is dropped")] pub(crate) Token);

/// Panics whatever the act.
#[derive(Message)]
pub(crate) struct Fail;

/// Bears anything.
pub(crate) struct Witness;

impl Subsystem for Witness {
    const NAME: &'static str = "witness";
}

#[routes]
impl Witness {
    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u32 {
        1
    }

    #[route("note")]
    fn note(&mut self, _: Note) {}
}

/// One of whose messages takes all of its room, until the gate is opened.
#[derive(Subsystem)]
pub(crate) struct Narrow(pub(crate) Arc<World>);

#[routes]
impl Narrow {
    #[route("wait")]
    async fn wait(&mut self, _: Wait) {
        self.0.gate.acquire().await.expect("it stays open").forget();
    }
}

/// Starts a timer, to see that the keepers live.
#[derive(Subsystem)]
pub(crate) struct Fresh(pub(crate) Arc<World>);

#[routes]
impl Fresh {
    #[started]
    fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
        ctx.after(Duration::from_micros(100), "tick", Note)?;
        Ok(())
    }

    #[route("tick")]
    fn tick(&mut self, _: Note) {
        self.0.ticks.fetch_add(1, Ordering::SeqCst);
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u32 {
        2
    }
}

type Errand = Box<dyn FnOnce(System) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Does something in a handler.
#[derive(Message)]
pub(crate) struct Do(pub(crate) Errand);

/// Does something in a blocking handler.
#[derive(Message)]
pub(crate) struct DoBlocking(pub(crate) Box<dyn FnOnce(System) + Send>);

#[derive(Subsystem, Default)]
pub(crate) struct Driver;

#[routes]
impl Driver {
    #[route("do")]
    async fn errand(&mut self, Do(errand): Do, system: System) {
        errand(system).await;
    }

    #[route("do-blocking", blocking)]
    fn blocking_errand(&mut self, DoBlocking(errand): DoBlocking, system: System) {
        errand(system);
    }
}

/// An error with code of its own.
#[derive(Debug)]
struct Grudge {
    world: Arc<World>,
    _token: Token,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

impl std::fmt::Display for Grudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.world.reach(Site::ErrorDisplay);
        self.world.reach(Site::ErrorDisplayAndDrop);
        self.world.reach(Site::ErrorOfAHook);
        write!(f, "a grudge")
    }
}

impl std::error::Error for Grudge {}

fn grudge(world: &Arc<World>) -> Grudge {
    Grudge {
        world: world.clone(),
        _token: match world.site {
            of @ Site::ErrorDisplayAndDrop => world.burning_token(of),
            _ => world.token(Site::ErrorDrop),
        },
    }
}

struct Becomes(Arc<World>);

impl From<Becomes> for anyhow::Error {
    fn from(Becomes(world): Becomes) -> Self {
        world.reach(Site::ErrorInto);
        grudge(&world).into()
    }
}

/// The one whose code misbehaves.
#[derive(Subsystem)]
pub(crate) struct Target {
    world: Arc<World>,
    _value: Token,
}

impl Target {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        world.reach(Site::FactoryAtMount);
        world.reach(Site::FactoryAtRestart);
        let site = match world.site {
            site @ (Site::ValueAtUnmount | Site::ValueAtRestart | Site::ValueAtStop) => site,
            _ => Site::Nowhere,
        };
        Target {
            world: world.clone(),
            _value: match world.site {
                of @ (Site::HandlerLaterAndValue
                | Site::BlockingHandlerAndValue
                | Site::RestartingAndValue
                | Site::StoppedAndValue
                | Site::HandlerAndValue
                | Site::StartedAndValue) => world.burning_token(of),
                _ => world.token(site),
            },
        }
    }

    fn reply(&self) -> Reply {
        let site = match self.world.site {
            site @ (Site::ReplyOfATell
            | Site::ReplyOfADroppedAsk
            | Site::ReplyUnread
            | Site::ReplyTooLate) => site,
            _ => Site::Nowhere,
        };
        Reply(self.world.token(site))
    }
}

#[routes]
impl Target {
    #[started]
    async fn begin(&mut self) -> Result<(), Grudge> {
        self.world.reach(Site::Started);
        self.world.reach(Site::StartedAndValue);
        self.world.reach(Site::StartedAgain);
        if self.world.site == Site::StartedLater {
            tokio::task::yield_now().await;
            self.world.reach(Site::StartedLater);
        }
        match self.world.site {
            Site::ErrorOfAHook if self.world.is_armed() => Err(grudge(&self.world)),
            _ => Ok(()),
        }
    }

    #[restarting]
    async fn begin_again(&mut self, _: Failure) {
        self.world.reach(Site::Restarting);
        self.world.reach(Site::RestartingAndValue);
        if self.world.site == Site::RestartingLater {
            tokio::task::yield_now().await;
            self.world.reach(Site::RestartingLater);
        }
    }

    #[stopped]
    async fn end(&mut self, _: EndReason) {
        self.world.reach(Site::Stopped);
        self.world.reach(Site::StoppedAndValue);
        self.world.reach(Site::StoppedBySystem);
        if self.world.site == Site::StoppedLater {
            tokio::task::yield_now().await;
            self.world.reach(Site::StoppedLater);
        }
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u32 {
        3
    }

    #[route("note")]
    fn note(&mut self, _: Note) {}

    #[route("fail")]
    fn fail(&mut self, _: Fail) {
        panic!("it fails {ON_PURPOSE}");
    }

    #[route("sync")]
    fn sync(&mut self, _hit: Hit) -> Reply {
        self.world.reach(Site::SyncHandler);
        self.world.reach(Site::HandlerAndValue);
        self.reply()
    }

    #[route("before")]
    async fn before(&mut self, _hit: Hit) -> Reply {
        self.world.reach(Site::HandlerBeforeItsFirstAwait);
        tokio::task::yield_now().await;
        self.reply()
    }

    #[route("after")]
    async fn after(&mut self, _hit: Hit) -> Reply {
        tokio::task::yield_now().await;
        self.world.reach(Site::HandlerAfterItsFirstAwait);
        self.world.reach(Site::HandlerLaterAndValue);
        self.reply()
    }

    #[route("blocking", blocking)]
    fn blocking(&mut self, _hit: Hit) -> Reply {
        self.world.reach(Site::BlockingHandler);
        self.world.reach(Site::BlockingHandlerAndValue);
        self.reply()
    }

    /// Waits at the gate.
    #[route("hold")]
    async fn hold(&mut self, _hit: Hit) -> Reply {
        let _token = self.world.token(Site::FutureCutOff);
        self.world.wait_at_the_gate().await;
        self.reply()
    }

    #[route("speak")]
    fn speak(&mut self, _hit: Hit) -> Result<Reply, Grudge> {
        Err(grudge(&self.world))
    }

    #[route("become")]
    fn turn_into(&mut self, _hit: Hit) -> Result<Reply, Becomes> {
        Err(Becomes(self.world.clone()))
    }

    #[route("payload")]
    fn payload(&mut self, _hit: Hit) -> Reply {
        std::panic::panic_any(self.world.token(Site::PayloadDrop))
    }

    #[route("payload-later")]
    async fn payload_later(&mut self, _hit: Hit) -> Reply {
        tokio::task::yield_now().await;
        std::panic::panic_any(self.world.token(Site::PayloadDropLater))
    }

    #[route("payload-blocking", blocking)]
    fn payload_blocking(&mut self, _hit: Hit) -> Reply {
        std::panic::panic_any(self.world.token(Site::PayloadDropBlocking))
    }

    #[route("fussy/{word}")]
    fn fussy(&mut self, _hit: Hit, Path(_): Path<Fussy>) -> Reply {
        self.reply()
    }

    #[route("later/{word}")]
    fn later(&mut self, hit: Hit, Path(_): Path<Fussy>) -> OrLater<Reply, Hit> {
        match self.world.has_fired() && self.world.site == Site::PackedClone {
            true => OrLater::Reply(self.reply()),
            false => later(hit),
        }
    }

    #[route("unpacks")]
    fn unpacks(&mut self, _hit: Hit, _: Unpacks) -> Reply {
        self.reply()
    }

    #[route("begin")]
    fn task(&mut self, begin: Begin, ctx: Context) -> anyhow::Result<()> {
        begin.run(&self.world, &ctx)
    }
}
