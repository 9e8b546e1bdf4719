//! A subsystem that counts, holds, and runs and gives back whatever it is given.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::sync::Arc;

use mycelia::prelude::*;
use tokio::sync::Semaphore;

use crate::common::quiet_panics;

#[derive(Message)]
#[message(reply = u32)]
pub(crate) struct Get;

#[derive(Message)]
#[message(reply = Box<dyn Send>)]
pub(crate) struct Own(pub(crate) Box<dyn Send>);

type Call = Box<dyn FnOnce(&Context, &System) + Send>;

#[derive(Message)]
#[message(reply = u32)]
pub(crate) struct Run(pub(crate) Call);

pub(crate) struct Gate(pub(crate) Semaphore);

#[derive(Subsystem, Default)]
pub(crate) struct Store {
    count: u32,
}

#[routes]
impl Store {
    #[route("get")]
    fn get(&mut self, _: Get) -> u32 {
        self.count += 1;
        self.count
    }

    #[route("run")]
    fn run(&mut self, Run(run): Run, ctx: Context, system: System) -> u32 {
        run(&ctx, &system);
        self.count
    }

    /// Gives back what it is given.
    #[route("own")]
    fn own(&mut self, Own(owned): Own) -> Box<dyn Send> {
        owned
    }

    #[route("hold")]
    async fn hold(&mut self, _: Own, State(gate): State<Gate>) -> Box<dyn Send> {
        gate.0.acquire().await.expect("it stays open").forget();
        Box::new(())
    }
}

pub(crate) async fn store() -> (System, Arc<Gate>) {
    quiet_panics();
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let builder = System::builder().threads(2).pool(64).blocking_threads(1);
    let system = builder.shared_state(gate.clone()).start().await.unwrap();
    system.mount(Store::default).await.unwrap();
    (system, gate)
}
