//! Refuses types that borrow, at the reference: a handler's arguments and results travel between threads.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Error, Lifetime, TraitBound, Type};

/// Returns an error if a type can't be sent to another thread: it borrows, or has no name.
pub(super) fn borrowed(ty: &Type, what: &'static str) -> Option<Error> {
    let mut search = Borrow { what, error: None };
    search.visit_type(ty);
    search.error
}

/// Finds the first reference, lifetime or `impl Trait` in a type. `'static` does not count, nor do the arguments
/// of `fn(&T)` and `Fn(&T)`, which borrow only during a call.
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
