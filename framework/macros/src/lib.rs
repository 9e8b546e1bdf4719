//! Derives and attributes of `mycelia`.
//!
//! They are re-exported by `mycelia` and documented here; the code they write names everything by
//! `::mycelia::...`, its hidden support by `::mycelia::__private`. They write no logic of their
//! own: a message's type, a subsystem's name and a table of handlers, nothing else. A mistake is
//! reported at the token that has to change, and says how.
//!
//! # Layout
//!
//! - `message`, `subsystem`: the two derives.
//! - `routes`: the attribute on an `impl` block; its handlers are read by `routes::handler`.
//! - `entry`: `main` and `test`.

mod entry;
mod message;
mod routes;
mod subsystem;

use proc_macro::TokenStream;

/// Makes a type a message.
///
/// `#[message(reply = Type)]` names the type of the reply; without it the reply is `()`. A message
/// crosses threads, so every type parameter is bounded by `Send + 'static`.
///
/// ```text
/// #[derive(Message)]
/// #[message(reply = String)]
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
/// The name is the scheme of the subsystem's paths: `api` in `api://users/42`. It has 1 to 64
/// characters out of `A-Z a-z 0-9 _ . -`. Without `#[subsystem(name = "...")]` it is the type's
/// name in kebab-case: `HttpGateway` becomes `http-gateway`.
///
/// ```text
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
/// Goes on an inherent `impl` block, one per type. A handler is a method, sync or `async`:
///
/// - it takes `&mut self` (or `&self`), then a message, then up to eight extractors in any order;
/// - message and extractors are owned values, their patterns may be anything;
/// - it returns the message's reply, a `Result` of it, or nothing where the reply is `()`;
/// - repeating `#[route]` gives it several patterns;
/// - `#[route("...", blocking)]` on a sync method runs it on a thread that may be blocked;
/// - `#[cfg]` on it applies to its routes as well.
///
/// Methods without `#[route]` stay what they are. Two handlers may share a pattern if their
/// messages differ. Patterns, duplicates and the number of captures are checked at compile time.
///
/// ```text
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
/// `#[routes]` reads and removes it, so that it need not be imported; on its own it is an error.
///
/// ```text
/// #[route("users/{id}")]
/// ```
#[proc_macro_attribute]
pub fn route(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray(item.into()).into()
}

/// Marks the method that is called before the first message, inside an `impl` block under
/// [`macro@routes`]: on the value that the factory made, after a mount and after every restart.
///
/// It takes `&mut self`, then up to eight extractors, and returns nothing or a `Result`; an error fails
/// the mount, or the restart.
///
/// ```text
/// #[started]
/// async fn open(&mut self, ctx: Context) -> anyhow::Result<()> { .. }
/// ```
#[proc_macro_attribute]
pub fn started(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray_hook("started", item.into()).into()
}

/// Marks the method that is called on the new value after a failure, before the one under
/// [`macro@started`]. It takes `&mut self`, the `Failure`, then up to eight extractors.
///
/// ```text
/// #[restarting]
/// fn learn(&mut self, failure: Failure) { .. }
/// ```
#[proc_macro_attribute]
pub fn restarting(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray_hook("restarting", item.into()).into()
}

/// Marks the method that is called after the last message, unless the subsystem failed. It takes
/// `&mut self`, the `EndReason`, then up to eight extractors. It may still send: those who were mounted
/// before are there.
///
/// ```text
/// #[stopped]
/// async fn close(&mut self, reason: EndReason) { .. }
/// ```
#[proc_macro_attribute]
pub fn stopped(_args: TokenStream, item: TokenStream) -> TokenStream {
    routes::expand_stray_hook("stopped", item.into()).into()
}

/// Runs an `async fn main` on a fresh runtime of the calling thread.
///
/// ```text
/// #[mycelia::main]
/// async fn main() -> anyhow::Result<()> {
///     let system = System::builder().start().await?;
///     system.stop().await
/// }
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Entry::Main, args.into(), item.into()).into()
}

/// Makes an `async fn` a test that runs on a fresh runtime of its thread.
///
/// Other attributes of tests, `#[should_panic]` and `#[ignore]`, work as usual.
///
/// ```text
/// #[mycelia::test]
/// async fn a_message_is_answered() -> anyhow::Result<()> {
///     let system = System::builder().start().await?;
///     system.stop().await
/// }
/// ```
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Entry::Test, args.into(), item.into()).into()
}
