//! What the registry does when hosts report: restarts that concern several, and ends that concern others.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use futures_util::future::select;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Registry;
use super::ending::EndAll;
use crate::base::clock;
use crate::directory::Mounted;
use crate::directory::life::LifeState;
use crate::mailbox::orders::{Control, Report, Reported};
use crate::runtime::shared::Phase;
use crate::words::events::EndReason;
use crate::words::stop_reason::StopReason;
use crate::words::supervision::{Failure, RestartScope};

impl Handler<Report> for Registry {
    type Result = ();

    fn handle(&mut self, report: Report, ctx: &mut Context<Self>) {
        let by_mailbox = self.shared.directory.by_mailbox(report.mailbox);
        let Some(mounted) = by_mailbox.filter(|one| one.number == report.mount) else {
            // It was unmounted meanwhile.
            return;
        };
        if matches!(report.what, Reported::Ended(_)) && self.is_moving_in(&mounted) {
            // It stood, or did not, but who mounts it is yet to be told.
            return self.postponed.push(report);
        }
        match report.what {
            Reported::Failed { failure, after } => {
                let concerned = self.concerned(&mounted);
                let is_restarting = |one: &Arc<Mounted>| self.restarting.contains(&one.mailbox.id);
                if concerned.iter().any(is_restarting) {
                    let what = Reported::Failed { failure, after };
                    return self.postponed.push(Report { what, ..report });
                }
                self.restart(concerned, failure, after, ctx);
            }
            Reported::Ended(reason) => self.ended_by_itself(mounted, reason, ctx),
        }
    }
}

/// Gives an order that is acknowledged, and waits until it is, or can't be.
async fn acknowledged(mounted: &Mounted, order: impl FnOnce(oneshot::Sender<()>) -> Control) {
    let (done, is_done) = oneshot::channel();
    mounted.order(order(done));
    let _ = is_done.await;
}

impl Registry {
    /// The siblings of a subsystem that stand, itself among them, in the order in which they were started.
    fn siblings(&self, mounted: &Mounted) -> Vec<Arc<Mounted>> {
        match mounted.superior() {
            Some(superior) => {
                let children = superior.children().into_iter();
                let hosts = children.flat_map(|one| match one.group() {
                    None => vec![one],
                    Some(_) => one.children(),
                });
                hosts.filter(|one| !self.is_moving_in(one)).collect()
            }
            None => {
                let mut roots = self.shared.directory.all();
                roots.retain(|one| one.superior().is_none());
                roots
            }
        }
    }

    /// Those who are restarted together with a subsystem that failed, in the order in which they were
    /// started.
    fn concerned(&self, mounted: &Arc<Mounted>) -> Vec<Arc<Mounted>> {
        let restart_scope = match mounted.superior() {
            Some(superior) => superior.restart_scope,
            None => self.restart_scope,
        };
        let siblings = self.siblings(mounted);
        let at = siblings.iter().position(|one| Arc::ptr_eq(one, mounted));
        match (restart_scope, at) {
            (RestartScope::AllForOne, Some(_)) => siblings,
            (RestartScope::RestForOne, Some(at)) => siblings[at..].to_vec(),
            // One that is leaving is no one's sibling any more.
            (RestartScope::OneForOne, _) | (_, None) => vec![mounted.clone()],
        }
    }

    /// Halts all who are concerned, the youngest first, ends their children, and restarts them, the
    /// oldest first.
    fn restart(
        &mut self,
        concerned: Vec<Arc<Mounted>>,
        failure: Failure,
        after: Duration,
        ctx: &mut Context<Self>,
    ) {
        for one in &concerned {
            self.restarting.insert(one.mailbox.id);
            // A child mounted from here on would be forgotten with those that end.
            one.life.halt();
        }
        let childless: Vec<_> = concerned
            .iter()
            .map(|one| self.without_children(one.clone()))
            .collect();
        let mut ending = self.ending.subscribe();
        let halt = {
            let concerned = concerned.clone();
            async move {
                let mut leaving = Vec::new();
                for (one, childless) in concerned.iter().zip(childless).rev() {
                    leaving.push(childless.await);
                    acknowledged(one, Control::Halt).await;
                }
                // Who is to end first handles what waits: it does not wait for the pause.
                let pause = pin!(clock::sleep_for(after));
                select(pause, pin!(ending.wait_for(|is_ending| *is_ending))).await;
                leaving
            }
        };
        let halted = halt.into_actor(self).then(move |leaving, registry, _| {
            for one in &concerned {
                registry.forget_children(one);
                one.life.has_halted();
            }
            drop(leaving);
            let revive = async move {
                for one in &concerned {
                    let failure = failure.clone();
                    acknowledged(one, |done| Control::Revive { failure, done }).await;
                }
                concerned
            };
            revive.into_actor(registry)
        });
        ctx.spawn(halted.map(|concerned, registry, ctx| {
            for one in concerned {
                registry.restarting.remove(&one.mailbox.id);
            }
            registry.look_again(ctx);
        }));
    }

    /// Handles the reports that were put off.
    pub(super) fn look_again(&mut self, ctx: &mut Context<Self>) {
        for report in std::mem::take(&mut self.postponed) {
            self.handle(report, ctx);
        }
    }

    /// A subsystem has ended without being told to.
    fn ended_by_itself(
        &mut self,
        mounted: Arc<Mounted>,
        reason: EndReason,
        ctx: &mut Context<Self>,
    ) {
        mounted.life.end_at(LifeState::Leaving);
        let childless = self.without_children(mounted.clone());
        let forgotten = move |leaving, registry: &mut Self, ctx: &mut Context<Self>| {
            registry.forget_children(&mounted);
            drop(leaving);
            if matches!(reason, EndReason::Failed(_)) && mounted.policy().keep_failed {
                // It stays where it can be seen, closed, until it is unmounted.
                return registry.tell_end(&mounted);
            }
            if registry.shared.directory.remove(&mounted) {
                registry.vacate(&mounted);
            }
            if let EndReason::Escalated(failure) = reason {
                registry.escalate(&mounted, failure, ctx);
            }
        };
        ctx.spawn(childless.into_actor(self).map(forgotten));
    }

    /// A subsystem failed too often: its parent fails in its place, or the system stops.
    fn escalate(&mut self, mounted: &Mounted, failure: Failure, ctx: &mut Context<Self>) {
        let name = mounted.mailbox.name.clone();
        if let Some(superior) = mounted.superior() {
            let failure = Arc::new(failure);
            return superior.order(Control::Fail(Failure::Child { name, failure }));
        }
        if self.ended.is_some() || self.shared.phase() != Phase::Open {
            return;
        }
        let subsystem = name;
        self.shared
            .note_stop(StopReason::Escalated { subsystem, failure });
        let deadline = clock::after(Instant::now(), self.shared.stop_deadline);
        let end = <Self as Handler<EndAll>>::handle(self, EndAll { deadline }, ctx);
        ctx.spawn(end.map(|_, _, _| ()));
    }
}
