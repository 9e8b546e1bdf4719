//! Promise 2, of paths that a thread remembers: each message reaches who is mounted there now, with the
//! captures and the query of its own path.

use std::cell::RefCell;
use std::convert::Infallible;
use std::str::FromStr;

use crate::common::{quiet, watchdog};
use mycelia::encode;
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Read;

#[derive(Message)]
struct Count;

#[derive(Subsystem, Default)]
#[subsystem(name = "desk")]
struct Desk {
    counted: u64,
}

#[routes]
impl Desk {
    #[route("plain")]
    fn plain(&mut self, _: Read, Query(query): Query) -> String {
        format!("plain {query:?}")
    }

    #[route("number/{id}")]
    fn number(&mut self, _: Read, Path(id): Path<u64>, Query(query): Query) -> String {
        format!("number {id} {query:?}")
    }

    #[route("numbers/{id}/{other}")]
    fn numbers(&mut self, _: Read, Path(one): Path<u64>, Path(other): Path<u64>) -> String {
        format!("numbers {one} {other}")
    }

    #[route("text/{*text}")]
    fn text(&mut self, _: Read, Path(text): Path<String>) -> String {
        format!("text {text}")
    }

    #[route("echo/{text}")]
    fn echo(&mut self, _: Count, Path(Echo): Path<Echo>) {
        self.counted += 1;
    }

    #[route("counted")]
    fn counted(&mut self, _: Count) {
        self.counted += 1;
    }

    #[route("counted")]
    fn read(&mut self, _: Read) -> String {
        self.counted.to_string()
    }
}

/// Another type with the same name.
#[derive(Subsystem, Default)]
#[subsystem(name = "desk")]
struct Other;

#[routes]
impl Other {
    #[route("number/{id}")]
    fn number(&mut self, _: Read, Path(id): Path<u64>) -> String {
        format!("another {id}")
    }
}

thread_local! {
    static SYSTEM: RefCell<Option<System>> = const { RefCell::new(None) };
}

/// Parsed by sending: to a path that was sent to before, and to one that never was.
struct Echo;

impl FromStr for Echo {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let system = SYSTEM.with_borrow(Clone::clone).expect("the test set it");
        let deeper = text
            .strip_prefix('x')
            .map(|rest| format!("desk://echo/{rest}"));
        let path = deeper.as_deref().unwrap_or("desk://counted");
        for _ in 0..2 {
            system.try_tell(path, Count).expect("there is room");
        }
        Ok(Echo)
    }
}

/// Paths of every kind, and what is answered there.
fn paths(n: u64) -> Vec<(String, String)> {
    let long = "long".repeat(n as usize % 40);
    vec![
        (format!("desk://plain?{n}"), format!("plain Some(\"{n}\")")),
        (format!("desk://number/{n}"), format!("number {n} None")),
        (
            format!("desk://number/0{n}?"),
            format!("number {n} Some(\"\")"),
        ),
        (format!("desk://numbers/{n}/1"), format!("numbers {n} 1")),
        (
            format!("desk://text/{long}%41{n}"),
            format!("text {long}A{n}"),
        ),
    ]
}

#[mycelia::test]
async fn more_paths_than_are_remembered_all_lead_where_they_say() {
    let _watch = watchdog();
    let system = System::builder().start().await.unwrap();
    system.mount(Desk::default).await.unwrap();
    for numbers in [0..20, 0..1000, 0..20] {
        for (path, answer) in numbers.flat_map(paths) {
            for _ in 0..2 {
                assert_eq!(system.ask(path.as_str(), Read).await.unwrap(), answer);
            }
        }
    }
    system.stop().await.unwrap();
}

/// Answers with all that it knows of its path.
#[derive(Subsystem, Default)]
struct Users;

#[routes]
impl Users {
    #[route("by/{id}")]
    fn by(&mut self, _: Read, Path(id): Path<String>, Query(query): Query) -> String {
        format!("{id:?} {query:?}")
    }

