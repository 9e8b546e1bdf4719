//! A last hook that fails, panics, or does not come to its end is told: in an event, as the last failure, by the
//! unmount, and by the stop's report.

use std::panic::panic_any;
use std::time::Duration;

use crate::common::{figures, named, quiet_threads, watchdog};
use mycelia::error::{StopError, UnmountError};
use mycelia::observe::{Change, EndReason};
use mycelia::prelude::*;
use mycelia::supervise::{Failure, Restart};

#[derive(Clone, Copy)]
enum Way {
    Well,
    Fails,
    Panics,
    PanicsWithoutText,
    PanicsLater,
    NeverEnds,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in the payload");
    }
}

#[derive(Message)]
#[message(reply = ())]
struct Mount(Way);

#[derive(Message)]
#[message(reply = ())]
struct Stop;

#[derive(Subsystem)]
struct Sub(Way);

#[routes]
impl Sub {
    #[route("mount")]
    async fn mount(&mut self, Mount(way): Mount, ctx: Context) -> anyhow::Result<()> {
        Ok(ctx.mount_with(named("child"), move || Sub(way)).await?)
    }

    #[route("stop")]
    fn stop(&mut self, _: Stop, ctx: Context) {
        ctx.stop();
    }

    #[stopped]
    async fn end(&mut self, _: EndReason) -> anyhow::Result<()> {
        match self.0 {
            Way::Well => Ok(()),
            Way::Fails => anyhow::bail!("could not flush"),
            Way::Panics => panic!("at the end"),
            Way::PanicsWithoutText => panic_any(Bomb),
            Way::PanicsLater => {
                tokio::task::yield_now().await;
                panic!("at the very end")
            }
            Way::NeverEnds => std::future::pending().await,
        }
    }
}

const WAYS: [(Way, &str); 4] = [
    (Way::Fails, "could not flush"),
    (Way::Panics, "at the end"),
    (Way::PanicsWithoutText, "a panic without a text"),
    (Way::PanicsLater, "at the very end"),
];

async fn system() -> System {
    quiet_threads();
    System::builder().threads(1).start().await.unwrap()
}

#[mycelia::test]
async fn an_unmount_and_an_event_tell_of_a_last_hook_that_failed() {
    let _watch = watchdog();
    let system = system().await;
    for (way, text) in WAYS {
        let mut watch = system.watch("sub");
        system.mount(move || Sub(way)).await.unwrap();
        let Err(UnmountError::HooksFailed { failed, ledger }) = system.unmount("sub").await else {
            panic!("{text}: the unmount says nothing");
        };
        assert_eq!(figures(&ledger), [0; 6]);
        assert_eq!(failed.len(), 1);
        assert_eq!((&*failed[0].subsystem, &*failed[0].message), ("sub", text));
        let told = [
            Change::Started,
            Change::Failed(Failure::LastHook(text.into())),
            Change::Ended(EndReason::Unmounted),
        ];
        for change in told {
            assert_eq!(watch.next().await.unwrap().change, change);
        }
    }
    system.mount(|| Sub(Way::Well)).await.unwrap();
    system.unmount("sub").await.unwrap();
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_stop_s_report_tells_of_every_last_hook_that_failed() {
    let _watch = watchdog();
    let system = system().await;
    for (n, (way, _)) in WAYS.into_iter().enumerate() {
        let options = named(&format!("sub-{n}"));
        system.mount_with(options, move || Sub(way)).await.unwrap();
    }
    system.mount(|| Sub(Way::Well)).await.unwrap();
    let report = system.stop().await.unwrap();
    let failed = report.failed_hooks.iter();
    let failed: Vec<_> = failed.map(|one| (&*one.subsystem, &*one.message)).collect();
    assert_eq!(
        failed,
        [
            ("sub-3", "at the very end"),
            ("sub-2", "a panic without a text"),
            ("sub-1", "at the end"),
            ("sub-0", "could not flush"),
        ]
    );
    assert!(
        report
            .to_string()
            .contains("the last hook of `sub-0`: could not flush")
    );
}

#[mycelia::test]
async fn an_unmount_tells_of_the_last_hooks_of_those_below_it() {
    let _watch = watchdog();
    let system = system().await;
    system.mount(|| Sub(Way::Fails)).await.unwrap();
    system.ask("sub://mount", Mount(Way::Panics)).await.unwrap();
    let unmounted = system.unmount("sub").await;
    let Err(UnmountError::HooksFailed { failed, .. }) = &unmounted else {
        panic!("{unmounted:?}");
    };
    let names: Vec<_> = failed.iter().map(|one| &*one.subsystem).collect();
    assert_eq!(names, ["sub/child", "sub"]);
    let text = unmounted.unwrap_err().to_string();
    let told = "`sub/child`: at the end, `sub`: could not flush";
    assert!(text.ends_with(told), "{text}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_last_hook_that_does_not_come_to_its_end_is_told() {
    let _watch = watchdog();
    let system = system().await;
    let mut watch = system.watch("sub");
    system.mount(|| Sub(Way::NeverEnds)).await.unwrap();
    let stopped = system.stop_within(Duration::from_millis(20)).await;
    let (Ok(report) | Err(StopError::DeadlineExceeded(report))) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(
        &*report.failed_hooks[0].message,
        "it did not come to its end in time"
    );
    assert_eq!(watch.next().await.unwrap().change, Change::Started);
    let failed = watch.next().await.unwrap().change;
    assert!(matches!(failed, Change::Failed(Failure::LastHook(_))));
}

#[mycelia::test]
async fn one_that_is_there_always_is_restarted_though_its_last_hook_failed_which_is_told() {
    let _watch = watchdog();
    for way in [Way::Panics, Way::NeverEnds] {
        let system = system().await;
        let mut watch = system.watch("sub");
        let options = named("sub").restart(Restart::Permanent);
        system.mount_with(options, move || Sub(way)).await.unwrap();
        assert_eq!(watch.next().await.unwrap().change, Change::Started);
        system.ask("sub://stop", Stop).await.unwrap();
        let failed = watch.next().await.unwrap().change;
        assert!(matches!(failed, Change::Failed(Failure::LastHook(_))));
        let stopped = Change::Failed(Failure::Stopped);
        assert_eq!(watch.next().await.unwrap().change, stopped);
        assert_eq!(watch.next().await.unwrap().change, Change::Restarted);
        let _ = system.stop_within(Duration::from_millis(20)).await;
    }
}
