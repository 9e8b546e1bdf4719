//! What is read off one method: its patterns, message, extractors and reply.

use mycelia_core::Pattern;
use proc_macro2::Span;
use quote::ToTokens;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericParam, Ident, ImplItemFn, LitStr, Receiver, ReturnType,
    Signature, Token, Type,
};

use super::borrow::borrowed;

/// As many as the tuples that `Extract` is implemented for.
const EXTRACTORS_MAX: usize = 8;

/// One `#[route("pattern")]`, or `#[route("pattern", blocking)]`.
pub(super) struct Route {
    pub(super) literal: LitStr,
    pub(super) pattern: Pattern,
    pub(super) is_blocking: bool,
}

impl Route {
    pub(super) fn text(&self) -> String {
        self.literal.value()
    }

    fn read(attr: &Attribute) -> syn::Result<Route> {
        let read = |input: ParseStream<'_>| -> syn::Result<(LitStr, bool)> {
            let literal = input.parse()?;
            let is_blocking = !input.is_empty();
            if is_blocking {
                input.parse::<Token![,]>()?;
                let option: Ident = input.parse()?;
                if option != "blocking" {
                    return Err(Error::new_spanned(option, "not an option of a route"));
                }
            }
            Ok((literal, is_blocking))
        };
        let (literal, is_blocking) = attr.parse_args_with(read).map_err(|_| {
            Error::new_spanned(
                &attr.meta,
                "a route takes one pattern: `#[route(\"users/{id}\")]`; for a method that blocks its \
                 thread write `#[route(\"users/{id}\", blocking)]`",
            )
        })?;
        match Pattern::parse(&literal.value()) {
            Ok(pattern) => Ok(Route {
                literal,
                pattern,
                is_blocking,
            }),
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
        if let (Some(token), Some(route)) = (sig.asyncness, routes.iter().find(|r| r.is_blocking)) {
            let text =
                "a blocking handler is not async: remove `async`, or `blocking` from its route";
            let mut error = Error::new_spanned(token, text);
            error.combine(Error::new(route.literal.span(), "here it is said to block"));
            errors.push(error);
        }
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

/// First and last token of a type: stable rustc cannot join them into one span.
pub(super) fn ends(ty: &Type) -> (Span, Span) {
    let last = ty.to_token_stream().into_iter().last();
    let last = last.map_or_else(|| ty.span(), |token| token.span());
    let first = ty.to_token_stream().into_iter().next();
    (first.map_or(last, |token| token.span()), last)
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use super::super::tests::errors;

    /// The only error of a block with one method under `#[route]`.
    fn fault(method: TokenStream) -> String {
        let errors = errors(quote!(impl Api { #[route("a/{b}")] #method }));
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].clone()
    }

    fn fits(method: TokenStream) {
        let errors = errors(quote!(impl Api { #[route("a/{b}")] #method }));
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn a_handler_takes_self_by_reference_then_a_message() {
        assert_eq!(
            fault(quote!(
                async fn greet(msg: Greet) {}
            )),
            "a route handler takes `&mut self` first: `async fn greet(&mut self, msg: YourMessage)`"
        );
        for by_value in [quote!(self), quote!(mut self), quote!(self: Box<Self>)] {
            let fault = fault(quote!(fn greet(#by_value, msg: Greet) {}));
            assert!(
                fault.starts_with("a route handler takes `&mut self` or `&self`"),
                "{fault}"
            );
        }
        assert_eq!(
            fault(quote!(
                fn greet(&mut self) {}
            )),
            "a route handler takes a message after `&mut self`: \
         `fn greet(&mut self, msg: YourMessage)`"
        );
        fits(quote!(
            fn greet(self: &mut Self, _: Greet) {}
        ));
        fits(quote!(
            fn greet<'a>(&'a mut self, _: Greet) {}
        ));
    }

    #[test]
    fn message_extractors_and_reply_are_owned_and_named() {
        let text = |method| fault(method);
        assert_eq!(
            text(quote!(
                fn f(&self, msg: &Greet) {}
            )),
            "a message is an owned value: write the type without `&`"
        );
        assert_eq!(
            text(quote!(
                fn f(&self, msg: Greet, a: Path<&str>) {}
            )),
            "an extractor is an owned value: write the type without `&`"
        );
        assert!(
            text(quote!(
                fn f<'a>(&self, msg: Greet<'a>) {}
            ))
            .contains("borrows nothing")
        );
        assert!(
            text(quote!(
                fn f(&mut self, msg: Greet) -> &str {}
            ))
            .starts_with("a reply is")
        );
        assert!(
            text(quote!(
                fn f(&self, msg: impl Message) {}
            ))
            .contains("instead of `impl ..`")
        );
        assert!(
            text(quote!(
                fn f(&self, msg: A) -> impl Sized {}
            ))
            .starts_with("a reply has one")
        );
        fits(quote!(
            fn f(&self, msg: Greet<'static>) -> &'static str {}
        ));
        fits(quote!(
            fn f(&self, msg: Run<Box<dyn Fn(&u8) -> &u8>>, a: State<fn(&u8)>) {}
        ));
        fits(quote!(
            fn f(&self, msg: Run<Box<dyn for<'a> Visit<'a>>>) {}
        ));
    }

    #[test]
    fn a_handler_is_a_plain_method() {
        assert!(
            fault(quote!(
                fn f<T>(&self, msg: Put<T>) {}
            ))
            .contains("no type parameters")
        );
        assert!(
            fault(quote!(
                fn f<const N: usize>(&self, m: Put<N>) {}
            ))
            .contains("no type param")
        );
        assert!(
            fault(quote!(
                unsafe fn f(&self, msg: A) {}
            ))
            .contains("remove `unsafe`")
        );
        assert!(
            fault(quote!(
                extern "C" fn f(&self, msg: A) {}
            ))
            .contains("no abi")
        );
        fits(quote!(
            const fn f(&self, msg: A) {}
        ));
        fits(quote!(
            fn f(&self, m: A, a: B, b: B, c: B, d: B, e: B, f: B, g: B, h: B) {}
        ));
        let nine = quote!(
            fn f(&self, m: A, a: B, b: B, c: B, d: B, e: B, f: B, g: B, h: B, i: B) {}
        );
        assert_eq!(
            fault(nine),
            "a route handler takes at most 8 extractors after its message"
        );
    }

    #[test]
    fn a_route_is_one_well_formed_pattern() {
        let unclosed = errors(quote!(impl Api { #[route("users/{id")] fn f(&self, msg: A) {} }));
        let error = mycelia_core::Pattern::parse("users/{id").unwrap_err();
        assert_eq!(unclosed, [error.to_string()]);
        for wrong in [
            quote!(#[route]),
            quote!(#[route(a)]),
            quote!(#[route("a", "b")]),
        ] {
            let errors = errors(quote!(impl Api { #wrong fn f(&self, msg: A) {} }));
            assert_eq!(
                errors,
                [
                    "a route takes one pattern: `#[route(\"users/{id}\")]`; for a method that blocks \
                     its thread write `#[route(\"users/{id}\", blocking)]`"
                ]
            );
        }
    }
}
