//! Paths: what can be given as a path, and how a path finds its target. `send → `**`path`**` → route`

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use mycelia_core::{PathError, PathRef};

use crate::directory::Mounted;
use crate::directory::replicas::Group;
use crate::route::extract::{Address, Source};
use crate::runtime::shared::Shared;
use crate::send::chosen::{choose, is_to_be_tried_again};
use crate::send::path_cache::{CachedMount, Captured, PathCache};
use crate::send::resolve::{mounted, pack_of, route_of, route_text};
use crate::send::{Failed, Question, Target, To};
use crate::words::error::{Room, SendError};
use crate::words::message::Message;

/// A path to send to: text or bytes of the form `name://segment/segment?query`.
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

    /// The path's text, if it has one without parsing. With the text the sender's thread can remember where the
    /// path leads.
    fn as_text(&self) -> Option<&str> {
        None
    }
}

macro_rules! text_paths {
    ($($text:ty)*) => {$(
        impl AsPath for $text {
            #[inline]
            fn as_path(&self) -> Result<PathRef<'_>, PathError> {
                PathRef::parse(self)
            }

            #[inline]
            fn as_text(&self) -> Option<&str> {
                Some(self)
            }
        }
    )*};
}
text_paths!(str String Cow<'_, str> Arc<str>);

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

    #[inline]
    fn as_text(&self) -> Option<&str> {
        (**self).as_text()
    }
}

/// Writes a value into a path as one segment, whatever its text holds: `/`, `?`, `%`, `#`, `{`, `}` and
/// control characters are written as `%` and two digits.
///
/// Text from outside must not be put into a path as it is: `7?x` would end the path and start a query,
/// and `7/x` would be two segments. Encoded, it is the text of one capture, and the handler gets it as it
/// was. An empty text stays empty, and no path has an empty segment: the send fails, or where it is the
/// only segment goes to the root. A handle needs no encoding: what [`Route::at`](crate::Route::at) takes
/// never becomes part of a path.
///
/// # Examples
/// ```
/// use mycelia::encode;
///
/// let id = "7?admin=yes";
/// assert_eq!(format!("api://users/{}", encode(id)), "api://users/7%3Fadmin=yes");
/// assert_eq!(format!("api://users/{}/posts", encode(7)), "api://users/7/posts");
/// ```
pub fn encode<T: fmt::Display>(value: T) -> Encoded<T> {
    Encoded(value)
}

/// A value that is written as one segment of a path; see [`encode`].
#[derive(Debug, Clone, Copy)]
pub struct Encoded<T>(T);

impl<T: fmt::Display> fmt::Display for Encoded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Encodes what is written through it, piece by piece.
        struct Encoder<'a, 'f>(&'a mut fmt::Formatter<'f>);

        impl fmt::Write for Encoder<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.write_str(&mycelia_core::encode(text))
            }
        }
        fmt::Write::write_fmt(&mut Encoder(f), format_args!("{}", self.0))
    }
}

/// A path as text names its receiver.
pub(crate) struct ToPath<'s, P> {
    pub(crate) shared: &'s Arc<Shared>,
    pub(crate) path: P,
}

/// Where a path leads that was parsed just now.
struct Found<'p> {
    mounted: CachedMount,
    route: u16,
    captures: mycelia_core::Captures<'p>,
    query: Option<&'p str>,
}

impl<P: AsPath> ToPath<'_, P> {
    /// Parses the path, finds its subsystem and its route, and has them remembered.
    #[inline(never)]
    fn find(&self, cache: &PathCache) -> Result<Found<'_>, Failed> {
        let path = match self.path.as_path() {
            Ok(path) => path,
            Err(error) => return Err(Failed::refused(SendError::BadPath(error))),
        };
        let mounted = match mounted(self.shared, cache, path.name()) {
            Ok(mounted) => mounted,
            Err(error) => return Err(self.absent(&path, error)),
        };
        let (route, captures) = route_of(&mounted, &path).map_err(Failed::refused)?;
        cache.learn(&path, &mounted, route, captures.spans());
        Ok(Found {
            mounted,
            route,
            captures,
            query: path.query(),
        })
    }

    /// No subsystem is mounted under the path's name; it may be mounted on demand.
    #[cold]
    fn absent(&self, path: &PathRef<'_>, error: SendError) -> Failed {
        let demand = &self.shared.directory.demand;
        // None is mounted for a message that it does not take.
        if let Some(routes) = demand.routes_of(path.name())
            && routes.find(path).is_none()
        {
            let path = path.to_string().into();
            return Failed::refused(SendError::NoRoute { path });
        }
        match self.shared.want(path.name()) {
            Some(mailbox) => Failed::Full(Room::Start, mailbox),
            None => Failed::refused(error),
        }
    }
}

impl<M: Message, P: AsPath> To<M> for ToPath<'_, P> {
    fn shared(&self) -> &Arc<Shared> {
        self.shared
    }

    fn subsystem(&self) -> Arc<str> {
        self.path
            .as_path()
            .map_or("?".into(), |path| path.name().into())
    }

    #[inline(always)]
    fn send(&self, message: &mut Option<M>, question: Option<&mut Question>) -> Result<(), Failed> {
        let cache = PathCache::of(&self.shared.directory);
        let text = self.path.as_text();
        let cached = text.and_then(|text| Some((text, cache.route(text)?)));
        let (found, captures);
        let (mounted, route, source, query): (&Mounted, _, _, _) = match &cached {
            Some((text, cached)) => {
                let source = match &cached.captured {
                    Captured::Number(number) => Source::Values(std::slice::from_ref(number)),
                    Captured::Numbers(numbers) => Source::Values(numbers),
                    Captured::Texts(spans) => {
                        captures = spans.of(text);
                        Source::Path(&captures)
                    }
                };
                (&cached.mounted, cached.route, source, cached.query(text))
            }
            None => {
                found = self.find(&cache)?;
                let source = Source::Path(&found.captures);
                (&found.mounted, found.route, source, found.query)
            }
        };
        let mut address = Address::new(source, query);
        match mounted.group() {
            None => self.send_to(mounted, route, &mut address, message, question),
            Some(group) => self.send_to_one(mounted, group, route, &mut address, message, question),
        }
    }
}

impl<P: AsPath> ToPath<'_, P> {
    /// Sends to one of the replicas that share the name.
    #[inline(never)]
    fn send_to_one<M: Message>(
        &self,
        face: &Mounted,
        group: &Group,
        route: u16,
        address: &mut Address<'_>,
        message: &mut Option<M>,
        mut question: Option<&mut Question>,
    ) -> Result<(), Failed> {
        let chosen = choose(group, route, address)?;
        let sent = self.send_to(chosen, route, address, message, question.as_deref_mut());
        match is_to_be_tried_again(self.shared, face, chosen, &sent) {
            true => self.send(message, question),
            false => sent,
        }
    }

    #[inline(always)]
    fn send_to<M: Message>(
        &self,
        mounted: &Mounted,
        route: u16,
        address: &mut Address<'_>,
        message: &mut Option<M>,
        question: Option<&mut Question>,
    ) -> Result<(), Failed> {
        let route = &mounted.map.routes[usize::from(route)];
        let pack = match pack_of::<M>(mounted, route) {
            Ok(pack) => pack,
            Err(error) => return Err(Failed::refused(error)),
        };
        let target = Target {
            mailbox: &mounted.mailbox,
            table: mounted.map.id,
            map: &mounted.map,
            pack: &**pack,
            priority: M::PRIORITY,
            always_waits: false,
        };
        let route = || route_text(mounted, route);
        target.send(self.shared, address, message, question, route)
    }
}
