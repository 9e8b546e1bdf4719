//! From a name and a path to a route: the steps that a send by path and a handle share. A path was parsed before, by
//! `mycelia-core`; what a thread has found it remembers, see `path_cache`.

use std::sync::Arc;

use mycelia_core::{Captures, PathRef};

use crate::directory::Mounted;
use crate::route::{Pack, RouteEntry};
use crate::runtime::shared::Shared;
use crate::send::path_cache::{CachedMount, PathCache};
use crate::words::error::SendError;
use crate::words::message::Message;

/// Finds the subsystem that is mounted under a name.
#[inline]
pub(crate) fn mounted(
    shared: &Shared,
    cache: &PathCache,
    name: &str,
) -> Result<CachedMount, SendError> {
    let known = cache.mounted(&shared.directory, name);
    known.ok_or_else(|| match shared.is_closed_to(shared.current()) {
        true => SendError::Stopped,
        false => SendError::NoSubsystem { name: name.into() },
    })
}

/// The route that a path takes within its subsystem, with its captures.
#[inline]
pub(crate) fn route_of<'p>(
    mounted: &Mounted,
    path: &PathRef<'p>,
) -> Result<(u16, Captures<'p>), SendError> {
    mounted.map.find(path).ok_or_else(|| SendError::NoRoute {
        path: path.to_string().into(),
    })
}

/// How a route takes an `M`.
#[inline]
pub(crate) fn pack_of<'r, M: Message>(
    mounted: &Mounted,
    route: &'r RouteEntry,
) -> Result<&'r Arc<dyn Pack<M>>, SendError> {
    route.pack::<M>().ok_or_else(|| SendError::WrongMessage {
        route: route_text(mounted, route),
        sent: std::any::type_name::<M>(),
        takes: route.takes(),
    })
}

pub(crate) fn route_text(mounted: &Mounted, route: &RouteEntry) -> Box<str> {
    format!("{}://{}", mounted.mailbox.name, route.pattern).into()
}
