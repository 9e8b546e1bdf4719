//! Replicas: one name, several subsystems, and which of them gets a message. `address → `**`replicas`**` → mailbox`

use std::sync::Arc;

use crate::base::sync::{AtomicUsize, Ordering, lock};
use crate::directory::Mounted;
use crate::directory::resized::{Before, GroupBooks};
use crate::mailbox::Mailbox;
use crate::route::RouteMap;
use crate::route::extract::Address;
use crate::words::error::MountError;
use crate::words::ledger::Ledger;

/// How many subsystems share a name, and how messages are spread over them.
///
/// Each replica is a subsystem of its own, on a thread of its own while there are threads: mounted as
/// `users`, three replicas are `users/0`, `users/1` and `users/2`, and can be watched, read in snapshots
/// and sent to under these names. What is sent to `users://…` goes to one of them. Messages of one sender
/// keep their order as long as they go to the same replica.
///
/// One that has ended for good gets no messages but those that a capture leads to, which are refused as
/// `Closed`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia::Replicas;
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Visit;
///
/// #[derive(Subsystem, Default)]
/// struct Users {
///     visits: u64,
/// }
///
/// #[routes]
/// impl Users {
///     #[route("{id}/visit")]
///     fn visit(&mut self, _: Visit, Path(_): Path<u64>) -> u64 {
///         self.visits += 1;
///         self.visits
///     }
/// }
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let system = System::builder().threads(2).start().await?;
/// system.mount_replicas(Replicas::by_capture(4, "id"), Users::default).await?;
/// // Whoever it is, user 7 always comes to the same replica.
/// assert_eq!(system.ask("users://7/visit", Visit).await?, 1);
/// assert_eq!(system.ask("users://7/visit", Visit).await?, 2);
/// system.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "give it to `System::mount_replicas`"]
pub struct Replicas {
    count: usize,
    spread: Spread,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Spread {
    RoundRobin,
    LeastLoaded,
    ByCapture(Box<str>),
}

impl Replicas {
    /// The most that can share a name.
    pub const MAX: usize = 65_536;

    /// `count` replicas, 1 to [`MAX`](Self::MAX), that get messages in turn. With none, or more, the mount is
    /// refused.
    pub fn round_robin(count: usize) -> Self {
        Self::new(count, Spread::RoundRobin)
    }

    /// `count` replicas, of which each message goes to one with the fewest messages waiting. It looks at
    /// all of them for every message, some 5 ns each.
    pub fn least_loaded(count: usize) -> Self {
        Self::new(count, Spread::LeastLoaded)
    }

    /// `count` replicas; what has the same text as its capture `{name}` goes to the same one.
    /// [Resized](crate::System::resize), or mounted again with more or fewer, as few texts as can be lead to another one. Routes without such a
    /// capture go in turn.
    pub fn by_capture(count: usize, name: impl Into<Box<str>>) -> Self {
        Self::new(count, Spread::ByCapture(name.into()))
    }

    fn new(count: usize, spread: Spread) -> Self {
        Replicas { count, spread }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How messages on these routes are spread.
    ///
    /// # Errors
    /// No route has the capture.
    pub(crate) fn choice(&self, map: &RouteMap) -> Result<Choice, MountError> {
        let Spread::ByCapture(name) = &self.spread else {
            return Ok(Choice {
                by_load: self.spread == Spread::LeastLoaded,
                keys: Box::default(),
            });
        };
        let keys: Box<[_]> = (map.routes.iter())
            .map(|route| route.pattern.capture_names().position(|one| *one == **name))
            .collect();
        if keys.iter().all(Option::is_none) {
            return Err(MountError::NoCapture {
                subsystem: Box::default(),
                name: name.clone(),
            });
        }
        Ok(Choice {
            by_load: false,
            keys,
        })
    }
}

/// How a message's replica is found.
#[derive(Debug)]
pub(crate) struct Choice {
    by_load: bool,
    /// By route, the capture that decides, if one does.
    keys: Box<[Option<usize>]>,
}

/// The subsystems that share a name.
pub(crate) struct Group {
    members: Arc<[Arc<Mounted>]>,
    choice: Arc<Choice>,
    turn: AtomicUsize,
    /// What it was before it was resized.
    before: Option<Before>,
    /// All that is known of it whatever its size.
    books: Arc<GroupBooks>,
    /// The one whose children they are, if that is not the one that has the group.
    family: Option<Arc<Mounted>>,
}

impl Group {
    pub(crate) fn new(members: Arc<[Arc<Mounted>]>, choice: Choice) -> Self {
        Group {
            members,
            choice: Arc::new(choice),
            turn: AtomicUsize::new(0),
            before: None,
            books: Arc::default(),
            family: None,
        }
    }

