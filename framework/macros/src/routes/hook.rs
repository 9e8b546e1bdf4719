//! What is read off one method that is called at the start, at a restart, or at the end.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Attribute, Error, FnArg, Ident, ImplItemFn, ReturnType, Type};

use super::borrow::borrowed;
use super::handler::ends;
use super::is_named;
use super::table::{Known, known};

/// The names of the hooks, each with what its method takes after `&mut self`.
const HOOKS: [(&str, Option<&str>); 3] = [
    ("started", None),
    ("restarting", Some("failure: Failure")),
    ("stopped", Some("reason: EndReason")),
];

/// One method under `#[started]`, `#[restarting]` or `#[stopped]`.
pub(super) struct Hook {
    kind: &'static str,
    name: Ident,
    cfgs: Vec<Attribute>,
    is_async: bool,
    /// What it takes to be told of the cause, unless it is called at the start.
    cause: Option<Type>,
    extractors: Vec<Type>,
    reply: ReturnType,
}

impl Hook {
    /// Takes the attributes of hooks off a method, or adds to `errors` why it is none.
    pub(super) fn take(method: &mut ImplItemFn, errors: &mut Vec<Error>) -> Vec<Hook> {
        let mut hooks = Vec::new();
        for (kind, cause) in HOOKS {
            let before = method.attrs.len();
            method.attrs.retain(|attr| !is_named(attr, kind));
            if method.attrs.len() < before {
                match Hook::read(method, kind, cause) {
                    Ok(hook) => hooks.push(hook),
                    Err(error) => errors.push(error),
                }
            }
        }
        hooks
    }

    fn read(method: &ImplItemFn, kind: &'static str, cause: Option<&str>) -> syn::Result<Hook> {
        let sig = &method.sig;
        let example = match cause {
            None => format!("`async fn {}(&mut self)`", sig.ident),
            Some(cause) => format!("`async fn {}(&mut self, {cause})`", sig.ident),
        };
        let mut inputs = sig.inputs.iter();
        match inputs.next() {
            Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() => {}
            first => {
                let text = format!("`#[{kind}]` takes `&mut self` first: {example}");
                return Err(match first {
                    Some(first) => Error::new_spanned(first, text),
                    None => Error::new_spanned(&sig.ident, text),
                });
            }
        }
        let mut types: Vec<Type> = inputs
            .filter_map(|input| match input {
                FnArg::Typed(input) => Some((*input.ty).clone()),
                FnArg::Receiver(_) => None,
            })
            .collect();
        let cause = match cause {
            None => None,
            Some(_) if types.is_empty() => {
                let text = format!("`#[{kind}]` is told why: {example}");
                return Err(Error::new_spanned(&sig.ident, text));
            }
            Some(_) => Some(types.remove(0)),
        };
        let borrows = types.iter().find_map(|ty| borrowed(ty, "an extractor"));
        let borrows = borrows.or_else(|| borrowed(cause.as_ref()?, "what a hook is told"));
        if let Some(error) = borrows {
            return Err(error);
        }
        Ok(Hook {
            kind,
            name: sig.ident.clone(),
            cfgs: method
                .attrs
                .iter()
                .filter(|attr| attr.path().is_ident("cfg"))
                .cloned()
                .collect(),
            is_async: sig.asyncness.is_some(),
            cause,
            extractors: types,
            reply: sig.output.clone(),
        })
    }

    /// Writes its entry into the table.
    pub(super) fn registration(&self) -> TokenStream {
        let Hook {
            kind,
            name,
            cfgs,
            extractors,
            ..
        } = self;
        let method = Ident::new(kind, name.span());
        let values: Vec<Ident> = (0..extractors.len())
            .map(|i| format_ident!("__a{i}"))
            .collect();
        let arguments: Vec<_> = extractors.iter().map(|ty| known(ty, "Argument")).collect();
        let argument_types: Vec<_> = arguments.iter().map(Known::ty).collect();
        let gives = arguments.iter().map(Known::give);
        let (cause, told) = match (&self.cause, *kind) {
            (None, _) => (quote!(()), TokenStream::new()),
            (Some(ty), "restarting") => told(ty, quote!(::mycelia::Failure)),
            (Some(ty), _) => told(ty, quote!(::mycelia::EndReason)),
        };
        let call = quote!(Self::#name(__this, #told #(#gives(#values)),*));
        let call = if self.is_async {
            quote!(#call.await)
        } else {
            call
        };
        let reply = match &self.reply {
            ReturnType::Type(_, ty) => quote!(#ty),
            ReturnType::Default => quote_spanned!(name.span()=> ()),
        };
        let no_captures = extractors
            .iter()
            .zip(&argument_types)
            .map(|(ty, argument)| {
                let text = format!("`#[{kind}]` has no captures: remove the `Path` argument");
                quote_spanned! {ends(ty).0=>
                    const {
                        ::core::assert!(::mycelia::__private::captures::<#argument>() == 0, #text);
                    }
                }
            });
        quote! {
            #(#cfgs)*
            {
                ::mycelia::__private::is_hook_reply::<#reply>();
                #(#no_captures)*
                __table.#method::<(#(#argument_types,)*), #reply>(
                    async |
                        __this: &mut Self,
                        __cause: #cause,
                        (#(#values,)*): (#(#argument_types,)*)
                    | {
                        let _ = &__cause;
                        #call
                    },
                );
            }
        }
    }
}

/// The type of the cause, and how it is made what the method takes.
fn told(ty: &Type, cause: TokenStream) -> (TokenStream, TokenStream) {
    let (first, last) = ends(ty);
    let open = quote_spanned!(first=> <);
    let rest = quote_spanned!(last=> as ::mycelia::__private::Told<#cause>>::give);
    (cause, quote!(#open #ty #rest(__cause),))
}

/// Hooks that are given twice, reported at the later one.
pub(super) fn twice(hooks: &[Hook]) -> Vec<Error> {
    let mut errors = Vec::new();
    for (i, hook) in hooks.iter().enumerate() {
        let same = |other: &&Hook| other.kind == hook.kind && other.cfgs.is_empty();
        if let Some(first) = hooks[..i].iter().find(same) {
            let text = format!("`#[{}]` stands on `{}` already", hook.kind, first.name);
            errors.push(Error::new_spanned(&hook.name, text));
        }
    }
    errors
}
