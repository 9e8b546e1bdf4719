//! What is read off one method: its patterns, message, extractors and reply.

use mycelia_core::Pattern;
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Error, FnArg, GenericParam, Ident, ImplItemFn, Lifetime, LitStr, Receiver,
    ReturnType, Signature, TraitBound, Type,
};

/// As many as the tuples that `Extract` is implemented for.
const EXTRACTORS_MAX: usize = 8;

/// One `#[route("pattern")]`.
pub(super) struct Route {
    pub(super) literal: LitStr,
    pub(super) pattern: Pattern,
}

impl Route {
    pub(super) fn text(&self) -> String {
        self.literal.value()
    }

    fn read(attr: &Attribute) -> syn::Result<Route> {
        let literal: LitStr = attr.parse_args().map_err(|_| {
            Error::new_spanned(
                &attr.meta,
                "a route takes one pattern: `#[route(\"users/{id}\")]`",
            )
        })?;
        match Pattern::parse(&literal.value()) {
            Ok(pattern) => Ok(Route { literal, pattern }),
            Err(error) => Err(Error::new(literal.span(), error)),
        }
    }
}

/// One method under `#[route]`.
pub(super) struct Handler {
    pub(super) name: Ident,
    pub(super) cfgs: Vec<Attribute>,
    pub(super) routes: Vec<Route>,
    pub(super) is_async: bool,
    pub(super) message: Type,
    pub(super) extractors: Vec<Type>,
    pub(super) reply: ReturnType,
}

impl Handler {
    /// Reads a method, or adds to `errors` why it is no handler.
    pub(super) fn read(
        method: &ImplItemFn,
        routes: &[Attribute],
        errors: &mut Vec<Error>,
    ) -> Option<Handler> {
        let routes: Vec<Route> = routes
            .iter()
            .filter_map(|attr| kept(Route::read(attr), errors))
            .collect();
        let sig = &method.sig;
        let before = errors.len();
        errors.extend(unfit(sig));
        let arguments = kept(arguments(sig), errors)?;
        for (i, argument) in arguments.iter().enumerate() {
            let what = if i == 0 { "a message" } else { "an extractor" };
            errors.extend(borrowed(argument, what));
        }
        if let ReturnType::Type(_, reply) = &sig.output {
            errors.extend(borrowed(reply, "a reply"));
        }
        if errors.len() > before {
            return None;
        }
        let (message, extractors) = arguments.split_first()?;
        Some(Handler {
            name: sig.ident.clone(),
            cfgs: method
                .attrs
                .iter()
                .filter(|attr| attr.path().is_ident("cfg"))
                .cloned()
                .collect(),
            routes,
            is_async: sig.asyncness.is_some(),
            message: message.clone(),
            extractors: extractors.to_vec(),
            reply: sig.output.clone(),
        })
    }
}

fn kept<T>(result: syn::Result<T>, errors: &mut Vec<Error>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

/// Qualifiers and generics that no handler has.
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

/// The types after the receiver: at least the message.
fn arguments(sig: &Signature) -> syn::Result<Vec<Type>> {
    let name = &sig.ident;
    let asyncness = if sig.asyncness.is_some() {
        "async "
    } else {
        ""
    };
    let mut inputs = sig.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if is_borrowed(receiver) => {}
        Some(FnArg::Receiver(receiver)) => {
            return Err(Error::new_spanned(
                receiver,
                "a route handler takes `&mut self` or `&self`: the subsystem lives on after it",
            ));
        }
        first => {
            let at = first.map_or_else(|| name.to_token_stream(), ToTokens::to_token_stream);
            return Err(Error::new_spanned(
                at,
                format!(
                    "a route handler takes `&mut self` first: \
                     `{asyncness}fn {name}(&mut self, msg: YourMessage)`"
                ),
            ));
        }
    }
    let types: Vec<Type> = inputs
        .filter_map(|input| match input {
            FnArg::Typed(input) => Some((*input.ty).clone()),
            FnArg::Receiver(_) => None,
        })
        .collect();
    if types.is_empty() {
        return Err(Error::new_spanned(
            name,
            format!(
                "a route handler takes a message after `&mut self`: \
                 `{asyncness}fn {name}(&mut self, msg: YourMessage)`"
            ),
        ));
    }
    match types.get(EXTRACTORS_MAX + 1) {
        Some(extra) => Err(Error::new_spanned(
            extra,
            format!("a route handler takes at most {EXTRACTORS_MAX} extractors after its message"),
        )),
        None => Ok(types),
    }
}

fn is_borrowed(receiver: &Receiver) -> bool {
    let is_self = |ty: &Type| ty.to_token_stream().to_string() == "Self";
    receiver.reference.is_some()
        || matches!(&*receiver.ty, Type::Reference(reference) if is_self(&reference.elem))
}

/// Why a type cannot travel: it borrows, or has no name.
fn borrowed(ty: &Type, what: &'static str) -> Option<Error> {
    let mut search = Borrow { what, error: None };
    search.visit_type(ty);
    search.error
}

/// Finds the first reference, lifetime or `impl Trait` in a type. `'static` is no borrow, and the
/// inside of `fn(&T)` or `Fn(&T)` borrows only while it is called.
struct Borrow {
    what: &'static str,
    error: Option<Error>,
}

impl Borrow {
    fn refuse(&mut self, at: impl ToTokens, why: &str) {
        let at: TokenStream = at.into_token_stream();
        self.error
            .get_or_insert_with(|| Error::new_spanned(at, format!("{} {why}", self.what)));
    }
}

impl<'ast> Visit<'ast> for Borrow {
    fn visit_type_reference(&mut self, reference: &'ast syn::TypeReference) {
        match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => self.visit_type(&reference.elem),
            _ => self.refuse(reference, "is an owned value: write the type without `&`"),
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.refuse(
                lifetime,
                "is an owned value: write a type that borrows nothing",
            );
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast syn::TypeImplTrait) {
        self.refuse(ty, "has one named type: write it instead of `impl ..`");
    }

    fn visit_type_bare_fn(&mut self, _: &'ast syn::TypeBareFn) {}

    fn visit_parenthesized_generic_arguments(
        &mut self,
        _: &'ast syn::ParenthesizedGenericArguments,
    ) {
    }

    fn visit_trait_bound(&mut self, bound: &'ast TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
}

/// First and last token of a type: stable rustc cannot join them into one span.
pub(super) fn ends(ty: &Type) -> (Span, Span) {
    let last = ty.to_token_stream().into_iter().last();
    let last = last.map_or_else(|| ty.span(), |token| token.span());
    let first = ty.to_token_stream().into_iter().next();
    (first.map_or(last, |token| token.span()), last)
}
