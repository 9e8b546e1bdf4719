//! An unmount and a stop go on when they are dropped before their end, however early.

use std::time::Duration;

use crate::common::{named, poll_once, until, watchdog};
use mycelia::prelude::*;

#[derive(Message)]
struct Hang;

#[derive(Subsystem, Default)]
struct Sub;

#[routes]
impl Sub {
    #[route("hang")]
    async fn hang(&mut self, _: Hang) {
        std::future::pending().await
    }

    #[route("idle")]
    fn idle(&mut self, _: Hang) {}
}

async fn system() -> System {
    let system = System::builder()
        .threads(1)
        .stop_deadline(Duration::from_millis(5));
    let system = system.start().await.unwrap();
    system.mount(Sub::default).await.unwrap();
    system
}

#[mycelia::test]
async fn a_stop_that_is_given_up_at_once_ends_the_subsystems() {
    let _watch = watchdog();
    for _ in 0..50 {
        let system = system().await;
        system.tell("sub://hang", Hang).await.unwrap();
        assert!(poll_once(system.stop()).await.is_none());
        until("the message has ended", || {
            let total = system.snapshot().total;
            // Begun by then, or not.
            total.is_quiet() && total.failed + total.undeliverable == 1
        })
        .await;
    }
}

#[mycelia::test]
async fn an_unmount_that_is_given_up_at_once_goes_on() {
    let _watch = watchdog();
    let system = system().await;
    for n in 0..50 {
        let name = format!("sub-{n}");
        let options = named(&name);
        system.mount_with(options, Sub::default).await.unwrap();
        let _ = poll_once(system.unmount(&name)).await;
        until("it is unmounted", || {
            system.snapshot().subsystem(&name).is_none()
        })
        .await;
    }
    system.stop().await.unwrap();
}
