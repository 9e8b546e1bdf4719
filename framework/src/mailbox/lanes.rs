//! The parts of a mailbox that only some need: a lane for each priority besides normal, and a *room*, where
//! messages wait that senders may still drop.
//!
//! They are made when the first message of another priority comes, or when the mailbox must drop the oldest. From
//! then on the host moves all messages from the lanes into the room, and takes them from there one at a time
//! under its lock. Until then none of this costs anything.
//!
//! A bound holds for all lanes together, with one exception: a sender that is just pushing into the main list
//! while the first message of another priority makes the lanes may exceed it by one.

use crate::base::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::envelope::token::{Chain, Links, Token};
use crate::mailbox::inbox::{Inbox, Taken};
use crate::words::priority::{PRIORITIES, Passed, Priority};

/// See the module.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// For all priorities but normal, whose messages use the mailbox's main list.
    inboxes: [Inbox; PRIORITIES - 1],
    room: Mutex<LaneRoom>,
    /// Held by a sender while it adds a message to a bounded mailbox, since no single word counts the messages of
    /// all lanes.
    pub(super) admission: Mutex<()>,
    /// How many messages senders have dropped out of the room. Written under the room's lock.
    evicted: AtomicU64,
}

/// The messages that were moved out of the lanes.
#[derive(Debug)]
struct LaneRoom {
    chains: [Chain; PRIORITIES],
    /// For each lane, the ticket of the last message that was moved out of it.
    tickets: [u64; PRIORITIES],
    /// True once the host takes its messages from here.
    is_open: bool,
    passed: Passed,
}

impl LaneRoom {
    /// Moves the host's backlog, which it took out of the main list itself up to that ticket, into the room,
    /// where senders reach it. Returns true if the room was not open before.
    fn open(&mut self, links: &Links, backlog: &mut Chain, ticket: u64) -> bool {
        if std::mem::replace(&mut self.is_open, true) {
            return false;
        }
        self.tickets[Priority::Normal as usize] = ticket;
        // The backlog is older than anything here.
        let chain = &mut self.chains[Priority::Normal as usize];
        let newer = std::mem::replace(chain, std::mem::replace(backlog, Chain::new()));
        chain.append(links, newer);
        true
    }
}

/// What the host found when it looked for its next message.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) next: Option<Token>,
    /// How many messages were moved out of the lanes.
    pub(crate) taken: u32,
    /// By how much tickets and messages differ: 0, unless there is a bug.
    pub(crate) off: u64,
    /// True if senders may drop messages from now on: senders that wait for room must try again.
    pub(crate) has_opened: bool,
}

/// What the host found when it looked for messages that have expired.
#[derive(Debug)]
pub(crate) struct Swept {
    pub(crate) over: Chain,
    /// As in [`Looked`].
    pub(crate) taken: u32,
    pub(crate) off: u64,
}

/// What a sender found when it tried to drop the oldest message.
#[derive(Debug)]
pub(crate) enum Evicted {
    /// The oldest message, which counts as dropped. The caller must end it and then push another message, which
    /// wakes a host that went to sleep meanwhile.
    Message(Token),
    /// There is no message that may be dropped.
    Nothing,
    /// The host does not take its messages from the room yet.
    NotYet,
}

/// How messages are moved out of the lanes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    Awake,
    /// By the host, which counts as asleep from then on.
    Asleep,
    /// By the host for the last time: the lanes are closed.
    Closing,
    /// In the host's place, whose mark stays as it is.
    ByProxy,
}

impl Lanes {
    pub(super) fn new(is_open: bool) -> Self {
        let lanes = Lanes {
            inboxes: std::array::from_fn(|_| Inbox::new()),
            room: Mutex::new(LaneRoom {
                chains: std::array::from_fn(|_| Chain::new()),
                tickets: [0; PRIORITIES],
                is_open: false,
                passed: Passed::default(),
            }),
            admission: Mutex::new(()),
            evicted: AtomicU64::new(0),
        };
        if is_open {
            lanes.open_lanes();
        }
        lanes
    }

    fn open_lanes(&self) {
        for inbox in &self.inboxes {
            inbox.open();
            // Marked asleep, so that the first sender wakes the host: it may not know of these lanes yet.
            inbox.sleep();
        }
    }

    /// Opens the lanes for a new host.
    pub(super) fn reopen(&self, main: &Inbox) {
        let mut room = lock(&self.room);
        room.is_open = false;
        for priority in Priority::ALL {
            room.tickets[priority as usize] = self.inbox(main, priority).ticket();
        }
        self.open_lanes();
    }

