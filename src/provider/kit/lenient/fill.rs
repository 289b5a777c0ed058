//! Decodes each kind of value in place. An API's types have dozens of fields of which a chunk has few; returning them
//! by value from function to function takes longer than parsing the chunk.
//!
//! The decoders are not inlined into the dispatch over an object's fields, so that the dispatch is one jump per
//! field.

use super::{
    Count, List, Number, Object, Raw, RawElements, Seconds, Text, UnknownFields, WithRawText,
};
use crate::{
    codec::decimal,
    json::{JsonError, Name, Reader},
    small_vec::SmallVec1,
};
use std::borrow::Cow;

/// A value that is decoded in place; another shape leaves the default.
pub(crate) trait ReadFields<'a> {
    fn fill(&mut self, reader: &mut Reader<'a>) -> Result<(), JsonError>;
}

/// An object with known fields. [`object!`] implements it.
pub(crate) trait FieldReader<'a>: Default {
    /// Reads one field. Of a duplicate field the last value counts.
    fn member(&mut self, name: &Name, reader: &mut Reader<'a>) -> Result<(), JsonError>;

    /// Reads an object; any other value is an error.
    fn members(&mut self, reader: &mut Reader<'a>) -> Result<(), JsonError> {
        reader.members(&mut |name, reader| self.member(name, reader))
    }
}

/// Defines an object of an API: every field is optional, a wrong type is ignored, unknown fields are skipped.
///
/// A field has its name in the API, or `field as "apiName"`. With `..others: UnknownFields` after the fields, unknown
/// fields are collected there.
macro_rules! object {
    (@name $member:ident) => { stringify!($member) };
    (@name $member:ident $wire:literal) => { $wire };
    (@other $this:ident $name:ident $reader:ident) => { $reader.skip_unread() };
    (@other $this:ident $name:ident $reader:ident $others:ident) => { $this.$others.add($name, $reader) };
    (
        $(#[$about:meta])*
        $see:vis struct $Object:ident $(<$life:lifetime>)? {
            $($(#[$what:meta])* $show:vis $member:ident $(as $wire:literal)?: $Type:ty,)*
            $(.. $others:ident: $UnknownFields:ty,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        $see struct $Object $(<$life>)? {
            $($(#[$what])* $show $member: $Type,)*
            $(pub(super) $others: $UnknownFields,)?
        }

        impl<'de $(: $life, $life)?> $crate::provider::kit::lenient::FieldReader<'de> for $Object $(<$life>)? {
            #[inline(always)]
            fn member(
                &mut self,
                name: &$crate::json::Name,
                reader: &mut $crate::json::Reader<'de>,
            ) -> Result<(), $crate::json::JsonError> {
                use $crate::provider::kit::lenient::ReadFields;
                $(if name == object!(@name $member $($wire)?).as_bytes() {
                    return self.$member.fill(reader);
                })*
                object!(@other self name reader $($others)?)
            }
        }

        impl<'de $(: $life, $life)?> $crate::provider::kit::lenient::ReadFields<'de> for $Object $(<$life>)? {
            fn fill(&mut self, reader: &mut $crate::json::Reader<'de>) -> Result<(), $crate::json::JsonError> {
                $crate::provider::kit::lenient::FieldReader::members(self, reader)
            }
        }
    };
}
pub(crate) use object;

impl<'a> UnknownFields<'a> {
    /// Collects an unknown field. A field without content is ignored.
    #[cold]
    pub(crate) fn add<'de: 'a>(
        &mut self,
        name: &Name,
        reader: &mut Reader<'de>,
    ) -> Result<(), JsonError> {
        let value = reader.raw()?;
        if matches!(value, "null" | "\"\"" | "[]" | "{}") {
            return Ok(());
        }
        let name = std::str::from_utf8(name).map_err(|_| JsonError::Unexpected)?;
        reader.charge(
            size_of::<(String, Raw<'_>)>()
                .saturating_mul(3)
                .saturating_add(name.len()),
        )?;
        self.0.push((name.to_owned(), Raw(Some(value))));
        Ok(())
    }
}

impl<'de: 'a, 'a> ReadFields<'de> for Text<'a> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        if let Some(text) = reader.plain_string() {
            self.0 = Some(Cow::Borrowed(text));
            return Ok(());
        }
        self.fill_otherwise(reader)
    }
}

impl<'a> Text<'a> {
    /// After white space, with escapes, or of another shape.
    #[inline(never)]
    fn fill_otherwise<'de: 'a>(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        self.0 = match reader.peek()? {
            b'"' => Some(reader.string()?),
            b'-' | b'0'..=b'9' => Some(reader.number()?)
                .filter(|number| is_integer(number))
                .map(Cow::Borrowed),
            _ => {
                reader.skip()?;
                None
            }
        };
        Ok(())
    }
}

impl<'de> ReadFields<'de> for Count {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        if let Some(count) = reader.count() {
            self.0 = Some(count);
            return Ok(());
        }
        self.fill_otherwise(reader)
    }
}

impl Count {
    #[inline(never)]
    fn fill_otherwise(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        self.0 = match reader.peek()? {
            b'-' | b'0'..=b'9' => count(reader.number()?),
            b'"' => reader.string()?.trim().parse().ok(),
            _ => {
                reader.skip()?;
                None
            }
        };
        Ok(())
    }
}

/// Any value except `true` is `false`.
impl<'de> ReadFields<'de> for bool {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        *self = reader.raw()? == "true";
        Ok(())
    }
}

impl<'de> ReadFields<'de> for Number {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        self.0 = match reader.peek()? {
            b'-' | b'0'..=b'9' => float(reader.number()?),
            b'"' => float(reader.string()?.trim()),
            _ => {
                reader.skip()?;
                None
            }
        };
        Ok(())
    }
}

impl<'de> ReadFields<'de> for Seconds {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        if let Some(seconds) = reader.seconds() {
            self.0 = Some(seconds);
            return Ok(());
        }
        self.fill_otherwise(reader)
    }
}

impl Seconds {
    #[inline(never)]
    fn fill_otherwise(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        self.0 = match reader.peek()? {
            b'-' | b'0'..=b'9' => decimal::seconds(reader.number()?),
            b'"' => decimal::seconds(&*reader.string()?),
            _ => {
                reader.skip()?;
                None
            }
        };
        Ok(())
    }
}

impl<'de: 'a, 'a> ReadFields<'de> for Raw<'a> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        self.0 = Some(reader.raw()?).filter(|text| *text != "null");
        Ok(())
    }
}

