//! How user code is brought to run at each site, and what must come of it.

use mycelia::error::MountError;

use crate::check::Expect;
use crate::common::named;
use crate::ends;
use crate::own_wakers;
use crate::senders::{Said, Verb, Way};
use crate::stage::Stage;
use crate::subjects::{Fail, Hit, Note};
use crate::table::{Place, Site};
use crate::tasks::Begin;
use crate::world::until;

pub(crate) async fn play(stage: &mut Stage) -> Expect {
    use Site as S;
    match stage.world.site {
        S::Nowhere => Expect::default(),
        S::SyncHandler | S::HandlerAndValue => handler(stage, Way::Path("target://sync")).await,
        S::HandlerBeforeItsFirstAwait => handler(stage, Way::Path("target://before")).await,
        S::HandlerAfterItsFirstAwait | S::HandlerLaterAndValue => {
            handler(stage, Way::Path("target://after")).await
        }
        S::BlockingHandler | S::BlockingHandlerAndValue => {
            handler(stage, Way::Path("target://blocking")).await
        }
        S::ExtractorUnpackAndMessage => {
            stage.world.arm();
            let hit = Hit(stage.world.burning_token(S::ExtractorUnpackAndMessage));
            let way = Way::Path("target://unpacks");
            let said = stage.send(Verb::Send, way, hit).await;
            stage.until_fired().await;
            fails_its_message(stage, &said)
        }
        S::RoutesCall | S::ExtractorCheck | S::FactoryClone => ends::mount(stage).await,
        S::ExtractorUnpack => handler(stage, Way::Path("target://unpacks")).await,
        S::PackedClone => kept_for_later(stage).await,
        S::PayloadDrop => payload(stage, "target://payload").await,
        S::PayloadDropLater => payload(stage, "target://payload-later").await,
        S::PayloadDropBlocking => payload(stage, "target://payload-blocking").await,
        S::ErrorDisplay | S::ErrorDisplayAndDrop => error(stage, "target://speak").await,
        S::ErrorInto => error(stage, "target://become").await,
        S::ErrorDrop => {
            error(stage, "target://speak").await;
            Expect::default()
        }
        S::ParseErrorDisplay => misread(stage).await,
        S::ParseAPath => sender(stage, Way::Path("target://fussy/x")).await,
        S::ParseAValue => sender(stage, Way::At("target://fussy/{word}")).await,
        S::ParseAResolvedPath => sender(stage, Way::Resolved("target://fussy/x")).await,
        S::AsPathCall => sender(stage, Way::OwnPath("target://fussy/x")).await,
        S::CapturesCall => captures(stage).await,
        S::AdmitCall => sender(stage, Way::Path("target://fussy/x")).await,
        S::AsCaptureCall => sender(stage, Way::AtOwnCapture("target://fussy/{word}")).await,
        S::ExtractorPack => sender(stage, Way::Path("target://unpacks")).await,
        S::Started | S::StartedAndValue | S::StartedLater | S::FactoryAtMount | S::ErrorOfAHook => {
            start(stage).await
        }
        S::RestartingAndValue
        | S::StartedAgain
        | S::Restarting
        | S::RestartingLater
        | S::FactoryAtRestart => restart(stage).await,
        S::Stopped | S::StoppedAndValue | S::StoppedLater | S::ValueAtUnmount => {
            unmount(stage).await
        }
        S::ValueAtRestart => {
            restart(stage).await;
            Expect {
                restarts: 1,
                panicked_letters: 1,
                told_of: stage.world.act.panics().then_some("Drop("),
                ..Expect::default()
            }
        }
        S::BeforeStopCall | S::BeforeStopPoll | S::BeforeStopPollAndDrop | S::BeforeStopDrop => {
            stage.world.arm();
            Expect {
                fires_at_the_end: true,
                failed_before: stage.world.act.panics().into(),
                ..Expect::default()
            }
        }
        S::StoppedBySystem | S::ValueAtStop => {
            stage.world.arm();
            let panics = stage.world.act.panics();
            Expect {
                fires_at_the_end: true,
                failed_hooks: usize::from(panics && stage.world.site == S::StoppedBySystem),
                ..Expect::default()
            }
        }
        S::StreamDropAtStop | S::TimerDropAtStop | S::AfterAtStop => {
            stage.system.tell("target://begin", Begin).await.unwrap();
            until("it has begun", || stage.world.is_armed()).await;
            Expect {
                fires_at_the_end: true,
                ..Expect::default()
            }
        }
        S::StreamPoll
        | S::StreamPollAndDrop
        | S::TimerCallAndDrop
        | S::StreamDropAtItsEnd
        | S::StreamDropAtUnmount
        | S::TimerCall
        | S::TimerDropAtCancel
        | S::TimerDropAtUnmount
        | S::AfterCancelled
        | S::AfterUnmounted => task(stage).await,
        S::FutureCutOff
        | S::MessageExpired
        | S::MessageOfADroppedAsk
        | S::MessageUndeliverable
        | S::MessageEvicted
        | S::MessageTurnedAway
        | S::MessageOfOneThatEnds
        | S::ReplyOfATell
        | S::ReplyOfADroppedAsk
        | S::ReplyUnread
        | S::ReplyTooLate
        | S::MessageAndCapture
        | S::MessageKeptForLater
        | S::PackedDrop
        | S::CaptureOfARefusedMessage
        | S::StreamItemUnsent => ends::play(stage).await,
        S::StrategySlices
        | S::StrategyAndItsDrop
        | S::FactoryAndItsDrop
        | S::StrategyName
        | S::StrategyDropWhenReplaced
        | S::StrategyDropAtStop
        | S::StateDrop
        | S::FactoryDropAtUnmount
        | S::FactoryDropAtRefusal
        | S::FactoryDropAtStop => crate::kept::play(stage).await,
        S::WakeAnAsker
        | S::WakeASender
        | S::CloneOfAnAsker
        | S::CloneOfASender
        | S::DropOfAnAsker
        | S::DropOfASender
        | S::WakeAMounter
        | S::WakeAnUnmounter
        | S::WakeAStopper
        | S::WakeAWatcher
        | S::WakeAReaderOfDeadLetters
        | S::DropOfAMounter
        | S::DropOfAnUnmounter
        | S::DropOfAWatcher => own_wakers::play(stage).await,
    }
}

