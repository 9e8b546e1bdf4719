//! How a sender sends, and what it is told.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use mycelia::prelude::*;

use crate::extractors::{Own, parse_for};
use crate::subjects::{Hit, Reply};
use crate::world::World;

/// How a sender names its receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    Path(&'static str),
    OwnPath(&'static str),
    Resolved(&'static str),
    At(&'static str),
    AtOwn(&'static str),
    AtOwnCapture(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Asks, or tells where the place says so.
    Send,
    Tell,
    AskBriefly,
}

/// What a sender was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Accepted,
    Replied,
    Panicked,
    Failed,
    Expired,
    Unhandled,
    Dropped,
    Refused(String),
    /// The call unwound to the sender.
    Unwound,
    /// The sender was ended before it could tell.
    Nothing,
}

pub(crate) async fn ask_by(
    system: &System,
    world: &Arc<World>,
    verb: Verb,
    way: Way,
    hit: Hit,
) -> Result<Reply, AskError<Hit>> {
    parse_for(world);
    let own = |text| Own(world.clone(), text);
    let route = |text| system.route::<Hit>(text).expect("there is such a route");
    match way {
        Way::Path(path) if verb == Verb::AskBriefly => {
            system.ask_within(path, hit, Duration::from_millis(1)).await
        }
        Way::Path(path) => system.ask(path, hit).await,
        Way::OwnPath(path) => system.ask(own(path), hit).await,
        Way::Resolved(path) => route(path).ask(hit).await,
        Way::At(path) => route(path).at("x").ask(hit).await,
        Way::AtOwn(path) => route(path).at(own("x")).ask(hit).await,
        Way::AtOwnCapture(path) => route(path).at([own("x")]).ask(hit).await,
    }
}

pub(crate) async fn tell_by(
    system: &System,
    world: &Arc<World>,
    way: Way,
    hit: Hit,
) -> Result<(), Undelivered<Hit>> {
    parse_for(world);
    let own = |text| Own(world.clone(), text);
    let route = |text| system.route::<Hit>(text).expect("there is such a route");
    match way {
        Way::Path(path) => system.tell(path, hit).await,
        Way::OwnPath(path) => system.tell(own(path), hit).await,
        Way::Resolved(path) => route(path).tell(hit).await,
        Way::At(path) => route(path).at("x").tell(hit).await,
        Way::AtOwn(path) => route(path).at(own("x")).tell(hit).await,
        Way::AtOwnCapture(path) => route(path).at([own("x")]).tell(hit).await,
    }
}

pub(crate) fn ask_blocking_by(
    system: &System,
    world: &Arc<World>,
    way: Way,
    hit: Hit,
) -> Result<Reply, AskError<Hit>> {
    parse_for(world);
    let own = |text| Own(world.clone(), text);
    let route = |text| system.route::<Hit>(text).expect("there is such a route");
    match way {
        Way::Path(path) => system.ask_blocking(path, hit),
        Way::OwnPath(path) => system.ask_blocking(own(path), hit),
        Way::Resolved(path) => route(path).ask_blocking(hit),
        Way::At(path) => route(path).at("x").ask_blocking(hit),
        Way::AtOwn(path) => route(path).at(own("x")).ask_blocking(hit),
        Way::AtOwnCapture(path) => route(path).at([own("x")]).ask_blocking(hit),
    }
}

pub(crate) fn asked(result: Result<Reply, AskError<Hit>>) -> Said {
    match result {
        Ok(_) => Said::Replied,
        Err(AskError::Panicked { .. }) => Said::Panicked,
        Err(AskError::Failed(_)) => Said::Failed,
        Err(AskError::DeadlineExceeded { .. }) => Said::Expired,
        Err(AskError::Unhandled { .. }) => Said::Unhandled,
        Err(AskError::Dropped { .. }) => Said::Dropped,
        Err(other) => Said::Refused(other.to_string()),
    }
}

pub(crate) fn told(result: Result<(), Undelivered<Hit>>) -> Said {
    match result {
        Ok(()) => Said::Accepted,
        Err(undelivered) => Said::Refused(undelivered.to_string()),
    }
}

pub(crate) async fn say(system: System, world: Arc<World>, verb: Verb, way: Way, hit: Hit) -> Said {
    let say = async {
        match verb {
            Verb::Tell => told(tell_by(&system, &world, way, hit).await),
            _ => asked(ask_by(&system, &world, verb, way, hit).await),
        }
    };
    let said = AssertUnwindSafe(say).catch_unwind().await;
    said.unwrap_or_else(unwound)
}

pub(crate) fn unwound(panic: Box<dyn std::any::Any + Send>) -> Said {
    // It may be one whose drop panics.
    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(panic)));
    Said::Unwound
}
