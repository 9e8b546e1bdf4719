//! Room that is lacking here and then there: a sender that waits spins between the two no more than it sleeps on
//! when the one it waits for has ended.

use std::pin::pin;
use std::time::Duration;

use crate::common::{named, poll_once, watchdog};
use mycelia::Replicas;
use mycelia::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Holds its handler up for so many milliseconds.
#[derive(Message)]
struct Hold(u64);

#[derive(Subsystem, Default)]
struct Slow;

#[routes]
impl Slow {
    #[route("hold")]
    async fn hold(&mut self, Hold(ms): Hold) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

#[mycelia::test]
async fn who_finds_one_replica_full_and_no_envelope_for_the_next_waits_and_does_not_spin() {
    let _watch = watchdog();
    let system = System::builder().pool(3).start().await.unwrap();
    let several = named("several").capacity(1);
    system
        .mount_replicas_with(Replicas::round_robin(2), several, Slow::default)
        .await
        .unwrap();
    system.mount_as("other", Slow::default).await.unwrap();
    system.tell("several/0://hold", Hold(30)).await.unwrap();
    for _ in 0..2 {
        system.tell("other://hold", Hold(100)).await.unwrap();
    }
    let handle = system.route::<Hold>("several://hold").unwrap();
    let (by_path, by_handle) = (system.tell("several://hold", Hold(0)), handle.tell(Hold(0)));
    let both = tokio::time::timeout(SECOND, async { tokio::join!(by_path, by_handle) });
    let (by_path, by_handle) = both.await.expect("they are accepted in the end");
    by_path.unwrap();
    by_handle.unwrap();
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn who_waits_for_one_that_was_mounted_anew_and_is_full_again_waits_for_the_new_one() {
    let _watch = watchdog();
    let system = System::builder().start().await.unwrap();
    let slow = || named("slow").capacity(1);
    system.mount_with(slow(), Slow::default).await.unwrap();
    let handle = system.route::<Hold>("slow://hold").unwrap();
    system.tell("slow://hold", Hold(20)).await.unwrap();
    let mut by_path = pin!(system.tell("slow://hold", Hold(0)));
    let mut by_handle = pin!(handle.tell(Hold(0)));
    assert!(poll_once(by_path.as_mut()).await.is_none());
    assert!(poll_once(by_handle.as_mut()).await.is_none());
    system.unmount("slow").await.unwrap();
    system.mount_with(slow(), Slow::default).await.unwrap();
    system.tell("slow://hold", Hold(20)).await.unwrap();
    assert!(poll_once(by_path.as_mut()).await.is_none());
    assert!(poll_once(by_handle.as_mut()).await.is_none());
    let both = tokio::time::timeout(SECOND, async { tokio::join!(by_path, by_handle) });
    let (by_path, by_handle) = both.await.expect("they are accepted in the end");
    by_path.unwrap();
    by_handle.unwrap();
    system.stop().await.unwrap();
}
