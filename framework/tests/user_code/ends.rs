//! Messages that end without a handler, futures that are cut off, replies that no asker takes.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use mycelia::Replicas;
use mycelia::error::StopError;
use mycelia::schedule::Overflow;
use mycelia::supervise::Restart;

use crate::check::Expect;
use crate::common::named;
use crate::extractors::{Cloned, Odd, parse_for};
use crate::senders::{Said, Verb, Way, unwound};
use crate::stage::Stage;
use crate::subjects::{Fail, Hit, Note, Ping};
use crate::table::Site;
use crate::tasks::Begin;
use crate::world::{begin, until};

pub(crate) async fn play(stage: &Stage) -> Expect {
    match stage.world.site {
        Site::FutureCutOff | Site::MessageUndeliverable => cut_off(stage).await,
        Site::MessageExpired => expired(stage).await,
        Site::PackedDrop => brief_ask(stage, "target://unpacks").await,
        Site::MessageAndCapture => brief_ask(stage, "target://fussy/x").await,
        Site::MessageKeptForLater => kept_for_later(stage).await,
        Site::StreamItemUnsent => unsent_item(stage).await,
        Site::CaptureOfARefusedMessage => refused(stage).await,
        Site::ReplyTooLate => too_late(stage).await,
        Site::MessageOfADroppedAsk => dropped_ask(stage).await,
        Site::MessageEvicted => no_room(stage, 2, Overflow::DropOldest).await,
        Site::MessageTurnedAway => no_room(stage, 1, Overflow::DropNewest).await,
        Site::MessageOfOneThatEnds => one_that_ends(stage).await,
        Site::ReplyOfATell => {
            stage.world.arm();
            let way = Way::Path("target://sync");
            let said = stage.send(Verb::Tell, way, stage.hit()).await;
            stage.until_fired().await;
            stage.accept(&said, Said::Accepted);
            Expect::default()
        }
        _ => unread(stage).await,
    }
}

/// A stop without time.
async fn cut_off(stage: &Stage) -> Expect {
    stage.hold("target://hold").await;
    if stage.world.site == Site::MessageUndeliverable {
        stage
            .system
            .tell("target://sync", stage.hit_at_site())
            .await
            .unwrap();
    }
    stage.world.arm();
    let stopped = stage.system.stop_within(Duration::ZERO).await;
    assert!(
        matches!(stopped, Err(StopError::DeadlineExceeded(_))),
        "{stopped:?}"
    );
    Expect {
        is_stopped: true,
        gone: true,
        ..Expect::default()
    }
}

async fn expired(stage: &Stage) -> Expect {
    stage.hold("target://hold").await;
    stage.world.arm();
    let way = Way::Path("target://sync");
    let said = stage.send(Verb::AskBriefly, way, stage.hit_at_site()).await;
    stage.accept(&said, Said::Expired);
    stage.until_fired().await;
    stage.world.open_the_gate();
    Expect::default()
}

/// What travels beside a message that expires.
async fn brief_ask(stage: &Stage, path: &'static str) -> Expect {
    stage.hold("target://hold").await;
    stage.world.arm();
    let hit = match stage.world.site {
        Site::PackedDrop => stage.hit(),
        _ => stage.hit_at_site(),
    };
    let said = stage.send(Verb::AskBriefly, Way::Path(path), hit).await;
    stage.accept(&said, Said::Expired);
    stage.until_fired().await;
    stage.world.open_the_gate();
    Expect::default()
}

/// What was kept for later when its subsystem ends.
async fn kept_for_later(stage: &Stage) -> Expect {
    let way = Way::Path("target://later/x");
    let said = stage.send(Verb::Tell, way, stage.hit_at_site()).await;
    stage.accept(&said, Said::Accepted);
    stage.system.ask("target://ping", Ping).await.unwrap();
    stage.world.arm();
    let unmounted = stage.system.unmount("target").await;
    assert!(
        unmounted.is_ok() || stage.world.act.ends_something(),
        "{unmounted:?}"
    );
    stage.until_fired().await;
    Expect {
        gone: true,
        ..Expect::default()
    }
}

/// A stream's message that waits for room when its subsystem ends.
async fn unsent_item(stage: &Stage) -> Expect {
    stage
        .mount_target(named("small").thread(0).capacity(1))
        .await
        .unwrap();
    stage.system.tell("small://begin", Begin).await.unwrap();
    stage.until_at_the_gate(1).await;
    stage.world.arm();
    let mut unmount = Box::pin(stage.system.unmount("small"));
    begin(unmount.as_mut());
    until("it takes no more messages", || {
        let refused = stage.system.try_tell("small://note", Note);
        refused.is_err_and(|refused| !refused.reason().is_full())
    })
    .await;
    stage.world.open_the_gate();
    let unmounted = unmount.await;
    assert!(
        unmounted.is_ok() || stage.world.act.ends_something(),
        "{unmounted:?}"
    );
    stage.until_fired().await;
    Expect::default()
}

