//! `#[routes]`: an unchanged `impl` block, and the table of its handlers beside it.
//!
//! The block itself and an `impl Routes` are always generated, so that one mistake does not cause further errors.
//! rustc decides what the macro can't see (is this type a message?), and reports it at the user's own tokens; see
//! `table`.

mod arguments;
mod borrow;
mod condition;
mod handler;
mod hook;
mod subscribe;
mod table;
mod within;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Error, ImplItem, ImplItemFn, Item, ItemImpl, Path, TraitItem};

use crate::crate_path::CratePath;
use condition::Predicate;
use handler::{Handler, Route};
use hook::Hook;

/// Our attributes on methods.
const MARKS: [&str; 5] = ["route", "subscribe", "started", "restarting", "stopped"];

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Vec::new();
    let krate = CratePath::read(args, "#[routes]", &mut errors);
    let code = match syn::parse2(ungrouped(item)) {
        Ok(Item::Impl(block)) if block.trait_.is_none() => routes(block, &krate, &mut errors),
        Ok(mut item) => {
            errors.push(misplaced(&item));
            // The item is kept, so that the mistake is the only error.
            unmark(&mut item, &krate);
            quote!(#item)
        }
        Err(error) => {
            errors.push(error);
            TokenStream::new()
        }
    };
    let errors = errors.iter().map(Error::to_compile_error);
    quote!(#code #(#errors)*)
}

/// A `$block:item` of a `macro_rules!` comes in a group without delimiters.
fn ungrouped(item: TokenStream) -> TokenStream {
    let mut tokens = item.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => {
            ungrouped(group.stream())
        }
        _ => item,
    }
}

/// Expands a `#[route]` or a hook that no `#[routes]` has removed: an error.
pub(crate) fn expand_stray(name: &str, item: TokenStream) -> TokenStream {
    let error = Error::new(
        Span::call_site(),
        format!(
            "`#[{name}]` marks a method: put `#[routes]` on the impl block around it; \
             a method of a trait can't be marked"
        ),
    )
    .into_compile_error();
    quote!(#item #error)
}

fn misplaced(item: &Item) -> Error {
    const PLACE: &str = "`#[routes]` goes on an impl block of the subsystem itself";
    match item {
        Item::Impl(ItemImpl {
            trait_: Some((_, path, _)),
            ..
        }) => Error::new_spanned(
            path,
            format!("{PLACE}, not of a trait: move the handlers to an `impl` without it"),
        ),
        _ => Error::new(
            Span::call_site(),
            format!("{PLACE}: `#[routes] impl Api {{ .. }}`"),
        ),
    }
}

/// Removes our attributes from the methods of an item that can't have them.
fn unmark(item: &mut Item, krate: &CratePath) {
    let is_ours = |path: &Path| MARKS.iter().any(|name| is_named(path, name, krate));
    match item {
        Item::Impl(block) => {
            for item in &mut block.items {
                if let ImplItem::Fn(method) = item {
                    condition::take(&mut method.attrs, &is_ours);
                }
            }
        }
        Item::Trait(block) => {
            for item in &mut block.items {
                if let TraitItem::Fn(method) = item {
                    condition::take(&mut method.attrs, &is_ours);
                }
            }
        }
        Item::Fn(function) => {
            condition::take(&mut function.attrs, &is_ours);
        }
        _ => {}
    }
}

fn routes(mut block: ItemImpl, krate: &CratePath, errors: &mut Vec<Error>) -> TokenStream {
    let (mut handlers, mut hooks) = (Vec::new(), Vec::new());
    let mut has_routes = false;
    for item in &mut block.items {
        if let ImplItem::Verbatim(tokens) = item {
            // A `$method:item` of a `macro_rules!` comes in a group without delimiters.
            match syn::parse2::<ImplItemFn>(ungrouped(tokens.clone())) {
                Ok(method) => *item = ImplItem::Fn(method),
                Err(_) => continue,
            }
        }
        let ImplItem::Fn(method) = item else { continue };
        hooks.extend(Hook::take(method, krate, errors));
        let marks = condition::take(&mut method.attrs, &|path| is_named(path, "route", krate));
        let topics = |path: &Path| is_named(path, "subscribe", krate);
        let topics = condition::take(&mut method.attrs, &topics);
        if !marks.is_empty() || !topics.is_empty() {
            has_routes = true;
            handlers.extend(Handler::read(method, &marks, &topics, errors));
        }
    }
    if !has_routes {
        let message = "no handler in this block: put `#[route(\"pattern\")]` on a method";
        errors.push(Error::new_spanned(&block.self_ty, message));
    }
    errors.extend(clashes(&handlers));
    errors.extend(hook::twice(&hooks));
    let table = table::Table::new(krate, &block).write(&handlers, &hooks);
    quote!(#block #table)
}

/// Whether an attribute is ours with this name: `#[route]`, or `#[mycelia::route]` at any depth.
fn is_named(path: &Path, name: &str, krate: &CratePath) -> bool {
    let last = path.segments.last();
    last.is_some_and(|last| last.ident == name) && krate.is_prefix_of(path)
}

/// Returns errors for routes that conflict, each at the later one.
///
/// Routes under different `#[cfg]`s are not compared, since only one of them may exist.
fn clashes(handlers: &[Handler]) -> Vec<Error> {
    let routes: Vec<_> = handlers
        .iter()
        .flat_map(|handler| handler.routes.iter().map(move |route| (handler, route)))
        .collect();
    let mut errors = Vec::new();
    for (i, &(handler, route)) in routes.iter().enumerate() {
        let clash = routes[..i].iter().find(|(earlier, other)| {
            same(&all(earlier, other), &all(handler, route))
                && other.topic_name() == route.topic_name()
                && other.pattern.same_shape(&route.pattern)
                && (same_message(earlier, handler)
                    || route.topic.is_none() && other.text() != route.text())
        });
        let Some(&(earlier, other)) = clash else {
            continue;
        };
        let (text, other_text) = (route.text(), other.text());
        let mut error;
        if same_message(earlier, handler) {
            let name = &earlier.name;
            let same = if text == other_text {
                format!("`{text}`")
            } else {
                format!("`{text}`, the same route as `{other_text}`,")
            };
            error = Error::new(
                route.literal.span(),
                format!(
                    "duplicate route: {same} with this message is already handled by `{name}`: \
                     change the pattern or the message"
                ),
            );
            error.combine(Error::new(other.literal.span(), "first handled here"));
        } else {
            error = Error::new(
                route.literal.span(),
                format!(
                    "ambiguous route: `{text}` and `{other_text}` match the same paths; \
                     write `{other_text}` here too"
                ),
            );
        }
        errors.push(error);
    }
    errors
}

/// All conditions of a route.
fn all(handler: &Handler, route: &Route) -> Vec<Predicate> {
    [&handler.conditions[..], &route.conditions[..]].concat()
}

/// Whether two handlers take the same message type, judged by the tokens.
fn same_message(a: &Handler, b: &Handler) -> bool {
    same(
        std::slice::from_ref(&a.message),
        std::slice::from_ref(&b.message),
    )
}

fn same<T: ToTokens>(a: &[T], b: &[T]) -> bool {
    quote!(#(#a)*).to_string() == quote!(#(#b)*).to_string()
}

#[cfg(test)]
mod tests;
