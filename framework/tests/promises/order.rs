//! Promise 1: messages of one sender to one subsystem are handled in the order sent.

use std::thread;

use crate::common::{on_no_executor, watchdog};
use mycelia::prelude::*;

const SENDERS: usize = 4;

/// The `number`-th message of its sender.
#[derive(Message)]
struct Numbered {
    sender: usize,
    number: u64,
}

/// Asks how many messages came from each sender, and how many of them out of order.
#[derive(Message)]
#[message(reply = ([u64; SENDERS + 2], u64))]
struct Received;

/// Checks the order of what it gets.
#[derive(Subsystem, Default)]
struct Log {
    next: [u64; SENDERS + 2],
    out_of_order: u64,
}

#[routes]
impl Log {
    #[route("now/{n}")]
    fn now(&mut self, message: Numbered, Path(n): Path<u64>) {
        let next = &mut self.next[message.sender];
        self.out_of_order += u64::from(message.number != *next || n != *next);
        *next = message.number + 1;
    }

    #[route("later/{n}")]
    async fn later(&mut self, message: Numbered, n: Path<u64>) {
        for _ in 0..message.number % 3 {
            tokio::task::yield_now().await;
        }
        self.now(message, n);
    }

    #[route("received")]
    fn received(&mut self, _: Received) -> ([u64; SENDERS + 2], u64) {
        (self.next, self.out_of_order)
    }
}

async fn two_logs(pool: usize) -> System {
    let system = System::builder()
        .threads(2)
        .pool(pool)
        .start()
        .await
        .unwrap();
    for (thread, name) in ["log-a", "log-b"].into_iter().enumerate() {
        let options = MountOptions::new().name(name).thread(thread);
        system.mount_with(options, Log::default).await.unwrap();
    }
    system
}

/// Sends `count` messages to both logs in turn, by path and by handle, to sync and async handlers.
async fn send(system: &System, sender: usize, count: u64, routes: &[&str]) {
    let logs = ["log-a", "log-b"];
    let handles: Vec<Vec<_>> = logs
        .iter()
        .map(|log| {
            let resolve = |route| system.route::<Numbered>(format!("{log}://{route}/{{n}}"));
            routes.iter().map(|route| resolve(route).unwrap()).collect()
        })
        .collect();
    for number in 0..count {
        let route = (number / 7) as usize % routes.len();
        for (log, handles) in logs.iter().zip(&handles) {
            let message = Numbered { sender, number };
            if (number / 3 + sender as u64).is_multiple_of(2) {
                let path = format!("{log}://{}/{number}", routes[route]);
                system.tell(path, message).await.unwrap();
            } else {
                handles[route].at(number).tell(message).await.unwrap();
            }
        }
    }
}

async fn check(system: &System, senders: usize, count: u64) {
    for log in ["log-a://received", "log-b://received"] {
        let (next, out_of_order) = system.ask(log, Received).await.unwrap();
        assert_eq!(out_of_order, 0, "{log}");
        assert!(
            next[..senders].iter().all(|next| *next == count),
            "{next:?}"
        );
    }
    system.stop().await.unwrap();
}

fn four_threads_send(pool: usize, count: u64, routes: &'static [&str]) {
    let _watch = watchdog();
    let system = on_no_executor(two_logs(pool));
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let system = &system;
            scope.spawn(move || on_no_executor(send(system, sender, count, routes)));
        }
    });
    on_no_executor(check(&system, SENDERS, count));
}

#[test]
fn order_is_kept_per_sender_by_path_and_by_handle_mixed() {
    four_threads_send(4096, 20_000, &["now"]);
}

#[test]
fn order_is_kept_when_async_handlers_wait() {
    four_threads_send(4096, 10_000, &["later"]);
}

#[test]
fn order_is_kept_across_sync_and_async_handlers_of_a_subsystem() {
    four_threads_send(256, 10_000, &["now", "later"]);
}

#[test]
fn order_is_kept_when_every_tell_must_wait_for_room() {
    four_threads_send(3, 3_000, &["now", "later"]);
}

#[test]
fn order_is_kept_for_tasks_of_one_executor() {
    let _watch = watchdog();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let system = two_logs(16).await;
        let tasks = (0..SENDERS).map(|sender| {
            let system = system.clone();
            tokio::spawn(async move { send(&system, sender, 3_000, &["now", "later"]).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        check(&system, SENDERS, 3_000).await;
    });
}

#[derive(Message)]
struct Relay {
    count: u64,
}

/// Sends from a handler.
#[derive(Subsystem)]
struct Sending {
    sender: usize,
}

#[routes]
impl Sending {
    #[route("relay")]
    async fn relay(&mut self, Relay { count }: Relay, system: System) {
        send(&system, self.sender, count, &["now", "later"]).await;
    }
}

#[mycelia::test]
async fn order_is_kept_when_the_senders_are_subsystems() {
    let _watch = watchdog();
    let system = two_logs(64).await;
    for sender in 0..2 {
        let options = MountOptions::new()
            .name(format!("sending-{sender}"))
            .thread(sender);
        system
            .mount_with(options, move || Sending { sender })
            .await
            .unwrap();
    }
    let (zero, one) = tokio::join!(
        system.ask("sending-0://relay", Relay { count: 5_000 }),
        system.ask("sending-1://relay", Relay { count: 5_000 }),
    );
    zero.unwrap();
    one.unwrap();
    check(&system, 2, 5_000).await;
}

#[mycelia::test]
async fn an_ask_is_handled_after_all_that_its_sender_told_before() {
    let _watch = watchdog();
    let system = two_logs(32).await;
    for number in 0..1_000 {
        let message = Numbered { sender: 0, number };
        let path = format!("log-a://later/{number}");
        system.tell(path, message).await.unwrap();
        let (next, out_of_order) = system.ask("log-a://received", Received).await.unwrap();
        assert_eq!((next[0], out_of_order), (number + 1, 0));
    }
    system.stop().await.unwrap();
}
