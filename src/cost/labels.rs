use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// Names and values that a program gives its calls, such as the customer for whom a call is made. They are not sent. A
/// [`Ledger`](super::Ledger) can add up by them. Clones share their memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Labels(#[serde(serialize_with = "map")] Arc<BTreeMap<String, String>>);

impl Labels {
    /// Adds a label, or replaces its value.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        Arc::make_mut(&mut self.0).insert(name.into(), value.into());
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These labels, and the metadata of a request under other names.
    pub(crate) fn with_metadata(&self, metadata: Option<&BTreeMap<String, String>>) -> Labels {
        let mut labels = self.clone();
        for (name, value) in metadata.into_iter().flatten() {
            if labels.get(name).is_none() {
                labels.insert(name, value);
            }
        }
        labels
    }
}

fn map<S: serde::Serializer>(
    labels: &Arc<BTreeMap<String, String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_preferred_to_metadata_of_its_name() {
        let mut labels = Labels::default();
        labels.insert("customer", "acme");
        let metadata = [("customer", "x"), ("team", "a")];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let all = labels.with_metadata(Some(&metadata.into()));
        let all: Vec<_> = all.iter().collect();
        assert_eq!(all, [("customer", "acme"), ("team", "a")]);
        assert_eq!(
            serde_json::json!(labels).to_string(),
            r#"{"customer":"acme"}"#
        );
    }
}
