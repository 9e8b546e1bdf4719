//! An error for each verb.

use super::{Add, Counter};
use crate::common::watchdog;
use mycelia::error::{
    Ambiguous, AskError, CaptureError, HookFailure, ManageError, MountError, PathError,
    PatternError, Room, SendError, StartError, StopError, SubscribeError, Undelivered,
    UnmountError,
};
use mycelia::prelude::System;

#[derive(mycelia::Message, Clone)]
struct Word;

fn can_be_returned<E: std::error::Error + Send + Sync + 'static>() {}

#[mycelia::test]
async fn each_verb_that_can_fail_has_an_error_and_the_message_comes_home() -> anyhow::Result<()> {
    let _watchdog = watchdog();
    can_be_returned::<Ambiguous>();
    can_be_returned::<CaptureError>();
    can_be_returned::<PatternError>();
    can_be_returned::<StopError>();
    let too_many = System::builder().threads(usize::MAX).start().await;
    assert!(matches!(too_many, Err(StartError::BadSetting { .. })));
    let system = System::builder().start().await?;
    system.mount(Counter::default).await?;
    let taken = system.mount(Counter::default).await;
    assert!(matches!(taken, Err(MountError::NameTaken { .. })));
    let no_topic = system.retain::<Word>("no topic", 1);
    assert!(matches!(no_topic, Err(SubscribeError::NoName { .. })));
    let refused: Undelivered<Add> = system.try_tell("no path", Add(7)).unwrap_err();
    assert!(matches!(
        refused.reason(),
        SendError::BadPath(PathError::NoScheme)
    ));
    assert_eq!(refused.into_message().0, 7);
    let asked = system.ask("nobody://x", Add(7)).await;
    assert!(matches!(asked, Err(AskError::Undelivered(_))));
    let full = SendError::Full {
        subsystem: "counter".into(),
        room: Room::Mailbox,
    };
    assert!(full.is_full() && full.is_retryable());
    let gone = system.unmount("nobody").await;
    assert!(matches!(gone, Err(UnmountError::NoSubsystem { .. })));
    let managed = system.restart("nobody").await;
    assert!(matches!(managed, Err(ManageError::NoSubsystem { .. })));
    let failed: Vec<HookFailure> = system.stop().await?.failed_hooks;
    assert!(failed.is_empty());
    Ok(())
}
