//! What the registry does for those who restart, pause, resume or clear a subsystem: it finds the name's hosts, gives
//! each the order, and waits until it is obeyed, or can't be.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Moving, Registry};
use crate::directory::Mounted;
use crate::directory::life::LifeState;
use crate::mailbox::MailboxId;
use crate::mailbox::orders::Control;
use crate::runtime::shared::{Phase, Shared};
use crate::words::error::ManageError;
use crate::words::stuck::StuckIn;

/// How often it is looked whether a host that has not obeyed is stuck.
const LOOK: Duration = Duration::from_millis(20);

/// What is to be done to a subsystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ManageVerb {
    Restart,
    Pause,
    Resume,
    Clear,
}

/// Does it to the subsystem of a name, or to those that share it.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Manage {
    pub(crate) name: Box<str>,
    pub(crate) verb: ManageVerb,
    /// The subsystem whose blocking handler wants it; 0 for none.
    pub(crate) caller: MailboxId,
    /// Told how many messages were concerned, once it is done.
    pub(crate) told: oneshot::Sender<Result<u64, ManageError>>,
}

impl Handler<Manage> for Registry {
    type Result = ();

    fn handle(&mut self, manage: Manage, ctx: &mut Context<Self>) {
        let Manage {
            name,
            verb,
            caller,
            told,
        } = manage;
        let all = match self.hosts_of(name) {
            Ok(all) => all,
            Err(refusal) => return drop(told.send(Err(refusal))),
        };
        let shared = self.shared.clone();
        let done = async move {
            let each = all
                .into_iter()
                .map(|one| obeyed(&shared, one, verb, caller));
            let results = if verb == ManageVerb::Restart {
                // One after the other: the others answer meanwhile.
                let mut results = Vec::new();
                for one in each {
                    results.push(one.await);
                }
                results
            } else {
                join_all(each).await
            };
            let sum = |sum: u64, one: Result<u64, _>| Ok(sum.saturating_add(one?));
            let _ = told.send(results.into_iter().try_fold(0, sum));
        };
        ctx.spawn(done.into_actor(self).map(|(), _, _| ()));
    }
}

impl Registry {
    /// The subsystem of that name, or those that share it.
    fn hosts_of(&self, name: Box<str>) -> Result<Vec<Arc<Mounted>>, ManageError> {
        if self.shared.phase() >= Phase::Stopped {
            return Err(ManageError::Stopped);
        }
        match self.shared.directory.get(&name) {
            Some(mounted) => Ok(match mounted.group() {
                None => vec![mounted],
                Some(group) => group.members().to_vec(),
            }),
            None if matches!(self.moving.get(&*name), Some(Moving::Out(_))) => {
                Err(ManageError::Stopping { subsystem: name })
            }
            None => Err(ManageError::NoSubsystem { name }),
        }
    }
}

/// Gives a host the order and waits until it has obeyed.
async fn obeyed(
    shared: &Shared,
    one: Arc<Mounted>,
    verb: ManageVerb,
    caller: MailboxId,
) -> Result<u64, ManageError> {
    match verb {
        ManageVerb::Restart => {
            let (done, told) = oneshot::channel();
            one.order(Control::Restart(done));
            if caller == one.mailbox.id {
                // It is waited for itself.
                return Ok(0);
            }
            until_told(shared, &one, told).await.map(|()| 0)
        }
        ManageVerb::Pause | ManageVerb::Resume => {
            let (done, told) = oneshot::channel();
            let pauses = verb == ManageVerb::Pause;
            one.order(Control::Pause { pauses, done });
            until_told(shared, &one, told).await.map(|()| 0)
        }
        ManageVerb::Clear => {
            let (done, told) = oneshot::channel();
            one.order(Control::Clear(done));
            until_told(shared, &one, told).await
        }
    }
}

/// Waits until a host says that it has obeyed, has dropped the order, or is held up by a handler that is stuck.
async fn until_told<T>(
    shared: &Shared,
    one: &Mounted,
    mut told: oneshot::Receiver<T>,
) -> Result<T, ManageError> {
    let subsystem = || Box::from(&*one.mailbox.name);
    loop {
        match timeout(LOOK, &mut told).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(_)) => return Err(why_dropped(shared, one)),
            Err(_) => {
                if let Some(holder) = holder(shared, one) {
                    let subsystem = subsystem();
                    return Err(ManageError::Stuck { subsystem, holder });
                }
            }
        }
    }
}

/// Why a host did not obey.
fn why_dropped(shared: &Shared, one: &Mounted) -> ManageError {
    let subsystem = Box::from(&*one.mailbox.name);
    let is_ending = one.life.state() >= LifeState::Leaving
        || one.mailbox.inbox.is_closed()
        || shared.phase() != Phase::Open;
    match one.last_failure() {
        Some(failure) if !is_ending => ManageError::Failed { subsystem, failure },
        _ => ManageError::Stopping { subsystem },
    }
}

/// The subsystem whose handler, being stuck, holds this one up: itself, or another one on its thread.
fn holder(shared: &Shared, one: &Mounted) -> Option<Box<str>> {
    if one.stuck(&shared.clock).is_some() {
        return Some(Box::from(&*one.mailbox.name));
    }
    let mut holder = None;
    shared.directory.for_each(|other| {
        let holds = |it: crate::words::stuck::Stuck| it.place == StuckIn::Thread;
        if other.thread == one.thread && other.stuck(&shared.clock).is_some_and(holds) {
            holder.get_or_insert_with(|| Box::from(&*other.mailbox.name));
        }
    });
    holder
}
