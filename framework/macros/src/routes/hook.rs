//! What is read off one method that is called at the start, at a restart, or at the end.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, Ident, ImplItemFn, ReturnType, Type};

use super::is_named;

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
    /// What it is told of the cause, unless it is called at the start.
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
            _ => {
                let text = format!("`#[{kind}]` takes `&mut self` first: {example}");
                return Err(Error::new_spanned(&sig.ident, text));
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
        let (cause, told) = match &self.cause {
            Some(cause) => (quote!(#cause), quote!(__cause,)),
            None => (quote!(()), TokenStream::new()),
        };
        let call = quote!(Self::#name(__this, #told #(#values),*));
        let call = if self.is_async {
            quote!(#call.await)
        } else {
            call
        };
        let reply = match &self.reply {
            ReturnType::Type(_, ty) => quote!(#ty),
            ReturnType::Default => quote_spanned!(name.span()=> ()),
        };
        let no_captures = extractors.iter().map(|ty| {
            quote_spanned! {ty.span()=>
                const {
                    ::core::assert!(
                        ::mycelia::__private::captures::<#ty>() == 0,
                        "a hook has no captures: remove the `Path` argument"
                    );
                }
            }
        });
        quote! {
            #(#cfgs)*
            {
                ::mycelia::__private::is_hook_reply::<#reply>();
                #(#no_captures)*
                __table.#method::<(#(#extractors,)*), #reply>(
                    async |__this: &mut Self, __cause: #cause, (#(#values,)*): (#(#extractors,)*)| {
                        let _ = &__cause;
                        #call
                    },
                );
            }
        }
    }
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
