//! `#[derive(Subsystem)]`: the name of the subsystem, checked here because it becomes the scheme of paths.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{DeriveInput, Error, LitStr, Result, parse_quote};

use crate::crate_path::CratePath;
use crate::message::owned;

/// The longest name, in bytes.
const NAME_MAX: usize = 64;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    syn::parse2(input)
        .and_then(derive)
        .unwrap_or_else(Error::into_compile_error)
}

fn derive(mut input: DeriveInput) -> Result<TokenStream> {
    owned(&input.generics, "a subsystem")?;
    // The impl is generated even without a name, so that the mistake is the only error.
    let mut krate = CratePath::default();
    let (name, error) = match name(&input, &mut krate) {
        Ok(name) => (name, None),
        Err(error) => (String::new(), Some(error.into_compile_error())),
    };
    for param in input.generics.type_params_mut() {
        param.bounds.push(parse_quote!('static));
    }
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #krate::Subsystem for #ident #type_generics #where_clause {
            const NAME: &'static str = #name;
        }
        #error
    })
}

/// Reads `#[subsystem(name = "api", crate = path)]`. Without a name it uses the name of the type.
fn name(input: &DeriveInput, krate: &mut CratePath) -> Result<String> {
    let mut name: Option<LitStr> = None;
    for attr in input
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("subsystem"))
    {
        if attr.meta.require_list().is_err() {
            let example = "name the subsystem: `#[subsystem(name = \"...\")]`";
            return Err(Error::new_spanned(&attr.meta, example));
        }
        attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("crate") {
                return krate.set(&meta);
            }
            if !meta.path.is_ident("name") {
                return Err(Error::new_spanned(
                    &meta.path,
                    "not an option of a subsystem: write `name = \"...\"`",
                ));
            }
            if name.is_some() {
                return Err(Error::new_spanned(
                    &meta.path,
                    "`name` is given twice: remove one",
                ));
            }
            name = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    if let Some(literal) = name {
        let name = literal.value();
        return match fault(&name) {
            Some(fault) => Err(Error::new(literal.span(), fault)),
            None => Ok(name),
        };
    }
    let name = kebab(&input.ident.unraw().to_string());
    match fault(&name) {
        Some(_) => Err(Error::new(
            input.ident.span(),
            "the type's name is no name for a subsystem: add `#[subsystem(name = \"...\")]`",
        )),
        None => Ok(name),
    }
}

/// Returns what is wrong with a name, if anything is.
fn fault(name: &str) -> Option<String> {
    const ALLOWED: &str = "use letters, digits, `_`, `.` and `-`";
    if name.is_empty() {
        return Some(format!("a subsystem needs a name: {ALLOWED}"));
    }
    if let Some(bad) = name
        .chars()
        .find(|&c| !c.is_ascii_alphanumeric() && !"_.-".contains(c))
    {
        return Some(format!(
            "a subsystem's name cannot contain {bad:?}: {ALLOWED}"
        ));
    }
    (name.len() > NAME_MAX).then(|| {
        format!(
            "a subsystem's name has at most {NAME_MAX} characters, this one {}",
            name.len()
        )
    })
}

/// Converts `HttpGateway` to `http-gateway`, and `HTTPServer2` to `http-server2`.
fn kebab(ident: &str) -> String {
    let chars: Vec<char> = ident.chars().collect();
    let mut name = String::with_capacity(ident.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        if c == '_' {
            if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
            continue;
        }
        // A word starts where a capital follows a small letter or a digit, or where the last
        // capital of an acronym is followed by a small letter.
        let starts_word = c.is_uppercase()
            && i > 0
            && (!chars[i - 1].is_uppercase() || chars.get(i + 1).is_some_and(|n| n.is_lowercase()));
        if starts_word && !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        name.extend(c.to_lowercase());
    }
    name.truncate(name.trim_end_matches('-').len());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(input: TokenStream) -> String {
        let input = syn::parse2(input).unwrap();
        name(&input, &mut CratePath::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_name_is_the_one_given() {
        let written = expand(quote!(
            #[subsystem(name = "api")]
            struct Api<T>(T);
        ));
        let expected = quote! {
            #[automatically_derived]
            impl<T: 'static> ::mycelia::Subsystem for Api<T> {
                const NAME: &'static str = "api";
            }
        };
        assert_eq!(written.to_string(), expected.to_string());
    }

    #[test]
    fn a_type_names_itself_in_kebab_case() {
        for (ident, name) in [
            ("Api", "api"),
            ("HttpGateway", "http-gateway"),
            ("HTTPServer", "http-server"),
            ("Http2Server", "http2-server"),
            ("API", "api"),
            ("Snake_Case", "snake-case"),
            ("_Private_", "private"),
            ("X", "x"),
        ] {
            assert_eq!(kebab(ident), name);
        }
    }

    #[test]
    fn a_bad_name_says_what_is_allowed() {
        let slash = error(quote!(
            #[subsystem(name = "api/v1")]
            struct Api;
        ));
        assert_eq!(
            slash,
            "a subsystem's name cannot contain '/': use letters, digits, `_`, `.` and `-`"
        );
        assert!(
            error(quote!(
                #[subsystem(name = "api://")]
                struct Api;
            ))
            .contains("':'")
        );
        assert!(
            error(quote!(
                #[subsystem(name = "")]
                struct Api;
            ))
            .contains("needs a name")
        );
        let long = LitStr::new(&"x".repeat(65), proc_macro2::Span::call_site());
        assert!(
            error(quote!(
                #[subsystem(name = #long)]
                struct Api;
            ))
            .contains("at most 64")
        );
        assert!(fault(&"x".repeat(64)).is_none());
        assert!(
            error(quote!(
                struct Über;
            ))
            .contains("add `#[subsystem(name")
        );
        assert!(
            error(quote!(
                #[subsystem(nam = "a")]
                struct A;
            ))
            .contains("write `name")
        );
    }
}
