//! `#[mycelia::main]` and `#[mycelia::test]`: put an `async fn` inside a sync one with the same signature.
//!
//! The body stays an `async fn` instead of an async block. So rustc checks it against the written return type and
//! reports a mismatch in the same place as without the attribute.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, ItemFn};

use crate::crate_path::CratePath;

/// Which attribute was written.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Entry {
    Main,
    Test,
}

impl Entry {
    fn attribute(self) -> &'static str {
        match self {
            Entry::Main => "#[mycelia::main]",
            Entry::Test => "#[mycelia::test]",
        }
    }
}

pub(crate) fn expand(entry: Entry, args: TokenStream, item: TokenStream) -> TokenStream {
    let function: ItemFn = match syn::parse2(item) {
        Ok(function) => function,
        Err(error) => {
            let attribute = entry.attribute();
            let message = format!("`{attribute}` goes on an `async fn`");
            return Error::new(error.span(), message).into_compile_error();
        }
    };
    let mut errors = Vec::new();
    let krate = CratePath::read(args, entry.attribute(), &mut errors);
    errors.extend(faults(entry, &function));
    let errors: TokenStream = errors.iter().map(Error::to_compile_error).collect();
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
    } = &function;
    let (name, output) = (&sig.ident, &sig.output);
    if !errors.is_empty() {
        // The function is still generated, so that the mistake is the only error.
        return quote! {
            #(#attrs)* #vis fn #name() #output { ::core::unimplemented!() }
            #errors
        };
    }
    let test = (entry == Entry::Test).then(|| quote!(#[::core::prelude::v1::test]));
    quote! {
        #test
        #(#attrs)*
        #vis fn #name() #output {
            #[allow(clippy::unused_async)]
            async fn #name() #output #block
            #krate::__private::block_on(#name())
        }
    }
}

fn faults(entry: Entry, function: &ItemFn) -> Vec<Error> {
    let attribute = entry.attribute();
    let sig = &function.sig;
    let mut errors = Vec::new();
    if sig.asyncness.is_none() {
        errors.push(Error::new_spanned(
            sig.fn_token,
            format!(
                "the function must be async: write `async fn {}()`",
                sig.ident
            ),
        ));
    }
    if let Some(input) = sig.inputs.first() {
        errors.push(Error::new_spanned(
            input,
            format!("a function under `{attribute}` takes no arguments"),
        ));
    }
    for wrong in [
        (!sig.generics.params.is_empty()).then(|| sig.generics.to_token_stream()),
        sig.unsafety.map(ToTokens::into_token_stream),
        sig.abi.as_ref().map(ToTokens::to_token_stream),
    ] {
        errors.extend(wrong.map(|tokens| {
            Error::new_spanned(
                tokens,
                format!("a function under `{attribute}` is a plain `async fn`: remove this"),
            )
        }));
    }
    let twice = function
        .attrs
        .iter()
        .find(|attr| entry == Entry::Test && attr.path().is_ident("test"));
    errors.extend(twice.map(|attr| {
        Error::new_spanned(
            attr,
            format!("`{attribute}` makes it a test already: remove `#[test]`"),
        )
    }));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(entry: Entry, item: TokenStream) -> String {
        let function = syn::parse2(item).unwrap();
        let errors = faults(entry, &function);
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].to_string()
    }

    #[test]
    fn main_keeps_attributes_visibility_and_return_type() {
        let written = expand(
            Entry::Main,
            quote!(),
            quote! {
                #[allow(dead_code)]
                pub(crate) async fn main() -> Result<(), Error> { run().await }
            },
        );
        let expected = quote! {
            #[allow(dead_code)]
            pub(crate) fn main() -> Result<(), Error> {
                #[allow(clippy::unused_async)]
                async fn main() -> Result<(), Error> { run().await }
                ::mycelia::__private::block_on(main())
            }
        };
        assert_eq!(written.to_string(), expected.to_string());
    }

    #[test]
    fn test_is_a_test() {
        let written = expand(
            Entry::Test,
            quote!(),
            quote!(
                #[ignore]
                async fn it_works() {}
            ),
        );
        let written = written.to_string();
        let head = quote!(#[::core::prelude::v1::test] #[ignore] fn it_works()).to_string();
        assert!(written.starts_with(&head), "{written}");
    }

    #[test]
    fn a_mistake_says_what_to_do() {
        let (main, test) = (Entry::Main, Entry::Test);
        assert_eq!(
            fault(
                main,
                quote!(
                    fn main() {}
                )
            ),
            "the function must be async: write `async fn main()`"
        );
        assert_eq!(
            fault(
                test,
                quote!(
                    async fn it(a: u8) {}
                )
            ),
            "a function under `#[mycelia::test]` takes no arguments"
        );
        let threads = expand(
            main,
            quote!(threads = 2),
            quote!(
                async fn main() {}
            ),
        )
        .to_string();
        assert!(
            threads.contains("`#[mycelia::main]` takes no arguments"),
            "{threads}"
        );
        assert!(
            fault(
                main,
                quote!(
                    async unsafe fn main() {}
                )
            )
            .ends_with("remove this")
        );
        assert!(
            fault(
                main,
                quote!(
                    async fn main<T>() {}
                )
            )
            .ends_with("remove this")
        );
        assert!(
            fault(
                test,
                quote!(
                    #[test]
                    async fn it() {}
                )
            )
            .contains("remove `#[test]`")
        );
        let item = expand(
            main,
            quote!(),
            quote!(
                struct Main;
            ),
        )
        .to_string();
        assert!(item.contains("goes on an `async fn`"), "{item}");
    }

    #[test]
    fn a_mistaken_function_keeps_its_name() {
        let written = expand(
            Entry::Main,
            quote!(),
            quote!(
                fn main() {}
            ),
        )
        .to_string();
        assert!(
            written.contains("fn main () { :: core :: unimplemented"),
            "{written}"
        );
    }
}
