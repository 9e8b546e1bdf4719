//! Subsystems: the user's actors.

use crate::route::RouteTable;

/// A user's actor: state with a name. Derive it.
///
/// The name is the scheme of its paths: what is sent to `api://…` reaches the subsystem mounted as
/// `api`. A subsystem lives on one thread from its factory on; it need not be `Send`.
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
/// assert_eq!(Api::NAME, "api");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a subsystem",
    label = "not a subsystem",
    note = "add `#[derive(Subsystem)]` to the type"
)]
pub trait Subsystem: Sized + 'static {
    /// The name under which it is mounted unless another is given.
    const NAME: &'static str;
}

/// The routes of a subsystem: which handler takes which message on which pattern. The attribute
/// `#[routes]` on an `impl` block writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no routes",
    label = "no routes",
    note = "a subsystem has routes by `#[routes]` on one `impl` block of it, with a `#[route(\"…\")]` handler in it",
    note = "a factory returns the subsystem itself: what can fail in it belongs in a `#[started]` method, which may return a `Result`"
)]
pub trait Routes: Subsystem {
    /// Enters every handler into the table.
    fn routes(table: &mut RouteTable<Self>);
}

#[diagnostic::do_not_recommend]
impl<S: AllRoutesInOneBlock> Routes for S {
    fn routes(table: &mut RouteTable<Self>) {
        <S as AllRoutesInOneBlock>::routes(table);
    }
}

/// The routes of a subsystem as `#[routes]` writes them: all from one block. The name is for rustc's
/// error where a type has a second one, which says that there are two implementations of this trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no routes",
    label = "no routes",
    note = "put `#[routes]` on an `impl` block of the subsystem"
)]
pub trait AllRoutesInOneBlock: Subsystem {
    /// Enters every handler into the table.
    fn routes(table: &mut RouteTable<Self>);
}
