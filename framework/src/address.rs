//! Addresses: what a user may give as a path, and how it finds its target. `send → `**`address`**` → route`

use std::borrow::Cow;
use std::sync::Arc;

use mycelia_core::{PathError, PathRef};

use crate::directory::{Known, Mounted, look_up};
use crate::error::SendError;
use crate::extract::{Address, Source};
use crate::message::Message;
use crate::route::{Pack, Route};
use crate::send::{Attempt, Kind, Sent, Target, attempt};
use crate::shared::Shared;

/// What can be sent to: any text, or any bytes, of the form `name://segment/segment?query`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a path",
    label = "not a path",
    note = "give a `&str`, a `String`, or bytes, of the form `name://segment/segment`"
)]
pub trait AsPath {
    /// Parses the path.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    fn as_path(&self) -> Result<PathRef<'_>, PathError>;
}

impl AsPath for str {
    #[inline]
    fn as_path(&self) -> Result<PathRef<'_>, PathError> {
        PathRef::parse(self)
    }
}
impl AsPath for String {
    fn as_path(&self) -> Result<PathRef<'_>, PathError> {
        PathRef::parse(self)
    }
}
impl AsPath for Cow<'_, str> {
    fn as_path(&self) -> Result<PathRef<'_>, PathError> {
        PathRef::parse(self)
    }
}
impl AsPath for Arc<str> {
    fn as_path(&self) -> Result<PathRef<'_>, PathError> {
        PathRef::parse(self)
    }
}
impl AsPath for [u8] {
    fn as_path(&self) -> Result<PathRef<'_>, PathError> {
        PathRef::parse_bytes(self)
    }
}
impl AsPath for Vec<u8> {
    fn as_path(&self) -> Result<PathRef<'_>, PathError> {
        PathRef::parse_bytes(self)
    }
}
impl<T: AsPath + ?Sized> AsPath for &T {
    #[inline]
    fn as_path(&self) -> Result<PathRef<'_>, PathError> {
        (**self).as_path()
    }
}

/// Finds who is mounted under a path's name.
#[inline]
pub(crate) fn mounted(shared: &Shared, name: &str) -> Result<Known, SendError> {
    look_up(&shared.directory, name).ok_or_else(|| match shared.is_closed_to(shared.current()) {
        true => SendError::Stopped,
        false => SendError::NoSubsystem { name: name.into() },
    })
}

/// How a route takes an `M`.
#[inline]
pub(crate) fn pack_of<'r, M: Message>(
    mounted: &Mounted,
    route: &'r Route,
) -> Result<&'r Arc<dyn Pack<M>>, SendError> {
    route.pack::<M>().ok_or_else(|| SendError::WrongMessage {
        route: route_text(mounted, route),
        sent: std::any::type_name::<M>(),
        takes: route.takes(),
    })
}

pub(crate) fn route_text(mounted: &Mounted, route: &Route) -> Box<str> {
    format!("{}://{}", mounted.seat.name, route.pattern).into()
}

/// One attempt to send to a path as text.
#[inline]
pub(crate) fn attempt_path<M: Message>(
    shared: &Shared,
    path: &(impl AsPath + ?Sized),
    kind: Kind,
    message: M,
) -> Result<Sent, Attempt<M>> {
    let path = match path.as_path() {
        Ok(path) => path,
        Err(error) => return Err(fail(SendError::BadPath(error), message)),
    };
    let mounted = match mounted(shared, path.name()) {
        Ok(mounted) => mounted,
        Err(error) => return Err(fail(error, message)),
    };
    let Some((route, captures)) = mounted.map.find(&path) else {
        let path = path.to_string().into();
        return Err(fail(SendError::NoRoute { path }, message));
    };
    let pack = match pack_of::<M>(&mounted, route) {
        Ok(pack) => pack,
        Err(error) => return Err(fail(error, message)),
    };
    let target = Target {
        seat: &mounted.seat,
        table: mounted.map.id,
        pack: &**pack,
        route: &|| route_text(&mounted, route),
    };
    let address = Address::new(Source::Path(&captures), path.query());
    attempt(shared, &target, address, kind, message)
}

fn fail<M>(reason: SendError, message: M) -> Attempt<M> {
    Attempt::Failed(crate::error::Undelivered::new(reason, message))
}
