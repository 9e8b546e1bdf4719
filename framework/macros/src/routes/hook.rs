//! Reads one method that is called at the start, at a restart, or at the end.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, FnArg, Ident, ImplItemFn, ReturnType, Type};

use super::arguments::{arguments, variants};
use super::borrow::borrowed;
use super::condition::{Mark, Predicate, cfg, conditions, take};
use super::handler::ends;
use super::table::{Known, Table, local};
use crate::crate_path::CratePath;

/// The names of the hooks, each with the argument after `&mut self`.
const HOOKS: [(&str, Option<&str>); 3] = [
    ("started", None),
    ("restarting", Some("failure: Failure")),
    ("stopped", Some("reason: EndReason")),
];

/// One method under `#[started]`, `#[restarting]` or `#[stopped]`. If some of its arguments are under a `#[cfg]`,
/// this is the method for one choice of them.
pub(super) struct Hook {
    kind: &'static str,
    name: Ident,
    conditions: Vec<Predicate>,
    is_async: bool,
    /// The type of the argument for the cause, unless the hook is called at the start.
    cause: Option<Type>,
    extractors: Vec<Type>,
    reply: ReturnType,
}

impl Hook {
    /// Removes the attributes of hooks from a method and reads it, or adds to `errors` why it can't be a hook.
    pub(super) fn take(
        method: &mut ImplItemFn,
        krate: &CratePath,
        errors: &mut Vec<Error>,
    ) -> Vec<Hook> {
        let mut hooks = Vec::new();
        for (kind, cause) in HOOKS {
            let marks = take(&mut method.attrs, &|path| {
                super::is_named(path, kind, krate)
            });
            if let Some(mark) = marks.first() {
                match Hook::read(method, kind, cause, mark) {
                    Ok(read) => hooks.extend(read),
                    Err(error) => errors.push(error),
                }
            }
        }
        hooks
    }

    fn read(
        method: &ImplItemFn,
        kind: &'static str,
        cause: Option<&str>,
        mark: &Mark,
    ) -> syn::Result<Vec<Hook>> {
        let sig = &method.sig;
        let example = match cause {
            None => format!("`async fn {}(&mut self)`", sig.ident),
            Some(cause) => format!("`async fn {}(&mut self, {cause})`", sig.ident),
        };
        match sig.inputs.first() {
            Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() => {}
            first => {
                let text = format!("`#[{kind}]` takes `&mut self` first: {example}");
                return Err(match first {
                    Some(first) => Error::new_spanned(first, text),
                    None => Error::new_spanned(&sig.ident, text),
                });
            }
        }
        let arguments = arguments(sig);
        for (i, argument) in arguments.iter().enumerate() {
            let what = match (i, cause) {
                (0, Some(_)) => "what a hook is told",
                _ => "an extractor",
            };
            if let Some(error) = borrowed(&argument.ty, what) {
                return Err(error);
            }
        }
        let mut hooks = Vec::new();
        for variant in variants(&arguments)? {
            let mut types = variant.types;
            let cause = match cause {
                None => None,
                Some(_) if types.is_empty() => {
                    let text = format!("`#[{kind}]` is told why: {example}");
                    return Err(Error::new_spanned(&sig.ident, text));
                }
                Some(_) => Some(types.remove(0)),
            };
            let conditions = [
                conditions(&method.attrs),
                mark.conditions.clone(),
                variant.conditions,
            ];
            hooks.push(Hook {
                kind,
                name: sig.ident.clone(),
                conditions: conditions.concat(),
                is_async: sig.asyncness.is_some(),
                cause,
                extractors: types,
                reply: sig.output.clone(),
            });
        }
        Ok(hooks)
    }

    /// Generates the code that adds the hook to the table.
    pub(super) fn registration(&self, table: &Table<'_>) -> TokenStream {
        let Hook {
            kind,
            name,
            extractors,
            ..
        } = self;
        let krate = table.krate;
        let (entries, this, why) = (local("table"), local("this"), local("cause"));
        let cfg = cfg(&self.conditions);
        let method = Ident::new(kind, name.span());
        let values: Vec<Ident> = (0..extractors.len())
            .map(|i| local(&format!("argument{i}")))
            .collect();
        let arguments: Vec<_> = extractors.iter().map(|ty| table.argument(ty)).collect();
        let argument_types: Vec<_> = arguments.iter().map(Known::ty).collect();
        let gives = arguments.iter().map(Known::give);
        let (cause, told) = match (&self.cause, *kind) {
            (None, _) => (quote!(()), TokenStream::new()),
            (Some(ty), "restarting") => told(krate, ty, quote!(#krate::supervise::Failure)),
            (Some(ty), _) => told(krate, ty, quote!(#krate::observe::EndReason)),
        };
        let call = quote!(Self::#name(#this, #told #(#gives(#values)),*));
        let call = if self.is_async {
            quote!(#call.await)
        } else {
            call
        };
        let nothing = syn::parse_quote_spanned!(name.span()=> ());
        let reply = table.hook_reply(match &self.reply {
            ReturnType::Type(_, ty) => ty,
            ReturnType::Default => &nothing,
        });
        let body = reply.given(call);
        let no_captures = extractors
            .iter()
            .zip(&argument_types)
            .map(|(ty, argument)| {
                let text = format!("`#[{kind}]` has no captures: remove the `Path` argument");
                quote_spanned! {ends(ty).0=>
                    const {
                        ::core::assert!(#krate::__private::captures::<#argument>() == 0, #text);
                    }
                }
            });
        quote! {
            #cfg
            {
                #(#no_captures)*
                #entries.#method::<(#(#argument_types,)*), #krate::__private::HookResult>(
                    async |
                        #this: &mut Self,
                        #why: #cause,
                        (#(#values,)*): (#(#argument_types,)*)
                    | {
                        let _ = &#why;
                        #body
                    },
                );
            }
        }
    }
}

/// Returns the type of the cause, and the code that converts it into the method's argument.
fn told(krate: &CratePath, ty: &Type, cause: TokenStream) -> (TokenStream, TokenStream) {
    let (first, last) = ends(ty);
    let why = local("cause");
    let open = quote_spanned!(first=> <);
    let rest = quote_spanned!(last=> as #krate::__private::Told<#cause>>::give);
    (cause, quote!(#open #ty #rest(#why),))
}

/// Returns errors for hooks that are given twice, each at the later one. Hooks under different conditions are not
/// compared, since only one of them may exist.
pub(super) fn twice(hooks: &[Hook]) -> Vec<Error> {
    let mut errors: Vec<Error> = Vec::new();
    for (i, hook) in hooks.iter().enumerate() {
        let same = |other: &&Hook| {
            other.kind == hook.kind
                && other.name != hook.name
                && (other.conditions.is_empty()
                    || hook.conditions.is_empty()
                    || super::same(&other.conditions, &hook.conditions))
        };
        if let Some(first) = hooks[..i].iter().find(same) {
            let text = format!("`#[{}]` stands on `{}` already", hook.kind, first.name);
            errors.push(Error::new_spanned(&hook.name, text));
        }
    }
    errors
}
