//! Who answers.

use super::Assembler;
use crate::StreamEvent;

/// Who answers: the members of an answer that stand beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The provider's id for the answer.
    pub id: String,
    /// The model that answers.
    pub model: String,
    /// When the answer was made, in seconds since 1970.
    pub created: Option<u64>,
    /// The provider's mark for the configuration that answers.
    pub system_fingerprint: Option<String>,
    /// The processing class.
    pub service_tier: Option<String>,
}

/// # Who answers
impl Assembler {
    /// Who answers. The first id, model and date that are not empty count.
    pub fn head(&mut self, head: Head) {
        let known = self.accumulator.response();
        let news = (known.id.is_empty() && !head.id.is_empty())
            || (known.model.is_empty() && !head.model.is_empty())
            || (known.created.is_none() && head.created.is_some())
            || (known.system_fingerprint.is_none() && head.system_fingerprint.is_some())
            || (head.service_tier.is_some() && known.service_tier != head.service_tier);
        if news {
            self.count(&[&head.id, &head.model]);
            self.count(&[
                head.system_fingerprint.as_deref().unwrap_or_default(),
                head.service_tier.as_deref().unwrap_or_default(),
            ]);
            match self.queue {
                Some(_) => self.emit(StreamEvent::Start(Box::new(head))),
                None => self.accumulator.start(head),
            }
        }
    }

    /// Whether the id, model and date are known, so that a decoder need not copy them again.
    #[must_use]
    pub fn has_head(&self) -> bool {
        let known = self.accumulator.response();
        !known.id.is_empty() && !known.model.is_empty() && known.created.is_some()
    }

    /// The processing class that is known so far.
    pub(crate) fn service_tier(&self) -> Option<&str> {
        self.accumulator.response().service_tier.as_deref()
    }

    /// The system fingerprint that is known so far.
    pub(crate) fn system_fingerprint(&self) -> Option<&str> {
        self.accumulator.response().system_fingerprint.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::assembler::told::*;

    #[test]
    fn a_head_is_told_as_often_as_it_says_something_new() {
        let mut stream = stream();
        let head =
            |id: &str, model: &str, created, fingerprint: Option<&str>, tier: Option<&str>| Head {
                id: id.to_owned(),
                model: model.to_owned(),
                created,
                system_fingerprint: fingerprint.map(str::to_owned),
                service_tier: tier.map(str::to_owned),
            };
        for (head, is_news) in [
            (head("", "", None, None, None), false),
            (head("id", "", None, None, None), true),
            (head("id", "", None, None, None), false),
            (head("other", "", None, None, None), false),
            (head("", "model", None, None, None), true),
            (head("", "other", None, None, None), false),
            (head("", "", Some(1), None, None), true),
            (head("", "", Some(2), None, None), false),
            (head("", "", None, Some("f"), None), true),
            (head("", "", None, Some("g"), None), false),
            (head("", "", None, None, Some("t")), true),
            (head("", "", None, None, Some("t")), false),
            (head("", "", None, None, Some("u")), true),
        ] {
            let wanted = if is_news { "start" } else { "" };
            stream.head(head.clone());
            assert_eq!(told(&mut stream), wanted, "{head:?}");
        }
        assert_eq!(stream.system_fingerprint(), Some("f"));
        assert_eq!(stream.service_tier(), Some("u"));
    }

    #[test]
    fn a_head_is_there_when_all_of_it_is() {
        for (id, model, created, whole) in [
            ("", "", Some(1), false),
            ("id", "", Some(1), false),
            ("", "model", Some(1), false),
            ("id", "model", None, false),
            ("id", "model", Some(1), true),
        ] {
            let mut stream = stream();
            let (id, model) = (id.to_owned(), model.to_owned());
            stream.head(Head {
                id,
                model,
                created,
                ..Head::default()
            });
            assert_eq!(stream.has_head(), whole);
        }
    }
}
