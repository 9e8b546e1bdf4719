//! Reads a method's signature: the arguments after `&mut self`, under each `#[cfg]`.

use quote::{ToTokens, quote};
use syn::{Error, FnArg, GenericParam, Receiver, Signature, Type};

use super::borrow::borrowed;
use super::condition::{Predicate, conditions};

/// The most extractors: `Extract` is implemented for tuples up to this length.
pub(super) const EXTRACTORS_MAX: usize = 8;

/// The most arguments under a `#[cfg]`: each doubles the number of signatures.
const CONDITIONAL_MAX: usize = 4;

/// An argument after the receiver.
pub(super) struct Argument {
    pub(super) ty: Type,
    conditions: Vec<Predicate>,
}

/// The arguments of a method if the predicates hold.
pub(super) struct Variant {
    pub(super) conditions: Vec<Predicate>,
    pub(super) types: Vec<Type>,
}

/// The arguments after the receiver.
pub(super) fn arguments(sig: &Signature) -> Vec<Argument> {
    let typed = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(input) => Some(input),
        FnArg::Receiver(_) => None,
    });
    typed
        .map(|input| Argument {
            ty: (*input.ty).clone(),
            conditions: conditions(&input.attrs),
        })
        .collect()
}

/// Returns a signature for each choice of the arguments that are under a `#[cfg]`.
pub(super) fn variants(arguments: &[Argument]) -> syn::Result<Vec<Variant>> {
    let conditional = |argument: &&Argument| !argument.conditions.is_empty();
    if let Some(extra) = arguments.iter().filter(conditional).nth(CONDITIONAL_MAX) {
        return Err(Error::new_spanned(
            &extra.ty,
            format!(
                "at most {CONDITIONAL_MAX} arguments may have conditions: \
                 write two methods under `#[cfg]`"
            ),
        ));
    }
    let mut variants = vec![Variant {
        conditions: Vec::new(),
        types: Vec::new(),
    }];
    for Argument { ty, conditions } in arguments {
        let mut without = Vec::new();
        for variant in &mut variants {
            if !conditions.is_empty() {
                let not = quote!(not(all(#(#conditions),*)));
                without.push(Variant {
                    conditions: [&variant.conditions[..], &[not]].concat(),
                    types: variant.types.clone(),
                });
            }
            variant.conditions.extend_from_slice(conditions);
            variant.types.push(ty.clone());
        }
        variants.extend(without);
    }
    Ok(variants)
}

/// Refuses a signature that a handler can't have, and arguments that borrow.
pub(super) fn check(sig: &Signature, arguments: &[Argument]) -> Vec<Error> {
    let mut errors: Vec<Error> = unfit(sig).into_iter().collect();
    if let Err(error) = receiver(sig) {
        errors.push(error);
        return errors;
    }
    match arguments.first() {
        None => errors.push(no_message(sig)),
        Some(message) if !message.conditions.is_empty() => errors.push(Error::new_spanned(
            &message.ty,
            "a handler's message has no conditions: write two methods under `#[cfg]`",
        )),
        Some(_) => {}
    }
    for (i, argument) in arguments.iter().enumerate() {
        let what = if i == 0 { "a message" } else { "an extractor" };
        errors.extend(borrowed(&argument.ty, what));
    }
    errors
}

/// Returns an error for qualifiers and generics that a handler can't have.
fn unfit(sig: &Signature) -> Option<Error> {
    let parameter = |param: &&GenericParam| !matches!(param, GenericParam::Lifetime(_));
    if let Some(param) = sig.generics.params.iter().find(parameter) {
        return Some(Error::new_spanned(
            param,
            "a route handler has no type parameters: its message is one type; \
             put the parameter on the impl block or name the type",
        ));
    }
    if let Some(token) = sig.unsafety {
        return Some(Error::new_spanned(
            token,
            "a route handler cannot be unsafe: any message may reach it; remove `unsafe`",
        ));
    }
    let abi = sig.abi.as_ref()?;
    Some(Error::new_spanned(
        abi,
        "a route handler has no abi of its own: remove this",
    ))
}

fn receiver(sig: &Signature) -> syn::Result<()> {
    let (name, asyncness) = (&sig.ident, asyncness(sig));
    match sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) if is_borrowed(receiver) => Ok(()),
        Some(FnArg::Receiver(receiver)) => Err(Error::new_spanned(
            receiver,
            "a route handler takes `&mut self` or `&self`: the subsystem lives on after it",
        )),
        first => {
            let at = first.map_or_else(|| name.to_token_stream(), ToTokens::to_token_stream);
            Err(Error::new_spanned(
                at,
                format!(
                    "a route handler takes `&mut self` first: \
                     `{asyncness}fn {name}(&mut self, msg: YourMessage)`"
                ),
            ))
        }
    }
}

fn no_message(sig: &Signature) -> Error {
    let (name, asyncness) = (&sig.ident, asyncness(sig));
    Error::new_spanned(
        name,
        format!(
            "a route handler takes a message after `&mut self`: \
             `{asyncness}fn {name}(&mut self, msg: YourMessage)`"
        ),
    )
}

fn asyncness(sig: &Signature) -> &'static str {
    if sig.asyncness.is_some() {
        "async "
    } else {
        ""
    }
}

fn is_borrowed(receiver: &Receiver) -> bool {
    let is_self = |ty: &Type| ty.to_token_stream().to_string() == "Self";
    receiver.reference.is_some()
        || matches!(&*receiver.ty, Type::Reference(reference) if is_self(&reference.elem))
}
