//! `#[routes]`: an `impl` block as it was, and the table of its handlers beside it.
//!
//! Whatever is wrong, the block itself and an `impl Routes` are always written, so that one mistake
//! does not show as many. What the macro cannot see (is this type a message?) is asked of rustc at
//! the user's own tokens: `table` says how.

mod borrow;
mod handler;
mod hook;
mod table;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Error, ImplItem, Item, ItemImpl};

use handler::Handler;
use hook::Hook;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Vec::new();
    if !args.is_empty() {
        errors.push(Error::new_spanned(args, "`#[routes]` takes no arguments"));
    }
    let code = match syn::parse2(item) {
        Ok(Item::Impl(block)) if block.trait_.is_none() => routes(block, &mut errors),
        Ok(item) => {
            errors.push(misplaced(&item));
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

/// A `#[route]` that no `#[routes]` has removed.
pub(crate) fn expand_stray(item: TokenStream) -> TokenStream {
    let error = Error::new(
        proc_macro2::Span::call_site(),
        "`#[route]` marks a method: put `#[routes]` on the impl block around it",
    )
    .into_compile_error();
    quote!(#item #error)
}

/// A hook that no `#[routes]` has removed.
pub(crate) fn expand_stray_hook(name: &str, item: TokenStream) -> TokenStream {
    let error = Error::new(
        proc_macro2::Span::call_site(),
        format!("`#[{name}]` marks a method: put `#[routes]` on the impl block around it"),
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
        }) => Error::new_spanned(path, format!("{PLACE}, not of a trait")),
        item => Error::new_spanned(item, format!("{PLACE}: `#[routes] impl Api {{ .. }}`")),
    }
}

fn routes(mut block: ItemImpl, errors: &mut Vec<Error>) -> TokenStream {
    let (mut handlers, mut hooks) = (Vec::new(), Vec::new());
    let mut has_routes = false;
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        hooks.extend(Hook::take(method, errors));
        let (routes, others): (Vec<_>, _) = method.attrs.drain(..).partition(is_route);
        method.attrs = others;
        if !routes.is_empty() {
            has_routes = true;
            handlers.extend(Handler::read(method, &routes, errors));
        }
    }
    if !has_routes {
        let message = "no handler in this block: put `#[route(\"pattern\")]` on a method";
        errors.push(Error::new_spanned(&block.self_ty, message));
    }
    errors.extend(clashes(&handlers));
    errors.extend(hook::twice(&hooks));
    let table = table::write(&block, &handlers, &hooks);
    quote!(#block #table)
}

/// `#[route]`, or `#[mycelia::route]` at whatever depth.
fn is_route(attr: &Attribute) -> bool {
    is_named(attr, "route")
}

/// Whether an attribute is this one of ours.
fn is_named(attr: &Attribute, name: &str) -> bool {
    let segments = &attr.path().segments;
    segments.last().is_some_and(|last| last.ident == name)
        && (segments.len() == 1 || segments[0].ident == "mycelia")
}

/// Routes that stand in each other's way, reported at the later one.
///
/// Routes under different `#[cfg]`s are left alone: the two may never meet.
fn clashes(handlers: &[Handler]) -> Vec<Error> {
    let routes: Vec<_> = handlers
        .iter()
        .flat_map(|handler| handler.routes.iter().map(move |route| (handler, route)))
        .collect();
    let mut errors = Vec::new();
    for (i, &(handler, route)) in routes.iter().enumerate() {
        let clash = routes[..i].iter().find(|(earlier, other)| {
            same(&earlier.cfgs, &handler.cfgs)
                && other.pattern.same_shape(&route.pattern)
                && (same_message(earlier, handler) || other.text() != route.text())
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

/// Whether two handlers take a message of the same type, as far as the tokens tell.
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
