use super::*;

/// Returns the messages of all errors in reading a block, in order.
pub(super) fn errors(block: TokenStream) -> Vec<String> {
    let mut errors = Vec::new();
    let krate = CratePath::default();
    routes(syn::parse2(block).unwrap(), &krate, &mut errors);
    errors
        .iter()
        .flat_map(|error| error.clone().into_iter())
        .map(|e| e.to_string())
        .collect()
}

#[track_caller]
fn contains(text: &str, part: TokenStream) {
    let part = part.to_string();
    assert!(text.contains(&part), "no\n{part}\nin\n{text}");
}

#[test]
fn a_block_becomes_itself_and_a_table() {
    let block = quote! {
        impl Api {
            #[doc = "Greets."]
            #[route("users/{id}")]
            async fn greet(&mut self, mut msg: Greet, Path(id): Path<u64>) -> String { todo }
            #[route("ping")]
            fn ping(&self, _: Ping) {}
            fn helper(&self) {}
        }
    };
    let written = expand(quote!(), block).to_string();
    let expected = quote! {
        impl Api {
            #[doc = "Greets."]
            async fn greet(&mut self, mut msg: Greet, Path(id): Path<u64>) -> String { todo }
            fn ping(&self, _: Ping) {}
            fn helper(&self) {}
        }
        #[automatically_derived]
        #[allow(clippy::all, deprecated, unused_qualifications)]
        impl ::mycelia::__private::AllRoutesInOneBlock for Api {
            fn routes(__table: &mut ::mycelia::RouteTable<Self>) {
                let _ = &__table;
                {{
                    __table.on_async::<
                        <Greet as ::mycelia::__private::Payload>::Type,
                        (<Path<u64> as ::mycelia::__private::Argument>::Type,),
                        <String as ::mycelia::__private::Answer<
                            <Greet as ::mycelia::__private::Payload>::Reply> >::Type
                    >("users/{id}", async |
                        __this: &mut Self,
                        __msg: <Greet as ::mycelia::__private::Payload>::Type,
                        (__a0,): (<Path<u64> as ::mycelia::__private::Argument>::Type,)
                    | <String as ::mycelia::__private::Answer<
                        <Greet as ::mycelia::__private::Payload>::Reply> >::give(Self::greet(
                            __this,
                            <Greet as ::mycelia::__private::Payload>::give(__msg),
                            <Path<u64> as ::mycelia::__private::Argument>::give(__a0)
                    ).await));
                }}
                {{
                    __table.on::<
                        <Ping as ::mycelia::__private::Payload>::Type,
                        (),
                        <() as ::mycelia::__private::Answer<
                            <Ping as ::mycelia::__private::Payload>::Reply> >::Type
                    >(
                        "ping",
                        |
                            __this: &mut Self,
                            __msg: <Ping as ::mycelia::__private::Payload>::Type,
                            (): ()
                        | <() as ::mycelia::__private::Answer<
                            <Ping as ::mycelia::__private::Payload>::Reply> >::give(Self::ping(
                                __this,
                                <Ping as ::mycelia::__private::Payload>::give(__msg),
                        ))
                    );
                }}
            }
        }
        const _: () = {
            let __taken: usize = 0
                + ::mycelia::__private::captures::<
                    <Path<u64> as ::mycelia::__private::Argument>::Type>();
            ::core::assert!(
                __taken <= 1usize,
                "{}",
                "route `users/{id}` has 1 capture, but the handler takes more: remove a `Path` argument, or put a `{capture}` into the pattern"
            );
        };
    };
    // The printed spaces depend on the tokens' spacing.
    assert_eq!(
        written.replace(' ', ""),
        expected.to_string().replace(' ', "")
    );
}

#[test]
fn a_generic_block_checks_captures_where_its_parameters_are_known() {
    let written = expand(
        quote!(),
        quote! {
            impl<T> Store<T> where T: Clone + Send + 'static {
                #[route("put/{key}")]
                fn put(&mut self, msg: Put<T>, key: Path<T>) {}
            }
        },
    )
    .to_string();
    contains(
        &written,
        quote!(
            impl<T> ::mycelia::__private::AllRoutesInOneBlock for Store<T>
            where T: Clone + Send + 'static
        ),
    );
    assert!(
        written.contains("const { { let __taken : usize = 0"),
        "{written}"
    );
    assert!(!written.contains("const _"), "{written}");
}

