//! The models, one file for each shared file, and what they share.
#![allow(unsafe_code)]

mod accounts;
mod directory;
mod batch;
mod deferral;
mod inbox;
mod reply;
mod reserve;
mod rogue;
mod room;
mod mailbox;
mod stack;
mod unwinding;
mod unwinding_room;
mod versioned;
mod waiters;
mod wait_graph;
mod world;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::cell::UnsafeCell;

use crate::envelope::mint;
use crate::envelope::pool::stack::Stack;
use crate::envelope::token::{Chain, Links, Token};
use crate::word::heed_loads;

/// Tries every interleaving.
fn in_full(model: impl Fn() + Send + Sync + 'static) {
    heed_loads(false);
    loom::model::Builder::new().check(model);
}

/// Tries every interleaving with at most `switches` preemptions, for models that are too large to be tried in
/// full.
fn up_to(switches: usize, model: impl Fn() + Send + Sync + 'static) {
    heed_loads(false);
    check_up_to(switches, model);
}

fn check_up_to(switches: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// As [`up_to`], with loads as accesses of their own: see [`word`](crate::word).
fn with_loads_up_to(switches: usize, model: impl Fn() + Send + Sync + 'static) {
    heed_loads(true);
    check_up_to(switches, model);
}

/// A small slab: a cell for each envelope, which the token's holder touches without synchronisation. If two
/// threads hold one token, or a holder does not see what the last one did, loom reports it.
struct Slab {
    links: Links,
    contents: Box<[UnsafeCell<u64>]>,
}

// SAFETY: the models examine whether one thread at a time touches a cell: loom checks each access before it is
// made.
unsafe impl Sync for Slab {}
// SAFETY: as above.
unsafe impl Send for Slab {}

impl Slab {
    fn new(envelopes: usize) -> Self {
        Slab {
            links: Links::new(envelopes),
            contents: (0..envelopes).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    fn put(&self, token: &Token, value: u64) {
        self.contents[token.index() as usize].with_mut(|content| {
            // SAFETY: loom has checked that no other thread touches the cell.
            unsafe { *content = value }
        });
    }

    fn get(&self, token: &Token) -> u64 {
        self.contents[token.index() as usize].with(|content| {
            // SAFETY: loom has checked that no other thread writes to the cell.
            unsafe { *content }
        })
    }

    /// Reads and writes the cell, as an owner does.
    fn touch(&self, token: &Token) {
        self.put(token, self.get(token) + 1);
    }

    fn chain(&self, tokens: impl IntoIterator<Item = Token>) -> Chain {
        let mut chain = Chain::new();
        for token in tokens {
            chain.push_back(&self.links, token);
        }
        chain
    }

    /// Makes a stack with the tokens of these envelopes, the first on top.
    fn stack(&self, envelopes: impl IntoIterator<Item = u32>) -> Stack {
        let stack = Stack::new();
        stack.push(&self.links, self.chain(envelopes.into_iter().map(mint)));
        stack
    }

    fn push(&self, stack: &Stack, token: Token) {
        stack.push(&self.links, self.chain([token]));
    }

    /// Touches all envelopes in the stacks, and asserts that each is there once.
    fn assert_whole(&self, stacks: &[&Stack]) {
        let mut found = Vec::new();
        for stack in stacks {
            while let Some(token) = stack.pop(&self.links) {
                self.touch(&token);
                found.push(token.surrender());
            }
        }
        found.sort_unstable();
        let all: Vec<u32> = (0..self.contents.len() as u32).collect();
        assert_eq!(found, all, "a token was lost or given out twice");
    }
}

/// A task that sleeps until it is woken; it may wake spuriously once.
struct Sleeper(Arc<Bell>);

struct Bell(loom::sync::Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

impl Sleeper {
    fn new() -> Self {
        Sleeper(Arc::new(Bell(loom::sync::Notify::new())))
    }

    /// Polls until there is a result, and sleeps in between.
    fn block_on<T>(&self, mut poll: impl FnMut(&Waker) -> Option<T>) -> T {
        let waker = self.waker();
        loop {
            if let Some(result) = poll(&waker) {
                return result;
            }
            self.0.0.wait();
        }
    }

    /// The same with a future.
    fn run<F: Future + Unpin>(&self, future: F) -> F::Output {
        let mut future = Kept::new(future);
        self.block_on(|waker| future.poll_with(waker))
    }

    fn waker(&self) -> Waker {
        Waker::from(self.0.clone())
    }

    /// True if a waker of this task still exists.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// A future that is leaked if its model has failed, so that the model reports that failure and no other.
struct Kept<F>(Option<F>);

impl<F: Future + Unpin> Kept<F> {
    fn new(future: F) -> Self {
        Kept(Some(future))
    }

    fn poll_with(&mut self, waker: &Waker) -> Option<F::Output> {
        match Pin::new(self).poll(&mut Context::from_waker(waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

impl<F: Future + Unpin> Future for Kept<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.get_mut().0.as_mut();
        Pin::new(future.expect("there while it is kept")).poll(cx)
    }
}

impl<F> Drop for Kept<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.0.take());
        }
    }
}
