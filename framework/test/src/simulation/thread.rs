//! A simulated thread: a set of tasks, and the thread-locals that a real thread would have.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use tokio::sync::oneshot;
use tokio::task::LocalSet;

use mycelia::__test::{Job, Jobs, ThreadMemory, enter};

pub(super) struct SimThread {
    pub(super) number: u32,
    pub(super) name: String,
    /// `None` once the thread has ended. Borrowed while it runs.
    tasks: RefCell<Option<LocalSet>>,
    memory: RefCell<ThreadMemory>,
    bell: Arc<Bell>,
    /// Set when the thread must end. The sender is used when it has ended.
    ending: RefCell<Option<oneshot::Sender<()>>>,
    /// The thread is not chosen before this step, as if the operating system had suspended it.
    pub(super) aside_until: Cell<u64>,
}

/// Wakes a simulated thread, and with it the simulation.
struct Bell {
    rung: AtomicBool,
    alarm: Arc<SimAlarm>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Relaxed);
        self.alarm.wake();
    }
}

/// Wakes the simulation.
#[derive(Default)]
pub(super) struct SimAlarm(Mutex<Option<Waker>>);

impl SimAlarm {
    pub(super) fn set(&self, waker: &Waker) {
        let mut alarm = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *alarm {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn wake(&self) {
        let alarm = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*alarm {
            waker.wake_by_ref();
        }
    }
}

/// Guard of a simulated thread that runs now.
struct RunningTurn<'t> {
    thread: &'t SimThread,
    before: u32,
}

impl Drop for RunningTurn<'_> {
    fn drop(&mut self) {
        self.thread.exchange();
        enter(self.before);
    }
}

impl SimThread {
    pub(super) fn new(number: u32, name: String, alarm: Arc<SimAlarm>) -> Rc<Self> {
        Rc::new(SimThread {
            number,
            name,
            tasks: RefCell::new(Some(LocalSet::new())),
            memory: RefCell::default(),
            bell: Arc::new(Bell {
                rung: AtomicBool::new(true),
                alarm,
            }),
            ending: RefCell::default(),
            aside_until: Cell::new(0),
        })
    }

    /// Runs a future on the thread.
    pub(super) fn spawn<T: 'static>(
        &self,
        work: impl Future<Output = T> + 'static,
    ) -> tokio::task::JoinHandle<T> {
        match &*self.tasks.borrow() {
            Some(tasks) => tasks.spawn_local(work),
            None => unreachable!("only a new thread is given work in this way"),
        }
    }

    /// Makes the thread run jobs, and returns where to send them.
    pub(super) fn take_jobs(&self) -> Jobs {
        let (jobs, mut taken) = tokio::sync::mpsc::unbounded_channel::<Job>();
        self.spawn(async move {
            while let Some(job) = taken.recv().await {
                job();
            }
        });
        Jobs::new(jobs)
    }

    /// Swaps the thread-locals of the real thread with those of this one.
    fn exchange(&self) {
        self.memory.borrow_mut().exchange();
    }

    fn run(&self) -> RunningTurn<'_> {
        self.exchange();
        RunningTurn {
            thread: self,
            before: enter(self.number),
        }
    }

    /// True if the thread has something to do and does not run.
    pub(super) fn is_ready(&self) -> bool {
        self.bell.rung.load(Ordering::Relaxed)
            && self
                .tasks
                .try_borrow_mut()
                .is_ok_and(|tasks| tasks.is_some())
    }

    /// Makes the thread end when it is next polled.
    pub(super) fn end(&self, ended: oneshot::Sender<()>) {
        *self.ending.borrow_mut() = Some(ended);
        self.bell.wake_by_ref();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.borrow().is_some()
    }

    /// Polls the thread's tasks.
    pub(super) fn poll(&self) {
        let Ok(mut tasks) = self.tasks.try_borrow_mut() else {
            return;
        };
        let Some(tasks) = &mut *tasks else {
            return;
        };
        self.bell.rung.store(false, Ordering::Relaxed);
        let _running = self.run();
        let waker = Waker::from(self.bell.clone());
        let _ = Pin::new(tasks).poll(&mut Context::from_waker(&waker));
    }

    /// Ends the thread: drops its tasks, then its thread-locals.
    pub(super) fn dismantle(&self) {
        let tasks = self.tasks.borrow_mut().take();
        let running = self.run();
        drop(tasks);
        drop(running);
        drop(self.memory.take());
        if let Some(ended) = self.ending.take() {
            let _ = ended.send(());
        }
    }
}
