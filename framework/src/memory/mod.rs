//! What a thread remembers of the directory: names, and whole paths. `address → `**`memory`**` → directory`
//!
//! A path that was sent to before costs one look here, and neither parsing nor routing; one that was not
//! costs some 5 ns more for the look. What is remembered is good until its subsystem is unmounted, which
//! the subsystem's entry says itself. Memory per thread and system: the names of what is mounted, and at
//! most [`PATHS`](paths::PATHS) paths, 264 KB if none is long; what was unmounted is forgotten after some
//! [`SWEEP`] mounts and unmounts.

mod paths;

use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use mycelia_core::{PathRef, Spans};
use rustc_hash::FxBuildHasher;

pub(crate) use paths::Captured;
use paths::{Paths, Way};

use crate::directory::{Directory, Mounted};

/// Changes of the directory between two sweeps.
const SWEEP: u64 = 64;

/// A subsystem as a thread remembers it: counted by the thread alone, so that a send touches no count
/// that other threads write.
pub(crate) type Known = Rc<Arc<Mounted>>;

/// What one thread remembers of one directory.
pub(crate) struct Memory {
    directory: Weak<Directory>,
    /// Tells the directory apart: the `Weak` keeps the place from being used again.
    address: usize,
    /// The directory's at the last sweep.
    epoch: Cell<u64>,
    names: RefCell<HashMap<Box<str>, Known, FxBuildHasher>>,
    /// Borrowed while a message is sent, by code of the user's perhaps that sends itself: what it sends
    /// then is not learnt.
    paths: RefCell<Paths>,
}

thread_local! {
    static MEMORIES: RefCell<Vec<Rc<Memory>>> = const { RefCell::new(Vec::new()) };
}

/// Exchanges what this thread remembers for what another does: see [`crate::local::exchange`].
#[cfg(feature = "test")]
pub(crate) fn exchange(remembered: &mut Vec<Rc<Memory>>) {
    MEMORIES.with_borrow_mut(|memories| std::mem::swap(memories, remembered));
}

impl Memory {
    fn new(directory: &Arc<Directory>) -> Rc<Self> {
        Rc::new(Memory {
            directory: Arc::downgrade(directory),
            address: Arc::as_ptr(directory) as usize,
            epoch: Cell::new(directory.epoch()),
            names: RefCell::default(),
            paths: RefCell::default(),
        })
    }

    /// What this thread remembers of a directory.
    #[inline]
    pub(crate) fn of(directory: &Arc<Directory>) -> Rc<Self> {
        let address = Arc::as_ptr(directory) as usize;
        let known = MEMORIES.try_with(|memories| {
            let memories = memories.borrow();
            memories
                .first()
                .filter(|memory| memory.address == address)
                .cloned()
        });
        let memory = match known {
            Ok(Some(memory)) => memory,
            _ => Memory::find(directory),
        };
        let epoch = directory.epoch();
        if epoch.wrapping_sub(memory.epoch.get()) >= SWEEP {
            memory.sweep(epoch);
        }
        memory
    }

    #[cold]
    fn find(directory: &Arc<Directory>) -> Rc<Self> {
        let address = Arc::as_ptr(directory) as usize;
        let known = MEMORIES.try_with(|memories| {
            let mut memories = memories.borrow_mut();
            if let Some(at) = memories.iter().position(|m| m.address == address) {
                // The system used last stands first.
                memories.swap(0, at);
                return memories[0].clone();
            }
            memories.retain(|memory| memory.directory.strong_count() > 0);
            let memory = Memory::new(directory);
            memories.insert(0, memory.clone());
            memory
        });
        // The thread is ending: nothing will be remembered.
        known.unwrap_or_else(|_| Memory::new(directory))
    }

    /// Forgets what was unmounted.
    #[cold]
    fn sweep(&self, epoch: u64) {
        let Ok(mut paths) = self.paths.try_borrow_mut() else {
            return;
        };
        self.epoch.set(epoch);
        paths.sweep();
        self.names
            .borrow_mut()
            .retain(|_, mounted| !mounted.is_gone());
    }

    /// Where a path leads, if it was sent to before.
    #[inline]
    pub(crate) fn way(&self, text: &str) -> Option<Ref<'_, Way>> {
        Ref::filter_map(self.paths.borrow(), |paths| paths.find(text)).ok()
    }

    /// Remembers where a path leads, perhaps.
    pub(crate) fn learn(&self, path: &PathRef<'_>, mounted: &Known, route: u16, spans: Spans) {
        if let Ok(mut paths) = self.paths.try_borrow_mut() {
            paths.learn(path, mounted, route, spans);
        }
    }

    /// Who is mounted under a name.
    #[inline]
    pub(crate) fn mounted(&self, directory: &Directory, name: &str) -> Option<Known> {
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