impl<'de, T: ReadFields<'de> + Default> ReadFields<'de> for Option<T> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        *self = None;
        match reader.peek()? {
            b'n' => reader.skip(),
            _ => self.insert(T::default()).fill(reader),
        }
    }
}

impl<'de, T: FieldReader<'de>> ReadFields<'de> for Object<T> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        self.0 = None;
        match reader.peek()? {
            b'{' => self.0.insert(T::default()).members(reader),
            _ => reader.skip(),
        }
    }
}

impl<'de: 'a, 'a, T: FieldReader<'de>> ReadFields<'de> for WithRawText<'a, T> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        reader.peek()?;
        let start = reader.at();
        self.value.fill(reader)?;
        self.raw = Raw(Some(reader.since(start)).filter(|text| *text != "null"));
        Ok(())
    }
}

impl<'de, T: ReadFields<'de> + Default> ReadFields<'de> for List<T> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        self.0.clear();
        match reader.peek()? {
            b'[' => reader.list(|reader| push(&mut self.0, reader)?.fill(reader)),
            _ => reader.skip(),
        }
    }
}

impl<'de: 'a, 'a> ReadFields<'de> for RawElements<'a> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        self.0.clear();
        match reader.peek()? {
            b'[' => reader.list(|reader| push(&mut self.0, reader)?.fill(reader)),
            b'n' => reader.skip(),
            _ => push(&mut self.0, reader)?.fill(reader),
        }
    }
}

impl<'de, T: ReadFields<'de> + Default> ReadFields<'de> for SmallVec1<T> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        *self = SmallVec1::default();
        match reader.peek()? {
            b'[' => reader.list(|reader| {
                // The first element is stored inline in the object.
                if !self.is_empty() {
                    reader.charge(size_of::<T>().saturating_mul(2))?;
                }
                self.push(T::default()).fill(reader)
            }),
            _ => reader.skip(),
        }
    }
}

/// Appends an element. Grows by half instead of doubling, because the old and the new list exist together.
fn push<'l, T: Default>(
    list: &'l mut Vec<T>,
    reader: &mut Reader<'_>,
) -> Result<&'l mut T, JsonError> {
    let last = list.len();
    if last == list.capacity() {
        let more = last
            .max(MIN_CAPACITY_BYTES.checked_div(size_of::<T>()).unwrap_or(1))
            .div_ceil(2);
        reader.charge(more.saturating_mul(size_of::<T>()))?;
        list.reserve_exact(more);
    }
    list.push(T::default());
    #[expect(clippy::indexing_slicing, reason = "it was just pushed")]
    Ok(&mut list[last])
}

/// Half of the initial capacity of a list, in bytes.
const MIN_CAPACITY_BYTES: usize = 128;

fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

fn count(number: &str) -> Option<u64> {
    if let Ok(count) = number.parse() {
        return Some(count);
    }
    // Above 2^53 a float is not an exact integer.
    let exact = 0.0..=9_007_199_254_740_992.0;
    let number = float(number)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    exact.contains(&number).then_some(number as u64)
}

fn float(number: &str) -> Option<f64> {
    let read = number.parse().ok();
    read.filter(|number: &f64| number.is_finite())
}
