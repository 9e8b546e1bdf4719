//! What a mailbox has besides its one list when it needs more: a lane for each other priority, and a
//! room, where messages wait that senders may drop again.
//!
//! Made when the first message of another priority comes, or when the mailbox is to drop the oldest.
//! From then on the host takes all that lies in the lanes into the room, and from there one message at a
//! time under its lock; until then none of this costs anything.
//!
//! A bound holds for all lanes together, but for one moment: a sender that is on its way into the one list
//! while the first message of another priority makes the lanes may come in beside it.

use crate::base::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::envelope::token::{Chain, Links, Token};
use crate::mailbox::inbox::{Inbox, Taken};
use crate::words::priority::{PRIORITIES, Passed, Priority};

/// See the module.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// For all priorities but normal, which has the mailbox's own list.
    inboxes: [Inbox; PRIORITIES - 1],
    room: Mutex<LaneRoom>,
    /// Held while a message is admitted to a bounded mailbox: no single word counts them all.
    pub(super) admission: Mutex<()>,
    /// Messages that senders have dropped again.
    evicted: AtomicU64,
}

/// Where messages wait that were taken out of the lanes.
#[derive(Debug)]
struct LaneRoom {
    chains: [Chain; PRIORITIES],
    /// The tickets up to which messages were taken out of the lanes.
    tickets: [u64; PRIORITIES],
    /// The host takes messages from here.
    is_open: bool,
    passed: Passed,
}

impl LaneRoom {
    /// Puts what the host has taken out of the main list by itself, up to that ticket, where senders reach
    /// it; true if the room was not open before.
    fn open(&mut self, links: &Links, backlog: &mut Chain, ticket: u64) -> bool {
        if std::mem::replace(&mut self.is_open, true) {
            return false;
        }
        self.tickets[Priority::Normal as usize] = ticket;
        // Older than anything here.
        let chain = &mut self.chains[Priority::Normal as usize];
        let newer = std::mem::replace(chain, std::mem::replace(backlog, Chain::new()));
        chain.append(links, newer);
        true
    }
}

/// What the host found when it looked for a message.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) next: Option<Token>,
    /// Messages that were taken out of the lanes.
    pub(crate) taken: u32,
    /// How far tickets and messages were off: 0.
    pub(crate) off: u64,
    /// Senders may drop messages from now on: those who wait for room must try again.
    pub(crate) has_opened: bool,
}

/// What the host found when it looked for messages that have expired.
#[derive(Debug)]
pub(crate) struct Swept {
    pub(crate) over: Chain,
    /// As [`Looked`] has them.
    pub(crate) taken: u32,
    pub(crate) off: u64,
}

/// What a sender found that wants to drop the oldest message.
#[derive(Debug)]
pub(crate) enum Evicted {
    /// It counts as dropped. The caller ends it, and puts another message into the mailbox: which wakes a host that
    /// went to sleep meanwhile.
    Message(Token),
    /// None waits that may be dropped.
    Nothing,
    /// The host does not look into the room yet.
    NotYet,
}

/// How the mailbox is looked into.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    Awake,
    /// It counts as asleep from then on.
    Asleep,
    /// For the last time.
    Closing,
    /// A sender looks in its place.
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
            // Who adds first rings: the host may know nothing of these lanes yet.
            inbox.sleep();
        }
    }

    /// Begins again with a new host.
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

    /// How many messages the lanes besides the main one have accepted.
    pub(super) fn tickets(&self) -> u64 {
        self.inboxes.iter().map(Inbox::ticket).sum()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Acquire)
    }

    /// While the result lives, no lane is closed.
    pub(super) fn hold(&self) -> impl Drop {
        lock(&self.room)
    }

    /// The host's next message. `backlog` is what it has taken out of the main list by itself before, up
    /// to the ticket beside it.
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

    /// Lets senders drop what the host has taken out of the main list, though it takes no message now; true if
    /// they could not before.
    pub(crate) fn open(&self, links: &Links, (backlog, ticket): (&mut Chain, u64)) -> bool {
        lock(&self.room).open(links, backlog, ticket)
    }

    /// Takes those that `is_over` out of all that wait; the others keep their order. The host has opened the
    /// room before.
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

    /// Takes all that lies in the lanes into the room.
    fn fill(&self, room: &mut LaneRoom, main: &Inbox, links: &Links, look: Look) -> (u32, u64) {
        let (mut taken, mut off) = (0, 0);
        // The main one first: who finds another closed finds that the mailbox is closed.
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

    /// Takes the message that has waited longest, of the least urgent, out of the room.
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
                // Still in the room: once the mailbox is closed there, its account is final.
                self.evicted.fetch_add(1, Ordering::Release);
                Evicted::Message(token)
            }
        }
    }

    /// The host goes to sleep if there is nothing in any lane, nor in the room: a sender that wanted to drop
    /// the oldest may have brought there what no one may drop, and wakes no one.
    pub(super) fn sleep(&self) -> bool {
        let is_dry = self.inboxes.iter().all(Inbox::sleep);
        is_dry && lock(&self.room).chains.iter().all(Chain::is_empty)
    }
}
