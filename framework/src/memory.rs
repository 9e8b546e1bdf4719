//! What a thread remembers of the directory: names, and whole paths. `address → `**`memory`**` → directory`
//!
//! A path that was sent to before costs one look here, and neither parsing nor routing; one that was not
//! costs some 5 ns more for the look. What is remembered is good until its subsystem is unmounted, which
//! the subsystem's entry says itself. Memory: at most [`PATHS`] paths per thread and system, and the names
//! of what is mounted; what was unmounted is forgotten after some [`SWEEP`] mounts and unmounts.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::Hasher;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use mycelia_core::{PathRef, Spans};
use rustc_hash::{FxBuildHasher, FxHasher};

use crate::directory::{Directory, Mounted};
use crate::extract::Capture;

/// Most paths that a thread remembers; 16 KB, and some 130 bytes for each.
const PATHS: usize = 2048;
/// Places that a path may stand in, from that of its hash on.
const REACH: usize = 4;
/// A path takes another's place only once in so many times: senders that go through more paths than
/// there are places must not pay for each that it is learnt.
const RELUCTANCE: u32 = 16;
/// Changes of the directory between two sweeps.
const SWEEP: u64 = 64;

/// A subsystem as a thread remembers it: counted by the thread alone, so that a send touches no count
/// that other threads write.
pub(crate) type Known = Rc<Arc<Mounted>>;

/// Where a path leads.
pub(crate) struct Way {
    hash: u64,
    text: Box<str>,
    pub(crate) mounted: Known,
    /// The route's place in its table.
    pub(crate) route: u16,
    pub(crate) spans: Spans,
    /// The captures, if all are numbers: a handler that wants numbers need not parse them again.
    pub(crate) numbers: Option<Box<[Capture<'static>]>>,
    query: Option<usize>,
}

impl Way {
    /// The path's query, in a text that equals it.
    #[inline]
    pub(crate) fn query<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.get(self.query?..)
    }
}

/// What one thread remembers of one directory.
pub(crate) struct Memory {
    directory: Weak<Directory>,
    /// Tells the directory apart: the `Weak` keeps the place from being used again.
    address: usize,
    /// The directory's at the last sweep.
    epoch: Cell<u64>,
    names: RefCell<HashMap<Box<str>, Known, FxBuildHasher>>,
    /// Empty until the first path is learnt.
    paths: RefCell<Box<[Option<Rc<Way>>]>>,
    reluctance: Cell<u32>,
}

thread_local! {
    static MEMORIES: RefCell<Vec<Rc<Memory>>> = const { RefCell::new(Vec::new()) };
}

/// Exchanges what this thread remembers for what another does: see [`crate::local::exchange`].
#[cfg(feature = "test")]
pub(crate) fn exchange(remembered: &mut Vec<Rc<Memory>>) {
    MEMORIES.with_borrow_mut(|memories| std::mem::swap(memories, remembered));
}

#[inline]
fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The places that a path may stand in.
#[inline]
fn places(hash: u64) -> std::ops::Range<usize> {
    let first = hash as usize % (PATHS - REACH);
    first..first + REACH
}

/// Captures as numbers, if each is one whose text can be told from it.
fn numbers(captures: &mycelia_core::Captures<'_>) -> Option<Box<[Capture<'static>]>> {
    let number = |text: &str| {
        let number = text.parse().ok()?;
        let is_its_text = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
        is_its_text.then_some(Capture::Unsigned(number))
    };
    let numbers: Option<Vec<_>> = captures.iter().map(|text| number(&text)).collect();
    numbers
        .filter(|numbers| !numbers.is_empty())
        .map(Into::into)
}

impl Memory {
    fn new(directory: &Arc<Directory>) -> Rc<Self> {
        Rc::new(Memory {
            directory: Arc::downgrade(directory),
            address: Arc::as_ptr(directory) as usize,
            epoch: Cell::new(directory.epoch()),
            names: RefCell::default(),
            paths: RefCell::default(),
            reluctance: Cell::new(0),
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
        self.epoch.set(epoch);
        self.names
            .borrow_mut()
            .retain(|_, mounted| !mounted.is_gone());
        for way in self.paths.borrow_mut().iter_mut() {
            if way.as_ref().is_some_and(|way| way.mounted.is_gone()) {
                *way = None;
            }
        }
    }

    /// Where a path leads, if it was sent to before.
    #[inline]
    pub(crate) fn way(&self, text: &str) -> Option<Rc<Way>> {
        let paths = self.paths.borrow();
        let hash = hash(text);
        paths.get(places(hash))?.iter().flatten().find_map(|way| {
            let is_it = way.hash == hash && *way.text == *text && !way.mounted.is_gone();
            is_it.then(|| way.clone())
        })
    }

    /// Remembers where a path leads, perhaps.
    pub(crate) fn learn(&self, path: &PathRef<'_>, mounted: &Known, route: u16, spans: Spans) {
        let text = path.as_str();
        let mut paths = self.paths.borrow_mut();
        if paths.is_empty() {
            *paths = (0..PATHS).map(|_| None).collect();
        }
        let hash = hash(text);
        let places = &mut paths[places(hash)];
        let is_free = |way: &Option<Rc<Way>>| way.as_ref().is_none_or(|w| w.mounted.is_gone());
        let place = match places.iter().position(is_free) {
            Some(free) => free,
            None => {
                let turn = self.reluctance.get();
                self.reluctance.set(turn.wrapping_add(1));
                if !turn.is_multiple_of(RELUCTANCE) {
                    return;
                }
                (turn / RELUCTANCE) as usize % REACH
            }
        };
        places[place] = Some(Rc::new(Way {
            hash,
            text: text.into(),
            mounted: mounted.clone(),
            route,
            numbers: numbers(&spans.of(text)),
            spans,
            query: path.query().map(|query| text.len() - query.len()),
        }));
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
