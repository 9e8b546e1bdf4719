//! Checks that a message written as JSON can be read back.
//!
//! JSON has no infinite number and no NaN: `serde_json` writes `null` instead, which is read back as something
//! else, or not at all. And it reads only a limited depth of nesting.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer, ser};

/// The deepest nesting of lists and objects that can be read inside the object of a line.
const DEEPEST: u32 = 126;

/// Returns a message as JSON that can be read back, or why that is impossible.
pub(crate) fn json<M: Serialize>(message: &M) -> serde_json::Result<String> {
    message
        .serialize(Fit { depth: 0 })
        .map_err(|unfit| ser::Error::custom(unfit.0))?;
    serde_json::to_string(message)
}

/// A serializer that writes nothing and refuses values that could not be read back.
#[derive(Clone, Copy)]
struct Fit {
    /// The depth of nesting of the current value.
    depth: u32,
}

impl Fit {
    /// Goes `more` lists and objects deeper.
    fn within(self, more: u32) -> Result<Self, Unfit> {
        let depth = self.depth.saturating_add(more);
        match depth {
            ..=DEEPEST => Ok(Fit { depth }),
            _ => Err(Unfit(format!(
                "it has more than {DEEPEST} lists and objects within each other"
            ))),
        }
    }
}

#[derive(Debug)]
struct Unfit(String);

impl Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl ser::Error for Unfit {
    fn custom<T: Display>(text: T) -> Self {
        Unfit(text.to_string())
    }
}

type Checked = Result<(), Unfit>;

/// Generates methods for values that JSON can always represent.
macro_rules! fit {
    ($($method:ident($($value:ty),*))*) => {$(
        fn $method(self, $(_: $value),*) -> Checked {
            Ok(())
        }
    )*};
}

/// Generates methods that begin a value with parts. `$depth` is how many lists and objects it adds.
macro_rules! parts {
    ($($method:ident($($value:ty),*) -> $part:ident, $depth:literal;)*) => {$(
        type $part = Self;

        fn $method(self, $(_: $value),*) -> Result<Self, Unfit> {
            self.within($depth)
        }
    )*};
}

impl Serializer for Fit {
    type Ok = ();
    type Error = Unfit;

    fit! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_none() serialize_unit() serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    fn serialize_f32(self, value: f32) -> Checked {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Checked {
        match value.is_finite() {
            true => Ok(()),
            false => Err(Unfit(format!(
                "it holds the number {value}, which JSON has not"
            ))),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self.within(1)?)
    }

    parts! {
        serialize_seq(Option<usize>) -> SerializeSeq, 1;
        serialize_tuple(usize) -> SerializeTuple, 1;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct, 1;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant, 2;
        serialize_map(Option<usize>) -> SerializeMap, 1;
        serialize_struct(&'static str, usize) -> SerializeStruct, 1;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant, 2;
    }
}

/// Generates the serializers of values with parts: each part is checked.
macro_rules! each {
    ($($what:ident: $($method:ident($($name:ty)?))*;)*) => {$(
        impl ser::$what for Fit {
            type Ok = ();
            type Error = Unfit;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Checked {
                value.serialize(*self)
            })*

            fn end(self) -> Checked {
                Ok(())
            }
        }
    )*};
}

each! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key() serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Unit,
        New(f32),
        Tuple(u8, f64),
        Struct { at: Option<f64> },
    }

    #[derive(Serialize)]
    struct All {
        shapes: Vec<Shape>,
        map: BTreeMap<&'static str, [f64; 2]>,
        pair: (char, f32),
    }

    fn all(number: f64) -> Vec<All> {
        let fine = || All {
            shapes: vec![Shape::Unit, Shape::Struct { at: None }],
            map: BTreeMap::from([("a", [0.0, f64::MAX])]),
            pair: ('x', f32::MIN),
        };
        let shapes = [
            Shape::New(number as f32),
            Shape::Tuple(1, number),
            Shape::Struct { at: Some(number) },
        ];
        let shapes = shapes.map(|shape| All {
            shapes: vec![Shape::Unit, shape],
            ..fine()
        });
        let map = BTreeMap::from([("a", [0.0, 1.0]), ("b", [1.0, number])]);
        let pair = ('x', number as f32);
        let others = [All { map, ..fine() }, All { pair, ..fine() }];
        shapes.into_iter().chain(others).collect()
    }

    #[test]
    fn a_number_that_json_has_not_is_found_wherever_it_is() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for one in all(number) {
                let error = json(&one).unwrap_err().to_string();
                let text = format!("it holds the number {number}, which JSON has not");
                assert_eq!(error, text);
            }
        }
        for one in all(-0.5) {
            assert_eq!(json(&one).unwrap(), serde_json::to_string(&one).unwrap());
        }
    }

    #[derive(Serialize)]
    enum Nest {
        End,
        New(Box<Nest>),
        List(Vec<Nest>),
        Tuple(Box<Nest>, u8),
        Struct { inner: Box<Nest> },
    }

    #[test]
    fn what_is_written_is_never_deeper_than_can_be_read() {
        let wraps: [fn(Nest) -> Nest; 4] = [
            |inner| Nest::New(inner.into()),
            |inner| Nest::List(vec![inner]),
            |inner| Nest::Tuple(inner.into(), 1),
            |inner| Nest::Struct {
                inner: inner.into(),
            },
        ];
        for wrap in wraps {
            let mut refused = 0;
            for depth in 50..140 {
                let nest = (0..depth).fold(Nest::End, |nest, _| wrap(nest));
                let text = serde_json::to_string(&nest).unwrap();
                let line = format!(r#"{{"message":{text}}}"#);
                let is_read = serde_json::from_str::<serde_json::Value>(&line).is_ok();
                assert_eq!(json(&nest).is_ok(), is_read, "{depth}");
                refused += u32::from(!is_read);
            }
            assert!(refused > 0);
        }
    }
}
