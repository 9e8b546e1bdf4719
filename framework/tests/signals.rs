//! Promise 7, of whole programs: a signal stops them as a stop does, and their exit code tells how it went.
#![cfg(unix)]

mod common;
#[path = "common/program.rs"]
mod program;

use std::process::Termination;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{ON_PURPOSE, figures, on_no_executor, poll_once, quiet_panics, until, watchdog};
use mycelia::Exit;
use mycelia::error::StopError;
use mycelia::prelude::*;
use program::{Program, say, until_told_to_go_on};
use tokio::sync::Semaphore;

const HOUR: Duration = Duration::from_secs(3600);

/// The program of a test, in a process of its own.
fn program(test: &str, run: impl FnOnce() -> Exit) -> Program {
    Program::start(test, || {
        let exit = run();
        (exit.code(), told(exit))
    })
}

/// What the program tells of its end.
fn told(exit: Exit) -> String {
    match exit.result() {
        Ok(report) => format!("drained: {}; {:?}", report.reason, figures(&report.ledger)),
        Err(StopError::DeadlineExceeded(report)) => {
            let figures = figures(&report.ledger);
            format!("too late: {}; {figures:?}", report.reason)
        }
        Err(StopError::Interrupted(report)) => {
            let figures = figures(&report.ledger);
            format!("interrupted: {}; {figures:?}", report.reason)
        }
        Err(StopError::Escalated(report)) => {
            let figures = figures(&report.ledger);
            format!("escalated: {}; {figures:?}", report.reason)
        }
        Err(StopError::Stuck { subsystems, .. }) => format!("stuck: {subsystems:?}"),
        Err(other) => format!("{other:?}"),
    }
}

#[derive(Message)]
struct Job;

struct Gate {
    begun: AtomicBool,
    permits: Semaphore,
}

#[derive(Subsystem, Default)]
struct Work;

#[routes]
impl Work {
    #[route("job")]
    async fn job(&mut self, _: Job, State(gate): State<Gate>) {
        gate.begun.store(true, Ordering::Relaxed);
        gate.permits.acquire().await.unwrap().forget();
    }

    #[route("panic")]
    fn panic(&mut self, _: Job) {
        panic!("{ON_PURPOSE}")
    }

    /// Blocks its thread forever.
    #[route("block")]
    fn block(&mut self, _: Job, State(gate): State<Gate>) {
        gate.begun.store(true, Ordering::Relaxed);
        loop {
            std::thread::park();
        }
    }

    #[route("stop")]
    async fn stop(&mut self, _: Job, system: System) {
        let refused = system.stop().await;
        assert!(matches!(refused, Err(StopError::InHandler { .. })));
        tokio::spawn(async move { system.stop().await });
    }
}

async fn idle(stop_deadline: Duration) -> (System, Arc<Gate>) {
    with_room(stop_deadline, 1000).await
}

async fn with_room(stop_deadline: Duration, room: u32) -> (System, Arc<Gate>) {
    quiet_panics();
    let gate = Arc::new(Gate {
        begun: AtomicBool::new(false),
        permits: Semaphore::new(0),
    });
    let system = System::builder()
        .threads(1)
        .stop_deadline(stop_deadline)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    let bounded = MountOptions::new().capacity(room);
    system.mount_with(bounded, Work::default).await.unwrap();
    (system, gate)
}

/// A system whose subsystem has begun the first of its messages, and has no room for more.
async fn busy(stop_deadline: Duration, path: &str, messages: u32) -> (System, Arc<Gate>) {
    let (system, gate) = with_room(stop_deadline, messages).await;
    for _ in 0..messages {
        system.tell(path, Job).await.unwrap();
    }
    let has_begun = || gate.begun.load(Ordering::Relaxed);
    until("the first is in its handler", has_begun).await;
    (system, gate)
}

/// Says when the system refuses what is new; lets its handlers end when it is told to.
fn observe(system: &System, gate: Arc<Gate>) {
    let system = system.clone();
    std::thread::spawn(move || {
        until_refused(&system);
        say("refuses");
        until_told_to_go_on();
        gate.permits.add_permits(1000);
    });
}

fn until_refused(system: &System) {
    // None is accepted meanwhile: there is no room.
    let probe = || {
        system
            .try_tell("work://job", Job)
            .unwrap_err()
            .into_reason()
    };
    while probe().is_full() {
        std::thread::yield_now();
    }
}

