//! `#[derive(Message)]`: the type of the reply, and the priority.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Expr, Generics, Ident, Result, Type, parse_quote};

use crate::crate_path::CratePath;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    syn::parse2(input)
        .and_then(derive)
        .unwrap_or_else(Error::into_compile_error)
}

fn derive(mut input: DeriveInput) -> Result<TokenStream> {
    owned(&input.generics, "a message")?;
    let Options {
        krate,
        reply,
        priority,
    } = options(&input)?;
    let priority = priority
        .map(|variant| quote!(const PRIORITY: #krate::schedule::Priority = #krate::schedule::Priority::#variant;));
    let reply = reply.unwrap_or_else(|| parse_quote!(()));
    let sizes = sizes(&krate, &input, &reply);
    for param in input.generics.type_params_mut() {
        param.bounds.push(parse_quote!(::core::marker::Send));
        param.bounds.push(parse_quote!('static));
    }
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #krate::Message for #name #type_generics #where_clause {
            type Reply = #reply;
            #priority
        }
        #sizes
    })
}

/// Refuses a message or a reply that is too large to be moved on the stack. The sizes of generic types are known
/// only where they are handled, so the table of routes checks those.
fn sizes(krate: &CratePath, input: &DeriveInput, reply: &Type) -> TokenStream {
    if input.generics.params.iter().next().is_some() {
        return TokenStream::new();
    }
    let name = &input.ident;
    let check = |at, ty: TokenStream, what| {
        let text = format!(
            "{what} has at most 16 KiB, for it is moved on the stack: \
             put what is large into a `Box` or a `Vec`"
        );
        quote_spanned! {at=>
            const _: () = ::core::assert!(
                ::core::mem::size_of::<#ty>() <= #krate::limits::MESSAGE_BYTES_MAX,
                #text
            );
        }
    };
    let message = check(name.span(), quote!(#name), "a message");
    let is_nothing = matches!(reply, Type::Tuple(tuple) if tuple.elems.is_empty());
    let reply = (!is_nothing).then(|| check(reply.span(), quote!(#reply), "a reply"));
    quote!(#message #reply)
}

struct Options {
    krate: CratePath,
    reply: Option<Type>,
    /// The variant of the priority, if it is not the default.
    priority: Option<Ident>,
}

/// Reads `#[message(reply = Type, priority = name, crate = path)]`.
fn options(input: &DeriveInput) -> Result<Options> {
    let (mut krate, mut reply, mut priority) = (CratePath::default(), None, None);
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
            } else if meta.path.is_ident("crate") {
                krate.set(&meta)?;
            } else {
                return Err(Error::new_spanned(
                    &meta.path,
                    "not an option of a message: write `reply = Type`, `priority = high` or `crate = path`",
                ));
            }
            Ok(())
        })?;
    }
    Ok(Options {
        krate,
        reply,
        priority,
    })
}

/// Returns the variant of a priority's name. It takes any expression, so that a mistake is reported at the
/// expression.
fn priority_named(word: &Expr) -> Result<Ident> {
    let name = match word {
        // A `$priority:expr` of a `macro_rules!` comes in a group.
        Expr::Group(group) => return priority_named(&group.expr),
        Expr::Path(path) => path.path.get_ident().map(Ident::to_string),
        _ => None,
    };
    let variant = match name.as_deref() {
        Some("control") => "Control",
        Some("high") => "High",
        Some("normal") => "Normal",
        Some("low") => "Low",
        _ => {
            return Err(Error::new_spanned(
                word,
                "not a priority: write `control`, `high`, `normal` or `low`",
            ));
        }
    };
    Ok(Ident::new(variant, word.span()))
}

/// Refuses a type with lifetimes: neither messages nor subsystems can borrow.
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

    /// Compares only the impl, which comes first.
    fn check(input: TokenStream, expected: TokenStream) {
        let (written, expected) = (expand(input).to_string(), expected.to_string());
        assert_eq!(written.split(" const _").next().unwrap(), expected);
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
                    const PRIORITY: ::mycelia::schedule::Priority = ::mycelia::schedule::Priority::High;
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
    fn sizes_are_checked_where_they_are_known() {
        let checks = |input| {
            expand(input)
                .to_string()
                .matches("MESSAGE_BYTES_MAX")
                .count()
        };
        assert_eq!(
            checks(quote!(
                struct Ping;
            )),
            1
        );
        assert_eq!(
            checks(quote!(
                #[message(reply = u8)]
                struct Ping;
            )),
            2
        );
        assert_eq!(
            checks(quote!(
                #[message(reply = T)]
                struct Ping<T>(T);
            )),
            0
        );
    }

    #[test]
    fn the_crate_is_found_where_it_is_said_to_be() {
        check(
            quote!(
                #[message(crate = crate::framework::m, priority = low)]
                struct Ping;
            ),
            quote! {
                #[automatically_derived]
                impl crate::framework::m::Message for Ping {
                    type Reply = ();
                    const PRIORITY: crate::framework::m::schedule::Priority =
                        crate::framework::m::schedule::Priority::Low;
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
            "not an option of a message: write `reply = Type`, `priority = high` or `crate = path`"
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
