//! `#[derive(Message)]`: the type of the reply, and the priority.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Expr, Generics, Ident, Result, Type, parse_quote};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    syn::parse2(input)
        .and_then(derive)
        .unwrap_or_else(Error::into_compile_error)
}

fn derive(mut input: DeriveInput) -> Result<TokenStream> {
    owned(&input.generics, "a message")?;
    let Options { reply, priority } = options(&input)?;
    for param in input.generics.type_params_mut() {
        param.bounds.push(parse_quote!(::core::marker::Send));
        param.bounds.push(parse_quote!('static));
    }
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::mycelia::Message for #name #type_generics #where_clause {
            type Reply = #reply;
            #priority
        }
    })
}

struct Options {
    reply: Type,
    /// The constant, if it is not the default.
    priority: Option<TokenStream>,
}

/// Reads `#[message(reply = Type, priority = name)]`.
fn options(input: &DeriveInput) -> Result<Options> {
    let (mut reply, mut priority) = (None, None);
    for attr in input
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("message"))
    {
        if attr.meta.require_list().is_err() {
            let example = "name the reply: `#[message(reply = Type)]`";
            return Err(Error::new_spanned(&attr.meta, example));
        }
        attr.parse_nested_meta(|meta| {
            let twice = |name: &str| {
                let text = format!("`{name}` is given twice: remove one");
                Err(Error::new_spanned(&meta.path, text))
            };
            if meta.path.is_ident("reply") {
                if reply.is_some() {
                    return twice("reply");
                }
                reply = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("priority") {
                if priority.is_some() {
                    return twice("priority");
                }
                priority = Some(priority_named(&meta.value()?.parse()?)?);
            } else {
                return Err(Error::new_spanned(
                    &meta.path,
                    "not an option of a message: write `reply = Type` or `priority = high`",
                ));
            }
            Ok(())
        })?;
    }
    Ok(Options {
        reply: reply.unwrap_or_else(|| parse_quote!(())),
        priority,
    })
}

/// Takes whatever stands there, so that a mistake is told where it is.
fn priority_named(word: &Expr) -> Result<TokenStream> {
    let name = match word {
        Expr::Path(path) => path.path.get_ident().map(Ident::to_string),
        _ => None,
    };
    let variant = match name.as_deref() {
        Some("control") => quote!(Control),
        Some("high") => quote!(High),
        Some("normal") => quote!(Normal),
        Some("low") => quote!(Low),
        _ => {
            return Err(Error::new_spanned(
                word,
                "not a priority: write `control`, `high`, `normal` or `low`",
            ));
        }
    };
    Ok(quote! {
        const PRIORITY: ::mycelia::Priority = ::mycelia::Priority::#variant;
    })
}

/// Refuses a type with lifetimes: nothing that travels or stays mounted borrows.
pub(crate) fn owned(generics: &Generics, what: &str) -> Result<()> {
    match generics.lifetimes().next() {
        Some(lifetime) => Err(Error::new_spanned(
            lifetime,
            format!("{what} owns what it holds: replace borrowed fields by owned ones"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: TokenStream, expected: TokenStream) {
        assert_eq!(expand(input).to_string(), expected.to_string());
    }

    fn error(input: TokenStream) -> String {
        syn::parse2(input).and_then(derive).unwrap_err().to_string()
    }

    #[test]
    fn the_reply_is_nothing_unless_named() {
        check(
            quote!(
                struct Ping;
            ),
            quote! {
                #[automatically_derived]
                impl ::mycelia::Message for Ping {
                    type Reply = ();
                }
            },
        );
    }

    #[test]
    fn a_priority_becomes_a_constant() {
        check(
            quote!(
                #[message(priority = high, reply = u8)]
                struct Ping;
            ),
            quote! {
                #[automatically_derived]
                impl ::mycelia::Message for Ping {
                    type Reply = u8;
                    const PRIORITY: ::mycelia::Priority = ::mycelia::Priority::High;
                }
            },
        );
    }

    #[test]
    fn type_parameters_may_cross_threads() {
        check(
            quote! {
                #[message(reply = Vec<T>)]
                struct Put<T: Clone, const N: usize>([T; N]) where T: Ord;
            },
            quote! {
                #[automatically_derived]
                impl<T: Clone + ::core::marker::Send + 'static, const N: usize>
                    ::mycelia::Message for Put<T, N> where T: Ord
                {
                    type Reply = Vec<T>;
                }
            },
        );
    }

    #[test]
    fn a_mistake_says_what_is_allowed() {
        let unknown = error(quote!(
            #[message(response = u8)]
            struct Ping;
        ));
        assert_eq!(
            unknown,
            "not an option of a message: write `reply = Type` or `priority = high`"
        );
        let urgent = error(quote!(
            #[message(priority = urgent)]
            struct Ping;
        ));
        assert_eq!(
            urgent,
            "not a priority: write `control`, `high`, `normal` or `low`"
        );
        let bare = error(quote!(
            #[message]
            struct Ping;
        ));
        assert_eq!(bare, "name the reply: `#[message(reply = Type)]`");
        let twice = error(quote!(
            #[message(reply = u8, reply = u8)]
            struct Ping;
        ));
        assert_eq!(twice, "`reply` is given twice: remove one");
        let borrowed = error(quote!(
            struct Ping<'a>(&'a str);
        ));
        assert!(
            borrowed.starts_with("a message owns what it holds"),
            "{borrowed}"
        );
    }
}