    #[route("by/{id}/of/{other}")]
    fn of(
        &mut self,
        _: Read,
        Path(id): Path<String>,
        Path(other): Path<String>,
        Query(query): Query,
    ) -> String {
        format!("{id:?} {other:?} {query:?}")
    }

    #[route("number/{id}")]
    fn number(&mut self, _: Read, Path(id): Path<u64>, Query(query): Query) -> String {
        format!("{id} {query:?}")
    }
}

/// What comes from outside, well meant or not.
const FROM_OUTSIDE: [&str; 16] = [
    "7",
    "007",
    "+7",
    "7?x",
    "7%3Fx",
    "7%253Fx",
    "7/x",
    "7%2Fx",
    "../7",
    "{id}",
    "{*id}",
    "%",
    "a b#c",
    "://",
    "é🦀\u{0}\n",
    "7&y=1",
];

#[mycelia::test]
async fn text_from_outside_is_one_capture_and_nothing_else() {
    let _watch = watchdog();
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Users::default).await.unwrap();
    let by = system.route::<Read>("users://by/{id}").unwrap();
    for text in FROM_OUTSIDE {
        let expected = format!("{text:?} None");
        let path = format!("users://by/{}", encode(text));
        // Twice: the second time the thread remembers the path.
        for _ in 0..2 {
            assert_eq!(system.ask(&*path, Read).await.unwrap(), expected, "{path}");
        }
        let fixed = system.route::<Read>(&*path).unwrap();
        assert_eq!(fixed.ask(Read).await.unwrap(), expected, "{path}");
        assert_eq!(by.at(text).ask(Read).await.unwrap(), expected);
        for other in FROM_OUTSIDE {
            let path = format!("users://by/{}/of/{}?q", encode(text), encode(other));
            let expected = format!("{text:?} {other:?} Some(\"q\")");
            assert_eq!(system.ask(&*path, Read).await.unwrap(), expected, "{path}");
        }
        // A number is what it says, or the send fails; no part of a text is a number.
        let path = format!("users://number/{}", encode(text));
        let asked = system.ask(&*path, Read).await;
        match text.parse::<u64>() {
            Ok(number) => assert_eq!(asked.unwrap(), format!("{number} None")),
            Err(_) => assert!(asked.is_err(), "{path}: {asked:?}"),
        }
    }
    // What was encoded already is not decoded twice.
    let asked = system.ask("users://number/7%3Fx", Read).await;
    assert!(asked.is_err(), "{asked:?}");
    let text = system.ask("users://by/7%3Fx", Read).await.unwrap();
    assert_eq!(text, "\"7?x\" None");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_path_leads_to_who_is_mounted_now() {
    let _watch = watchdog();
    let system = System::builder().start().await.unwrap();
    // Often enough for a thread to forget who has gone.
    for _ in 0..40 {
        system.mount(Desk::default).await.unwrap();
        for (path, answer) in (0..20).flat_map(paths) {
            assert_eq!(system.ask(path.as_str(), Read).await.unwrap(), answer);
        }
        system.unmount("desk").await.unwrap();
        let refused = system.ask("desk://number/7", Read).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("desk"), "{refused}");
        system.mount(Other::default).await.unwrap();
        let answer = system.ask("desk://number/7", Read).await.unwrap();
        assert_eq!(answer, "another 7");
        system.unmount("desk").await.unwrap();
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_parser_may_send_by_path_itself() {
    let _watch = watchdog();
    let system = System::builder().start().await.unwrap();
    system.mount(Desk::default).await.unwrap();
    SYSTEM.set(Some(system.clone()));
    for _ in 0..3 {
        system.tell("desk://echo/xxo", Count).await.unwrap();
    }
    SYSTEM.take();
    quiet(&system).await;
    // The first, and two for each: 1 + 2 + 4 + 8.
    let counted = system.ask("desk://counted", Read).await.unwrap();
    assert_eq!(counted, (3 * 15).to_string());
    system.stop().await.unwrap();
}