/// What comes of a message whose handler, or what belongs to it, misbehaves.
fn fails_its_message(stage: &Stage, said: &Said) -> Expect {
    let panics = stage.world.act.panics();
    let is_told = stage.place == Place::SameThread;
    stage.accept(
        said,
        match (panics, is_told) {
            (_, true) => Said::Accepted,
            (true, false) => Said::Panicked,
            (false, false) => Said::Replied,
        },
    );
    Expect {
        restarts: panics.into(),
        panicked_letters: usize::from(panics && is_told),
        ..Expect::default()
    }
}

async fn handler(stage: &Stage, way: Way) -> Expect {
    stage.world.arm();
    let said = stage.send(Verb::Send, way, stage.hit()).await;
    stage.until_fired().await;
    fails_its_message(stage, &said)
}

async fn kept_for_later(stage: &Stage) -> Expect {
    stage.world.arm();
    let way = Way::Path("target://later/x");
    let said = stage.send(Verb::Send, way, stage.hit()).await;
    stage.until_fired().await;
    let _ = stage.system.tell("target://note", Note).await;
    fails_its_message(stage, &said)
}

async fn payload(stage: &Stage, path: &'static str) -> Expect {
    stage.world.arm();
    let said = stage.send(Verb::Send, Way::Path(path), stage.hit()).await;
    stage.until_fired().await;
    let is_told = stage.place == Place::SameThread;
    stage.accept(
        &said,
        if is_told {
            Said::Accepted
        } else {
            Said::Panicked
        },
    );
    Expect {
        restarts: 1,
        panicked_letters: usize::from(is_told),
        ..Expect::default()
    }
}

/// A message that is told: its error is put in words for its dead letter.
async fn error(stage: &Stage, path: &'static str) -> Expect {
    stage.world.arm();
    let said = stage.send(Verb::Tell, Way::Path(path), stage.hit()).await;
    stage.until_fired().await;
    stage.accept(&said, Said::Accepted);
    let panics = stage.world.act.panics();
    Expect {
        restarts: panics.into(),
        panicked_letters: panics.into(),
        ..Expect::default()
    }
}

