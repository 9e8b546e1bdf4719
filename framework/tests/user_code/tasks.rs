//! Timers and streams with code of the user's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures_util::Stream;
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Task};

use crate::subjects::Hit;
use crate::table::Site;
use crate::world::{Token, World};

const SOON: Duration = Duration::from_micros(500);
const LATE: Duration = Duration::from_secs(3600);

/// Begins the task that the site wants.
#[derive(Message)]
pub(crate) struct Begin;

struct Items {
    world: Arc<World>,
    _token: Token,
    endless: bool,
}

impl Stream for Items {
    type Item = Hit;

    fn poll_next(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Hit>> {
        self.world.reach(Site::StreamPoll);
        self.world.reach(Site::StreamPollAndDrop);
        match self.endless {
            true => Poll::Pending,
            false => Poll::Ready(None),
        }
    }
}

impl Begin {
    pub(crate) fn run(self, world: &Arc<World>, ctx: &Context) -> anyhow::Result<()> {
        let site = world.site;
        let of_value = match site {
            Site::StreamPoll | Site::TimerCall => Site::Nowhere,
            site => site,
        };
        let token = || match site {
            Site::StreamPollAndDrop | Site::TimerCallAndDrop => world.burning_token(site),
            _ => world.token(of_value),
        };
        let task: Task = match site {
            Site::StreamItemUnsent => {
                // The first fills the mailbox.
                let hits = [Hit(world.token(Site::Nowhere)), Hit(world.token(site))];
                ctx.stream("hold", futures_util::stream::iter(hits))?
            }
            Site::StreamPoll
            | Site::StreamPollAndDrop
            | Site::StreamDropAtItsEnd
            | Site::StreamDropAtUnmount
            | Site::StreamDropAtStop => {
                let items = Items {
                    world: world.clone(),
                    _token: token(),
                    endless: matches!(site, Site::StreamDropAtUnmount | Site::StreamDropAtStop),
                };
                ctx.stream("sync", items)?
            }
            Site::AfterCancelled | Site::AfterUnmounted | Site::AfterAtStop => {
                ctx.after(LATE, "sync", Hit(world.token(of_value)))?
            }
            _ => {
                let period = match site {
                    Site::TimerCall | Site::TimerCallAndDrop => SOON,
                    _ => LATE,
                };
                let (world, token) = (world.clone(), token());
                ctx.every(period, MissedTick::Skip, "sync", move || {
                    let _ = &token;
                    world.reach(Site::TimerCall);
                    world.reach(Site::TimerCallAndDrop);
                    Hit(world.token(Site::Nowhere))
                })?
            }
        };
        if site == Site::StreamItemUnsent {
            return Ok(());
        }
        world.arm();
        if matches!(site, Site::AfterCancelled | Site::TimerDropAtCancel) {
            task.cancel();
        }
        Ok(())
    }
}
