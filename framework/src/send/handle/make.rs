//! How a handle is made, and made again after its subsystem was mounted again.

use std::sync::Arc;

use mycelia_core::PathRef;

use super::{Resolved, Route, with_texts};
use crate::directory::Mounted;
use crate::mailbox::FOR_SEVERAL;
use crate::route::Pack;
use crate::route::extract::{Address, Source};
use crate::runtime::shared::Shared;
use crate::send::Failed;
use crate::send::path_cache::PathCache;
use crate::send::resolve::{mounted, pack_of, route_of, route_text};
use crate::words::error::{CaptureError, Room, SendError};
use crate::words::message::Message;

impl<M: Message> Route<M> {
    /// Resolves a pattern or a path.
    pub(crate) fn resolve(shared: &Arc<Shared>, text: &str) -> Result<Self, SendError> {
        let cache = PathCache::of(&shared.directory);
        // A name has no colon, and finding one byte takes a third of the time of finding three.
        let split = text.split_once(':');
        let split = split.and_then(|(name, rest)| Some((name, rest.strip_prefix("//")?)));
        let Some((name, rest)) = split else {
            return Err(SendError::BadPath(mycelia_core::PathError::NoScheme));
        };
        let pattern = rest.contains('{').then_some(rest);
        match pattern {
            Some(pattern) => {
                let mounted = mounted(shared, &cache, name)?;
                Self::of_pattern(shared, &mounted, pattern)
            }
            None => {
                let path = PathRef::parse(text).map_err(SendError::BadPath)?;
                let mounted = mounted(shared, &cache, path.name())?;
                Self::of_path(shared, &mounted, &path)
            }
        }
    }

    /// Resolves a path within a subsystem for its own timers and streams, which are always admitted. The subsystem
    /// need not be found by its name yet.
    pub(crate) fn resolve_within(
        shared: &Arc<Shared>,
        mounted: &Arc<Mounted>,
        path: &str,
    ) -> Result<Self, SendError> {
        let text = format!("{}://{path}", mounted.mailbox.name);
        let path = PathRef::parse(&text).map_err(SendError::BadPath)?;
        let mut route = Self::of_path(shared, mounted, &path)?;
        if let (Some(pack), Some(inner)) = (
            route.inner.pack.unconditional(),
            Arc::get_mut(&mut route.inner),
        ) {
            inner.pack = pack;
        }
        Ok(Route {
            always_waits: true,
            ..route
        })
    }

    fn of_pattern(
        shared: &Arc<Shared>,
        mounted: &Arc<Mounted>,
        pattern: &str,
    ) -> Result<Self, SendError> {
        let Some(route) = mounted.map.by_pattern(pattern) else {
            let path = format!("{}://{pattern}", mounted.mailbox.name).into();
            return Err(SendError::NoRoute { path });
        };
        let pack = pack_of::<M>(mounted, route)?;
        Ok(Self::new(shared, mounted, pack, pattern.into(), None, None))
    }

    fn of_path(
        shared: &Arc<Shared>,
        mounted: &Arc<Mounted>,
        path: &PathRef<'_>,
    ) -> Result<Self, SendError> {
        let (route, captures) = route_of(mounted, path)?;
        let route = &mounted.map.routes[usize::from(route)];
        let pack = pack_of::<M>(mounted, route)?;
        let texts: Box<[Box<str>]> = captures.iter().map(|text| text.into()).collect();
        // Every message will parse these captures, so one that does not parse is an error now. The parsers are user
        // code: no lock is held while they run.
        let checked = with_texts(&texts, |captures| {
            let source = Source::Values(captures);
            pack.check(&mut Address::new(source, path.query()))
        });
        if let Err(error) = checked {
            let route = route_text(mounted, route);
            let error = Box::new(error);
            return Err(SendError::BadCapture { route, error });
        }
        let fixed = Some(texts).filter(|texts| !texts.is_empty());
        let pattern = route.pattern.as_str().into();
        let query = path.query().map(Into::into);
        Ok(Self::new(shared, mounted, pack, pattern, fixed, query))
    }

    fn new(
        shared: &Arc<Shared>,
        mounted: &Arc<Mounted>,
        pack: &Arc<dyn Pack<M>>,
        pattern: Box<str>,
        fixed: Option<Box<[Box<str>]>>,
        query: Option<Box<str>>,
    ) -> Self {
        Route {
            shared: shared.clone(),
            inner: Arc::new(Resolved {
                mailbox: mounted.mailbox.clone(),
                table: table_of(mounted),
                map: mounted.map.clone(),
                captures: pack.captures(),
                pack: pack.clone(),
                several: mounted.group().map(|_| mounted.clone()),
                pattern,
                fixed,
                query,
            }),
            priority: M::PRIORITY,
            always_waits: false,
        }
    }

    /// Resolves for one message, after the subsystem was mounted again.
    #[cold]
    pub(super) fn renewed(&self, captures: usize) -> Result<Self, Failed> {
        let Resolved {
            mailbox, pattern, ..
        } = &*self.inner;
        if captures > self.inner.captures {
            let error = Box::new(CaptureError::TooMany {
                pattern: self.inner.captures,
                given: captures,
            });
            let route = self.text();
            return Err(Failed::refused(SendError::BadCapture { route, error }));
        }
        let cache = PathCache::of(&self.shared.directory);
        let Ok(mounted) = mounted(&self.shared, &cache, &mailbox.name) else {
            if let Some(wanted) = self.shared.want(&mailbox.name) {
                return Err(Failed::Full(Room::Start, wanted));
            }
            let subsystem = mailbox.name.clone();
            return Err(Failed::refused(SendError::Closed { subsystem }));
        };
        let mut renewed =
            Self::of_pattern(&self.shared, &mounted, pattern).map_err(Failed::refused)?;
        renewed.priority = self.priority;
        renewed.always_waits = self.always_waits;
        if let (Some(query), Some(inner)) = (&self.inner.query, Arc::get_mut(&mut renewed.inner)) {
            inner.query = Some(query.clone());
        }
        Ok(renewed)
    }
}

/// The number of the table for which a handle is good.
fn table_of(mounted: &Mounted) -> u32 {
    match mounted.group() {
        None => mounted.map.id,
        Some(_) => mounted.map.id | FOR_SEVERAL,
    }
}
