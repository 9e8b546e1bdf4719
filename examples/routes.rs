//! Run with `cargo run --example routes`
//!
//! Which handler a path reaches, what the handler takes out of it, and what a wrong path says.

use mycelia::prelude::*;
use std::time::Duration;

#[derive(Message)]
#[message(reply = String)]
struct Show;

#[derive(Message)]
#[message(reply = String)]
struct Rename(String);

/// Shared by all subsystems of the system.
struct Town(&'static str);

#[derive(Subsystem, Default)]
struct Library;

// ANCHOR: patterns
#[routes]
impl Library {
    #[route("books/new")]
    fn newest(&mut self, _: Show) -> String {
        "the newest book".into()
    }

    #[route("books/{id}")]
    fn book(&mut self, _: Show, Path(id): Path<u64>, Query(query): Query) -> String {
        format!("book {id}, query {query:?}")
    }

    #[route("books/{id}")]
    fn rename(&mut self, Rename(title): Rename, Path(id): Path<u64>) -> String {
        format!("book {id} is now `{title}`")
    }

    #[route("files/{owner}/{*rest}")]
    async fn file(&mut self, _: Show, Path(owner): Path<String>, rest: Path<String>) -> String {
        format!("file `{}` of `{owner}`", rest.0)
    }

    #[route("about")]
    fn about(
        &mut self,
        _: Show,
        Sender(sender): Sender,
        system: System,
        State(town): State<Town>,
        Deadline(deadline): Deadline,
    ) -> String {
        let asker = sender.as_deref().unwrap_or("no one");
        let seconds = deadline.map_or(f64::INFINITY, |left| left.as_secs_f64().round());
        let of = format!("{} of {}", system.name(), town.0);
        format!("{of}, asked by {asker} within {seconds} s")
    }
}
// ANCHOR_END: patterns

#[derive(Subsystem)]
struct Reader;

#[routes]
impl Reader {
    #[route("visit")]
    async fn visit(&mut self, _: Show, system: System) -> anyhow::Result<String> {
        Ok(system.ask("library://about", Show).await?)
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let library = System::builder().name("library").state(Town("Trier"));
    let system = library.start().await?;
    system.mount(|| Library).await?;
    system.mount(|| Reader).await?;

    for (path, reply) in [
        ("library://books/new", "the newest book"), // a literal beats a capture
        ("library://books/7", "book 7, query None"),
        ("library://books/7?x=%20", r#"book 7, query Some("x=%20")"#), // as it stands
        ("library://files/Zo%C3%AB%2F2/a/b", "file `a/b` of `Zoë/2`"), // split, then decoded
    ] {
        let answer = system.ask(path, Show).await?;
        println!("{path:36} {answer}");
        assert_eq!(answer, reply);
    }
    // An ask has a deadline, 30 s unless it says another, and so has what its handler asks on the way.
    let visit = system.ask("reader://visit", Show).await?;
    assert_eq!(visit, "library of Trier, asked by reader within 30 s");
    let minute = Duration::from_secs(60);
    let about = system.ask_within("library://about", Show, minute).await?;
    assert_eq!(about, "library of Trier, asked by no one within 60 s");

    // The same pattern takes another type of message too, here by a resolved handle.
    let rename = system.route::<Rename>("library://books/{id}")?;
    let renamed = rename.at(7).ask(Rename("Ulysses".into())).await?;
    assert_eq!(renamed, "book 7 is now `Ulysses`");

    println!("\nwrong paths:");
    for (path, variant) in [
        ("libary://books/7", "NoSubsystem"),
        ("library://books", "NoRoute"),
        ("library://files/a/b", "WrongMessage"),
        ("library://books/seven", "BadCapture"),
        ("library://books//7", "BadPath"),
    ] {
        let sent = system.try_tell(path, Rename("Emma".into()));
        let undelivered = sent.unwrap_err();
        println!("- {undelivered}");
        assert!(format!("{:?}", undelivered.reason()).starts_with(variant));
        assert_eq!(undelivered.into_message().0, "Emma"); // handed back
    }
    system.stop().await?;
    Ok(())
}
