//! What the API refuses in JSON before looking at meaning: bad syntax, duplicate keys, deep nesting.
//! Values are walked, not built.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::problem::{Code, Problem};

/// Deepest nesting of arrays and objects that is accepted.
pub(crate) const MAX_DEPTH: usize = 64;

const DUPLICATE: &str = "duplicate key";
const TOO_DEEP: &str = "nested too deeply";

/// Refuses what no handler should see.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let walked = Walk { depth: 0 }.deserialize(&mut json).and_then(|()| json.end());
    walked.map_err(|error| {
        let text = error.to_string();
        if text.starts_with(DUPLICATE) {
            Problem::new(Code::DuplicateKey, format!("the body is ambiguous: {text}; send each key once"))
        } else if text.starts_with(TOO_DEEP) {
            Problem::new(Code::NestingTooDeep, format!("nest at most {MAX_DEPTH} levels"))
        } else {
            Problem::new(Code::MalformedJson, format!("the body is not JSON: {text}"))
        }
    })
}

#[derive(Clone, Copy)]
struct Walk {
    depth: usize,
}

impl Walk {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                map.next_value::<IgnoredAny>()?;
                return Err(A::Error::custom(format_args!("{DUPLICATE} {key:?}")));
            }
            seen.insert(key);
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::problem::Code;
    use super::{MAX_DEPTH, check};

    #[test]
    fn duplicates_depth_and_syntax_are_told_apart() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        for (text, code) in [
            (r#"{"a":1,"b":{"c":1,"c":2}}"#.to_owned(), Code::DuplicateKey),
            (r#"{"a":1,"\u0061":2}"#.to_owned(), Code::DuplicateKey),
            (nested(MAX_DEPTH + 1), Code::NestingTooDeep),
            (nested(100_000), Code::NestingTooDeep),
            (r#"{"a":"#.to_owned(), Code::MalformedJson),
            (r#"{"a":1} x"#.to_owned(), Code::MalformedJson),
            (String::new(), Code::MalformedJson),
        ] {
            assert_eq!(check(text.as_bytes()).unwrap_err().code(), code, "{text:.40}");
        }
        assert!(check(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(check(br#"{"a":[null,true,1.5,-3,"x"],"b":{}}"#).is_ok());
    }
}
