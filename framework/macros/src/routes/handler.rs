//! Reads one method: its patterns, message, extractors and reply.

use mycelia_core::Pattern;
use proc_macro2::Span;
use quote::ToTokens;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Error, Ident, ImplItemFn, LitStr, Meta, ReturnType, Signature, Token, Type};

use super::arguments::{self, Argument, EXTRACTORS_MAX, Variant};
use super::borrow::borrowed;
use super::condition::{Mark, Predicate, conditions};
use super::subscribe::{self, Subscription};
use super::within;

/// One `#[route("pattern")]`, with its options: `blocking`, or `within = "2s"`.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) literal: LitStr,
    pub(super) pattern: Pattern,
    pub(super) is_blocking: bool,
    /// How long its handler may take, in milliseconds, and where the attribute says so.
    pub(super) within: Option<(u64, Span)>,
    /// If a topic leads to it, and no path: its options.
    pub(super) topic: Option<Subscription>,
    /// The predicates of a `#[cfg_attr]` around it.
    pub(super) conditions: Vec<Predicate>,
}

impl Route {
    pub(super) fn text(&self) -> String {
        self.literal.value()
    }

    /// The name of the topic that leads to it, if one does.
    pub(super) fn topic_name(&self) -> Option<String> {
        self.topic.as_ref()?;
        Some(self.text().split("://").next()?.to_owned())
    }

    fn read(mark: &Mark) -> syn::Result<Route> {
        let no_pattern = || {
            Error::new_spanned(
                &mark.meta,
                "a route takes one pattern: `#[route(\"users/{id}\")]`; for a method that blocks its \
                 thread write `#[route(\"users/{id}\", blocking)]`",
            )
        };
        type Read = (LitStr, bool, Option<(u64, Span)>);
        let read = |input: ParseStream<'_>| -> syn::Result<Read> {
            let literal = input.parse().map_err(|_| no_pattern())?;
            let (mut is_blocking, mut time) = (false, None);
            while !input.is_empty() {
                input.parse::<Token![,]>().map_err(|_| no_pattern())?;
                if input.is_empty() {
                    break;
                }
                let option: Ident = input.parse().map_err(|_| no_pattern())?;
                if option == "within" && time.is_none() {
                    time = Some(read_within(input, &option)?);
                } else if option == "blocking" && !is_blocking {
                    is_blocking = true;
                } else {
                    let text =
                        "not an option of a route: write `blocking`, `within = \"2s\"`, or nothing";
                    return Err(Error::new_spanned(option, text));
                }
            }
            Ok((literal, is_blocking, time))
        };
        let Meta::List(list) = &mark.meta else {
            return Err(no_pattern());
        };
        let (literal, is_blocking, within) = list.parse_args_with(read)?;
        match Pattern::parse(&literal.value()) {
            Ok(pattern) => Ok(Route {
                literal,
                pattern,
                is_blocking,
                within,
                topic: None,
                conditions: mark.conditions.clone(),
            }),
            Err(error) => Err(Error::new(literal.span(), error)),
        }
    }
}

/// The time after `within`.
fn read_within(input: ParseStream<'_>, option: &Ident) -> syn::Result<(u64, Span)> {
    let text = "a time follows: `within = \"2s\"`";
    let no_time = |_| Error::new_spanned(option, text);
    input.parse::<Token![=]>().map_err(no_time)?;
    let literal: LitStr = input
        .parse()
        .map_err(|error: Error| Error::new(error.span(), text))?;
    Ok((within::read(&literal)?, literal.span()))
}

/// One method under `#[route]` or `#[subscribe]`. If some of its arguments are under a `#[cfg]`, this is the method for one choice
/// of them.
pub(super) struct Handler {
    pub(super) name: Ident,
    pub(super) conditions: Vec<Predicate>,
    pub(super) routes: Vec<Route>,
    pub(super) is_async: bool,
    pub(super) message: Type,
    /// The extractors after the message, without a `Reply`.
    pub(super) extractors: Vec<Type>,
    /// If the handler takes a `Reply`, and so answers later: how many extractors come before it, and its type.
    pub(super) deferred: Option<(usize, Type)>,
    pub(super) reply: ReturnType,
}

