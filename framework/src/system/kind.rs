//! Kinds: what all subsystems of one Rust type share, and how they are started.

use std::any::{Any, TypeId};
use std::sync::Arc;

use super::System;
use crate::base::sync::Ordering;
use crate::base::user_code::Contained;
use crate::host::Host;
use crate::keepers::registry::demanding::LaunchOnDemand;
use crate::keepers::registry::mounting::{AT_ONCE, Launch};
use crate::route::subsystem::Routes;
use crate::route::{Handlers, RouteMap, RouteTable};
use crate::words::error::MountError;
use crate::words::key::Key;

/// What all subsystems of one Rust type share.
pub(crate) struct SubsystemKind<S: 'static> {
    map: Arc<RouteMap>,
    handlers: Arc<Handlers<S>>,
}

impl<S: 'static> SubsystemKind<S> {
    pub(super) fn map(&self) -> &Arc<RouteMap> {
        &self.map
    }

    /// Starts one host.
    pub(super) fn launch(&self, mut factory: Contained<impl Fn() -> S + Send + 'static>) -> Launch {
        // The keepers drop a launch that they refuse, or whose thread has ended.
        let handlers = self.handlers.clone();
        Box::new(move |shared, mut placed, standing| {
            if let Some(one) = placed.pop() {
                let factory = || Box::new(factory.take()) as Box<dyn Fn() -> S>;
                Host::start(shared, one, handlers, factory, standing);
            }
        })
    }

    /// As many launches as `count` hosts on `threads` threads may need, with a factory for each host.
    pub(super) fn launches(
        &self,
        count: usize,
        threads: usize,
        factory: Contained<impl Fn() -> S + Clone + Send + 'static>,
    ) -> Vec<Launch> {
        let launch = |_| -> Launch {
            let (handlers, factory) = (self.handlers.clone(), factory.clone());
            Box::new(move |shared, placed, standing| {
                for one in placed {
                    let (handlers, standing) = (handlers.clone(), standing.another());
                    let factory = || Box::new(factory.clone().take()) as Box<dyn Fn() -> S>;
                    Host::start(shared, one, handlers, factory, standing);
                }
                standing.tell();
            })
        };
        (0..(count / AT_ONCE).saturating_add(threads.min(count)))
            .map(launch)
            .collect()
    }

    /// Starts hosts as they are wanted, each with its key.
    pub(super) fn launch_on_demand(
        &self,
        factory: Contained<impl Fn(Key) -> S + Send + Sync + 'static>,
    ) -> LaunchOnDemand {
        let (handlers, factory) = (self.handlers.clone(), Arc::new(factory));
        Arc::new(move |shared, all| {
            for (placed, startup) in all {
                let (key, factory) = (placed.key(), factory.clone());
                let factory = || {
                    // It has one: it is mounted on demand.
                    let key = key.unwrap_or_else(|| Key::new("".into(), 0));
                    Box::new(move || factory.get()(key.clone())) as Box<dyn Fn() -> S>
                };
                Host::start(shared, placed, handlers.clone(), factory, startup);
            }
        })
    }
}

impl System {
    /// The shared parts of a type, made at its first mount. `name` is the subsystem's, for an error.
    pub(super) fn kind<S: Routes>(
        &self,
        name: impl FnOnce() -> Arc<str>,
    ) -> Result<Arc<SubsystemKind<S>>, MountError> {
        let kinds = &self.0.kinds;
        let known = kinds.get(&TypeId::of::<S>()).map(|kind| kind.clone());
        if let Some(kind) = known.and_then(|kind| kind.downcast().ok()) {
            return Ok(kind);
        }
        let kind = self.new_kind(S::routes);
        let kind = Arc::new(kind.map_err(|error| error.of(&name()))?);
        let any: Arc<dyn Any + Send + Sync> = kind.clone();
        kinds.insert(TypeId::of::<S>(), any);
        Ok(kind)
    }

    pub(crate) fn new_kind<S: 'static>(
        &self,
        routes: impl FnOnce(&mut RouteTable<S>),
    ) -> Result<SubsystemKind<S>, MountError> {
        let id = self.0.next_table.fetch_add(1, Ordering::Relaxed);
        let mut table = RouteTable::new(id, self.0.threads);
        routes(&mut table);
        let (map, handlers) = table.finish(&self.0.shared.states)?;
        let map = Arc::new(map);
        self.0.shared.kinds.add(&map);
        Ok(SubsystemKind {
            map,
            handlers: Arc::new(handlers),
        })
    }
}
