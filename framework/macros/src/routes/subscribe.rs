//! What is read off a `#[subscribe("orders://placed/{id}")]`: a route that a topic leads to.

use mycelia_core::{Pattern, check_name};
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::ParseStream;
use syn::{Error, Ident, LitInt, LitStr, Meta, Token};

use super::condition::Mark;
use super::handler::Route;

/// What stands after the pattern.
#[derive(Clone, Default)]
pub(super) struct Subscription {
    each: bool,
    last: Option<LitInt>,
}

impl Subscription {
    /// The calls that say so of a subscription that is being entered.
    pub(super) fn options(&self) -> TokenStream {
        let each = self.each.then(|| quote!(.each()));
        let last = self.last.as_ref().map(|last| quote!(.last(#last)));
        quote!(#each #last)
    }
}

/// Reads one mark.
pub(super) fn read(mark: &Mark) -> syn::Result<Route> {
    let no_topic = || {
        Error::new_spanned(
            &mark.meta,
            "a subscription takes the pattern of a topic: `#[subscribe(\"orders://placed/{id}\")]`, and \
             after it `each`, `last = 3` or `blocking`",
        )
    };
    let mut is_blocking = false;
    let mut subscription = Subscription::default();
    let read = |input: ParseStream<'_>| -> syn::Result<LitStr> {
        let literal = input.parse().map_err(|_| no_topic())?;
        while !input.is_empty() {
            input.parse::<Token![,]>().map_err(|_| no_topic())?;
            if input.is_empty() {
                break;
            }
            let option: Ident = input.parse().map_err(|_| no_topic())?;
            if option == "each" && !subscription.each {
                subscription.each = true;
            } else if option == "blocking" && !is_blocking {
                is_blocking = true;
            } else if option == "last" && subscription.last.is_none() {
                input.parse::<Token![=]>().map_err(|_| no_topic())?;
                let last: LitInt = input.parse().map_err(|_| no_topic())?;
                last.base10_parse::<u32>()?;
                subscription.last = Some(last);
            } else {
                let text = "not an option of a subscription: write `each`, `last = 3` or `blocking`, each once";
                return Err(Error::new_spanned(option, text));
            }
        }
        Ok(literal)
    };
    let Meta::List(list) = &mark.meta else {
        return Err(no_topic());
    };
    let literal = list.parse_args_with(read)?;
    let text = literal.value();
    let Some((name, pattern)) = text.split_once("://") else {
        let text = "a topic has a name and `://` before its pattern: `orders://placed/{id}`";
        return Err(Error::new(literal.span(), text));
    };
    check_name(name).map_err(|error| Error::new(literal.span(), error))?;
    match Pattern::parse(pattern) {
        Ok(pattern) => Ok(Route {
            literal,
            pattern,
            is_blocking,
            within: None,
            topic: Some(subscription),
            conditions: mark.conditions.clone(),
        }),
        Err(error) => {
            let text = format!("after the `://` of the topic: {error}");
            Err(Error::new(literal.span(), text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::errors;
    use proc_macro2::TokenStream;
    use quote::quote;

    fn fault(mark: TokenStream) -> String {
        let errors = errors(quote!(impl Api { #mark fn on(&mut self, msg: Placed) {} }));
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].clone()
    }

    #[test]
    fn a_subscription_is_one_well_formed_topic() {
        for wrong in [
            quote!(#[subscribe]),
            quote!(#[subscribe(each)]),
            quote!(#[subscribe("a://b", "c")]),
            quote!(#[subscribe("a://b", last)]),
        ] {
            assert!(fault(wrong).starts_with("a subscription takes the pattern of a topic"));
        }
        let fault = |text: &str| fault(quote!(#[subscribe(#text)]));
        assert!(fault("placed/{id}").starts_with("a topic has a name"));
        assert!(fault("orders://placed/{id").starts_with("after the `://`"));
        assert!(!fault("two words://placed").is_empty());
    }

    #[test]
    fn an_unknown_option_is_told_at_its_word() {
        for twice in [quote!(all), quote!(each, each), quote!(last = 1, last = 2)] {
            let fault = fault(quote!(#[subscribe("a://b", #twice)]));
            assert!(
                fault.starts_with("not an option of a subscription"),
                "{fault}"
            );
        }
        let fits = quote!(impl Api {
            #[subscribe("a://b", each, last = 3, blocking,)] fn on(&mut self, msg: Placed) {}
        });
        assert!(errors(fits).is_empty());
    }

    #[test]
    fn a_subscriber_does_not_answer_and_takes_a_message_once() {
        let reply = quote!(impl Api {
            #[subscribe("a://b")] fn on(&mut self, msg: Placed, reply: Reply<Placed>) {}
        });
        assert!(errors(reply)[0].starts_with("no one waits for an answer"));
        let twice = quote!(impl Api {
            #[subscribe("a://{b}")] fn one(&mut self, msg: Placed) {}
            #[subscribe("a://{c}")] fn two(&mut self, msg: Placed) {}
        });
        assert!(errors(twice)[0].starts_with("duplicate route"));
        let apart = quote!(impl Api {
            #[subscribe("a://{b}")] fn one(&mut self, msg: Placed) {}
            #[subscribe("a://{c}")] fn two(&mut self, msg: Paid) {}
            #[subscribe("b://{b}")] fn three(&mut self, msg: Placed) {}
            #[route("{b}")] fn four(&mut self, msg: Placed) {}
        });
        assert!(errors(apart).is_empty());
    }
}
