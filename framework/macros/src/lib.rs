//! Derives and attributes of `mycelia`.
//!
//! They are re-exported by `mycelia` and documented here. Generated code refers to `::mycelia::...`, and to
//! hidden support in `::mycelia::__private`. It has no logic of its own: only a message's type, a subsystem's
//! name and a table of handlers. A mistake is reported at the token that must change, with a way to correct it.
//!
//! # Another name for the crate
//!
//! If `mycelia` has another name, or comes through another crate, pass its path to each macro:
//! `#[message(crate = my::actors)]`, `#[subsystem(crate = my::actors)]`, `#[routes(crate = my::actors)]`,
//! `#[my::actors::main(crate = my::actors)]`, and likewise for `test`. In a `macro_rules!` of a library it is
//! `crate = $crate::…`.
//!
//! # Layout
//!
//! - `message`, `subsystem`: the two derives.
//! - `routes`: the attribute on an `impl` block; its handlers are read by `routes::handler`.
//! - `entry`: `main` and `test`.
//! - `crate_path`: the option `crate = …`.

mod crate_path;
mod entry;
mod message;
mod routes;
mod subsystem;

use proc_macro::TokenStream;

/// Makes a type a message.
///
/// Options, all in one `#[message(…)]` or in several:
///
/// - `reply = Type`: the type of the reply. The default is `()`.
/// - `priority = high`: `control`, `high`, `normal` or `low`. The default is `normal`.
/// - `crate = path`: the path of `mycelia`. The default is `::mycelia`.
///
/// A message crosses threads, so every type parameter gets the bound `Send + 'static`. A message or a reply of
/// more than 16 KiB is an error: put large data into a `Box` or a `Vec`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
///
/// #[derive(Message)]
/// #[message(reply = String, priority = high)]
/// struct Greet {
///     greeting: String,
/// }
/// ```
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    message::expand(input.into()).into()
}

/// Makes a type a subsystem and names it.
///
/// The name is the scheme of the subsystem's paths: `api` in `api://users/42`. It has 1 to 64 characters out of
/// `A-Z a-z 0-9 _ . -`. Without `#[subsystem(name = "...")]` it is the type's name in kebab-case: `HttpGateway`
/// becomes `http-gateway`. `crate = path` sets the path of `mycelia`, by default `::mycelia`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
///
/// #[derive(Subsystem, Default)]
/// #[subsystem(name = "api")]
/// struct Api {
///     visits: u64,
/// }
/// ```
#[proc_macro_derive(Subsystem, attributes(subsystem))]
pub fn derive_subsystem(input: TokenStream) -> TokenStream {
    subsystem::expand(input.into()).into()
}

/// Makes the methods marked `#[route("pattern")]` the handlers of a subsystem.
///
/// Goes on an inherent `impl` block, one per type. A handler is a sync or `async` method:
///
/// - it takes `&mut self` (or `&self`), then a message, then up to eight extractors in any order;
/// - message and extractors are owned values; their parameters may be any patterns;
/// - it returns the message's reply, a `Result` of it, or nothing if the reply is `()`;
/// - several `#[route]` attributes give it several patterns;
/// - `#[route("...", blocking)]` on a sync method runs it on a thread where it may block;
/// - `#[route("...", within = "2s")]` on an async method cuts it off after that time, in `ms`, `s` or `m`;
/// - a `#[cfg]` on it applies to its routes as well, and `#[cfg_attr(…, route("…"))]` makes it a handler
///   if the condition holds; extractors may have a `#[cfg]` too.
///
/// Methods without `#[route]` are unchanged. Two handlers may share a pattern if their messages differ. Patterns,
/// duplicates and the number of captures are checked at compile time.
///
/// A handler takes all captures of its patterns or none. If it takes none, the captures only describe the paths,
/// and their names must start with `_`, as in `"users/{_id}"`; any other name causes a warning, like an unused
/// variable. The pattern `""` is the path without segments, `api://`.
///
/// A subsystem has one such block; its other `impl` blocks have no attribute. `#[routes(crate = path)]` sets the
/// path of `mycelia`, by default `::mycelia`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// # #[derive(Message)]
/// # #[message(reply = String)]
/// # struct Greet { greeting: String }
/// # #[derive(Subsystem, Default)]
/// # struct Api { visits: u64 }
///
/// #[routes]
/// impl Api {
///     #[route("users/{id}")]
///     async fn greet(&mut self, msg: Greet, Path(id): Path<u64>) -> String {
///         self.visits += 1;
///         format!("{}, user {id}", msg.greeting)
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn routes(args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand(args.into(), item.into()).into()
}

