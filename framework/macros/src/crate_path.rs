//! `crate = path`: the path by which generated code refers to `mycelia`.
//!
//! A program that renames the dependency, or gets it through another crate, gives this path to every macro, as
//! with serde's macros. The path keeps the user's tokens, so `$crate::…` means the crate of the `macro_rules!` in
//! which it was written.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, LitStr, Path, Result};

/// The path of `mycelia`; `::mycelia` without `crate = …`.
#[derive(Default)]
pub(crate) struct CratePath(Option<Path>);

impl CratePath {
    /// Reads the arguments of an attribute that takes `crate = path` and nothing else.
    pub(crate) fn read(args: TokenStream, attribute: &str, errors: &mut Vec<Error>) -> CratePath {
        let mut path = CratePath::default();
        if args.is_empty() {
            return path;
        }
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("crate") {
                return path.set(&meta);
            }
            let text = format!("`{attribute}` takes no arguments, except for `crate = path`");
            Err(Error::new_spanned(&meta.path, text))
        });
        errors.extend(parser.parse2(args).err());
        path
    }

    /// Reads the value of `crate`, when the parser of options has reached that key.
    pub(crate) fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if self.0.is_some() {
            let text = "`crate` is given twice: remove one";
            return Err(Error::new_spanned(&meta.path, text));
        }
        let value = meta.value()?;
        if value.peek(LitStr) {
            let literal: LitStr = value.parse()?;
            let text = format!(
                "write the path without quotes: `crate = {}`",
                literal.value()
            );
            return Err(Error::new(literal.span(), text));
        }
        self.0 = Some(value.call(Path::parse_mod_style)?);
        Ok(())
    }

    /// Whether the prefix of `prefix::name` means our crate: `mycelia::…` at any depth, the whole path given as
    /// `crate`, or its last segment.
    pub(crate) fn is_prefix_of(&self, path: &Path) -> bool {
        let prefix: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let Some((_, prefix)) = prefix.split_last() else {
            return false;
        };
        match prefix {
            [] => true,
            [first, ..] if first == "mycelia" => true,
            _ => self.0.as_ref().is_some_and(|given| {
                let given: Vec<_> = given.segments.iter().map(|s| s.ident.to_string()).collect();
                given.ends_with(prefix)
            }),
        }
    }
}

impl ToTokens for CratePath {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match &self.0 {
            Some(path) => path.to_tokens(tokens),
            None => tokens.extend(quote!(::mycelia)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: TokenStream) -> (String, Vec<String>) {
        let mut errors = Vec::new();
        let path = CratePath::read(args, "#[routes]", &mut errors);
        let errors = errors.iter().map(Error::to_string).collect();
        (quote!(#path).to_string().replace(' ', ""), errors)
    }

    #[test]
    fn the_path_is_the_one_given() {
        assert_eq!(read(quote!()), ("::mycelia".to_owned(), vec![]));
        assert_eq!(
            read(quote!(crate = crate::framework::m)),
            ("crate::framework::m".to_owned(), vec![])
        );
        assert_eq!(read(quote!(crate = ::m,)), ("::m".to_owned(), vec![]));
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        let fault = |args| read(args).1;
        assert_eq!(
            fault(quote!(prefix = "a")),
            ["`#[routes]` takes no arguments, except for `crate = path`"]
        );
        assert_eq!(
            fault(quote!(crate = "a::b")),
            ["write the path without quotes: `crate = a::b`"]
        );
        assert_eq!(
            fault(quote!(crate = a, crate = b)),
            ["`crate` is given twice: remove one"]
        );
    }

    #[test]
    fn an_attribute_is_ours_by_the_path_before_it() {
        let given = CratePath(Some(syn::parse_quote!(crate::framework::m)));
        let is_ours = |path: Path| given.is_prefix_of(&path);
        assert!(is_ours(syn::parse_quote!(route)));
        assert!(is_ours(syn::parse_quote!(m::route)));
        assert!(is_ours(syn::parse_quote!(crate::framework::m::route)));
        assert!(is_ours(syn::parse_quote!(mycelia::__private::route)));
        assert!(!is_ours(syn::parse_quote!(actix_web::route)));
        assert!(!CratePath::default().is_prefix_of(&syn::parse_quote!(m::route)));
    }
}
