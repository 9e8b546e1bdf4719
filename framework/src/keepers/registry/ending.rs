//! How subsystems end: children before their parents, the youngest first.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, Handler, ResponseActFuture, WrapFuture};
use futures_util::future::{Either, FutureExt, LocalBoxFuture, select};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::{Leaving, Moving, Registry, before_stop};
use crate::base::clock;
use crate::base::sim::{self, Point};
use crate::base::sync::{Ordering, fence};
use crate::directory::Mounted;
use crate::directory::life::LifeState;
use crate::keepers::supervisor::snapshot::Snapshot;
use crate::mailbox::orders::{Control, Order};
use crate::runtime::deadlock::Tree;
use crate::runtime::shared::{Phase, Shared};
use crate::words::error::HookFailure;
use crate::words::events::EndReason;

/// How long a handler may go on after it was told to end at once: so many slices, of this length. One that
/// does not return by then holds its thread.
const GRACE: (u32, Duration) = (20, Duration::from_millis(50));

/// Ends every subsystem: all accepted messages until the deadline, then none.
#[derive(actix::Message)]
#[rtype(result = "Ended")]
pub(crate) struct EndAll {
    /// `None` for no deadline.
    pub(crate) deadline: Option<Instant>,
}

/// How the end of all went.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ended {
    /// The subsystems whose handlers do not return.
    pub(crate) stuck: Vec<Box<str>>,
    /// The last hooks that failed.
    pub(crate) failed_hooks: Vec<HookFailure>,
    /// What those said that were to run before the stop, and failed.
    pub(crate) before_stop: Vec<Box<str>>,
    /// What the system had done at its end, its subsystems still in it.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
}

/// The last hooks that failed, of a subsystem and of those that were below it when it ended.
pub(super) fn hook_failures(mounted: &Mounted) -> Vec<HookFailure> {
    let children = mounted.children();
    let mut failed: Vec<_> = children
        .iter()
        .rev()
        .flat_map(|child| hook_failures(child))
        .collect();
    failed.extend(mounted.hook_failure());
    failed
}

/// Tells a subsystem to end; the receiver hears when it has, or had before.
pub(super) fn tell_to_end(
    mounted: &Mounted,
    order: Order,
    reason: EndReason,
) -> oneshot::Receiver<()> {
    let (end, ended) = oneshot::channel();
    mounted.order(Control::End {
        order,
        reason,
        ended: Some(end),
    });
    ended
}

/// Ends a subsystem and its children, the youngest first; what waits after `deadline`, if there is one,
/// is undeliverable.
pub(super) fn end_tree(
    mounted: Arc<Mounted>,
    deadline: Option<Instant>,
) -> LocalBoxFuture<'static, ()> {
    async move {
        end_children(&mounted, deadline).await;
        let mut ended = tell_to_end(&mounted, Order::Drain, EndReason::Unmounted);
        if let Some(deadline) = deadline {
            let time_is_up = pin!(tokio::time::sleep_until(deadline));
            if before(time_is_up, &mut ended).await {
                return;
            }
            drop(tell_to_end(&mounted, Order::Abort, EndReason::Unmounted));
        }
        let _ = ended.await;
    }
    .boxed_local()
}

/// Ends the children of a subsystem, the youngest first; see [`end_tree`].
pub(super) async fn end_children(mounted: &Mounted, deadline: Option<Instant>) {
    for child in mounted.children().into_iter().rev() {
        end_tree(child, deadline).await;
    }
}

impl Registry {
    /// Lets no path lead to a subsystem and those below it any more, and no child be mounted there.
    pub(super) fn close_tree(&mut self, mounted: &Arc<Mounted>, leaving: &Leaving) {
        mounted.life.end_at(LifeState::Leaving);
        self.remove(mounted);
        let name = &mounted.mailbox.name;
        self.moving
            .insert(name.clone(), Moving::Out(leaving.clone()));
        for child in mounted.children().into_iter().rev() {
            self.close_tree(&child, leaving);
        }
    }