    pub(super) fn inbox<'i>(&'i self, main: &'i Inbox, priority: Priority) -> &'i Inbox {
        match priority {
            Priority::Control => &self.inboxes[0],
            Priority::High => &self.inboxes[1],
            Priority::Normal => main,
            Priority::Low => &self.inboxes[2],
        }
    }

    /// How many messages the lanes other than the main one have accepted.
    pub(super) fn tickets(&self) -> u64 {
        self.inboxes.iter().map(Inbox::ticket).sum()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Acquire)
    }

    /// Keeps the lanes from being closed until the guard is dropped.
    pub(super) fn hold(&self) -> impl Drop {
        lock(&self.room)
    }

    /// Returns the host's next message. `backlog` holds the messages that the host took out of the main list
    /// itself, up to the ticket beside it.
    pub(crate) fn next(
        &self,
        main: &Inbox,
        links: &Links,
        look: Look,
        (backlog, ticket): (&mut Chain, u64),
    ) -> Looked {
        let mut room = lock(&self.room);
        let has_opened = room.open(links, backlog, ticket);
        let (taken, off) = self.fill(&mut room, main, links, look);
        let waits = std::array::from_fn(|at| !room.chains[at].is_empty());
        let next = room
            .passed
            .choose(waits)
            .and_then(|priority| room.chains[priority as usize].pop_front(links));
        Looked {
            next,
            taken,
            off,
            has_opened,
        }
    }

    /// Lets senders drop messages from the host's backlog, although the host takes no message now. Returns true
    /// if they could not before.
    pub(crate) fn open(&self, links: &Links, (backlog, ticket): (&mut Chain, u64)) -> bool {
        lock(&self.room).open(links, backlog, ticket)
    }

    /// Takes the messages for which `is_over` returns true out of all that wait; the others keep their order. The
    /// host must have opened the room before.
    pub(crate) fn sweep(
        &self,
        main: &Inbox,
        links: &Links,
        mut is_over: impl FnMut(Token) -> (Token, bool),
    ) -> Swept {
        let mut room = lock(&self.room);
        let (taken, off) = self.fill(&mut room, main, links, Look::ByProxy);
        let mut over = Chain::new();
        for chain in &mut room.chains {
            chain.split_off(links, &mut over, &mut is_over);
        }
        Swept { over, taken, off }
    }

    /// Moves all messages from the lanes into the room.
    fn fill(&self, room: &mut LaneRoom, main: &Inbox, links: &Links, look: Look) -> (u32, u64) {
        let (mut taken, mut off) = (0, 0);
        // The main list first: a sender that finds another lane closed then knows that the whole mailbox is
        // closed.
        for priority in [
            Priority::Normal,
            Priority::Control,
            Priority::High,
            Priority::Low,
        ] {
            let inbox = self.inbox(main, priority);
            let found = match look {
                Look::Awake => inbox.take(links, false),
                Look::Asleep => inbox.take(links, true),
                Look::Closing => inbox.close(links),
                Look::ByProxy => inbox.take_for_receiver(links),
            };
            if let Some(Taken { chain, ticket }) = found {
                let before = std::mem::replace(&mut room.tickets[priority as usize], ticket);
                let accepted = Inbox::between(before, ticket);
                off += accepted.abs_diff(u64::from(chain.len()));
                taken += chain.len();
                room.chains[priority as usize].append(links, chain);
            }
        }
        (taken, off)
    }

    /// Takes the oldest message of the least urgent priority out of the room.
    pub(crate) fn evict(&self, main: &Inbox, links: &Links) -> Evicted {
        let mut room = lock(&self.room);
        if !room.is_open {
            return Evicted::NotYet;
        }
        self.fill(&mut room, main, links, Look::ByProxy);
        let droppable = [Priority::Low, Priority::Normal, Priority::High];
        let oldest = droppable
            .into_iter()
            .find_map(|priority| room.chains[priority as usize].pop_front(links));
        match oldest {
            None => Evicted::Nothing,
            Some(token) => {
                // Under the room's lock: once the mailbox is closed, its counts are final.
                self.evicted.fetch_add(1, Ordering::Release);
                Evicted::Message(token)
            }
        }
    }

    /// The host goes to sleep if there is no message in any lane nor in the room. A sender that wanted to drop
    /// the oldest message may have moved messages into the room that can't be dropped, and it wakes no host for
    /// them.
    pub(super) fn sleep(&self) -> bool {
        let is_dry = self.inboxes.iter().all(Inbox::sleep);
        is_dry && lock(&self.room).chains.iter().all(Chain::is_empty)
    }
}
