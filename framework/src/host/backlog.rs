//! The backlog: how a host takes messages out of its mailbox. `mailbox → `**`backlog`**` → turn`

use super::{HostEnv, HostState};
use crate::base::sim::{self, Plant};
use crate::base::sync::Ordering;
use crate::envelope::token::{Chain, Links, Token};
use crate::mailbox::inbox::{Inbox, Taken};
use crate::mailbox::lanes::{Lanes, Look};
use crate::mailbox::orders::Order;

impl<S: 'static> HostState<S> {
    /// The next message of the backlog, filled from the inbox when it is empty.
    #[inline(always)]
    pub(super) fn next(&mut self, env: &HostEnv<S>, links: &Links) -> Option<Token> {
        if self.tries_kept
            && let Some(token) = self.next_kept(env, links)
        {
            return Some(token);
        }
        if let Some(lanes) = env.mounted.mailbox.lanes() {
            return self.next_of(lanes, env, links);
        }
        if let Some(token) = self.backlog.pop_front(links) {
            return Some(token);
        }
        self.take_all(env, links)?;
        self.backlog.pop_front(links)
    }

    /// The next message that was kept for later and is to be tried again.
    #[cold]
    fn next_kept(&mut self, env: &HostEnv<S>, links: &Links) -> Option<Token> {
        if self.again.is_empty() && std::mem::take(&mut self.has_changed) {
            self.again = std::mem::replace(&mut self.kept, Chain::new());
        }
        let next = self.again.pop_front(links);
        self.tries_kept = next.is_some();
        self.tell_kept(env);
        next
    }

    /// Keeps a message for later.
    #[cold]
    pub(super) fn keep(&mut self, env: &HostEnv<S>, token: Token) {
        self.kept.push_back(&env.shared.pool.links, token);
        self.tell_kept(env);
    }

    /// Anyone who waits until nothing is going on need not wait for them.
    pub(super) fn tell_kept(&self, env: &HostEnv<S>) {
        let kept = self.kept.len() + self.again.len();
        env.mounted.kept.store(kept, Ordering::Release);
    }

    /// The subsystem has changed: has those that were kept for later tried again.
    #[inline]
    pub(super) fn change(&mut self) {
        if !self.kept.is_empty() || !self.again.is_empty() {
            self.has_changed = true;
            self.tries_kept = true;
        }
    }

    /// All that were kept for later, to be ended.
    pub(super) fn all_kept(&mut self, links: &Links) -> Chain {
        let mut all = std::mem::replace(&mut self.again, Chain::new());
        all.append(links, std::mem::replace(&mut self.kept, Chain::new()));
        all
    }

    /// The next message of a mailbox with several lanes.
    #[inline(never)]
    pub(super) fn next_of(
        &mut self,
        lanes: &Lanes,
        env: &HostEnv<S>,
        links: &Links,
    ) -> Option<Token> {
        let look = match self.order {
            Order::Serve if self.looks == 0 => Look::Asleep,
            Order::Serve => Look::Awake,
            Order::Drain | Order::Abort => Look::Closing,
        };
        let mailbox = &env.mounted.mailbox;
        let looked = lanes.next(
            &mailbox.inbox,
            links,
            look,
            (&mut self.backlog, self.ticket),
        );
        if looked.has_opened {
            mailbox.recall();
        }
        self.note_taken(env, looked.taken, looked.off);
        looked.next
    }

    /// Notes how many messages were taken out of the lanes, and how far that was off.
    pub(super) fn note_taken(&self, env: &HostEnv<S>, taken: u32, off: u64) {
        if off != 0 {
            env.mounted.mailbox.endings.tear(off);
        }
        if taken > 0 {
            env.shared.pool.note_in_flight(taken);
        }
    }

    /// Fills the backlog from the inbox.
    #[inline(never)]
    fn take_all(&mut self, env: &HostEnv<S>, links: &Links) -> Option<()> {
        if self.order == Order::Drain {
            return self.take_last(env, links);
        }
        // One that gets a message now and then counts as asleep from here on: it need not say so again
        // after that message.
        let taken = env.mounted.mailbox.inbox.take(links, self.looks == 0)?;
        self.account(env, taken);
        Some(())
    }

    /// The same, closing the inbox.
    #[cold]
    fn take_last(&mut self, env: &HostEnv<S>, links: &Links) -> Option<()> {
        let taken = env.mounted.mailbox.close(links)?;
        self.account(env, taken);
        Some(())
    }

    /// Checks what the inbox gave out against what it took in.
    #[inline]
    pub(super) fn account(&mut self, env: &HostEnv<S>, taken: Taken) {
        let accepted = Inbox::between(self.ticket, taken.ticket);
        let off = accepted.abs_diff(u64::from(taken.chain.len()));
        if off != 0 {
            env.mounted.mailbox.endings.tear(off);
        }
        self.ticket = taken.ticket;
        env.shared.pool.note_in_flight(taken.chain.len());
        self.backlog.append(&env.shared.pool.links, taken.chain);
        if sim::plants(Plant::Reorder) {
            self.swap_first_two(&env.shared.pool.links);
        }
    }

    /// A planted error.
    #[cold]
    fn swap_first_two(&mut self, links: &Links) {
        let mut before = std::mem::replace(&mut self.backlog, Chain::new());
        let first = before.pop_front(links);
        for token in before.pop_front(links).into_iter().chain(first) {
            self.backlog.push_back(links, token);
        }
        self.backlog.append(links, before);
    }
}
