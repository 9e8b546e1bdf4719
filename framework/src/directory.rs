//! The directory: what is mounted, by name.
//!
//! The registry writes it, senders read it. It is a `DashMap`; a thread that has looked a name up
//! remembers the answer until the directory's epoch says that something was mounted or unmounted. So a
//! textual send costs one lookup in the thread's own memory and one load of the epoch.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use actix::WeakRecipient;
use dashmap::DashMap;
use once_cell::sync::OnceCell;
use rustc_hash::FxBuildHasher;

use crate::latency::{Book, OWN_BOOKS};
use crate::ledger::Ledger;
use crate::mailbox::orders::Control;
use crate::mailbox::{Seat, SeatId};
use crate::route::RouteMap;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, lock};

/// A subsystem while it is mounted.
pub(crate) struct Mounted {
    pub(crate) seat: Arc<Seat>,
    pub(crate) map: Arc<RouteMap>,
    /// The system's thread on which it lives.
    pub(crate) thread: usize,
    pub(crate) weight: u32,
    /// Messages that it may handle in one turn.
    pub(crate) slice: AtomicU32,
    pub(crate) restarts: AtomicU32,
    last_failure: Mutex<Option<Box<str>>>,
    /// Where the host takes orders, once it stands.
    pub(crate) orders: OnceCell<WeakRecipient<Control>>,
    /// Messages that had ended when the supervisor last looked.
    pub(crate) seen: AtomicU64,
    /// What the seat's ledger said when this mount began.
    baseline: Option<Box<Ledger>>,
    book: OnceCell<Arc<Book>>,
}

impl Mounted {
    pub(crate) fn new(
        seat: Arc<Seat>,
        map: Arc<RouteMap>,
        thread: usize,
        weight: u32,
        slice: u32,
    ) -> Self {
        Mounted {
            baseline: Some(seat.ledger())
                .filter(|ledger| ledger.sent > 0)
                .map(Box::new),
            map,
            thread,
            weight,
            slice: AtomicU32::new(slice),
            restarts: AtomicU32::new(0),
            last_failure: Mutex::new(None),
            orders: OnceCell::new(),
            seen: AtomicU64::new(seat.endings.finished()),
            book: OnceCell::new(),
            seat,
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let ledger = self.seat.ledger();
        match &self.baseline {
            Some(baseline) => ledger.minus(baseline),
            None => ledger,
        }
    }

    /// The book to record latencies in, chosen at the first message.
    pub(crate) fn book(&self, directory: &Directory) -> &Book {
        self.book.get_or_init(|| {
            if directory.claim_own_book() {
                Arc::new(Book::default())
            } else {
                self.map.book.clone()
            }
        })
    }

    /// The book, if there was a message; and whether it is shared by kind.
    pub(crate) fn read_book(&self) -> Option<(&Book, bool)> {
        let book = self.book.get()?;
        Some((book, Arc::ptr_eq(book, &self.map.book)))
    }

    pub(crate) fn note_failure(&self, failure: Box<str>) {
        *lock(&self.last_failure) = Some(failure);
    }

    pub(crate) fn last_failure(&self) -> Option<Box<str>> {
        lock(&self.last_failure).clone()
    }
}

/// What is mounted in a system.
pub(crate) struct Directory {
    mounted: DashMap<Arc<str>, Arc<Mounted>, FxBuildHasher>,
    /// The same subsystems, to go through: iterating over a `DashMap` locks and allocates per shard.
    roster: RwLock<Vec<Arc<Mounted>>>,
    names: DashMap<SeatId, Arc<str>, FxBuildHasher>,
    epoch: AtomicU64,
    own_books: AtomicUsize,
    gone: Mutex<Gone>,
}

/// Subsystems to which no path leads any more.
#[derive(Default)]
struct Gone {
    /// Those that still end the messages that they have accepted.
    leaving: Vec<Arc<Mounted>>,
    /// The account of the others.
    retired: Ledger,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Directory {
            mounted: DashMap::default(),
            roster: RwLock::default(),
            names: DashMap::default(),
            epoch: AtomicU64::new(1),
            own_books: AtomicUsize::new(0),
            gone: Mutex::default(),
        }
    }

    /// Lets a seat be named as a sender. Before its host stands: handles that were kept over an
    /// unmount reach it from then on, and its handlers may send.
    pub(crate) fn introduce(&self, seat: &Seat) {
        self.names.insert(seat.id, seat.name.clone());
    }

    pub(crate) fn insert(&self, mounted: Arc<Mounted>) {
        let name = mounted.seat.name.clone();
        self.mounted.insert(name, mounted.clone());
        self.roster_mut().push(mounted);
        // Release: who sees the new epoch finds the new entry.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Lets no path lead to a subsystem any more; it counts as leaving until it is retired.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Mounted>> {
        // Held across both lists: whoever adds them up finds each subsystem once.
        let mut gone = lock(&self.gone);
        let (_, mounted) = self.mounted.remove(name)?;
        self.roster_mut().retain(|one| !Arc::ptr_eq(one, &mounted));
        gone.leaving.push(mounted.clone());
        drop(gone);
        self.epoch.fetch_add(1, Ordering::Release);
        Some(mounted)
    }

