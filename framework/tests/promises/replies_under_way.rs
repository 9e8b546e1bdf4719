//! Promise: what a later reply brings about, a failure or another reply, takes place whatever its subsystem does at
//! that time.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use mycelia::error::AskError;
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::supervise::Backoff;

/// What the tests see from outside.
#[derive(Default)]
struct Seen {
    replies: Mutex<Vec<Reply<Keep>>>,
    lives: AtomicU32,
    started: AtomicU32,
    spawned_ended: AtomicU32,
}

impl Seen {
    fn take(&self) -> Option<Reply<Keep>> {
        self.replies.lock().unwrap().pop()
    }
}

/// Its reply may hold others.
#[derive(Message)]
#[message(reply = Vec<Reply<Keep>>)]
struct Keep;
#[derive(Message)]
struct Hold;
#[derive(Message)]
struct Block(std::sync::mpsc::Receiver<()>);
#[derive(Message)]
#[message(reply = u32)]
struct Ping;

#[derive(Subsystem)]
struct Desk(Arc<Seen>);

impl Desk {
    fn new(seen: &Arc<Seen>) -> Self {
        let others = seen.lives.fetch_add(1, Ordering::SeqCst);
        assert_eq!(others, 0, "two values live at once");
        Desk(seen.clone())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.0.lives.fetch_sub(1, Ordering::SeqCst);
    }
}

#[routes]
impl Desk {
    #[started]
    fn begin(&mut self) {
        self.0.started.fetch_add(1, Ordering::SeqCst);
    }

    #[stopped]
    fn end(&mut self, _: EndReason, ctx: Context) {
        let seen = self.0.clone();
        ctx.spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            seen.spawned_ended.fetch_add(1, Ordering::SeqCst);
        });
    }

    #[route("keep")]
    fn keep(&mut self, _: Keep, reply: Reply<Keep>) {
        self.0.replies.lock().unwrap().push(reply);
    }

    #[route("hold")]
    async fn hold(&mut self, _: Hold) {
        std::future::pending().await
    }

    #[route("block", blocking)]
    fn block(&mut self, Block(until): Block) {
        let _ = until.recv();
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u32 {
        self.0.started.load(Ordering::SeqCst)
    }
}

async fn mounted(options: MountOptions) -> (System, Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    let system = System::builder().threads(1).start().await.unwrap();
    let makes = seen.clone();
    let factory = move || Desk::new(&makes);
    system
        .mount_with(options.name("desk"), factory)
        .await
        .unwrap();
    (system, seen)
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never comes to this: {what}");
}

/// Has a message wait for its reply, which is in `seen` then.
async fn keep(system: &System, seen: &Seen) {
    let before = seen.replies.lock().unwrap().len();
    system.tell("desk://keep", Keep).await.unwrap();
    until("the reply is there", || {
        seen.replies.lock().unwrap().len() > before
    })
    .await;
}