    /// The children of a subsystem have ended: their names can be used again.
    pub(super) fn forget_children(&mut self, mounted: &Mounted) {
        for child in mounted.children().into_iter().rev() {
            self.forget_children(&child);
            // Not if it never stood.
            self.remove(&child);
            self.vacate(&child);
        }
    }

    /// Ends the children of a subsystem. What it returns is to be dropped when they are forgotten: anyone who
    /// mounts under one of their names waits for that.
    pub(super) fn without_children(
        &mut self,
        mounted: Arc<Mounted>,
    ) -> LocalBoxFuture<'static, watch::Sender<()>> {
        let (leave, left) = watch::channel(());
        let children = mounted.children();
        let tree = Arc::new(Tree::of_all(&children));
        let leaving = Leaving { left, tree };
        for child in children.into_iter().rev() {
            self.close_tree(&child, &leaving);
        }
        // Those who have halted wait for this: a child that waits for one of them, or for an envelope that
        // one of them has, would wait forever.
        let deadline = clock::after(Instant::now(), self.shared.stop_deadline);
        async move {
            end_children(&mounted, deadline).await;
            leave
        }
        .boxed_local()
    }
}

impl Handler<EndAll> for Registry {
    type Result = ResponseActFuture<Self, Ended>;

    fn handle(&mut self, EndAll { deadline }: EndAll, _: &mut Self::Context) -> Self::Result {
        if let Some(ended) = &self.ended {
            // It has begun before: its end is this one's too.
            let mut ended = ended.clone();
            let wait = async move {
                let ended = ended.wait_for(Option::is_some).await;
                ended
                    .ok()
                    .and_then(|ended| ended.clone())
                    .unwrap_or_default()
            };
            return Box::pin(wait.into_actor(self));
        }
        let (tell, ended) = watch::channel(None);
        self.ended = Some(ended);
        let mut mounts = self.mounts.subscribe();
        let (shared, ending) = (self.shared.clone(), self.ending.clone());
        let time_is_up = time_is_up(shared.clone(), deadline).boxed_local().shared();
        shared.drain_if_nothing_is_before();
        let before = shared.take_before_stop();
        let before = before_stop::run_all(before, self.threads[0].clone(), time_is_up.clone());
        let end = async move {
            let failed = before.await;
            // Nothing new from here on.
            shared.advance(Phase::Draining);
            ending.send_replace(true);
            let (all, mut ended) = end_all(shared, time_is_up).await;
            ended.before_stop = failed;
            if ended.stuck.is_empty() {
                // Anyone who mounts hears first how that went: all hosts have ended by now.
                let _ = mounts.wait_for(|count| *count == 0).await;
            }
            (all, ended)
        };
        Box::pin(
            end.into_actor(self)
                .map(move |(all, mut ended), registry, _| {
                    ended.snapshot =
                        Some(Arc::new(Snapshot::take(&registry.shared, &registry.topics)));
                    // The youngest first: they stand last in the directory's list.
                    for mounted in all.into_iter().rev() {
                        // What is leaving is vacated by its own unmount.
                        if registry.remove(&mounted) {
                            registry.vacate(&mounted);
                        }
                    }
                    tell.send_replace(Some(ended.clone()));
                    registry.shared.tell_stopped();
                    ended
                }),
        )
    }
}

