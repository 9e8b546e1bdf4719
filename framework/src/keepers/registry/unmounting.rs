//! Unmounting: one subsystem with all that is below it, at a handler's wish or another's.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Handler, WrapFuture};
use futures_util::future::FutureExt;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::ending::{before, end_tree, grace, hook_failures, tell_to_end};
use super::{Leaving, Registry};
use crate::directory::Mounted;
use crate::mailbox::MailboxId;
use crate::mailbox::orders::Order;
use crate::runtime::deadlock::caller::Caller;
use crate::runtime::deadlock::{For, Tree};
use crate::runtime::shared::Shared;
use crate::words::error::UnmountError;
use crate::words::events::{Change, EndReason};
use crate::words::ledger::Ledger;

/// Unmounts a subsystem after it has ended the messages that it has accepted, its children before it.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Unmount {
    pub(crate) name: Box<str>,
    /// When what still waits is undeliverable.
    pub(crate) deadline: Option<Instant>,
    /// The handler that waits for it.
    pub(crate) caller: Option<Arc<Caller>>,
    /// The subsystem of that handler, or of the spawned future that waits for it; 0 for none.
    pub(crate) held_open: MailboxId,
    /// Told how it went. Not actix's own answer: that drops a request whose asker has gone.
    pub(crate) told: oneshot::Sender<Result<Ledger, UnmountError>>,
}

impl Tree {
    /// A subsystem and those below it.
    pub(super) fn of(mounted: &Arc<Mounted>) -> Self {
        let mut tree = Tree::of_all(std::slice::from_ref(mounted));
        tree.root = mounted.group().is_none().then_some(mounted.mailbox.id);
        tree
    }

    /// Several, with those below them.
    pub(super) fn of_all(all: &[Arc<Mounted>]) -> Self {
        let hosts = family(all);
        Tree {
            root: None,
            mailboxes: hosts.iter().map(|one| one.mailbox.id).collect(),
        }
    }
}

/// Subsystems with a host, and those below them: each before its children.
fn family(all: &[Arc<Mounted>]) -> Vec<Arc<Mounted>> {
    let (mut family, mut next) = (all.to_vec(), 0);
    while let Some(one) = family.get(next) {
        let children = one.children();
        family.extend(children);
        next = next.saturating_add(1);
    }
    family.retain(|one| one.group().is_none());
    family
}

impl Handler<Unmount> for Registry {
    type Result = ();

    fn handle(&mut self, unmount: Unmount, ctx: &mut Self::Context) {
        let Unmount {
            name,
            deadline,
            caller,
            held_open,
            told,
        } = unmount;
        let Some(mounted) = self.shared.directory.get(&name) else {
            let _ = told.send(Err(UnmountError::NoSubsystem { name }));
            return;
        };
        // Of replicas that were resized, the one whose children they are.
        let family = mounted.group().and_then(|group| group.family());
        let mounted = family.cloned().unwrap_or(mounted);
        let tree = Arc::new(Tree::of(&mounted));
        // A handler's own subsystem ends when the handler has, and that of a spawned future when the future has.
        let is_own = held_open == mounted.mailbox.id;
        if caller.is_none() && !is_own && tree.mailboxes.contains(&held_open) {
            // A future that one below it has spawned.
            let cycle = self
                .shared
                .directory
                .names_of(&[held_open, mounted.mailbox.id]);
            let _ = told.send(Err(UnmountError::WaitCycle { cycle }));
            return;
        }
        let edge = match &caller {
            Some(caller) if !is_own => match caller.enter(For::End(tree.clone())) {
                Ok(edge) => edge,
                Err(circle) => {
                    let cycle = self.shared.directory.names_of(&circle);
                    let _ = told.send(Err(UnmountError::WaitCycle { cycle }));
                    return;
                }
            },
            _ => None,
        };
        let (leave, left) = watch::channel(());
        self.close_tree(&mounted, &Leaving { left, tree });
        // Told once: at the end, or before that if the caller can't wait so long.
        let told = Rc::new(Cell::new(Some(told)));
        let tell = |told: &UnmountReply, how| {
            if let Some(told) = told.take() {
                let _ = told.send(how);
            }
        };
        if is_own {
            tell(&told, Ok(mounted.ledger()));
        }
        let ended = end_tree(mounted.clone(), None).shared();
        if let Some(deadline) = deadline {
            let told = told.clone();
            let cut_off = cut_off(
                self.shared.clone(),
                mounted.clone(),
                deadline,
                ended.clone(),
            );
            ctx.spawn(cut_off.into_actor(self).map(move |subsystems, _, _| {
                if !subsystems.is_empty() {
                    tell(&told, Err(UnmountError::Stuck { subsystems }));
                }
            }));
        }
        ctx.spawn(ended.into_actor(self).map(move |(), registry, _| {
            let failed = hook_failures(&mounted);
            registry.forget_children(&mounted);
            let ledger = mounted.ledger();
            registry.vacate(&mounted);
            if mounted.group().is_some() {
                let change = Change::Ended(EndReason::Unmounted);
                registry.shared.events.tell(&mounted.mailbox.name, change);
            }
            drop((leave, edge));
            let how = match failed.is_empty() {
                true => Ok(ledger),
                false => Err(UnmountError::HooksFailed { failed, ledger }),
            };
            tell(&told, how);
        }));
    }
}

type UnmountReply = Cell<Option<oneshot::Sender<Result<Ledger, UnmountError>>>>;

/// Ends a subsystem and those below it at a deadline, unless they have ended before. Those whose handlers
/// do not return.
async fn cut_off(
    shared: Arc<Shared>,
    root: Arc<Mounted>,
    deadline: Instant,
    ended: impl Future<Output = ()> + Unpin,
) -> Vec<Box<str>> {
    let time_is_up = pin!(tokio::time::sleep_until(deadline));
    if before(time_is_up, ended).await {
        return Vec::new();
    }
    let all = family(&[root]);
    let all_told: Vec<_> = (all.iter().rev())
        .map(|one| (one, tell_to_end(one, Order::Abort, EndReason::Unmounted)))
        .collect();
    let grace = grace().boxed_local().shared();
    let mut stuck = Vec::new();
    for (mounted, ended) in all_told {
        if !before(grace.clone(), ended).await {
            stuck.push((&*mounted.mailbox.name).into());
        }
    }
    let blocking = || -> Vec<Arc<str>> {
        let mut running = shared.blocking.running();
        running.retain(|name| all.iter().any(|one| one.mailbox.name == *name));
        running
    };
    let none_blocks = async {
        while !blocking().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    before(grace, pin!(none_blocks)).await;
    stuck.extend(blocking().iter().map(|name| (**name).into()));
    stuck
}
