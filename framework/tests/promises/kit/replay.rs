//! Recordings: what was accepted is sent again, in the same order.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelia::error::SendError;
use mycelia::prelude::*;
use mycelia::schedule::{Overflow, Priority};
use mycelia::time::Clock;
use mycelia_test::{Probe, RecordError, Recorder, Replay, ReplayError, SystemExt};
use serde::{Deserialize, Serialize};

use crate::common::{quiet, watchdog};

#[derive(Message, Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Note {
    text: String,
    number: u128,
}

#[derive(Message, Serialize, Deserialize)]
struct Relay(u64);

#[derive(Message)]
struct Secret;

#[derive(Message, Serialize, Deserialize)]
struct Reading {
    at: Option<f64>,
}

/// Can't be put in words.
#[derive(Message)]
struct Garbled;

impl Serialize for Garbled {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it is garbled"))
    }
}

/// What was handled: capture, query, message.
#[derive(Default)]
struct Handled(Mutex<Vec<One>>);

type One = (String, Option<String>, Note);

impl Handled {
    fn all(&self) -> Vec<One> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Subsystem, Default)]
struct Desk;

#[routes]
impl Desk {
    #[route("notes/{*rest}")]
    fn note(&mut self, note: Note, rest: Path<String>, query: Query, handled: State<Handled>) {
        handled.0.0.lock().unwrap().push((rest.0, query.0, note));
    }

    #[route("secret")]
    fn secret(&mut self, _: Secret) {}

    #[route("garbled")]
    fn garbled(&mut self, _: Garbled) {}

    #[route("reading")]
    fn reading(&mut self, _: Reading) {}
}

#[derive(Subsystem, Default)]
struct Front;

#[routes]
impl Front {
    #[route("relay")]
    async fn relay(&mut self, Relay(n): Relay, system: System) -> anyhow::Result<()> {
        system.tell(format!("desk://notes/{n}"), note(n)).await?;
        Ok(())
    }
}

fn note(n: u64) -> Note {
    Note {
        text: format!("„{n}“\n\""),
        number: u128::MAX - u128::from(n),
    }
}

/// A file of one test, removed at its end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mycelia-kit-{}-{number}.jsonl", std::process::id());
        Temporary(std::env::temp_dir().join(name))
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn start() -> (System, Arc<Handled>) {
    let handled = Arc::new(Handled::default());
    let builder = System::builder().name("shop").threads(2);
    let builder = builder.shared_state(handled.clone());
    let system = builder.start().await.unwrap();
    system.mount_on(0, Desk::default).await.unwrap();
    system.mount_on(1, Front::default).await.unwrap();
    (system, handled)
}

fn recorder(file: &Temporary) -> Recorder {
    let recorder = Recorder::new(&file.0).message::<Note>("note");
    recorder.message::<Relay>("relay")
}

fn replay(file: &Temporary) -> Replay {
    let replay = Replay::open(&file.0).unwrap().message::<Note>("note");
    replay.message::<Relay>("relay")
}

