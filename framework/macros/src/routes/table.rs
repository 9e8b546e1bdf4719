//! Generates `impl Routes`, through a trait whose name says that a type has one such block.
//!
//! rustc decides whether a type is a message, an extractor or a reply. In plain code it would report a wrong type
//! twice: at the user's type by an assertion, and at the call that registers the handler. So message, extractors
//! and reply appear only as `<Type as Payload>::Type`. For a type that does not qualify rustc knows no such
//! projection, and it reports no errors that follow from an unknown type.
//!
//! Every name that is made and used here is a [`local`], never an identifier with the user's span: a
//! `macro_rules!` gives the user's tokens another scope.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::{Ident, ItemImpl, ReturnType, Type};

use super::condition::{Predicate, cfg, conditions};
use super::handler::{Handler, Route, ends};
use super::hook::Hook;
use crate::crate_path::CratePath;

/// Makes an identifier in our own scope.
pub(super) fn local(name: &str) -> Ident {
    Ident::new(&format!("__{name}"), Span::mixed_site())
}

/// The context for generating the table of one block.
pub(super) struct Table<'a> {
    pub(super) krate: &'a CratePath,
    block: &'a ItemImpl,
    is_generic: bool,
    /// The `#[cfg]` predicates of the block.
    conditions: Vec<Predicate>,
}

impl<'a> Table<'a> {
    pub(super) fn new(krate: &'a CratePath, block: &'a ItemImpl) -> Self {
        Table {
            krate,
            block,
            is_generic: !block.generics.params.is_empty(),
            conditions: conditions(&block.attrs),
        }
    }