/// What runs at the sender unwinds to it, and nothing was sent.
async fn sender(stage: &Stage, way: Way) -> Expect {
    let ledger = || {
        stage
            .system
            .snapshot()
            .subsystem("target")
            .map(|one| one.ledger.sent)
    };
    let before = ledger();
    stage.world.arm();
    let said = stage.send(Verb::Send, way, stage.hit()).await;
    stage.until_fired().await;
    if stage.world.act.panics() {
        assert_eq!(said, Said::Unwound);
        assert_eq!(ledger(), before, "something was sent");
        return Expect::default();
    }
    fails_its_message(stage, &said)
}

/// Captures of the sender's own type that panic when the message has been sent already.
async fn captures(stage: &Stage) -> Expect {
    stage.world.arm();
    let way = Way::AtOwn("target://fussy/{word}");
    let said = stage.send(Verb::Send, way, stage.hit()).await;
    stage.until_fired().await;
    match stage.world.act.panics() {
        true => {
            assert_eq!(said, Said::Unwound);
            Expect::default()
        }
        false => fails_its_message(stage, &said),
    }
}

/// A capture that is none, whose error misbehaves.
async fn misread(stage: &Stage) -> Expect {
    stage.world.arm();
    let way = Way::Path("target://fussy/x");
    let said = stage.send(Verb::Send, way, stage.hit()).await;
    stage.until_fired().await;
    match stage.world.act.panics() {
        true => assert_eq!(said, Said::Unwound),
        false => assert!(matches!(said, Said::Refused(_)), "{said:?}"),
    }
    Expect::default()
}

/// A mount whose start misbehaves.
async fn start(stage: &Stage) -> Expect {
    stage.world.arm();
    let mounted = stage.mount_target(named("extra").thread(0)).await;
    let act = stage.world.act;
    let fails = act.panics() || stage.world.site == Site::ErrorOfAHook;
    match mounted {
        Ok(()) => assert!(!fails, "mounted, though its start failed"),
        Err(MountError::StartFailed { .. }) => assert!(fails),
        Err(error) => assert!(act.stops(), "{error}"),
    }
    if fails && !act.stops() {
        // The name is free.
        stage.mount_target(named("extra").thread(0)).await.unwrap();
    }
    if !act.stops() {
        stage.system.unmount("extra").await.unwrap();
    }
    Expect::default()
}

/// A restart that misbehaves.
async fn restart(stage: &Stage) -> Expect {
    stage.world.arm();
    stage.system.tell("target://fail", Fail).await.unwrap();
    stage.until_fired().await;
    // A start that fails is a restart that failed; a factory that panics has made nothing.
    let counts = stage.world.site != Site::FactoryAtRestart;
    Expect {
        restarts: 1 + u32::from(stage.world.act.panics() && counts),
        panicked_letters: 1,
        ..Expect::default()
    }
}

async fn unmount(stage: &Stage) -> Expect {
    stage.world.arm();
    let unmounted = stage.system.unmount("target").await;
    let act = stage.world.act;
    let is_hook = stage.world.site != Site::ValueAtUnmount;
    match unmounted {
        Ok(_) => assert!(!(act.panics() && is_hook), "the hook's failure is not told"),
        Err(mycelia::error::UnmountError::HooksFailed { .. }) => assert!(act.panics() && is_hook),
        Err(error) => assert!(act.ends_something(), "{error}"),
    }
    Expect {
        gone: true,
        told_of: match (act.panics(), is_hook) {
            (false, _) => None,
            (true, true) => Some("LastHook("),
            (true, false) => Some("Drop("),
        },
        ..Expect::default()
    }
}

async fn task(stage: &Stage) -> Expect {
    let site = stage.world.site;
    stage.system.tell("target://begin", Begin).await.unwrap();
    let at_unmount = matches!(
        site,
        Site::StreamDropAtUnmount | Site::TimerDropAtUnmount | Site::AfterUnmounted
    );
    if at_unmount {
        // It answers when it has begun.
        let begun = stage.system.ask("target://note", Note).await;
        begun.unwrap();
        let unmounted = stage.system.unmount("target").await;
        assert!(
            unmounted.is_ok() || stage.world.act.ends_something(),
            "{unmounted:?}"
        );
    }
    stage.until_fired().await;
    let restarts = u32::from(stage.world.act.panics() && !at_unmount);
    Expect {
        restarts,
        gone: at_unmount,
        ..Expect::default()
    }
}
