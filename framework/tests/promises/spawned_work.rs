//! Promise: a future that a subsystem has spawned is waited for, and so does not wait for its own end in vain.

use std::time::Duration;

use mycelia::error::{StopError, UnmountError};
use mycelia::prelude::*;

/// Has a spawned future unmount the subsystem of that name, or stop the system.
#[derive(Message)]
#[message(reply = String)]
enum End {
    Subsystem(&'static str),
    System,
}

#[derive(Subsystem, Default)]
struct Desk;

#[routes]
impl Desk {
    #[route("end")]
    fn end(&mut self, end: End, reply: Reply<End>, ctx: Context, system: System) {
        ctx.spawn(async move {
            tokio::task::yield_now().await;
            reply.send(match end {
                End::Subsystem(name) => match system.unmount(name).await {
                    Ok(ledger) => format!("{} waiting", ledger.waiting),
                    Err(UnmountError::WaitCycle { cycle }) => format!("cycle {cycle}"),
                    Err(other) => other.to_string(),
                },
                End::System => match system.stop().await {
                    Err(StopError::InHandler { subsystem }) => format!("in {subsystem}"),
                    other => format!("{other:?}"),
                },
            });
        });
    }
}

async fn system() -> System {
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount_as("desk", Desk::default).await.unwrap();
    let below = MountOptions::new().name("below").parent("desk");
    system.mount_with(below, Desk::default).await.unwrap();
    system
}

/// Nothing here takes long unless it waits in vain.
async fn ask(system: &System, path: &str, end: End) -> String {
    let asked = system.ask_within(path, end, Duration::from_secs(10));
    asked.await.unwrap()
}

#[mycelia::test]
async fn a_spawned_future_can_unmount_its_own_subsystem_and_give_its_reply_then() {
    let system = system().await;
    let said = ask(&system, "desk/below://end", End::Subsystem("desk/below")).await;
    assert_eq!(said, "1 waiting");
    let said = ask(&system, "desk://end", End::Subsystem("desk")).await;
    assert_eq!(said, "1 waiting");
    let report = system.stop().await.unwrap();
    assert_eq!((report.ledger.handled, report.ledger.waiting), (2, 0));
}

#[mycelia::test]
async fn a_spawned_future_can_t_wait_for_the_end_of_one_above_or_of_its_system() {
    let system = system().await;
    let said = ask(&system, "desk/below://end", End::Subsystem("desk")).await;
    assert!(
        said.starts_with("cycle ") && said.contains("desk/below"),
        "{said}"
    );
    // Nothing was unmounted.
    let said = ask(&system, "desk://end", End::System).await;
    assert_eq!(said, "in desk");
    let said = ask(&system, "desk://end", End::Subsystem("desk/below")).await;
    assert_eq!(said, "0 waiting");
    system.stop().await.unwrap();
}

#[derive(Message)]
#[message(reply = u32)]
struct Get;

/// Answers one with the other's help: `a` asks `b`, whose reply comes later.
#[derive(Subsystem, Default)]
struct Pair(Option<Reply<Get>>);

#[routes]
impl Pair {
    #[route("through")]
    async fn through(&mut self, _: Get, system: System) -> anyhow::Result<u32> {
        Ok(system.ask("b://keep", Get).await?)
    }

    #[route("keep")]
    fn keep(&mut self, _: Get, reply: Reply<Get>) {
        self.0 = Some(reply);
    }

    #[route("kept")]
    fn kept(&mut self, _: Get) -> u32 {
        u32::from(self.0.is_some())
    }

    /// Asks `a` back, and gives the reply then.
    #[route("back")]
    async fn back(&mut self, _: Get, system: System) -> u32 {
        let back = system.ask("a://kept", Get).await;
        let is_refused = matches!(back, Err(AskError::Undelivered(refused))
            if matches!(refused.reason(), SendError::WaitCycle { .. }));
        if let Some(reply) = self.0.take() {
            reply.send(7);
        }
        u32::from(is_refused)
    }
}

#[mycelia::test]
async fn a_handler_that_asks_back_one_who_waits_for_a_later_reply_is_refused() {
    let system = System::builder().threads(1).start().await.unwrap();
    for name in ["a", "b"] {
        system.mount_as(name, Pair::default).await.unwrap();
    }
    let asked = system.ask("a://through", Get);
    let back = async {
        while system.ask("b://kept", Get).await.unwrap() == 0 {}
        system.ask("b://back", Get).await.unwrap()
    };
    let (answered, is_refused) = tokio::join!(asked, back);
    assert_eq!((answered.unwrap(), is_refused), (7, 1));
    system.stop().await.unwrap();
}
