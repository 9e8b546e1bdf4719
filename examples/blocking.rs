//! Run with `cargo run --example blocking`
//!
//! Handlers that block their thread run on a small pool beside the system's own threads.

use futures_util::future::{join, try_join_all};
use mycelia::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[derive(Message)]
#[message(reply = usize)]
struct Read(&'static str);

#[derive(Message)]
#[message(reply = u32)]
struct Ping;

/// How many read now, and how many did at most.
#[derive(Default)]
struct Readers {
    now: AtomicU32,
    most: AtomicU32,
}

// ANCHOR: blocking
#[derive(Subsystem, Default)]
struct Disk;

#[routes]
impl Disk {
    /// Not `async`: it may block as long as it likes. `&mut self` is its own, as in every handler.
    #[route("read", blocking)]
    fn read(&mut self, Read(file): Read, State(readers): State<Readers>) -> anyhow::Result<usize> {
        let now = readers.now.fetch_add(1, Ordering::Relaxed) + 1;
        readers.most.fetch_max(now, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50)); // a slow disk
        let read = std::fs::read_to_string(file);
        readers.now.fetch_sub(1, Ordering::Relaxed);
        Ok(read?.lines().count())
    }

    #[route("check", blocking)]
    fn check(&mut self, Read(file): Read) -> usize {
        panic!("{file} is damaged");
    }
}
// ANCHOR_END: blocking

#[derive(Subsystem, Default)]
struct Pulse {
    pings: u32,
}

#[routes]
impl Pulse {
    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u32 {
        self.pings += 1;
        self.pings
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    std::panic::set_hook(Box::new(|_| ())); // the errors below tell of the panics
    let readers = std::sync::Arc::new(Readers::default());
    let system = System::builder()
        .threads(1)
        .blocking_threads(2)
        .shared_state(readers.clone())
        .start()
        .await?;
    for n in 0..6 {
        system.mount_as(format!("disk-{n}"), Disk::default).await?;
    }
    system.mount(Pulse::default).await?;

    // Six disks read; the pulse lives on their thread, and goes on meanwhile.
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/blocking.rs");
    let reads = (0..6).map(|n| system.ask(format!("disk-{n}://read"), Read(file)));
    let pulse = async {
        let mut during = 0;
        for _ in 0..100 {
            during += u32::from(readers.now.load(Ordering::Relaxed) > 0);
            system.ask("pulse://ping", Ping).await?;
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        anyhow::Ok(during)
    };
    let (lines, during) = join(try_join_all(reads), pulse).await;
    let (lines, during) = (lines?, during?);
    let most = readers.most.load(Ordering::Relaxed);
    println!("six disks read {lines:?} lines, {most} at once at most");
    println!("meanwhile {during} pings were answered");
    assert_eq!(lines, [lines[0]; 6]);
    assert!(most <= 2 && during > 0);

    // A panic fails its message alone; the threads of the pool are as many as before.
    for n in 0..6 {
        let checked = system.ask(format!("disk-{n}://check"), Read(file)).await;
        let error = checked.unwrap_err();
        assert!(matches!(error, AskError::Panicked { .. }));
        if n == 0 {
            println!("{error}");
        }
    }
    assert_eq!(system.ask("disk-0://read", Read(file)).await?, lines[0]);

    let report = system.stop().await?;
    println!("{:?}", report.ledger);
    assert_eq!((report.ledger.failed, report.ledger.handled), (6, 107));
    Ok(())
}