impl Handler {
    /// Reads a method, or adds to `errors` why it can't be a handler.
    pub(super) fn read(
        method: &ImplItemFn,
        marks: &[Mark],
        topics: &[Mark],
        errors: &mut Vec<Error>,
    ) -> Vec<Handler> {
        let read = marks.iter().map(Route::read);
        let routes: Vec<Route> = (read.chain(topics.iter().map(subscribe::read)))
            .filter_map(|route| kept(route, errors))
            .collect();
        let sig = &method.sig;
        let before = errors.len();
        let arguments = arguments::arguments(sig);
        errors.extend(arguments::check(sig, &arguments));
        if let (Some(token), Some(route)) = (sig.asyncness, routes.iter().find(|r| r.is_blocking)) {
            let text =
                "a blocking handler is not async: remove `async`, or `blocking` from its route";
            let mut error = Error::new_spanned(token, text);
            error.combine(Error::new(route.literal.span(), "here it is said to block"));
            errors.push(error);
        }
        let limit = routes.iter().find_map(|route| route.within);
        if let (None, Some((_, at))) = (sig.asyncness, limit) {
            let text =
                "only a handler that awaits can be cut off: make it `async`, or remove `within`";
            errors.push(Error::new(at, text));
        }
        if let ReturnType::Type(_, reply) = &sig.output {
            errors.extend(borrowed(reply, "a reply"));
        }
        if let Some(reply) = arguments.iter().skip(1).find(|one| is_reply(&one.ty)) {
            errors.extend(answers_twice(reply, sig, &routes));
        }
        let variants = kept(arguments::variants(&arguments), errors).unwrap_or_default();
        let most = variants.iter().max_by_key(|variant| variant.types.len());
        errors.extend(most.and_then(too_many));
        if errors.len() > before {
            return Vec::new();
        }
        let mut handlers = Vec::new();
        for variant in variants {
            let Some((message, extractors)) = variant.types.split_first() else {
                continue;
            };
            let at = extractors.iter().position(is_reply);
            let deferred = at.map(|at| (at, extractors[at].clone()));
            let others = extractors.iter().enumerate();
            let others = others.filter(|(n, _)| Some(*n) != at);
            handlers.push(Handler {
                name: sig.ident.clone(),
                conditions: [conditions(&method.attrs), variant.conditions].concat(),
                routes: routes.clone(),
                is_async: sig.asyncness.is_some(),
                message: message.clone(),
                extractors: others.map(|(_, ty)| ty.clone()).collect(),
                deferred,
                reply: sig.output.clone(),
            });
        }
        handlers
    }
}

/// True for `Reply<M>`, judged by its name. It is not an extractor, since it takes the envelope itself.
fn is_reply(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|last| last.ident == "Reply")
}

/// Returns an error for anything that a handler with a `Reply` can't have.
fn answers_twice(reply: &Argument, sig: &Signature, routes: &[Route]) -> Option<Error> {
    if let ReturnType::Type(_, returned) = &sig.output
        && !matches!(&**returned, Type::Tuple(tuple) if tuple.elems.is_empty())
    {
        let text = "a handler that takes a `Reply` answers with it and returns nothing: remove one of the two";
        return Some(Error::new_spanned(returned, text));
    }
    if let Some(route) = routes.iter().find(|route| route.topic.is_some()) {
        let text = "no one waits for an answer to what is published: remove the `Reply`";
        let mut error = Error::new_spanned(&reply.ty, text);
        error.combine(Error::new(route.literal.span(), "here it is subscribed to"));
        return Some(error);
    }
    let blocking = routes.iter().find(|route| route.is_blocking)?;
    let text = "a blocking handler answers by returning: remove the `Reply`, or `blocking`";
    let mut error = Error::new_spanned(&reply.ty, text);
    error.combine(Error::new(
        blocking.literal.span(),
        "here it is said to block",
    ));
    Some(error)
}

fn too_many(variant: &Variant) -> Option<Error> {
    let extra = variant.types.get(EXTRACTORS_MAX + 1)?;
    Some(Error::new_spanned(
        extra,
        format!("a route handler takes at most {EXTRACTORS_MAX} extractors after its message"),
    ))
}

fn kept<T>(result: syn::Result<T>, errors: &mut Vec<Error>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

/// Returns the first and last token of a type: stable rustc can't join them into one span.
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

    /// Returns the only error of a block with one method under `#[route]`.
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
    fn an_unknown_option_is_told_at_its_word() {
        let unknown = errors(quote!(impl Api { #[route("a", blokcing)] fn f(&self, msg: A) {} }));
        assert_eq!(
            unknown,
            ["not an option of a route: write `blocking`, `within = \"2s\"`, or nothing"]
        );
        let known = errors(quote!(impl Api { #[route("a", blocking,)] fn f(&self, msg: A) {} }));
        assert!(known.is_empty(), "{known:?}");
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