    /// The group with other members, of which as many as there were are the same as before.
    pub(crate) fn resized(&self, members: Arc<[Arc<Mounted>]>, family: Arc<Mounted>) -> Self {
        Group {
            before: Some(Before::new(self.members.clone(), members.len())),
            members,
            choice: self.choice.clone(),
            turn: AtomicUsize::new(0),
            books: self.books.clone(),
            family: Some(family),
        }
    }

    pub(crate) fn members(&self) -> &Arc<[Arc<Mounted>]> {
        &self.members
    }

    pub(crate) fn family(&self) -> Option<&Arc<Mounted>> {
        self.family.as_ref()
    }

    /// What it was before it was resized, if there are messages that went out then.
    pub(crate) fn before(&self) -> Option<&Before> {
        self.before.as_ref().filter(|before| !before.is_over())
    }

    /// Keeps the account of a member that has gone.
    pub(crate) fn retire(&self, ledger: Ledger) {
        lock(&self.books.retired).include(ledger);
    }

    /// The account of all members that have gone.
    pub(crate) fn retired(&self) -> Ledger {
        *lock(&self.books.retired)
    }

    /// A message has gone to a member that was chosen when the group had another size.
    #[cold]
    pub(crate) fn note_late(&self, member: &Arc<Mailbox>) {
        self.books.late.note(member);
    }

    /// The replica for a message on a route.
    ///
    /// # Errors
    /// The one that had the message's key before has not handled yet what it had then: where to wait for that.
    pub(crate) fn choose(
        &self,
        route: u16,
        address: &Address<'_>,
    ) -> Result<&Arc<Mounted>, Arc<Mailbox>> {
        let key = self.choice.keys.get(usize::from(route)).copied().flatten();
        if let Some(key) = key.and_then(|key| address.key(key)) {
            let at = jump(key, self.members.len());
            if let Some(before) = self.before() {
                let was_at = jump(key, before.count());
                if was_at != at && !before.has_ended(was_at) {
                    return Err(before.mailbox(was_at));
                }
            }
            return match self.books.late.first() {
                Some(late) => Err(late),
                None => Ok(&self.members[at]),
            };
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        // There is at least one.
        let turn = turn.checked_rem(self.members.len()).unwrap_or(0);
        let (before, from) = self.members.split_at(turn);
        let mut open = (from.iter().chain(before)).filter(|one| !one.mailbox.inbox.is_closed());
        let chosen = if self.choice.by_load {
            open.min_by_key(|one| one.mailbox.waiting())
        } else {
            open.next()
        };
        Ok(chosen.unwrap_or(&self.members[turn]))
    }
}

impl Mounted {
    /// The one that the subsystems are mounted below for which it stands: itself, unless they were resized.
    pub(crate) fn family(&self) -> &Mounted {
        let family = self.group().and_then(Group::family);
        family.map_or(self, |family| family)
    }
}

/// Which of `buckets` a key belongs to: Lamping and Veach, "A fast, minimal memory, consistent hash
/// algorithm", 2014.
fn jump(mut key: u64, buckets: usize) -> usize {
    let (mut bucket, mut next) = (0_u64, 0_u64);
    while next < buckets as u64 {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let scale = (1_u64 << 31) as f64 / (key >> 33).saturating_add(1) as f64;
        next = (bucket.saturating_add(1) as f64 * scale) as u64;
    }
    bucket as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn keys_are_spread_evenly() {
        for buckets in [1, 2, 3, 7, 16] {
            let mut counts = vec![0; buckets];
            for n in 0..16_000 {
                counts[jump(mixed(n), buckets)] += 1;
            }
            let fair = 16_000 / buckets;
            for count in counts {
                assert!(
                    count * 10 > fair * 9 && count * 10 < fair * 11,
                    "{count} of {fair}"
                );
            }
        }
    }

    #[test]
    fn with_one_bucket_more_a_key_stays_or_goes_to_the_new_one() {
        for n in 0..10_000 {
            let (before, after) = (jump(mixed(n), 5), jump(mixed(n), 6));
            assert!(after == before || after == 5);
        }
    }
}
