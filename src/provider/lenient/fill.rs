//! Reading objects in place. The types of a wire have dozens of members of which a chunk sends few; to move them from function to
//! function, as values that are returned, takes longer than to parse the chunk.

use super::{Count, Few, List, Number, Object, Raw, Seconds, Text, check_length};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt};

/// A value that is read into its place; another shape leaves nothing there.
pub(crate) trait Fill<'de> {
    fn fill<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error>;
}

/// An object with known members. [`object!`] writes it.
pub(crate) trait Members<'de>: Default {
    /// Reads one member. A member given twice counts as it is given last (F74).
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;

    /// Reads all of them.
    fn members<A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            self.member(&name, &mut map)?;
        }
        Ok(())
    }
}

/// Defines an object of a wire: every member is optional, a wrong type is nothing, what has no name here is passed over.
macro_rules! object {
    (
        $(#[$about:meta])*
        $see:vis struct $Object:ident $(<$life:lifetime>)? {
            $($(#[$what:meta])* $show:vis $member:ident: $Type:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        $see struct $Object $(<$life>)? {
            $($(#[$what])* $show $member: $Type,)*
        }

        impl<'de $(: $life, $life)?> $crate::provider::lenient::Members<'de> for $Object $(<$life>)? {
            fn member<A: serde::de::MapAccess<'de>>(
                &mut self,
                name: &str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                use $crate::provider::lenient::Place;
                match name {
                    $(stringify!($member) => map.next_value_seed(Place(&mut self.$member)),)*
                    _ => map.next_value::<serde::de::IgnoredAny>().map(|_| ()),
                }
            }
        }

        impl<'de $(: $life, $life)?> $crate::provider::lenient::Fill<'de> for $Object $(<$life>)? {
            fn fill<D: serde::Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
                $crate::provider::lenient::fill_object(self, deserializer)
            }
        }

        impl<'de $(: $life, $life)?> serde::Deserialize<'de> for $Object $(<$life>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut object = Self::default();
                $crate::provider::lenient::fill_object(&mut object, deserializer)?;
                Ok(object)
            }
        }
    };
}
pub(crate) use object;

/// Reads an object; anything else is an error.
pub(crate) fn fill_object<'de, T: Members<'de>, D: Deserializer<'de>>(
    object: &mut T,
    deserializer: D,
) -> Result<(), D::Error> {
    struct V<'p, T>(&'p mut T);
    impl<'de, T: Members<'de>> Visitor<'de> for V<'_, T> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
            self.0.members(map)
        }
    }
    deserializer.deserialize_map(V(object))
}

/// Where a value goes.
pub(crate) struct Place<'p, T>(pub(crate) &'p mut T);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for Place<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.fill(deserializer)
    }
}

/// Small values are read and put there.
macro_rules! fill_by_value {
    ($($Type:ident $(<$life:lifetime>)?),*) => {
        $(impl<'de $(: $life, $life)?> $crate::provider::lenient::Fill<'de> for $Type $(<$life>)? {
            fn fill<D: serde::Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
                *self = serde::Deserialize::deserialize(deserializer)?;
                Ok(())
            }
        })*
    };
}
pub(crate) use fill_by_value;

fill_by_value!(Text<'a>, Raw<'a>, Count, Number, Seconds);

impl<'de, T: Fill<'de> + Default> Fill<'de> for Option<T> {
    fn fill<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        struct V<'p, T>(&'p mut Option<T>);
        impl<'de, T: Fill<'de> + Default> Visitor<'de> for V<'_, T> {
            type Value = ();
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                self.0.insert(T::default()).fill(deserializer)
            }
            fn visit_none<E>(self) -> Result<(), E> {
                Ok(())
            }
            fn visit_unit<E>(self) -> Result<(), E> {
                Ok(())
            }
        }
        *self = None;
        deserializer.deserialize_option(V(self))
    }
}

impl<'de, T: Members<'de>> Fill<'de> for Object<T> {
    fn fill<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        struct V<'p, T>(&'p mut Option<T>);
        impl<'de, T: Members<'de>> Visitor<'de> for V<'_, T> {
            type Value = ();
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
                self.0.insert(T::default()).members(map)
            }
            nothing_else!((); visit_bool(bool), visit_f64(f64), visit_u64(u64), visit_i64(i64), visit_str(&str));
            skip_seq!(());
        }
        self.0 = None;
        deserializer.deserialize_any(V(&mut self.0))
    }
}

impl<'de, T: Fill<'de> + Default> Fill<'de> for List<T> {
    fn fill<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        self.0.clear();
        deserializer.deserialize_any(Elements(self))
    }
}

impl<'de, T: Fill<'de> + Default> Fill<'de> for Few<T> {
    fn fill<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        *self = Few::default();
        deserializer.deserialize_any(Elements(self))
    }
}

/// What elements can be added to.
trait Growing {
    type Element;
    /// A place for one more element, and how many there are then.
    fn add(&mut self) -> (&mut Self::Element, usize);
}

impl<T: Default> Growing for List<T> {
    type Element = T;
    fn add(&mut self) -> (&mut T, usize) {
        let last = self.0.len();
        (push(&mut self.0), last.saturating_add(1))
    }
}

impl<T: Default> Growing for Few<T> {
    type Element = T;
    fn add(&mut self) -> (&mut T, usize) {
        if self.first.is_none() {
            return (self.first.insert(T::default()), 1);
        }
        let last = self.more.len();
        (push(&mut self.more), last.saturating_add(2))
    }
}

fn push<T: Default>(list: &mut Vec<T>) -> &mut T {
    let last = list.len();
    list.push(T::default());
    #[expect(clippy::indexing_slicing, reason = "it was just pushed")]
    &mut list[last]
}

struct Elements<'p, L>(&'p mut L);

impl<'de, L: Growing<Element: Fill<'de>>> Visitor<'de> for Elements<'_, L> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(count) = seq.next_element_seed(Next(&mut *self.0))? {
            check_length::<L::Element, A::Error>(count)?;
        }
        Ok(())
    }
    nothing_else!((); visit_bool(bool), visit_f64(f64), visit_u64(u64), visit_i64(i64), visit_str(&str));
    skip_map!(());
}

/// One more element, if there is one.
struct Next<'p, L>(&'p mut L);

impl<'de, L: Growing<Element: Fill<'de>>> DeserializeSeed<'de> for Next<'_, L> {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        let (element, count) = self.0.add();
        element.fill(deserializer)?;
        Ok(count)
    }
}

/// A member's name, copied only if it has escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(V)
    }
}
