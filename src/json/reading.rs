//! Deserialises JSON values from any serde format.

use super::{Json, Text};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};
use serde_json::value::RawValue;
use std::fmt;

impl<'de> Deserialize<'de> for Json {
    /// Keeps the original text if `serde_json` parses it. From other deserialisers, such as the buffer that serde
    /// uses for tagged enums, the value is serialised again.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        Box::<RawValue>::deserialize(Source(deserializer)).map(|raw| Json(Text::Value(raw)))
    }
}

/// The source of a `RawValue`. It requests a newtype with a name that only `serde_json` knows.
struct Source<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Source<D> {
    type Error = D::Error;

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0
            .deserialize_newtype_struct(name, MaybeRawText { name, visitor })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

struct MaybeRawText<V> {
    name: &'static str,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for MaybeRawText<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    /// `serde_json` passes the text in this way.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(map)
    }

    /// Other deserialisers pass the content of a newtype.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let Reserialized(text) = Reserialized::deserialize(value)?;
        serde_json::Deserializer::from_reader(text.as_bytes())
            .deserialize_newtype_struct(self.name, self.visitor)
            .map_err(D::Error::custom)
    }
}

/// The JSON text of a value.
struct Reserialized(String);

impl<'de> Deserialize<'de> for Reserialized {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Writer)
    }
}

struct Writer;

impl Writer {
    fn write<E: Error>(value: impl serde::Serialize) -> Result<Reserialized, E> {
        serde_json::to_string(&value)
            .map(Reserialized)
            .map_err(E::custom)
    }
}

impl<'de> Visitor<'de> for Writer {
    type Value = Reserialized;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can represent")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Reserialized, E> {
        Self::write(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Reserialized, E> {
        Self::write(value)
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Reserialized, E> {
        Self::write(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Reserialized, E> {
        Self::write(value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Reserialized, E> {
        Self::write(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Reserialized, E> {
        if value.is_finite() {
            return Self::write(value);
        }
        Err(E::custom(format_args!("JSON has no number {value}")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Reserialized, E> {
        Self::write(value)
    }

    fn visit_unit<E: Error>(self) -> Result<Reserialized, E> {
        Ok(Reserialized("null".into()))
    }

    fn visit_none<E: Error>(self) -> Result<Reserialized, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Reserialized, D::Error> {
        Reserialized::deserialize(value)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        value: D,
    ) -> Result<Reserialized, D::Error> {
        Reserialized::deserialize(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Reserialized, A::Error> {
        let mut text = String::from("[");
        while let Some(Reserialized(element)) = list.next_element()? {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&element);
        }
        text.push(']');
        Ok(Reserialized(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Reserialized, A::Error> {
        let mut text = String::from("{");
        while let Some(name) = members.next_key::<String>()? {
            if text.len() > 1 {
                text.push(',');
            }
            let Reserialized(name) = Self::write(name)?;
            let Reserialized(value) = members.next_value()?;
            text.push_str(&name);
            text.push(':');
            text.push_str(&value);
        }
        text.push('}');
        Ok(Reserialized(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ContentPart, Message, Role, ToolCall,
        chat::{Citation, ProviderData},
    };

    const TEXT: &str =
        r#"{"z":[1,-2,1.5,18446744073709551615,true,null],"a":{"é\n":"\u0001"},"m":[],"o":{}}"#;

    #[test]
    fn a_top_level_value_keeps_its_text() {
        let spelled = r#"{ "b" : 1.0e0 , "a":18446744073709551616 }"#;
        let json: Json = serde_json::from_str(spelled).unwrap();
        assert_eq!(json.as_str(), spelled);
    }

    #[test]
    fn a_message_with_values_in_its_parts_is_parsed() {
        let value = || Json::parse(TEXT).unwrap();
        let mut call = ToolCall::new("1", "f", "{}");
        call.provider_data = Some(ProviderData::new("p", value()));
        let citation = Citation {
            raw: Some(value()),
            ..Citation::default()
        };
        let cited = ContentPart::Text {
            text: "a".into(),
            citations: vec![citation],
        };
        let parts = vec![
            ContentPart::provider_block("p", value()),
            ContentPart::ToolCall(call),
            cited,
        ];
        let message = Message::new(Role::Assistant, parts);
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message);
        let tree = serde_json::to_value(&message).unwrap();
        let again: Message = serde_json::from_value(tree.clone()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), tree);
    }

    #[test]
    fn any_value_in_a_tagged_type_is_reserialized() {
        #[derive(Deserialize)]
        #[serde(tag = "type")]
        enum Tagged {
            #[serde(rename = "t")]
            T { value: Json },
        }
        for (spelled, written) in [
            (TEXT, TEXT),
            ("1e3", "1000.0"),
            (r#""\u00e9""#, r#""é""#),
            ("[ ]", "[]"),
        ] {
            let text = format!(r#"{{"type":"t","value":{spelled}}}"#);
            let Tagged::T { value } = serde_json::from_str(&text).unwrap();
            assert_eq!(value.as_str(), written);
        }
    }

    // F86
    #[test]
    fn no_nesting_overflows_the_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let text = format!(r#"{{"type":"opaque","provider":"p","block":{deep}}}"#);
        assert!(serde_json::from_str::<ContentPart>(&text).is_err());
    }

    #[test]
    fn values_outside_json_are_refused() {
        use serde::de::{IntoDeserializer, value::Error};
        let infinite: serde::de::value::F64Deserializer<Error> = f64::INFINITY.into_deserializer();
        let error = Reserialized::deserialize(infinite).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("no number inf"), "{error}");
    }
}
