//! The running tasks of a subsystem, and how they are cancelled. Promise: a task that has ended leaves nothing
//! behind, neither in the list nor in the handles that can cancel it.

use std::sync::Arc;
use std::task::Context;

use rustc_hash::FxHashMap;

use crate::base::sync::{AtomicU8, Mutex, Ordering, lock};
use crate::base::user_code::wake;
use crate::base::waker_slot::WakerSlot;

/// Cancels a task. Shared by the task, the subsystem's list and the handles of the task.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    /// 1 once the task is cancelled. Written by `cancel`, read by the task when it is polled.
    is_cancelled: AtomicU8,
    /// The task's waker. Left by the task when it is polled; taken by `cancel`, which wakes it, or by `retire`.
    task: WakerSlot,
}

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(1, Ordering::Release);
        if let Some(task) = self.task.take() {
            wake(task);
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire) != 0
    }

    /// Returns true if the task is cancelled. Otherwise `cancel` will wake it.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> bool {
        if self.is_cancelled() {
            return true;
        }
        self.task.set(cx.waker());
        self.is_cancelled()
    }

    /// Called when the task has ended. Its waker would keep its memory alive.
    pub(crate) fn retire(&self) {
        drop(self.task.take());
    }
}

/// The tasks of a subsystem.
#[derive(Default)]
pub(crate) struct TaskList(Mutex<RunningTask>);

#[derive(Default)]
struct RunningTask {
    next: u64,
    tasks: FxHashMap<u64, Arc<Cancel>>,
}

/// The map keeps capacity for this many tasks, however few run.
const ROOM: usize = 64;

impl TaskList {
    /// Adds a task and returns its number.
    pub(crate) fn enter(&self, task: Arc<Cancel>) -> u64 {
        let mut running = lock(&self.0);
        let number = running.next;
        running.next = number.wrapping_add(1);
        running.tasks.insert(number, task);
        number
    }

    /// Removes a task that has ended.
    pub(crate) fn leave(&self, number: u64) {
        let mut running = lock(&self.0);
        running.tasks.remove(&number);
        let (len, capacity) = (running.tasks.len(), running.tasks.capacity());
        if capacity > ROOM && len < capacity / 8 {
            running.tasks.shrink_to(ROOM.max(len.saturating_mul(2)));
        }
    }

    /// Cancels all tasks.
    pub(crate) fn cancel_all(&self) {
        let all = std::mem::take(&mut lock(&self.0).tasks);
        for task in all.into_values() {
            task.cancel();
        }
    }

    /// How many tasks run.
    #[cfg(test)]
    fn len(&self) -> usize {
        lock(&self.0).tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_over_leaves_nothing_behind() {
        let list = TaskList::default();
        let (first, second) = (Arc::<Cancel>::default(), Arc::<Cancel>::default());
        let number = list.enter(first.clone());
        list.enter(second.clone());
        list.leave(number);
        assert_eq!((list.len(), Arc::strong_count(&first)), (1, 1));
        list.cancel_all();
        assert!(second.is_cancelled() && !first.is_cancelled());
        assert_eq!((list.len(), Arc::strong_count(&second)), (0, 1));
        // A task may end after all were cancelled.
        list.leave(number + 1);
    }

    #[test]
    fn room_for_many_is_not_kept_when_they_are_over() {
        let list = TaskList::default();
        let numbers: Vec<_> = (0..10_000).map(|_| list.enter(Arc::default())).collect();
        for number in numbers {
            list.leave(number);
        }
        assert!(lock(&list.0).tasks.capacity() <= 4 * ROOM);
    }
}
