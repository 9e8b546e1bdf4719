//! The `#[cfg]` conditions of a method, an argument or one of our attributes.
//!
//! An attribute on an `impl` block sees the block's items before rustc has evaluated their `#[cfg]`s. So the code
//! generated beside the block repeats the conditions in `#[cfg]`s of its own.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{Attribute, Meta, MetaList, Path};

/// The content of a `#[cfg(…)]`.
pub(super) type Predicate = TokenStream;

/// One of our attributes, removed from its item.
pub(super) struct Mark {
    pub(super) meta: Meta,
    /// The predicates of the `#[cfg_attr]`s around it.
    pub(super) conditions: Vec<Predicate>,
}

/// Returns the predicates in these attributes. The item exists only if all of them hold.
pub(super) fn conditions<'a>(attrs: impl IntoIterator<Item = &'a Attribute>) -> Vec<Predicate> {
    attrs
        .into_iter()
        .filter_map(|attr| condition(&attr.meta))
        .collect()
}

/// Returns the predicate of a `cfg`, or of one inside a `cfg_attr`.
fn condition(meta: &Meta) -> Option<Predicate> {
    let Meta::List(list) = meta else { return None };
    if list.path.is_ident("cfg") {
        return Some(list.tokens.clone());
    }
    let (predicate, attributes) = cfg_attr(list)?;
    let inner: Vec<_> = attributes
        .iter()
        .filter_map(|tokens| condition(&syn::parse2(tokens.clone()).ok()?))
        .collect();
    (!inner.is_empty()).then(|| quote!(any(not(#predicate), all(#(#inner),*))))
}

/// Returns a `#[cfg]` of the predicates, or nothing if there are none.
pub(super) fn cfg(predicates: &[Predicate]) -> TokenStream {
    match predicates {
        [] => TokenStream::new(),
        [predicate] => quote!(#[cfg(#predicate)]),
        predicates => quote!(#[cfg(all(#(#predicates),*))]),
    }
}

/// Removes our attributes, also those in a `cfg_attr`.
pub(super) fn take(attrs: &mut Vec<Attribute>, is_ours: &dyn Fn(&Path) -> bool) -> Vec<Mark> {
    let mut marks = Vec::new();
    attrs.retain_mut(
        |attr| match take_from(&attr.meta, is_ours, &[], &mut marks) {
            Taken::Nothing => true,
            Taken::All => false,
            Taken::Some(rest) => {
                attr.meta = *rest;
                true
            }
        },
    );
    marks
}

/// Which part of an attribute was ours.
enum Taken {
    Nothing,
    /// A part; the rest is kept.
    Some(Box<Meta>),
    All,
}

fn take_from(
    meta: &Meta,
    is_ours: &dyn Fn(&Path) -> bool,
    conditions: &[Predicate],
    marks: &mut Vec<Mark>,
) -> Taken {
    if is_ours(meta.path()) {
        marks.push(Mark {
            meta: meta.clone(),
            conditions: conditions.to_vec(),
        });
        return Taken::All;
    }
    let Meta::List(list) = meta else {
        return Taken::Nothing;
    };
    let Some((predicate, attributes)) = cfg_attr(list) else {
        return Taken::Nothing;
    };
    let conditions = [conditions, std::slice::from_ref(&predicate)].concat();
    let before = marks.len();
    let mut rest = Vec::new();
    for tokens in attributes {
        let taken = match syn::parse2::<Meta>(tokens.clone()) {
            Ok(meta) => take_from(&meta, is_ours, &conditions, marks),
            Err(_) => Taken::Nothing,
        };
        match taken {
            Taken::Nothing => rest.push(tokens),
            Taken::Some(meta) => rest.push(quote!(#meta)),
            Taken::All => {}
        }
    }
    if marks.len() == before {
        Taken::Nothing
    } else if rest.is_empty() {
        Taken::All
    } else {
        let mut list = list.clone();
        list.tokens = quote!(#predicate, #(#rest),*);
        Taken::Some(Box::new(Meta::List(list)))
    }
}

/// Returns the predicate of a `cfg_attr`, and the attributes after it.
fn cfg_attr(list: &MetaList) -> Option<(Predicate, Vec<TokenStream>)> {
    if !list.path.is_ident("cfg_attr") {
        return None;
    }
    let tokens: Vec<TokenTree> = list.tokens.clone().into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    let mut parts = tokens
        .split(is_comma)
        .map(|part| part.iter().cloned().collect::<TokenStream>());
    let predicate = parts.next()?;
    Some((predicate, parts.filter(|part| !part.is_empty()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn taken(mut attrs: Vec<Attribute>) -> (Vec<String>, String) {
        let marks = take(&mut attrs, &|path| path.is_ident("route"));
        let marks = marks.iter().map(|mark| {
            let (cfg, meta) = (cfg(&mark.conditions), &mark.meta);
            quote!(#cfg #meta).to_string().replace(' ', "")
        });
        let marks = marks.collect();
        (marks, quote!(#(#attrs)*).to_string().replace(' ', ""))
    }

    #[test]
    fn what_is_ours_is_taken_and_the_rest_stays() {
        let attrs = vec![
            parse_quote!(#[inline]),
            parse_quote!(#[route("a")]),
            parse_quote!(#[cfg_attr(unix, route("b"))]),
            parse_quote!(#[cfg_attr(all(unix, test), inline, route("c"), doc = "d")]),
            parse_quote!(#[cfg_attr(unix, cfg_attr(test, route("e")))]),
            parse_quote!(#[cfg_attr(unix, unsafe(no_mangle))]),
        ];
        let (marks, rest) = taken(attrs);
        assert_eq!(
            marks,
            [
                "route(\"a\")",
                "#[cfg(unix)]route(\"b\")",
                "#[cfg(all(unix,test))]route(\"c\")",
                "#[cfg(all(unix,test))]route(\"e\")",
            ]
        );
        assert_eq!(
            rest,
            "#[inline]#[cfg_attr(all(unix,test),inline,doc=\"d\")]#[cfg_attr(unix,unsafe(no_mangle))]"
        );
    }

    #[test]
    fn a_condition_inside_another_holds_only_under_it() {
        let attrs: Vec<Attribute> = vec![
            parse_quote!(#[cfg(unix)]),
            parse_quote!(#[cfg_attr(test, cfg(debug_assertions), inline)]),
            parse_quote!(#[cfg_attr(test, inline)]),
        ];
        let written = cfg(&conditions(&attrs)).to_string().replace(' ', "");
        assert_eq!(
            written,
            "#[cfg(all(unix,any(not(test),all(debug_assertions))))]"
        );
    }
}