    /// Keeps the account of a subsystem that is gone, after its last message has ended.
    pub(crate) fn retire(&self, mounted: &Mounted) {
        self.names.remove(&mounted.seat.id);
        if let Some((_, false)) = mounted.read_book() {
            self.own_books.fetch_sub(1, Ordering::Relaxed);
        }
        let mut gone = lock(&self.gone);
        gone.leaving.retain(|one| !std::ptr::eq(&**one, mounted));
        gone.retired += mounted.ledger();
    }

    /// All that is mounted, and the account of all that is not any more.
    pub(crate) fn all_and_gone(&self) -> (Vec<Arc<Mounted>>, Ledger) {
        let gone = lock(&self.gone);
        let mut ledger = gone.retired;
        for mounted in &gone.leaving {
            ledger += mounted.ledger();
        }
        (self.all(), ledger)
    }

    /// All that still has, or may get, messages: what is mounted and what is leaving.
    pub(crate) fn all_alive(&self) -> Vec<Arc<Mounted>> {
        let gone = lock(&self.gone);
        let mut all = self.all();
        all.extend(gone.leaving.iter().cloned());
        all
    }

    fn roster(&self) -> RwLockReadGuard<'_, Vec<Arc<Mounted>>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn roster_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Mounted>>> {
        self.roster.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim_own_book(&self) -> bool {
        let claimed = self.own_books.fetch_add(1, Ordering::Relaxed) < OWN_BOOKS;
        if !claimed {
            self.own_books.fetch_sub(1, Ordering::Relaxed);
        }
        claimed
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Mounted>> {
        self.mounted.get(name).map(|mounted| mounted.clone())
    }

    pub(crate) fn name_of(&self, seat: SeatId) -> Option<Arc<str>> {
        self.names.get(&seat).map(|name| name.clone())
    }

    /// Calls `f` with each that is mounted, in no order.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Mounted)) {
        for mounted in self.roster().iter() {
            f(mounted);
        }
    }

    /// All that is mounted, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Mounted>> {
        self.roster().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.mounted.len()
    }
}

/// A subsystem as a thread remembers it: counted by the thread alone, so that a send touches no count
/// that other threads write.
pub(crate) type Known = Rc<Arc<Mounted>>;

/// What one thread remembers of one directory.
struct Memory {
    directory: Weak<Directory>,
    epoch: Cell<u64>,
    entries: RefCell<HashMap<Box<str>, Known, FxBuildHasher>>,
}

thread_local! {
    static MEMORIES: RefCell<Vec<Rc<Memory>>> = const { RefCell::new(Vec::new()) };
}

/// Looks a name up, in this thread's memory if it is there.
#[inline]
pub(crate) fn look_up(directory: &Arc<Directory>, name: &str) -> Option<Known> {
    let Ok(memory) = MEMORIES.try_with(|memories| {
        if let Some(memory) = memories.borrow().first()
            && std::ptr::eq(memory.directory.as_ptr(), Arc::as_ptr(directory))
        {
            return memory.clone();
        }
        recall(memories, directory)
    }) else {
        // The thread is ending.
        return directory.get(name).map(Rc::new);
    };
    let epoch = directory.epoch.load(Ordering::Acquire);
    if memory.epoch.get() == epoch
        && let Some(mounted) = memory.entries.borrow().get(name)
    {
        return Some(mounted.clone());
    }
    memory.learn(directory, name, epoch)
}

impl Memory {
    #[cold]
    fn learn(&self, directory: &Directory, name: &str, epoch: u64) -> Option<Known> {
        let mut entries = self.entries.borrow_mut();
        if self.epoch.replace(epoch) != epoch {
            entries.clear();
        }
        let mounted = Rc::new(directory.get(name)?);
        entries.insert(name.into(), mounted.clone());
        Some(mounted)
    }
}

#[cold]
fn recall(memories: &RefCell<Vec<Rc<Memory>>>, directory: &Arc<Directory>) -> Rc<Memory> {
    let mut memories = memories.borrow_mut();
    let known = memories
        .iter()
        .position(|memory| std::ptr::eq(memory.directory.as_ptr(), Arc::as_ptr(directory)));
    if let Some(at) = known {
        memories.swap(0, at);
        return memories[0].clone();
    }
    memories.retain(|memory| memory.directory.strong_count() > 0);
    let memory = Rc::new(Memory {
        directory: Arc::downgrade(directory),
        epoch: Cell::new(0),
        entries: RefCell::default(),
    });
    memories.insert(0, memory.clone());
    memory
}