/// A program with five messages, which ends them when it is told to.
async fn five_jobs(stop_deadline: Duration) -> Exit {
    let (system, gate) = busy(stop_deadline, "work://job", 5).await;
    observe(&system, gate);
    let running = system.run_until_signal();
    say("ready");
    running.await
}

fn in_actix(program: impl Future<Output = Exit>) -> Exit {
    actix_rt::System::new().block_on(program)
}

fn drains(test: &str, signal: &str, run: impl FnOnce() -> Exit) {
    let mut program = program(test, run);
    program.until("ready");
    program.signal(signal);
    // It refuses what is new, and waits for what it has accepted.
    program.until("refuses");
    program.go_on();
    let expected = format!("drained: SIG{signal}; [5, 5, 0, 0, 0, 0]");
    assert_eq!(program.end(), (0, expected));
}

#[test]
fn sigterm_refuses_what_is_new_and_handles_what_was_accepted() {
    let _watch = watchdog();
    let test = "sigterm_refuses_what_is_new_and_handles_what_was_accepted";
    drains(test, "TERM", || in_actix(five_jobs(HOUR)));
}

#[test]
fn so_does_ctrl_c_in_a_multi_threaded_tokio_runtime() {
    let _watch = watchdog();
    let test = "so_does_ctrl_c_in_a_multi_threaded_tokio_runtime";
    drains(test, "INT", || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async { tokio::spawn(five_jobs(HOUR)).await.unwrap() })
    });
}

#[test]
fn so_does_a_signal_to_a_program_without_any_executor() {
    let _watch = watchdog();
    let test = "so_does_a_signal_to_a_program_without_any_executor";
    drains(test, "TERM", || {
        on_no_executor(async {
            // What the helpers of a test wait with needs timers; the wait for the signal does not.
            let timers = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let (system, gate) = timers.block_on(busy(HOUR, "work://job", 5));
            observe(&system, gate);
            let running = system.run_until_signal();
            say("ready");
            running.await
        })
    });
}

#[test]
fn what_is_left_at_the_deadline_shows_in_report_and_exit_code() {
    let _watch = watchdog();
    let mut program = program(
        "what_is_left_at_the_deadline_shows_in_report_and_exit_code",
        || in_actix(five_jobs(Duration::from_millis(50))),
    );
    program.until("ready");
    program.signal("TERM");
    let expected = "too late: SIGTERM; [5, 0, 1, 0, 0, 4]".to_owned();
    assert_eq!(program.end(), (3, expected));
}

/// The first signal does not end the program within an hour; the second does at once.
fn ends_at_once(test: &str, first: &str, second: &str, code: i32) {
    let mut program = program(test, || in_actix(five_jobs(HOUR)));
    program.until("ready");
    program.signal(first);
    program.until("refuses");
    program.signal(second);
    let expected = format!("interrupted: SIG{second}; [5, 0, 1, 0, 0, 4]");
    assert_eq!(program.end(), (code, expected));
}

#[test]
fn a_second_ctrl_c_ends_the_stop_at_once_still_with_a_report() {
    let _watch = watchdog();
    let test = "a_second_ctrl_c_ends_the_stop_at_once_still_with_a_report";
    ends_at_once(test, "INT", "INT", 130);
}

#[test]
fn so_does_a_second_signal_of_another_kind() {
    let _watch = watchdog();
    let test = "so_does_a_second_signal_of_another_kind";
    ends_at_once(test, "INT", "TERM", 143);
}

#[test]
fn a_system_that_stops_by_itself_ends_the_wait_and_the_exit_code_says_so() {
    let _watch = watchdog();
    let test = "a_system_that_stops_by_itself_ends_the_wait_and_the_exit_code_says_so";
    let program = program(test, || {
        in_actix(async {
            let (system, _) = idle(HOUR).await;
            let fragile = MountOptions::new().name("fragile").intensity(0, HOUR);
            system.mount_with(fragile, Work::default).await.unwrap();
            let running = system.run_until_signal();
            system.tell("fragile://panic", Job).await.unwrap();
            running.await
        })
    });
    let reason = format!("`fragile` failed too often, last: a handler panicked: {ON_PURPOSE}");
    let expected = format!("escalated: {reason}; [1, 0, 1, 0, 0, 0]");
    assert_eq!(program.end(), (5, expected));
}

