//! What a thread remembers of the directory: names, and whole paths. `path → `**`path_cache`**` → directory`
//!
//! A path that was sent to before costs one look-up here, and neither parsing nor routing. For another path the
//! look-up adds some 5 ns. An entry is good until its subsystem is unmounted, which the subsystem's own entry says.
//! Memory per thread and system: the names of mounted subsystems, and at most [`PATHS`](paths::PATHS) paths. The
//! entries of unmounted subsystems are dropped after some [`SWEEP`] mounts and unmounts, or as many as there are
//! names.

mod paths;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use mycelia_core::{PathRef, Spans};
use rustc_hash::FxBuildHasher;

pub(crate) use paths::Captured;
use paths::{CachedRoute, Paths};

use crate::directory::{Directory, Mounted};

/// Changes of the directory between two sweeps, or as many as there are names if those are more: where many come
/// and go, each must not be gone through for a few of them.
const SWEEP: u64 = 64;

/// A subsystem as a thread remembers it. The thread counts its own references, so that a send touches no count that
/// other threads write.
pub(crate) type CachedMount = Rc<Arc<Mounted>>;

/// What one thread remembers of one directory.
pub(crate) struct PathCache {
    directory: Weak<Directory>,
    /// The directory's address. While the `Weak` lives, no other directory has it.
    address: usize,
    /// The directory's epoch at the last sweep.
    epoch: Cell<u64>,
    /// So many changes after that is the next one.
    sweep_after: Cell<u64>,
    /// Subsystems by name.
    names: RefCell<HashMap<Box<str>, CachedMount, FxBuildHasher>>,
    paths: RefCell<Paths>,
}

thread_local! {
    /// One cache for each directory that this thread has used; nearly always one.
    pub(crate) static CACHES: RefCell<Vec<Rc<PathCache>>> = const { RefCell::new(Vec::new()) };
}

impl PathCache {
    fn new(directory: &Arc<Directory>) -> Rc<Self> {
        Rc::new(PathCache {
            directory: Arc::downgrade(directory),
            address: Arc::as_ptr(directory) as usize,
            epoch: Cell::new(directory.epoch()),
            sweep_after: Cell::new(SWEEP),
            names: RefCell::default(),
            paths: RefCell::default(),
        })
    }

    /// This thread's cache of a directory.
    #[inline]
    pub(crate) fn of(directory: &Arc<Directory>) -> Rc<Self> {
        let address = Arc::as_ptr(directory) as usize;
        let known = CACHES.try_with(|caches| {
            let caches = caches.borrow();
            caches
                .first()
                .filter(|cache| cache.address == address)
                .cloned()
        });
        let cache = match known {
            Ok(Some(cache)) => cache,
            _ => PathCache::find(directory),
        };
        let epoch = directory.epoch();
        if epoch.wrapping_sub(cache.epoch.get()) >= cache.sweep_after.get() {
            cache.sweep(epoch);
        }
        cache
    }

    #[cold]
    fn find(directory: &Arc<Directory>) -> Rc<Self> {
        let address = Arc::as_ptr(directory) as usize;
        let known = CACHES.try_with(|caches| {
            let mut caches = caches.borrow_mut();
            if let Some(at) = caches.iter().position(|m| m.address == address) {
                // The cache that was used last stands first.
                caches.swap(0, at);
                return caches[0].clone();
            }
            caches.retain(|cache| cache.directory.strong_count() > 0);
            let cache = PathCache::new(directory);
            caches.insert(0, cache.clone());
            cache
        });
        // The thread is ending: nothing is remembered.
        known.unwrap_or_else(|_| PathCache::new(directory))
    }

    /// Forgets what was unmounted.
    #[cold]
    fn sweep(&self, epoch: u64) {
        self.epoch.set(epoch);
        self.paths.borrow_mut().sweep();
        let mut names = self.names.borrow_mut();
        names.retain(|_, mounted| !mounted.is_gone());
        self.sweep_after.set(SWEEP.max(names.len() as u64));
    }

    /// Where a path leads, if it was sent to before. Nothing is borrowed while a message is sent there: an asker
    /// lends its turn, and the handler may send by path too.
    #[inline]
    pub(crate) fn route(&self, text: &str) -> Option<Rc<CachedRoute>> {
        self.paths.borrow().find(text).cloned()
    }

    /// Remembers where a path leads, if there is room.
    pub(crate) fn learn(
        &self,
        path: &PathRef<'_>,
        mounted: &CachedMount,
        route: u16,
        spans: Spans,
    ) {
        self.paths.borrow_mut().learn(path, mounted, route, spans);
    }

    /// The subsystem that is mounted under a name.
    #[inline]
    pub(crate) fn mounted(&self, directory: &Directory, name: &str) -> Option<CachedMount> {
        if let Some(mounted) = self.names.borrow().get(name)
            && !mounted.is_gone()
        {
            return Some(mounted.clone());
        }
        let mounted = Rc::new(directory.get(name)?);
        self.names.borrow_mut().insert(name.into(), mounted.clone());
        Some(mounted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Placing;
    use crate::mailbox::Mailbox;
    use crate::route::RouteTable;
    use crate::route::extract::States;
    use crate::words::supervision::{Policy, RestartScope};

    fn known(name: &str) -> CachedMount {
        let (map, _) = RouteTable::<()>::new(1, 1)
            .finish(&States::default())
            .expect("no routes, no errors");
        let placing = Placing {
            number: 1,
            thread: 0,
            weight: 1,
            wait_goal: None,
            own_histograms: false,
            max_spawned: 0,
            policy: Policy::default(),
            restart_scope: RestartScope::default(),
            siblings: RestartScope::default(),
            parent: None,
            key_at: 0,
        };
        let mailbox = Arc::new(Mailbox::new(1, name.into(), Arc::default()));
        Rc::new(Arc::new(Mounted::new(mailbox, Arc::new(map), placing)))
    }

    #[test]
    fn a_path_is_learnt_and_forgotten_while_a_message_is_being_sent_by_another() {
        let cache = PathCache::of(&Arc::new(Directory::new()));
        let desk = known("desk");
        let learn = |text| {
            let path = PathRef::parse(text).unwrap();
            cache.learn(&path, &desk, 3, Spans::default());
        };
        learn("desk://a");
        let sending = cache.route("desk://a").unwrap();
        learn("desk://b");
        assert_eq!(cache.route("desk://b").map(|cached| cached.route), Some(3));
        cache.sweep(1);
        assert_eq!(sending.route, 3);
    }
}
