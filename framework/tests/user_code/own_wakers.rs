//! Futures of the framework's that are polled with wakers of the user's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mycelia::prelude::*;

use crate::check::Expect;
use crate::common::named;
use crate::stage::Stage;
use crate::subjects::{Fail, Hit, Witness};
use crate::table::{Place, Site};
use crate::wakers::OwnTask;
use crate::world::{BOUND, World, until};

/// What a poll, or a drop, with the user's waker did.
fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|panic| {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
        })
        .ok()
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

pub(crate) async fn play(stage: &mut Stage) -> Expect {
    match stage.world.site {
        Site::WakeAnAsker | Site::CloneOfAnAsker | Site::DropOfAnAsker => {
            sender(stage, "target://hold").await
        }
        Site::WakeASender | Site::CloneOfASender | Site::DropOfASender => {
            let options = named("small").thread(0).capacity(1);
            stage.mount_target(options).await.unwrap();
            stage.hold("small://hold").await;
            sender(stage, "small://sync").await
        }
        _ => keeper(stage).await,
    }
}

/// Sends with the user's waker, in a handler or outside.
async fn sender(stage: &Stage, path: &'static str) -> Expect {
    let (world, hit) = (stage.world.clone(), stage.hit());
    let (done, ended) = tokio::sync::oneshot::channel();
    if stage.place == Place::Outside {
        wait_with_own_waker(stage.system.clone(), world, path, hit).await;
    } else {
        let errand = move |system: System| -> Pin<Box<dyn Future<Output = ()>>> {
            Box::pin(async move {
                wait_with_own_waker(system, world, path, hit).await;
                let _ = done.send(());
            })
        };
        stage.drive(errand).await;
        let ended = tokio::time::timeout(BOUND, ended).await;
        let ended = ended.expect("the sender ends");
        assert!(
            ended.is_ok() || stage.world.act.stops(),
            "the sender's handler failed"
        );
    }
    stage.until_fired().await;
    Expect::default()
}

async fn wait_with_own_waker(system: System, world: Arc<World>, path: &'static str, hit: Hit) {
    let (task, waker) = OwnTask::new(&world);
    let at_gate = || world.at_the_gate.load(std::sync::atomic::Ordering::SeqCst) > 0;
    let asks = system.clone();
    let mut ask = Box::pin(async move { asks.ask_within(path, hit, Duration::from_secs(2)).await });
    match world.site {
        Site::CloneOfAnAsker | Site::CloneOfASender => {
            world.arm();
            let polled = caught(|| poll(&mut ask, &waker));
            assert!(world.has_fired(), "no waker was cloned");
            if polled.is_some_and(|polled| polled.is_pending()) {
                world.open_the_gate();
                let _ = ask.await;
            } else {
                caught(|| drop(ask));
            }
            world.open_the_gate();
        }
        Site::WakeAnAsker | Site::WakeASender => {
            assert!(poll(&mut ask, &waker).is_pending());
            until("a handler waits at the gate", at_gate).await;
            world.arm();
            world.open_the_gate();
            until("the sender is woken", || task.is_woken()).await;
            let _ = ask.await;
        }
        // It is polled with another waker, which takes the place of the first.
        _ => {
            assert!(poll(&mut ask, &waker).is_pending());
            until("a handler waits at the gate", at_gate).await;
            world.arm();
            caught(|| poll(&mut ask, Waker::noop()));
            caught(|| drop(ask));
            assert!(world.has_fired(), "the waker was not dropped");
            world.open_the_gate();
        }
    }
    drop(waker);
}

/// Mounts, unmounts, stops or watches with the user's waker.
async fn keeper(stage: &mut Stage) -> Expect {
    let (task, waker) = OwnTask::new(&stage.world);
    let (world, system) = (stage.world.clone(), stage.system.clone());
    let mut expect = Expect::default();
    let woken = || task.is_woken();
    match world.site {
        Site::WakeAMounter => {
            world.arm();
            // One that is quick enough wakes no one.
            for n in 0..1000 {
                let mut mount = Box::pin(system.mount_as(format!("extra-{n}"), || Witness));
                if poll(&mut mount, &waker).is_pending() {
                    until("the mounter is woken", woken).await;
                    let _ = mount.await;
                    break;
                }
            }
        }
        Site::WakeAnUnmounter => {
            world.arm();
            for _ in 0..1000 {
                let mut unmount = Box::pin(system.unmount("spare"));
                if poll(&mut unmount, &waker).is_pending() {
                    until("the unmounter is woken", woken).await;
                    let _ = unmount.await;
                    break;
                }
                let _ = system.mount_as("spare", || Witness).await;
            }
        }
        Site::WakeAStopper => {
            let mut stop = Box::pin(system.stop());
            world.arm();
            world.open_the_gate();
            if poll(&mut stop, &waker).is_pending() {
                until("the stopper is woken", woken).await;
                let _ = stop.await;
            }
            expect.is_stopped = true;
        }
        Site::WakeAWatcher | Site::DropOfAWatcher => {
            let mut watch = system.watch_all();
            let mut next = Box::pin(async { watch.next().await });
            assert!(poll(&mut next, &waker).is_pending());
            world.arm();
            if world.site == Site::WakeAWatcher {
                system.mount_as("extra", || Witness).await.unwrap();
                until("the watcher is woken", woken).await;
                let _ = next.await;
            } else {
                caught(|| drop(next));
            }
        }
        Site::WakeAReaderOfDeadLetters => {
            let mut letters = system.dead_letters();
            let mut next = Box::pin(async { letters.next().await });
            assert!(poll(&mut next, &waker).is_pending());
            world.arm();
            system.tell("target://fail", Fail).await.unwrap();
            until("the reader is woken", woken).await;
            let _ = next.await;
            expect.restarts = 1;
            expect.panicked_letters = 1;
        }
        Site::DropOfAMounter => {
            for n in 0..1000 {
                let mut mount = Box::pin(system.mount_as(format!("extra-{n}"), || Witness));
                if poll(&mut mount, &waker).is_pending() {
                    world.arm();
                    caught(|| drop(mount));
                    break;
                }
            }
        }
        _ => {
            for _ in 0..1000 {
                let mut unmount = Box::pin(system.unmount("spare"));
                if poll(&mut unmount, &waker).is_pending() {
                    world.arm();
                    caught(|| drop(unmount));
                    break;
                }
                let _ = system.mount_as("spare", || Witness).await;
            }
        }
    }
    stage.until_fired().await;
    drop(waker);
    expect
}