    pub(super) fn write(&self, handlers: &[Handler], hooks: &[Hook]) -> TokenStream {
        let Table { krate, block, .. } = self;
        let self_ty = &block.self_ty;
        let (entries, cfg_block) = (local("table"), cfg(&self.conditions));
        let (impl_generics, _, where_clause) = block.generics.split_for_impl();
        let registrations = handlers.iter().map(|handler| self.registration(handler));
        let hooks = hooks.iter().map(|hook| hook.registration(self));
        let checks = handlers.iter().flat_map(|handler| {
            let checks = handler.routes.iter().map(move |route| {
                let of_route = [&self.conditions, &handler.conditions, &route.conditions];
                let cfg = cfg(&of_route.map(|c| &c[..]).concat());
                let unused = unused_capture(handler, route);
                let unused = unused.map(|unused| quote!(#cfg const _: () = #unused;));
                let check = (self.place_of(handler) == Place::Item).then(|| {
                    let check = self.capture_check(handler, route);
                    quote!(#cfg const _: () = #check;)
                });
                quote!(#check #unused)
            });
            checks.collect::<Vec<_>>()
        });
        // Spanned at the user's type, where rustc then reports two blocks of one type.
        let (first, last) = ends(self_ty);
        let implement = quote_spanned!(first=> impl);
        let one = quote_spanned!(last=> #krate::__private::AllRoutesInOneBlock for);
        quote! {
            #cfg_block
            #[automatically_derived]
            #[allow(clippy::all, deprecated, unused_qualifications)]
            #implement #impl_generics #one #self_ty #where_clause {
                fn routes(#entries: &mut #krate::RouteTable<Self>) {
                    let _ = &#entries;
                    #(#registrations)*
                    #(#hooks)*
                }
            }
            #(#checks)*
        }
    }

    fn registration(&self, handler: &Handler) -> TokenStream {
        if let Some((at, reply)) = &handler.deferred {
            return self.deferred_registration(handler, *at, reply);
        }
        let Handler {
            name,
            message,
            extractors,
            ..
        } = handler;
        let (this, msg) = (local("this"), local("msg"));
        let is_topic = handler.routes.iter().any(|route| route.topic.is_some());
        let payload = match is_topic {
            true => quote!(TopicPayload),
            false => quote!(Payload),
        };
        let payload = self.known(message, payload);
        let (message_ty, message_give) = (payload.ty(), payload.give());
        let answer = payload.item("Reply");
        let nothing = syn::parse_quote_spanned!(name.span()=> ());
        let reply = match &handler.reply {
            ReturnType::Type(_, ty) => ty,
            ReturnType::Default => &nothing,
        };
        let reply = self.known(reply, quote!(Answer<#answer>));
        let reply_ty = reply.ty();
        let values: Vec<Ident> = (0..extractors.len())
            .map(|i| local(&format!("a{i}")))
            .collect();
        let arguments: Vec<_> = extractors.iter().map(|ty| self.argument(ty)).collect();
        let argument_types: Vec<_> = arguments.iter().map(Known::ty).collect();
        let gives = arguments.iter().map(Known::give);
        // The tuple's pattern and its type each need a comma: `(a,)`.
        let parameters =
            quote!(#this: &mut Self, #msg: #message_ty, (#(#values,)*): (#(#argument_types,)*));
        let call = quote!(Self::#name(#this, #message_give(#msg), #(#gives(#values)),*));
        let (method, closure) = if handler.is_async {
            let body = reply.given(quote!(#call.await));
            let method = Ident::new("on_async", name.span());
            (method, quote!(async |#parameters| #body))
        } else {
            let body = reply.given(call);
            (Ident::new("on", name.span()), quote!(|#parameters| #body))
        };
        let types = quote!(#message_ty, (#(#argument_types,)*), #reply_ty);
        self.entries(handler, &types, &closure, |route| match route.is_blocking {
            true => Ident::new("on_blocking", name.span()),
            false => method.clone(),
        })
    }

    /// As `registration`, for a handler that takes a `Reply` after `at` of its extractors.
    fn deferred_registration(&self, handler: &Handler, at: usize, reply: &Type) -> TokenStream {
        let (krate, name) = (self.krate, &handler.name);
        let (this, msg) = (local("this"), local("msg"));
        let payload = self.known(&handler.message, quote!(Payload));
        let (message_ty, message_give) = (payload.ty(), payload.give());
        let answer = local("answer");
        // Spanned at the user's type, where rustc then reports a `Reply` of another message.
        let mut given = answer.clone();
        given.set_span(Span::mixed_site().located_at(ends(reply).0));
        let values: Vec<Ident> = (0..handler.extractors.len())
            .map(|i| local(&format!("a{i}")))
            .collect();
        let arguments = handler.extractors.iter().map(|ty| self.argument(ty));
        let arguments: Vec<_> = arguments.collect();
        let argument_types: Vec<_> = arguments.iter().map(Known::ty).collect();
        let mut gives: Vec<_> = arguments
            .iter()
            .zip(&values)
            .map(|(argument, value)| {
                let give = argument.give();
                quote!(#give(#value))
            })
            .collect();
        gives.insert(at, quote!(#given));
        let parameters = quote! {
            #this: &mut Self,
            (#msg, #answer): (#message_ty, #krate::extract::Reply<#message_ty>),
            (#(#values,)*): (#(#argument_types,)*)
        };
        let call = quote!(Self::#name(#this, #message_give(#msg), #(#gives),*));
        let (method, closure) = match handler.is_async {
            true => ("on_async_deferred", quote!(async |#parameters| #call.await)),
            false => ("on_deferred", quote!(|#parameters| #call)),
        };
        let types = quote!(#message_ty, (#(#argument_types,)*));
        let method = Ident::new(method, name.span());
        self.entries(handler, &types, &closure, |_| method.clone())
    }

    /// Generates the code that adds a handler under each of its routes.
    fn entries(
        &self,
        handler: &Handler,
        types: &TokenStream,
        closure: &TokenStream,
        method: impl Fn(&Route) -> Ident,
    ) -> TokenStream {
        let entries = local("table");
        let routes = handler.routes.iter().map(|route| {
            let check = (self.place_of(handler) == Place::Function).then(|| {
                let check = self.capture_check(handler, route);
                quote!(const { #check };)
            });
            let literal = &route.literal;
            let mut method = method(route);
            let options = route.within.map(|(time, _)| {
                method = Ident::new(&format!("{method}_with"), method.span());
                let krate = self.krate;
                let time = quote!(::core::time::Duration::from_millis(#time));
                quote!(#krate::RouteOptions::new().within(#time),)
            });
            let cfg = cfg(&route.conditions);
            let Some(topic) = &route.topic else {
                return quote!(#cfg { #check #entries.#method::<#types>(#literal, #options #closure); });
            };
            let options = topic.options();
            quote!(#cfg { #check #entries.subscribe(#literal) #options.#method::<#types>(#closure); })
        });
        let cfg = cfg(&handler.conditions);
        quote!(#cfg { #(#routes)* })
    }

    /// Generates the comparison of a pattern's captures with those that the extractors take. Taking none is
    /// allowed.
    fn capture_check(&self, handler: &Handler, route: &Route) -> TokenStream {
        let text = route.text();
        let what = route.topic.as_ref().map_or("route", |_| "topic");
        let captures = route.pattern.capture_count();
        let has = match captures {
            0 => "no capture".to_owned(),
            1 => "1 capture".to_owned(),
            n => format!("{n} captures"),
        };
        let more = format!(
            "{what} `{text}` has {has}, but the handler takes more: \
             remove a `Path` argument, or put a `{{capture}}` into the pattern"
        );
        let fewer = format!(
            "{what} `{text}` has {has}, but the handler takes fewer: \
             give it a `Path` argument for each, in the same order"
        );
        // A comparison that can't fail would cause a lint in the user's crate.
        let taken = local("taken");
        let at_most = match captures {
            0 => quote!(#taken == 0),
            n => quote!(#taken <= #n),
        };
        let at = route.literal.span();
        let all_or_none = (captures > 1).then(|| {
            quote_spanned! {at=>
                ::core::assert!(#taken == 0 || #taken >= #captures, "{}", #fewer);
            }
        });
        let types = handler.extractors.iter().map(|ty| self.argument(ty).ty());
        let krate = self.krate;
        let sum: TokenStream = types
            .map(|ty| quote!(+ #krate::__private::captures::<#ty>()))
            .collect();
        quote_spanned! {at=>
            {
                let #taken: usize = 0 #sum;
                ::core::assert!(#at_most, "{}", #more);
                #all_or_none
            }
        }
    }

    fn place_of(&self, handler: &Handler) -> Place {
        let extractors = &handler.extractors;
        if extractors.is_empty() {
            Place::Nowhere
        } else if self.is_generic || extractors.iter().any(|ty| mentions_self(quote!(#ty))) {
            Place::Function
        } else {
            Place::Item
        }
    }

    pub(super) fn argument<'t>(&self, ty: &'t Type) -> Known<'t> {
        self.known(ty, quote!(Argument))
    }

    pub(super) fn hook_reply<'t>(&self, ty: &'t Type) -> Known<'t> {
        self.known(ty, quote!(HookReply))
    }

    fn known<'t>(&self, ty: &'t Type, by: TokenStream) -> Known<'t> {
        let krate = self.krate;
        Known {
            ty,
            by: quote!(#krate::__private::#by),
        }
    }
}

/// Generates a warning at the pattern for a capture that no argument takes, unless its name starts with `_`.
///
/// Only handlers that take no capture at all get the warning, which is judged by the names of their argument
/// types. The type system checks the others.
fn unused_capture(handler: &Handler, route: &Route) -> Option<TokenStream> {
    const WITHOUT: [&str; 6] = ["Query", "Sender", "Deadline", "State", "Context", "System"];
    let takes_none = |ty: &Type| match ty {
        Type::Path(path) => {
            let last = path.path.segments.last();
            last.is_some_and(|last| WITHOUT.iter().any(|name| last.ident == name))
        }
        _ => false,
    };
    if !handler.extractors.iter().all(takes_none) {
        return None;
    }
    let name = route
        .pattern
        .capture_names()
        .find(|name| !name.starts_with('_'))?;
    let text = format!(
        "no argument takes the capture `{name}`: add a `Path` argument, or name it `_{name}`"
    );
    let unused = Ident::new("unused_capture", route.literal.span());
    Some(quote! {
        {
            #[deprecated(note = #text)]
            #[allow(non_upper_case_globals)]
            const #unused: () = ();
            #unused
        }
    })
}

/// Where the captures are compared.
#[derive(PartialEq)]
enum Place {
    /// Nowhere: no extractor can take a capture.
    Nowhere,
    /// In an item beside the impl, which `cargo check` evaluates.
    Item,
    /// In the function itself, where `Self` and the parameters of the block are known.
    Function,
}

fn mentions_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "Self",
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}

/// A user's type, used only through the trait that it must implement.
pub(super) struct Known<'a> {
    ty: &'a Type,
    by: TokenStream,
}

impl Known<'_> {
    pub(super) fn ty(&self) -> TokenStream {
        self.item("Type")
    }

    pub(super) fn give(&self) -> TokenStream {
        self.item("give")
    }

    /// `<Type as Trait>::give(value)`, with errors reported at the type.
    pub(super) fn given(&self, value: TokenStream) -> TokenStream {
        let give = self.give();
        quote_spanned!(ends(self.ty).1=> #give(#value))
    }

    /// `<Type as Trait>::name`, spanned from the type's first token to its last, where rustc reports errors.
    pub(super) fn item(&self, name: &str) -> TokenStream {
        let Known { ty, by } = self;
        let (first, last) = ends(ty);
        let name = Ident::new(name, last);
        let open = quote_spanned!(first=> <);
        let rest = quote_spanned!(last=> as #by>::#name);
        quote!(#open #ty #rest)
    }
}