#[mycelia::test]
async fn an_error_that_fails_a_subsystem_ends_the_handler_under_way_and_the_next_message_is_handled()
 {
    let (system, seen) = mounted(MountOptions::new().restart_on_error(true)).await;
    keep(&system, &seen).await;
    let mut held = Box::pin(system.ask("desk://hold", Hold));
    assert!((&mut held).now_or_never().is_none());
    tokio::time::sleep(Duration::from_millis(5)).await;
    seen.take().unwrap().fail(std::io::Error::other("no paper"));
    let held = held.await;
    assert!(matches!(held, Err(AskError::Unhandled { .. })), "{held:?}");
    assert_eq!(system.ask("desk://ping", Ping).await.unwrap(), 2);
    let snapshot = system.snapshot();
    assert_eq!(snapshot.subsystem("desk").unwrap().restarts, 1);
    assert_eq!((snapshot.total.failed, snapshot.total.handled), (2, 1));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_error_that_fails_a_subsystem_waits_for_the_blocking_call_that_has_its_value() {
    let (system, seen) = mounted(MountOptions::new().restart_on_error(true)).await;
    keep(&system, &seen).await;
    let (end, until_then) = std::sync::mpsc::channel();
    system
        .tell("desk://block", Block(until_then))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    seen.take().unwrap().fail(std::io::Error::other("no paper"));
    until("the message has failed", || {
        system.snapshot().total.failed > 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(seen.started.load(Ordering::SeqCst), 1);
    end.send(()).unwrap();
    assert_eq!(system.ask("desk://ping", Ping).await.unwrap(), 2);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_error_that_fails_an_idle_subsystem_restarts_it_though_no_message_comes() {
    let pause = Duration::from_millis(5);
    for backoff in [None, Some(Backoff::new(pause, pause))] {
        let mut options = MountOptions::new().restart_on_error(true);
        if let Some(backoff) = backoff {
            options = options.backoff(backoff);
        }
        let (system, seen) = mounted(options).await;
        keep(&system, &seen).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        seen.take().unwrap().fail(std::io::Error::other("no paper"));
        until("it has started again", || {
            seen.started.load(Ordering::SeqCst) == 2
        })
        .await;
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn errors_that_come_together_fail_a_subsystem_once_and_one_after_its_last_hook_does_not() {
    let (system, seen) = mounted(MountOptions::new().restart_on_error(true)).await;
    for _ in 0..4 {
        keep(&system, &seen).await;
    }
    let last = seen.take().unwrap();
    let (end, until_then) = std::sync::mpsc::channel();
    system
        .tell("desk://block", Block(until_then))
        .await
        .unwrap();
    while let Some(reply) = seen.take() {
        reply.fail(std::io::Error::other("no paper"));
    }
    until("they have failed", || system.snapshot().total.failed > 2).await;
    end.send(()).unwrap();
    assert_eq!(system.ask("desk://ping", Ping).await.unwrap(), 2);
    let mut unmount = Box::pin(system.unmount("desk"));
    assert!((&mut unmount).now_or_never().is_none());
    until("its last hook has been called", || {
        seen.spawned_ended.load(Ordering::SeqCst) > 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    last.fail(std::io::Error::other("no paper"));
    assert!(unmount.await.unwrap().is_quiet());
    assert_eq!(seen.started.load(Ordering::SeqCst), 2);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_a_last_hook_spawns_is_waited_for() {
    let (system, seen) = mounted(MountOptions::new()).await;
    system.unmount("desk").await.unwrap();
    assert_eq!(seen.spawned_ended.load(Ordering::SeqCst), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_reply_in_an_answer_that_no_one_takes_ends_its_message_at_once() {
    let (system, seen) = mounted(MountOptions::new()).await;
    for _ in 0..3 {
        keep(&system, &seen).await;
    }
    let mut asked = Box::pin(system.ask("desk://keep", Keep));
    assert!((&mut asked).now_or_never().is_none());
    until("it has the reply", || {
        seen.replies.lock().unwrap().len() == 4
    })
    .await;
    let reply = seen.take().unwrap();
    let others: Vec<_> = seen.replies.lock().unwrap().drain(..).collect();
    drop(asked);
    // The host drops the answer in a turn of its own, and with it the others.
    reply.send(others);
    until("all have ended", || system.snapshot().total.is_quiet()).await;
    system.stop().await.unwrap();
}

/// An error whose text sends a reply.
#[derive(Debug)]
struct Telling(Mutex<Option<Reply<Keep>>>);

impl fmt::Display for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reply) = self.0.lock().unwrap().take() {
            reply.send(Vec::new());
        }
        f.write_str("no paper")
    }
}

impl std::error::Error for Telling {}

#[mycelia::test]
async fn a_reply_that_is_sent_by_the_text_of_an_error_ends_its_message_at_once() {
    let (system, seen) = mounted(MountOptions::new()).await;
    keep(&system, &seen).await;
    keep(&system, &seen).await;
    let other = seen.take();
    let error = Telling(Mutex::new(other));
    seen.take().unwrap().fail(error);
    until("both have ended", || system.snapshot().total.is_quiet()).await;
    let total = system.snapshot().total;
    assert_eq!((total.handled, total.failed), (1, 1));
    system.stop().await.unwrap();
}

/// A waker that sends a reply.
struct Sends(Mutex<Option<Reply<Keep>>>);

impl Wake for Sends {
    fn wake(self: Arc<Self>) {
        if let Some(reply) = self.0.lock().unwrap().take() {
            reply.send(Vec::new());
        }
    }
}

#[mycelia::test]
async fn a_reply_that_is_sent_by_the_waker_of_an_asker_ends_its_message_at_once() {
    let (system, seen) = mounted(MountOptions::new()).await;
    keep(&system, &seen).await;
    let mut asked = Box::pin(system.ask("desk://keep", Keep));
    let waker = Waker::from(Arc::new(Sends(Mutex::new(seen.take()))));
    assert!(
        asked
            .poll_unpin(&mut TaskContext::from_waker(&waker))
            .is_pending()
    );
    until("it has the reply", || {
        !seen.replies.lock().unwrap().is_empty()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    seen.take().unwrap().send(Vec::new());
    until("both have ended", || system.snapshot().total.is_quiet()).await;
    assert_eq!(system.snapshot().total.handled, 2);
    assert!(asked.await.unwrap().is_empty());
    system.stop().await.unwrap();
}

std::thread_local! {
    static KEPT: std::cell::RefCell<Vec<Reply<Keep>>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[mycelia::test]
async fn a_reply_that_a_thread_keeps_ends_with_the_thread() {
    let (system, seen) = mounted(MountOptions::new()).await;
    for touches_first in [false, true] {
        keep(&system, &seen).await;
        let reply = seen.take().unwrap();
        let also = system.clone();
        let thread = std::thread::spawn(move || {
            // What the framework keeps for the thread ends before or after the thread's own.
            let touch = || drop(also.try_tell("desk://nowhere", Ping));
            if touches_first {
                touch();
            }
            KEPT.with(|kept| kept.borrow_mut().push(reply));
            touch();
        });
        thread.join().unwrap();
        until("it has ended", || system.snapshot().total.is_quiet()).await;
    }
    system.stop().await.unwrap();
}

#[derive(Message)]
#[message(reply = bool)]
struct Give(Reply<Keep>);

#[derive(Subsystem, Default)]
struct Giver(Vec<Reply<Keep>>);

#[routes]
impl Giver {
    #[route("give")]
    fn give(&mut self, Give(reply): Give) -> bool {
        reply.send(Vec::new())
    }

    #[route("keep")]
    fn keep(&mut self, Give(reply): Give) -> bool {
        self.0.push(reply);
        true
    }
}

#[mycelia::test]
async fn a_reply_of_one_system_is_given_by_another_s_handler_message_and_value() {
    let (system, seen) = mounted(MountOptions::new()).await;
    let other = System::builder().threads(1).start().await.unwrap();
    other.mount(Giver::default).await.unwrap();
    for path in ["giver://give", "giver://keep", "giver://nowhere"] {
        keep(&system, &seen).await;
        let reply = seen.take().unwrap();
        match other.ask(path, Give(reply)).await {
            Ok(is_given) => assert!(is_given),
            Err(error) => drop(error),
        }
    }
    other.unmount("giver").await.unwrap();
    until("all have ended", || system.snapshot().total.is_quiet()).await;
    assert_eq!(system.snapshot().total.handled, 3);
    other.stop().await.unwrap();
    system.stop().await.unwrap();
}
