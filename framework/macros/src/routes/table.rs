//! Writes `impl Routes`.
//!
//! rustc decides whether a type is a message, an extractor or a reply. Written plainly, a wrong one
//! would be reported twice: at the user's type by an assertion, and at the call that registers the
//! handler. Two rules make it once, at the user's type:
//! - Message and extractors appear only as `<Type as Payload>::Type`. Of a type that does not
//!   qualify rustc knows no projection, and what follows from an unknown type is not reported.
//! - A reply appears in an assertion and in the call with the same span; rustc keeps the first.

use proc_macro2::{TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, ItemImpl, ReturnType, Type};

use super::handler::{Handler, Route, ends};
use super::hook::Hook;

pub(super) fn write(block: &ItemImpl, handlers: &[Handler], hooks: &[Hook]) -> TokenStream {
    let self_ty = &block.self_ty;
    let cfgs: Vec<_> = block
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .collect();
    let (impl_generics, _, where_clause) = block.generics.split_for_impl();
    let is_generic = !block.generics.params.is_empty();
    let registrations = handlers
        .iter()
        .map(|handler| registration(handler, is_generic));
    let hooks = hooks.iter().map(Hook::registration);
    let checks = handlers.iter().map(|handler| {
        let cfgs = cfgs.iter().copied().chain(&handler.cfgs);
        let cfgs = quote!(#(#cfgs)*);
        let routes = handler
            .routes
            .iter()
            .filter(|_| Place::of(handler, is_generic) == Place::Item);
        let checks = routes.map(|route| capture_check(handler, route));
        quote!(#( #cfgs const _: () = #checks; )*)
    });
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        #[allow(clippy::all, deprecated, unused_qualifications)]
        impl #impl_generics ::mycelia::Routes for #self_ty #where_clause {
            fn routes(__table: &mut ::mycelia::RouteTable<Self>) {
                let _ = &__table;
                #(#registrations)*
                #(#hooks)*
            }
        }
        #(#checks)*
    }
}

fn registration(handler: &Handler, is_generic: bool) -> TokenStream {
    let Handler {
        name,
        cfgs,
        message,
        extractors,
        ..
    } = handler;
    let payload = known(message, "Payload");
    let (message_ty, message_give) = (payload.ty(), payload.give());
    let reply = reply(handler);
    let values: Vec<Ident> = (0..extractors.len())
        .map(|i| format_ident!("__a{i}"))
        .collect();
    let arguments: Vec<_> = extractors.iter().map(|ty| known(ty, "Argument")).collect();
    let argument_types: Vec<_> = arguments.iter().map(Known::ty).collect();
    let gives = arguments.iter().map(Known::give);
    // The tuple's pattern and type need a comma of their own each: `(a,)`.
    let parameters =
        quote!(__this: &mut Self, __msg: #message_ty, (#(#values,)*): (#(#argument_types,)*));
    let call = quote!(Self::#name(__this, #message_give(__msg), #(#gives(#values)),*));
    let (method, closure) = if handler.is_async {
        (
            Ident::new("on_async", name.span()),
            quote!(async |#parameters| #call.await),
        )
    } else {
        (Ident::new("on", name.span()), quote!(|#parameters| #call))
    };
    let types = quote!(#message_ty, (#(#argument_types,)*), #reply);
    let routes = handler.routes.iter().map(|route| {
        let check = (Place::of(handler, is_generic) == Place::Function).then(|| {
            let check = capture_check(handler, route);
            quote!(const { #check };)
        });
        let literal = &route.literal;
        let method = match route.is_blocking {
            true => Ident::new("on_blocking", name.span()),
            false => method.clone(),
        };
        quote!(#check __table.#method::<#types>(#literal, #closure);)
    });
    quote! {
        #(#cfgs)*
        {
            ::mycelia::__private::is_reply::<#message_ty, #reply>();
            #(#routes)*
        }
    }
}

/// The type a handler returns; of one that returns nothing, `()` at its name.
fn reply(handler: &Handler) -> TokenStream {
    match &handler.reply {
        ReturnType::Type(_, ty) => quote!(#ty),
        ReturnType::Default => quote_spanned!(handler.name.span()=> ()),
    }
}

/// Compares the captures of a pattern with those the extractors take; none taken is fine.
fn capture_check(handler: &Handler, route: &Route) -> TokenStream {
    let text = route.text();
    let captures = route.pattern.capture_count();
    let has = match captures {
        0 => "no capture".to_owned(),
        1 => "1 capture".to_owned(),
        n => format!("{n} captures"),
    };
    let more = format!(
        "route `{text}` has {has}, but the handler takes more: \
         remove a `Path` argument, or put a `{{capture}}` into the pattern"
    );
    let fewer = format!(
        "route `{text}` has {has}, but the handler takes fewer: \
         give it a `Path` argument for each, in the same order"
    );
    // A comparison that cannot fail would be linted in the user's crate.
    let at_most = match captures {
        0 => quote!(taken == 0),
        n => quote!(taken <= #n),
    };
    let at = route.literal.span();
    let all_or_none = (captures > 1).then(|| {
        quote_spanned! {at=>
            ::core::assert!(taken == 0 || taken >= #captures, "{}", #fewer);
        }
    });
    let types = handler
        .extractors
        .iter()
        .map(|ty| known(ty, "Argument").ty());
    let taken: TokenStream = types
        .map(|ty| quote!(+ ::mycelia::__private::captures::<#ty>()))
        .collect();
    quote_spanned! {at=>
        {
            let taken: usize = 0 #taken;
            ::core::assert!(#at_most, "{}", #more);
            #all_or_none
        }
    }
}

/// Where the captures are compared.
#[derive(PartialEq)]
enum Place {
    /// Nowhere: no extractor could take one.
    Nowhere,
    /// In an item beside the impl, which `cargo check` evaluates.
    Item,
    /// In the function itself, where `Self` and the parameters of the block have a meaning.
    Function,
}

impl Place {
    fn of(handler: &Handler, is_generic: bool) -> Place {
        let extractors = &handler.extractors;
        if extractors.is_empty() {
            Place::Nowhere
        } else if is_generic || extractors.iter().any(|ty| mentions_self(quote!(#ty))) {
            Place::Function
        } else {
            Place::Item
        }
    }
}

fn mentions_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "Self",
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}

/// A type of the user's behind the trait that it has to be known by.
pub(super) struct Known<'a> {
    ty: &'a Type,
    by: Ident,
}

pub(super) fn known<'a>(ty: &'a Type, by: &str) -> Known<'a> {
    Known {
        ty,
        by: Ident::new(by, ends(ty).0),
    }
}

impl Known<'_> {
    pub(super) fn ty(&self) -> TokenStream {
        self.item("Type")
    }

    pub(super) fn give(&self) -> TokenStream {
        self.item("give")
    }

    /// `<Type as Trait>::name`, spanned from the type's first token to its last: that is where
    /// rustc points.
    fn item(&self, name: &str) -> TokenStream {
        let Known { ty, by } = self;
        let (first, last) = ends(ty);
        let name = Ident::new(name, last);
        let open = quote_spanned!(first=> <);
        let rest = quote_spanned!(last=> as ::mycelia::__private::#by>::#name);
        quote!(#open #ty #rest)
    }
}