#[test]
fn a_handler_that_blocks_its_thread_is_named_and_does_not_keep_the_program() {
    let _watch = watchdog();
    let test = "a_handler_that_blocks_its_thread_is_named_and_does_not_keep_the_program";
    let mut program = program(test, || {
        in_actix(async {
            let (system, _) = busy(HOUR, "work://block", 1).await;
            let running = system.run_until_signal();
            let refuses = system.clone();
            std::thread::spawn(move || {
                until_refused(&refuses);
                say("refuses");
            });
            say("ready");
            running.await
        })
    });
    program.until("ready");
    program.signal("INT");
    program.until("refuses");
    program.signal("INT");
    let expected = r#"stuck: ["work"]"#.to_owned();
    assert_eq!(program.end(), (4, expected));
}

#[test]
fn a_stop_by_someone_else_ends_the_wait_with_the_report_of_that_stop() {
    let _watch = watchdog();
    let test = "a_stop_by_someone_else_ends_the_wait_with_the_report_of_that_stop";
    let program = program(test, || {
        in_actix(async {
            let (system, gate) = busy(HOUR, "work://job", 5).await;
            gate.permits.add_permits(5);
            let running = system.run_until_signal();
            let report = system.stop().await.unwrap();
            let exit = running.await;
            assert_eq!(exit.clone().result().unwrap(), report);
            // Told once more, it says the same.
            assert_eq!(system.run_until_signal().await, exit);
            exit
        })
    });
    let expected = "drained: it was told to; [5, 5, 0, 0, 0, 0]".to_owned();
    assert_eq!(program.end(), (0, expected));
}

#[test]
fn a_handler_that_spawns_the_stop_of_its_own_system_ends_the_program() {
    let _watch = watchdog();
    let test = "a_handler_that_spawns_the_stop_of_its_own_system_ends_the_program";
    let program = program(test, || {
        in_actix(async {
            let (system, _) = idle(HOUR).await;
            let running = system.run_until_signal();
            system.tell("work://stop", Job).await.unwrap();
            running.await
        })
    });
    let expected = "drained: it was told to; [1, 1, 0, 0, 0, 0]".to_owned();
    assert_eq!(program.end(), (0, expected));
}

#[test]
fn a_signal_that_comes_before_the_wait_begins_is_not_lost() {
    let _watch = watchdog();
    let test = "a_signal_that_comes_before_the_wait_begins_is_not_lost";
    let mut program = program(test, || {
        in_actix(async {
            let (system, gate) = busy(HOUR, "work://job", 5).await;
            gate.permits.add_permits(5);
            let running = system.run_until_signal();
            say("ready");
            until_told_to_go_on();
            running.await
        })
    });
    program.until("ready");
    program.signal("TERM");
    program.go_on();
    let expected = "drained: SIGTERM; [5, 5, 0, 0, 0, 0]".to_owned();
    assert_eq!(program.end(), (0, expected));
}

#[test]
fn a_wait_that_is_given_up_leaves_the_system_running() {
    let _watch = watchdog();
    let test = "a_wait_that_is_given_up_leaves_the_system_running";
    let mut program = program(test, || {
        in_actix(async {
            let (system, gate) = busy(HOUR, "work://job", 1).await;
            assert!(poll_once(system.run_until_signal()).await.is_none());
            gate.permits.add_permits(2);
            system.ask("work://job", Job).await.unwrap();
            let running = system.run_until_signal();
            say("ready");
            running.await
        })
    });
    program.until("ready");
    program.signal("TERM");
    let expected = "drained: SIGTERM; [2, 2, 0, 0, 0, 0]".to_owned();
    assert_eq!(program.end(), (0, expected));
}

#[mycelia::test]
async fn main_may_give_an_exit_back_and_its_code_is_the_process_s() {
    let _watch = watchdog();
    let (system, gate) = idle(HOUR).await;
    gate.permits.close();
    let drained = Exit::from(system.stop().await);
    let again = Exit::from(system.stop().await);
    for (exit, code) in [(drained, 0), (again, 1)] {
        assert_eq!(exit.code(), code);
        let expected = std::process::ExitCode::from(code);
        assert_eq!(format!("{:?}", exit.report()), format!("{expected:?}"));
    }
}