#[mycelia::test]
async fn a_replay_has_the_same_messages_handled_in_the_same_order() {
    let _watch = watchdog();
    let file = Temporary::new();
    let (system, handled) = start().await;
    let recording = recorder(&file).start(&system).unwrap();
    // Senders on several threads, each by another way.
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let system = system.clone();
            std::thread::spawn(move || {
                let route = system.route::<Note>("desk://notes/{*rest}").unwrap();
                for n in 0..200 {
                    let n = thread * 1000 + n;
                    match thread {
                        0 => route.at(n).tell_blocking(note(n)).unwrap(),
                        1 => route.at("a b/?c").tell_blocking(note(n)).unwrap(),
                        _ => {
                            let path = format!("desk://notes/%41/x%2Fy/{n}?q=%20");
                            system.tell_blocking(path, note(n)).unwrap();
                        }
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        tokio::task::spawn_blocking(|| thread.join().unwrap())
            .await
            .unwrap();
    }
    quiet(&system).await;
    let taped = recording.stop().unwrap();
    assert_eq!(taped.messages, 600);
    assert!(taped.skipped.is_empty());
    system.stop().await.unwrap();

    let (system, again) = start().await;
    let replayed = replay(&file).run(&system).await.unwrap();
    assert_eq!((replayed.sent, replayed.left_out), (600, 0));
    quiet(&system).await;
    let (first, second) = (handled.all(), again.all());
    assert_eq!(first.len(), 600);
    assert!(first == second, "the two runs differ");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_line_says_what_was_sent_when_by_whom_and_where_to() {
    let _watch = watchdog();
    let file = Temporary::new();
    let (clock, hand) = Clock::manual();
    let builder = System::builder().name("a \"shop\"").threads(1).clock(clock);
    let system = builder.start().await.unwrap();
    let probe = Probe::new("desk").takes::<Note>("notes/{id}");
    probe.mount(&system).await.unwrap();
    system.mount(Front::default).await.unwrap();
    let recording = recorder(&file).start(&system).unwrap();
    hand.advance(Duration::from_micros(7));
    system.ask("front://relay", Relay(3)).await.unwrap();
    let low = system.route::<Note>("desk://notes/{id}").unwrap();
    let low = low.with_priority(Priority::Low);
    low.at("a/b").tell(note(0)).await.unwrap();
    quiet(&system).await;
    recording.stop().unwrap();
    assert_eq!(
        file.lines(),
        [
            r#"{"mycelia_record":1,"system":"a \"shop\""}"#,
            r#"{"seq":0,"at_ns":7000,"path":"front://relay","from":null,"priority":2,"type":"relay","message":3}"#,
            r#"{"seq":1,"at_ns":7000,"path":"desk://notes/3","from":"front","priority":2,"type":"note","message":{"text":"„3“\n\"","number":340282366920938463463374607431768211452}}"#,
            r#"{"seq":2,"at_ns":7000,"path":"desk://notes/a%2Fb","from":null,"priority":3,"type":"note","message":{"text":"„0“\n\"","number":340282366920938463463374607431768211455}}"#,
        ]
    );
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_subsystems_sent_is_left_to_them_unless_one_is_tried_alone() {
    let _watch = watchdog();
    let file = Temporary::new();
    let (system, _) = start().await;
    let recording = recorder(&file).start(&system).unwrap();
    for n in 0..5 {
        system.tell("front://relay", Relay(n)).await.unwrap();
    }
    quiet(&system).await;
    assert_eq!(recording.stop().unwrap().messages, 10);
    system.stop().await.unwrap();

    let (system, handled) = start().await;
    let replayed = replay(&file).run(&system).await.unwrap();
    assert_eq!((replayed.sent, replayed.left_out), (5, 5));
    quiet(&system).await;
    assert_eq!(handled.all().len(), 5);
    system.stop().await.unwrap();

    let system = System::builder().threads(1).start().await.unwrap();
    let desk = Probe::new("desk").takes::<Note>("notes/{id}");
    let desk = desk.mount(&system).await.unwrap();
    let alone = replay(&file).only("desk://**").unwrap().inner();
    let replayed = alone.run(&system).await.unwrap();
    assert_eq!((replayed.sent, replayed.left_out), (5, 5));
    let notes = desk.expect_n::<Note>(5).await;
    assert_eq!(notes, [0, 1, 2, 3, 4].map(note));
    // The rest finds no one, which is no error of the file.
    let replayed = replay(&file).run(&system).await.unwrap();
    let lines: Vec<usize> = replayed.refused.iter().map(|(line, _)| *line).collect();
    assert_eq!((replayed.sent, lines.len()), (0, 5));
    assert_eq!(lines[0], 2);
    assert!(matches!(
        replayed.refused[0].1,
        SendError::NoSubsystem { .. }
    ));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn gaps_are_kept_if_wanted() {
    let _watch = watchdog();
    let file = Temporary::new();
    let (clock, hand) = Clock::manual();
    let builder = System::builder().threads(1).clock(clock);
    let system = builder.start().await.unwrap();
    let desk = Probe::new("desk").takes::<Note>("notes/{id}");
    let desk = desk.mount(&system).await.unwrap();
    let recording = recorder(&file).start(&system).unwrap();
    let hour = Duration::from_secs(3600);
    for n in 0..3 {
        system.tell("desk://notes/1", note(n)).await.unwrap();
        hand.advance(hour);
    }
    recording.stop().unwrap();
    desk.expect_n::<Note>(3).await;

    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    replay(&file).with_gaps().run(&system).await.unwrap();
    let took = begun.elapsed();
    assert!((2 * hour..3 * hour).contains(&took), "{took:?}");
    desk.expect_n::<Note>(3).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn only_what_was_accepted_is_recorded_and_what_is_left_out_is_counted() {
    let _watch = watchdog();
    let file = Temporary::new();
    let (system, _) = start().await;
    system.tell("desk://notes/0", note(0)).await.unwrap();
    let recording = recorder(&file).start(&system).unwrap();
    let second = recorder(&Temporary::new()).start(&system);
    assert!(matches!(second, Err(RecordError::Recording)));
    assert!(system.try_tell("desk://nothing", note(1)).is_err());
    for _ in 0..2 {
        system.tell("desk://secret", Secret).await.unwrap();
    }
    // Counts as sent: it is up to the policy, at the replay too.
    let faults = system.faults();
    let full = faults.full("desk://**", 1.0).unwrap();
    assert!(system.try_tell("desk://notes/2", note(2)).is_err());
    system.set_overflow("desk", Overflow::DropNewest).unwrap();
    system.tell("desk://notes/3", note(3)).await.unwrap();
    full.remove();
    quiet(&system).await;
    let taped = recording.stop().unwrap();
    assert_eq!(taped.messages, 1);
    assert_eq!(taped.skipped.values().collect::<Vec<_>>(), [&2]);
    assert!(file.lines()[1].contains("desk://notes/3"));
    // Nothing is recorded after the end.
    system.tell("desk://notes/4", note(4)).await.unwrap();
    assert_eq!(file.lines().len(), 2);
    system.stop().await.unwrap();
}

#[test]
fn a_bad_file_is_refused_with_the_line() {
    let file = Temporary::new();
    let header = r#"{"mycelia_record":1,"system":"shop"}"#;
    let good = r#"{"seq":0,"at_ns":0,"path":"desk://x","from":null,"priority":2,"type":"note","message":{"text":"","number":1}}"#;
    let open = |text: String| {
        std::fs::write(&file.0, text).unwrap();
        let error = Replay::open(&file.0).err();
        error.map(|error| {
            let text = error.to_string();
            text.replace(&file.0.display().to_string(), "FILE")
        })
    };
    assert_eq!(open(format!("{header}\n{good}\n")), None);
    assert_eq!(
        open(format!("{header}\n{good}\n{}", &good[..30])).as_deref(),
        Some("`FILE`, line 3: EOF while parsing a string at line 1 column 30")
    );
    assert_eq!(
        open(format!("{header}\n{}", good.replace("at_ns", "at"))).as_deref(),
        Some("`FILE`, line 2: missing field `at_ns` at line 1 column 106")
    );
    assert_eq!(
        open(header.replace('1', "2")).as_deref(),
        Some(
            "`FILE` is no recording to be replayed here: it is of version 2, and this is made for 1"
        )
    );
    let text = open(String::new()).unwrap();
    assert!(text.contains("line 1: EOF"), "{text}");
    std::fs::remove_file(&file.0).unwrap();
    let missing = Replay::open(&file.0);
    assert!(matches!(missing, Err(ReplayError::File { .. })));
}

#[mycelia::test]
async fn a_message_that_is_not_what_it_should_be_stops_the_replay_before_it_begins() {
    let _watch = watchdog();
    let file = Temporary::new();
    let (system, handled) = start().await;
    let line = |tag: &str, message: &str| {
        format!(
            r#"{{"seq":0,"at_ns":0,"path":"desk://notes/1","from":null,"priority":2,"type":"{tag}","message":{message}}}"#
        )
    };
    let good = line("note", r#"{"text":"","number":1}"#);
    let header = r#"{"mycelia_record":1,"system":"shop"}"#;
    for (bad, error) in [
        (line("note", r#"{"text":7}"#), ", line 3: invalid type"),
        (
            line("letter", "1"),
            "line 3: a message of the type `letter`",
        ),
    ] {
        std::fs::write(&file.0, format!("{header}\n{good}\n{bad}\n")).unwrap();
        let text = replay(&file).run(&system).await.unwrap_err().to_string();
        assert!(text.contains(error), "{text}");
    }
    assert!(handled.all().is_empty());
    let twice = Recorder::new(&file.0)
        .message::<Note>("a")
        .message::<Relay>("a");
    let twice = twice.start(&system).err();
    assert!(
        matches!(twice, Some(RecordError::Twice { .. })),
        "{twice:?}"
    );
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_recording_that_can_t_be_made_or_is_not_whole_says_which_and_why() {
    let _watch = watchdog();
    let (system, _) = start().await;
    let nowhere = Temporary::new().0.join("file");
    let refused = Recorder::new(&nowhere).start(&system).unwrap_err();
    let text = refused.to_string();
    let start = format!("the recording `{}` failed: ", nowhere.display());
    assert!(text.starts_with(&start), "{text}");

    let file = Temporary::new();
    let recording = recorder(&file).message::<Garbled>("garbled");
    let recording = recording.start(&system).unwrap();
    system.tell("desk://garbled", Garbled).await.unwrap();
    system.tell("desk://notes/1", note(1)).await.unwrap();
    let text = recording.stop().unwrap_err().to_string();
    assert!(text.contains("it is garbled"), "{text}");
    // What could be written is there.
    assert!(file.lines()[1].contains("desk://notes/1"));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_message_that_could_not_be_read_back_is_refused_by_name_when_it_is_recorded() {
    let _watch = watchdog();
    let (system, handled) = start().await;
    for value in [f64::NAN, f64::INFINITY] {
        let file = Temporary::new();
        let recording = recorder(&file).message::<Reading>("reading");
        let recording = recording.start(&system).unwrap();
        let reading = Reading { at: Some(value) };
        system.tell("desk://reading", reading).await.unwrap();
        system.tell("desk://notes/1", note(1)).await.unwrap();
        let text = recording.stop().unwrap_err().to_string();
        let of =
            format!("::Reading` can't be written: it holds the number {value}, which JSON has not");
        assert!(text.contains(&of), "{text}");
        // What is there can be replayed.
        quiet(&system).await;
        let before = handled.all().len();
        replay(&file).run(&system).await.unwrap();
        quiet(&system).await;
        assert_eq!(handled.all().len(), before + 1);
    }
    let file = Temporary::new();
    let recording = recorder(&file).message::<Reading>("reading");
    let recording = recording.start(&system).unwrap();
    let reading = Reading { at: Some(0.5) };
    system.tell("desk://reading", reading).await.unwrap();
    assert_eq!(recording.stop().unwrap().messages, 1);
    system.stop().await.unwrap();
}

#[cfg(target_os = "linux")]
#[mycelia::test]
async fn a_recording_for_which_the_disk_has_no_room_says_so_at_its_end() {
    let _watch = watchdog();
    let (system, _) = start().await;
    let recorder = Recorder::new("/dev/full").message::<Note>("note");
    let recording = recorder.start(&system).unwrap();
    system.tell("desk://notes/1", note(1)).await.unwrap();
    let Err(RecordError::File { error, .. }) = recording.stop() else {
        panic!("nothing can be written there");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_recording_shows_what_it_has_and_ends_when_it_is_dropped() {
    let _watch = watchdog();
    let file = Temporary::new();
    let (system, _) = start().await;
    let recorder = Recorder::new(&file.0).message::<Note>("note");
    let shown = format!("{recorder:?}");
    assert!(shown.contains("tags: [\"note\"]"), "{shown}");
    let recording = recorder.start(&system).unwrap();
    system.tell("desk://notes/1", note(1)).await.unwrap();
    let shown = format!("{recording:?}");
    assert!(shown.contains("messages: 1"), "{shown}");
    let other = Temporary::new();
    let refused = self::recorder(&other).start(&system).unwrap_err();
    assert!(refused.to_string().contains("stop that first"), "{refused}");
    drop(recording);
    assert_eq!(file.lines().len(), 2);
    let recording = self::recorder(&other).start(&system).unwrap();
    assert_eq!(recording.stop().unwrap().messages, 0);
    system.stop().await.unwrap();
}
