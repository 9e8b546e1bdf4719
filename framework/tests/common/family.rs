//! Parents and children, for the tests of what happens to them at once.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use mycelia::prelude::*;
use tokio::sync::Semaphore;

use crate::common::{ON_PURPOSE, named};

#[derive(Message)]
#[message(reply = String)]
pub(crate) struct Name;

#[derive(Message)]
pub(crate) struct Panic;

/// Has its handler wait for the gate.
#[derive(Message)]
pub(crate) struct Linger;

/// Has its handler block the thread until the other end of the channel is dropped.
#[derive(Message)]
pub(crate) struct Block(pub(crate) Receiver<()>);

/// What a handler or a start waits for, where it does.
pub(crate) struct Gate {
    pub(crate) begun: Semaphore,
    pub(crate) permits: Semaphore,
}

impl Gate {
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Gate {
            begun: Semaphore::new(0),
            permits: Semaphore::new(0),
        })
    }

    /// Waits for it.
    pub(crate) async fn pass(&self) {
        self.begun.add_permits(1);
        self.permits.acquire().await.unwrap().forget();
    }
}

/// Mounts children of these names when it starts.
#[derive(Subsystem, Default)]
pub(crate) struct Node {
    pub(crate) children: &'static [&'static str],
}

#[routes]
impl Node {
    #[started]
    async fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
        for name in self.children {
            ctx.mount_with(named(name), Node::default).await?;
        }
        Ok(())
    }

    #[route("name")]
    fn name(&mut self, _: Name, ctx: Context) -> String {
        ctx.name().to_owned()
    }

    #[route("panic")]
    fn panic(&mut self, _: Panic) {
        panic!("{ON_PURPOSE}")
    }

    #[route("linger")]
    async fn linger(&mut self, _: Linger, State(gate): State<Gate>) {
        gate.pass().await;
    }

    #[route("block")]
    fn block(&mut self, Block(until): Block, State(gate): State<Gate>) {
        gate.begun.add_permits(1);
        let _ = until.recv();
    }
}

pub(crate) fn with_child() -> Node {
    Node {
        children: &["child"],
    }
}