/// Marks a handler inside an `impl` block under [`macro@routes`].
///
/// `#[routes]` reads and removes it, so it need not be imported. Without `#[routes]`, or in a trait or an `impl`
/// of a trait, it is an error. It takes a pattern, and after it `blocking` for a method that blocks its thread:
/// `#[route("users/{id}", blocking)]`. Or it takes a time, after which an `async` method is cut off:
/// `#[route("users/{id}", within = "2s")]`.
#[proc_macro_attribute]
pub fn route(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray("route", item.into()).into()
}

/// Marks a handler of what is published on a topic, inside an `impl` block under [`macro@routes`].
///
/// It takes the pattern of the topic, with its name: `#[subscribe("orders://placed/{id}")]`. The method takes
/// `&mut self`, then the message, which is `Clone` and has no reply, then up to eight extractors, which take
/// the captures of the topic's path. No `tell` and no `ask` reach it. After the pattern may stand
///
/// * `each`: of replicas each gets a copy, not one of them;
/// * `last = 3`: when it is mounted, it gets the last three messages that are retained;
/// * `blocking`: the method blocks its thread, as under [`macro@route`].
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// # #[derive(Message, Clone)]
/// # struct Placed { total: u64 }
/// # #[derive(Subsystem, Default)]
/// # struct Billing;
///
/// #[routes]
/// impl Billing {
///     #[subscribe("orders://placed/{id}")]
///     fn bill(&mut self, placed: Placed, Path(id): Path<u64>) {
///         println!("order {id}: {}", placed.total);
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn subscribe(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray("subscribe", item.into()).into()
}

/// Marks the method that is called before the first message. It is called on the value that the factory made,
/// after a mount and after every restart. It must be in an `impl` block under [`macro@routes`].
///
/// It takes `&mut self`, then up to eight extractors, and returns nothing or a `Result`. An error fails the mount
/// or the restart.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// # #[derive(Message)]
/// # struct Ping;
/// # #[derive(Subsystem, Default)]
/// # struct Shop { prices: String }
///
/// #[routes]
/// impl Shop {
///     #[started]
///     async fn open(&mut self, ctx: Context) -> anyhow::Result<()> {
///         self.prices = std::fs::read_to_string(format!("{}.prices", ctx.name()))?;
///         Ok(())
///     }
/// #   #[route("ping")]
/// #   fn ping(&mut self, _: Ping) {}
/// }
/// ```
#[proc_macro_attribute]
pub fn started(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray("started", item.into()).into()
}

/// Marks the method that is called on the new value after a failure, before the method under [`macro@started`].
/// It takes `&mut self`, the `Failure`, then up to eight extractors.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia::supervise::Failure;
/// # #[derive(Message)]
/// # struct Ping;
/// # #[derive(Subsystem, Default)]
/// # struct Shop { restarts: u64 }
///
/// #[routes]
/// impl Shop {
///     #[restarting]
///     fn count(&mut self, failure: Failure) {
///         eprintln!("{failure}");
///         self.restarts += 1;
///     }
/// #   #[route("ping")]
/// #   fn ping(&mut self, _: Ping) {}
/// }
/// ```
#[proc_macro_attribute]
pub fn restarting(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray("restarting", item.into()).into()
}

/// Marks the method that is called after the last message, unless the subsystem failed. It takes `&mut self`, the
/// `EndReason`, then up to eight extractors. It may still send: subsystems that were mounted before this one are
/// still there.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia::observe::EndReason;
/// # #[derive(Message)]
/// # struct Ping;
/// # #[derive(Subsystem, Default)]
/// # struct Shop { sales: u64 }
///
/// #[routes]
/// impl Shop {
///     #[stopped]
///     async fn close(&mut self, reason: EndReason) -> anyhow::Result<()> {
///         std::fs::write("sales", format!("{} until {reason:?}", self.sales))?;
///         Ok(())
///     }
/// #   #[route("ping")]
/// #   fn ping(&mut self, _: Ping) {}
/// }
/// ```
#[proc_macro_attribute]
pub fn stopped(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray("stopped", item.into()).into()
}

/// Runs an `async fn main` in an actix system of the calling thread.
///
/// `#[mycelia::main(crate = path)]` sets the path of `mycelia`, by default `::mycelia`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
///
/// #[mycelia::main]
/// async fn main() -> anyhow::Result<()> {
///     let system = System::builder().start().await?;
///     system.stop().await?;
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Entry::Main, args.into(), item.into()).into()
}

/// Makes an `async fn` a test that runs in an actix system of the calling thread.
///
/// The other attributes of tests, `#[should_panic]` and `#[ignore]`, work as usual.
/// `#[mycelia::test(crate = path)]` sets the path of `mycelia`, by default `::mycelia`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
///
/// #[mycelia::test]
/// async fn a_system_starts_and_stops() -> anyhow::Result<()> {
///     let system = System::builder().start().await?;
///     system.stop().await?;
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Entry::Test, args.into(), item.into()).into()
}
