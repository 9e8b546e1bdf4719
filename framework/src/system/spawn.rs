//! Work beside the mailbox: futures of a subsystem that run while it handles messages.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use crate::base::clock::Due;
use crate::directory::Mounted;
use crate::envelope::pool::Pool;
use crate::runtime::shared::Shared;
use crate::system::context::Context;
use crate::system::tasks::Task;
use crate::thread::Local;
use crate::words::error::SendError;
use crate::words::message::Message;

impl Context {
    /// Runs a future beside the mailbox, on the subsystem's thread: its next messages are handled meanwhile.
    ///
    /// What the future sends is sent by this subsystem, and carries the trace of the message that is being
    /// handled now. It ends with the subsystem: a restart cancels it, an end by `stop` or `unmount` waits for it
    /// until the deadline, if there is one. If it panics the subsystem fails under its policy. At most
    /// [`max_spawned`](crate::MountOptions::max_spawned) run at once; more wait for their turn.
    ///
    /// An ask in it is not looked at for wait cycles: the subsystem goes on meanwhile, so that it may be asked
    /// back. Such an ask ends at its deadline.
    ///
    /// # Cancel safety
    /// Dropping the [`Task`] changes nothing; [`Task::cancel`] drops the future.
    ///
    /// # Examples
    /// See [`Reply`](crate::extract::Reply).
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Task {
        let counted = Counted::new(self.mounted().clone());
        let Some(shared) = self.shared() else {
            return Task::ended();
        };
        let work = Spawned::new(&shared, self.mounted().mailbox.id, future);
        self.run(|_| async move {
            // Dropped last, in whatever way this ends.
            let counted = counted;
            let turn = counted.mounted.spawning().acquire().await;
            work.await;
            drop(turn);
        })
    }

    /// Runs a future as [`spawn`](Self::spawn) does, makes a message of its result, and sends that to a path
    /// within this subsystem: `"done"` is `name://done`. The message waits for room if there is none.
    ///
    /// # Errors
    /// The subsystem has no such route, or it takes other messages; nothing runs then.
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct Refresh;
    /// #[derive(Message)]
    /// struct Loaded(String);
    ///
    /// #[derive(Subsystem, Default)]
    /// struct Cache {
    ///     text: String,
    /// }
    ///
    /// #[routes]
    /// impl Cache {
    ///     #[route("refresh")]
    ///     fn refresh(&mut self, _: Refresh, ctx: Context) -> anyhow::Result<()> {
    ///         let load = async { "fresh".to_owned() };
    ///         ctx.spawn_then("loaded", load, Loaded)?;
    ///         Ok(())
    ///     }
    ///
    ///     #[route("loaded")]
    ///     fn loaded(&mut self, Loaded(text): Loaded) {
    ///         self.text = text;
    ///     }
    /// }
    /// ```
    pub fn spawn_then<T, M: Message>(
        &self,
        path: &str,
        future: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(T) -> M + Send + 'static,
    ) -> Result<Task, SendError> {
        let route = self.own_route::<M>(path)?.with_priority(M::PRIORITY);
        Ok(self.spawn(async move {
            let message = then(future.await);
            // Its subsystem has closed: no one is there for the result.
            let _ = route.tell(message).await;
        }))
    }
}

/// Counts a future from when it is spawned until it has ended.
struct Counted {
    mounted: Arc<Mounted>,
}

impl Counted {
    fn new(mounted: Arc<Mounted>) -> Self {
        mounted.spawning().enter();
        Counted { mounted }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.mounted.spawning().leave() {
            // It may wait for this to end.
            self.mounted.mailbox.wake();
        }
    }
}

pin_project_lite::pin_project! {
    /// A future of a subsystem's, polled in its name.
    struct Spawned<F> {
        #[pin]
        future: F,
        pool: Arc<Pool>,
        mailbox: u32,
        trace: u64,
    }
}

impl<F> Spawned<F> {
    fn new(shared: &Shared, mailbox: u32, future: F) -> Self {
        Spawned {
            future,
            pool: shared.pool.clone(),
            mailbox,
            trace: Local::of(&shared.pool).trace(),
        }
    }
}

impl<F: Future<Output = ()>> Future for Spawned<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.project();
        let local = Local::of(this.pool);
        let _serving = local.serve_beside(*this.mailbox);
        local.take_up(Due::NEVER, *this.trace);
        this.future.poll(cx)
    }
}