/// What was packed for a message that comes back, for there is no room.
async fn refused(stage: &Stage) -> Expect {
    stage
        .mount_target(named("small").thread(0).capacity(1))
        .await
        .unwrap();
    stage.hold("small://hold").await;
    parse_for(&stage.world);
    stage.world.arm();
    let hit = stage.hit();
    let refused = stage.system.try_tell("small://fussy/x", hit);
    let refused = refused.unwrap_err();
    let may_be_closed = stage.world.act.ends_something();
    assert!(refused.reason().is_full() || may_be_closed, "{refused:?}");
    stage.until_fired().await;
    stage.world.open_the_gate();
    Expect::default()
}

/// A reply that comes after its asker's deadline.
async fn too_late(stage: &Stage) -> Expect {
    let hit = stage.hit();
    let asked = stage
        .system
        .ask_within("target://hold", hit, Duration::from_millis(2))
        .await;
    assert!(asked.is_err(), "it is held at the gate");
    // It may not have begun in time.
    if stage.world.at_the_gate.load(Ordering::SeqCst) == 0 {
        let system = stage.system.clone();
        let hit = stage.hit();
        let mut ask = Box::pin(async move { system.ask("target://hold", hit).await });
        begin(ask.as_mut());
        stage.until_at_the_gate(1).await;
    }
    stage.world.arm();
    stage.world.open_the_gate();
    stage.until_fired().await;
    Expect::default()
}

/// A mount that calls code of the mounter's.
pub(crate) async fn mount(stage: &Stage) -> Expect {
    parse_for(&stage.world);
    let (world, system) = (stage.world.clone(), stage.system.clone());
    stage.world.arm();
    let mount = async {
        match world.site {
            Site::FactoryClone => {
                let cloned = Cloned(world.clone(), world.token(Site::Nowhere));
                let factory = move || {
                    let _ = &cloned;
                    Odd
                };
                let replicas = Replicas::round_robin(3);
                system.mount_replicas(replicas, factory).await
            }
            _ => system.mount(|| Odd).await,
        }
    };
    let act = stage.world.act;
    match AssertUnwindSafe(mount).catch_unwind().await {
        Ok(mounted) => assert!(mounted.is_ok() || act.stops(), "{mounted:?}"),
        Err(panic) => {
            unwound(panic);
            assert!(act.panics());
            // Nothing was mounted.
            stage.system.mount(|| Odd).await.unwrap();
        }
    }
    stage.until_fired().await;
    Expect::default()
}

async fn dropped_ask(stage: &Stage) -> Expect {
    stage.hold("target://hold").await;
    stage.world.arm();
    assert!(!begin(
        stage.system.ask("target://sync", stage.hit_at_site())
    ));
    stage.world.open_the_gate();
    stage.until_fired().await;
    Expect::default()
}

/// A message that is dropped on the thread of a sender, for there is no room.
async fn no_room(stage: &Stage, capacity: u32, overflow: Overflow) -> Expect {
    let options = named("small")
        .thread(0)
        .capacity(capacity)
        .overflow(overflow);
    stage.mount_target(options).await.unwrap();
    stage.hold("small://hold").await;
    let last: Hit = match overflow {
        Overflow::DropOldest => {
            stage
                .system
                .tell("small://sync", stage.hit_at_site())
                .await
                .unwrap();
            stage.hit()
        }
        _ => stage.hit_at_site(),
    };
    stage.world.arm();
    let said = stage
        .send(Verb::Tell, Way::Path("small://sync"), last)
        .await;
    stage.accept(&said, Said::Accepted);
    stage.until_fired().await;
    stage.world.open_the_gate();
    Expect::default()
}

/// What waits for one that ends when it fails.
async fn one_that_ends(stage: &Stage) -> Expect {
    let options = named("brief").thread(0).restart(Restart::Never);
    stage.mount_target(options).await.unwrap();
    stage.hold("brief://hold").await;
    stage.system.tell("brief://fail", Fail).await.unwrap();
    stage
        .system
        .tell("brief://sync", stage.hit_at_site())
        .await
        .unwrap();
    stage.world.arm();
    stage.world.open_the_gate();
    stage.until_fired().await;
    Expect {
        panicked_letters: 1,
        ..Expect::default()
    }
}

/// A reply that comes when its asker is gone, or that its asker never looks at.
async fn unread(stage: &Stage) -> Expect {
    let system = stage.system.clone();
    let hit = stage.hit();
    let mut ask = Box::pin(async move { system.ask("target://hold", hit).await });
    assert!(!begin(ask.as_mut()));
    stage.until_at_the_gate(1).await;
    if stage.world.site == Site::ReplyUnread {
        stage.world.open_the_gate();
        let is_quiet = || {
            stage
                .system
                .snapshot()
                .subsystem("target")
                .unwrap()
                .ledger
                .is_quiet()
        };
        until("the reply is there", is_quiet).await;
        stage.world.arm();
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(ask)));
        assert!(
            dropped.is_ok(),
            "a reply that panics when it is dropped unwinds to its asker"
        );
    } else {
        stage.world.arm();
        drop(ask);
        stage.world.open_the_gate();
    }
    stage.until_fired().await;
    Expect::default()
}
