//! A parser of the sender's own that panics while its message waits for room: room that it was woken for goes
//! to the next one.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::common::{figures, quiet, quiet_panics, until, watchdog};
use mycelia::prelude::*;
use tokio::sync::Semaphore;

#[derive(Message)]
struct Pass;

struct Gate(Semaphore);

static PARSER_PANICS: AtomicBool = AtomicBool::new(false);

struct Word;

impl FromStr for Word {
    type Err = Infallible;

    fn from_str(_: &str) -> Result<Self, Infallible> {
        let panics = PARSER_PANICS.load(Ordering::SeqCst);
        assert!(!panics, "a parser panics on purpose");
        Ok(Word)
    }
}

/// Handles nothing before the gate opens.
#[derive(Subsystem, Default)]
struct Gated;

#[routes]
impl Gated {
    #[route("pass")]
    async fn pass(&mut self, _: Pass, State(gate): State<Gate>) {
        gate.0.acquire().await.expect("it stays open").forget();
    }

    #[route("words/{word}")]
    fn word(&mut self, _: Pass, Path(Word): Path<Word>) {}
}

#[derive(Default)]
struct Task(AtomicBool);

impl Task {
    fn is_woken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn poll<F: Future>(future: &mut Pin<Box<F>>, task: &Arc<Task>) -> Poll<F::Output> {
    let waker = Waker::from(task.clone());
    future.as_mut().poll(&mut Context::from_waker(&waker))
}

#[mycelia::test]
async fn a_send_whose_parser_panics_when_there_is_room_leaves_it_to_the_next_one() {
    let _watch = watchdog();
    quiet_panics();
    // The room that lacks: an envelope, and a place in the mailbox.
    for (pool, capacity) in [(1, 100), (100, 1)] {
        PARSER_PANICS.store(false, Ordering::SeqCst);
        let gate = Arc::new(Gate(Semaphore::new(0)));
        let builder = System::builder().threads(1).pool(pool);
        let system = builder.shared_state(gate.clone()).start().await.unwrap();
        let options = MountOptions::new().capacity(capacity);
        system.mount_with(options, Gated::default).await.unwrap();
        system.tell("gated://pass", Pass).await.unwrap();

        let (first, next) = (Arc::<Task>::default(), Arc::<Task>::default());
        let mut unlucky = Box::pin(system.tell("gated://words/one", Pass));
        assert!(poll(&mut unlucky, &first).is_pending());
        let mut tell = Box::pin(system.tell("gated://words/two", Pass));
        assert!(poll(&mut tell, &next).is_pending());

        PARSER_PANICS.store(true, Ordering::SeqCst);
        gate.0.add_permits(1);
        until("the first is woken", || first.is_woken()).await;
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut unlucky, &first)));
        assert!(polled.is_err());
        PARSER_PANICS.store(false, Ordering::SeqCst);
        drop(unlucky);
        assert!(next.is_woken(), "there is room, and it sleeps on");
        assert!(poll(&mut tell, &next).is_ready());
        assert_eq!(figures(&quiet(&system).await), [2, 2, 0, 0, 0, 0]);
        system.stop().await.unwrap();
    }
}