#[test]
fn conditions_of_a_handler_are_those_of_its_routes() {
    let written = expand(
        quote!(),
        quote! {
            #[cfg(unix)]
            impl Api {
                #[cfg(test)]
                #[route("a/{b}")]
                #[cfg_attr(debug_assertions, mycelia::route("c/{d}"))]
                fn both(&mut self, msg: Ping, b: Path<u8>) {}
            }
        },
    )
    .to_string();
    contains(&written, quote!(#[cfg(unix)] #[automatically_derived]));
    assert!(
        written.contains("# [cfg (test)] { { __table . on ::"),
        "{written}"
    );
    assert_eq!(
        written
            .matches(&quote!(#[cfg(all(unix, test))] const _: ()).to_string())
            .count(),
        1
    );
    contains(
        &written,
        quote!(#[cfg(all(unix, test, debug_assertions))] const _: ()),
    );
    assert!(
        written.contains("# [cfg (debug_assertions)] { __table . on ::"),
        "{written}"
    );
    assert_eq!(written.matches(". on ::").count(), 2, "{written}");
    assert!(
        !written.contains("route (\"") && !written.contains("compile_error"),
        "{written}"
    );
}

#[test]
fn two_handlers_of_one_message_on_one_route_are_duplicates() {
    let two = |first: &str, second: &str, message: TokenStream| {
        errors(quote! {
            impl Api {
                #[route(#first)]
                fn one(&mut self, msg: Greet) {}
                #[route(#second)]
                fn two(&mut self, msg: #message) {}
            }
        })
    };
    assert_eq!(
        two("users/{id}", "users/{id}", quote!(Greet)),
        [
            "duplicate route: `users/{id}` with this message is already handled by `one`: \
             change the pattern or the message",
            "first handled here"
        ]
    );
    assert_eq!(
        two("users/{id}", "users/{name}", quote!(Greet))[0],
        "duplicate route: `users/{name}`, the same route as `users/{id}`, with this message is \
         already handled by `one`: change the pattern or the message"
    );
    assert_eq!(
        two("users/{id}", "users/{name}", quote!(Other)),
        [
            "ambiguous route: `users/{name}` and `users/{id}` match the same paths; \
             write `users/{id}` here too"
        ]
    );
    assert!(two("users/{id}", "users/{id}", quote!(Other)).is_empty());
    assert!(two("users/{id}", "users/me", quote!(Greet)).is_empty());
    let same = quote!(
        #[route("a")]
        #[route("a")]
        fn f(&mut self, msg: A) {}
    );
    assert_eq!(errors(quote!(impl Api { #same })).len(), 2);
}

#[test]
fn alternatives_under_conditions_are_no_duplicates() {
    let with = |first: TokenStream, second: TokenStream| {
        errors(quote! {
            impl Api {
                #[route("a")] #[cfg(#first)] fn one(&mut self, msg: A) {}
                #[route("a")] #[cfg(#second)] fn two(&mut self, msg: A) {}
            }
        })
    };
    assert!(with(quote!(unix), quote!(windows)).is_empty());
    assert_eq!(with(quote!(unix), quote!(unix)).len(), 2);
}

#[test]
fn the_attribute_goes_on_an_inherent_block_with_handlers() {
    let text = |item| expand(quote!(), item).to_string();
    let no_handler = errors(quote!(impl Api { fn helper(&self) {} }));
    assert_eq!(
        no_handler,
        ["no handler in this block: put `#[route(\"pattern\")]` on a method"]
    );
    let of_trait = text(quote!(impl Clone for Api {}));
    assert!(
        of_trait.contains("of the subsystem itself, not of a trait"),
        "{of_trait}"
    );
    assert!(of_trait.starts_with("impl Clone for Api"), "{of_trait}");
    assert!(
        text(quote!(
            struct Api;
        ))
        .contains("`#[routes] impl Api { .. }`")
    );
    let args = expand(
        quote!(prefix = "a"),
        quote!(impl Api { #[route("a")] fn f(&self, m: A) {} }),
    );
    assert!(args.to_string().contains("takes no arguments"));
    let stray = expand_stray(
        "route",
        quote!(
            fn f(&self) {}
        ),
    )
    .to_string();
    assert!(stray.starts_with("fn f"), "{stray}");
    assert!(
        stray.contains("put `#[routes]` on the impl block"),
        "{stray}"
    );
}

#[test]
fn a_mistake_leaves_the_block_and_an_impl_behind() {
    let written = expand(
        quote!(),
        quote!(impl Api { #[route("a")] fn bad(&self) {} #[route("b")] fn good(&self, m: A) {} }),
    )
    .to_string();
    contains(
        &written,
        quote!(
            fn bad(&self) {}
        ),
    );
    contains(
        &written,
        quote!(impl ::mycelia::__private::AllRoutesInOneBlock for Api),
    );
    contains(&written, quote!(Self::good));
    contains(&written, quote!(::core::compile_error!));
    assert!(!written.contains("Self :: bad"), "{written}");
}