/// Ends all, the youngest first, so that every one finds those still there that were there before it.
async fn end_all(
    shared: Arc<Shared>,
    time_is_up: impl Future<Output = ()> + Clone + Unpin,
) -> (Vec<Arc<Mounted>>, Ended) {
    // None pauses any longer, before a restart or because it was told to: one that does not see that the system stops is seen here.
    fence(Ordering::SeqCst);
    for mounted in shared.directory.all_alive() {
        if mounted.life.state() != LifeState::Up || mounted.is_paused() {
            mounted.mailbox.wake();
        }
    }
    select(pin!(until_quiet(&shared)), time_is_up.clone()).await;
    let all = shared.directory.all_alive();
    let mut late = Vec::new();
    for mounted in all.iter().rev() {
        let ended = has_ended(mounted, Order::Drain).boxed_local();
        if !late.is_empty() || !before(time_is_up.clone(), ended).await {
            late.push(mounted);
        }
    }
    shared.advance(Phase::Stopped);
    for mounted in &late {
        drop(tell_to_end(mounted, Order::Abort, EndReason::SystemStopped));
    }
    // Those that do not come to their end now hold their thread.
    let grace = grace().boxed_local().shared();
    let mut stuck = Vec::new();
    for mounted in late {
        let ended = has_ended(mounted, Order::Abort).boxed_local();
        if !before(grace.clone(), ended).await {
            stuck.push((&*mounted.mailbox.name).into());
        }
    }
    // So do those that block a thread of their own.
    let none_blocks = async {
        while !shared.blocking.running().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    before(grace, pin!(none_blocks)).await;
    stuck.extend(shared.blocking.running().iter().map(|name| (**name).into()));
    let failed_hooks = all.iter().rev().filter_map(|one| one.hook_failure());
    let failed_hooks = failed_hooks.collect();
    let ended = Ended {
        stuck,
        failed_hooks,
        ..Ended::default()
    };
    (all, ended)
}

/// Waits for the [`GRACE`], slice by slice, each counted from when this thread was awake: a machine that
/// stands still for seconds, with all its threads, has spent one slice by that and no handler's grace.
pub(super) async fn grace() {
    let (slices, slice) = GRACE;
    for _ in 0..slices {
        tokio::time::sleep(slice).await;
    }
}

/// Has a subsystem end because the system stops, and waits until it has.
async fn has_ended(mounted: &Mounted, order: Order) {
    let _ = tell_to_end(mounted, order, EndReason::SystemStopped).await;
}

/// Waits until the deadline has passed, or no one wants to wait for it any more.
async fn time_is_up(shared: Arc<Shared>, deadline: Option<Instant>) {
    let deadline = pin!(clock::sleep_until(deadline));
    let hurried = pin!(shared.until_hurried());
    select(deadline, hurried).await;
}

/// True if the host ended before the time was up.
pub(super) async fn before(
    time_is_up: impl Future<Output = ()> + Unpin,
    ended: impl Future + Unpin,
) -> bool {
    matches!(select(ended, time_is_up).await, Either::Left(_))
}

/// Waits until nothing waits in any mailbox, but for what is kept for later, and no one has sent meanwhile.
async fn until_quiet(shared: &Shared) {
    let mut before = None;
    let mut pause = Duration::from_micros(100);
    loop {
        let all = shared.directory.all_alive();
        // First those kept: they can only become fewer by being handled.
        let kept: u64 = all
            .iter()
            .map(|one| u64::from(one.kept.load(Ordering::Acquire)))
            .sum();
        sim::preempt(Point::Keeper);
        let waiting: u64 = all.iter().map(|mounted| mounted.mailbox.waiting()).sum();
        sim::preempt(Point::Keeper);
        let sent: u64 = all.iter().map(|mounted| mounted.mailbox.accepted()).sum();
        let works = all.iter().any(|one| one.spawned() > 0);
        // A message may have moved on while we looked; not if as many were sent before and after.
        if !works && waiting <= kept && before == Some(sent) {
            return;
        }
        before = Some(sent);
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_grace_of_those_who_are_told_to_end_at_once_is_a_second() {
        let begun = Instant::now();
        grace().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_stands_still_for_long_spends_one_slice_of_the_grace() {
        let (slices, slice) = GRACE;
        let mut grace = pin!(grace());
        for standstill in 1..slices {
            assert!(grace.as_mut().now_or_never().is_none(), "{standstill}");
            tokio::time::advance(Duration::from_secs(3)).await;
        }
        // What is left after so many is a whole slice.
        assert!(grace.as_mut().now_or_never().is_none());
        let begun = Instant::now();
        grace.await;
        assert_eq!(begun.elapsed(), slice);
    }
}
