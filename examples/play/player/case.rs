//! Reading a case. What is wrong is named by its line and member.

use super::response::Answer;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use unifiedai::{Error, ErrorKind, Message};

const OF_A_CASE: &[&str] = &[
    "kind",
    "why",
    "provider",
    "base_url",
    "dialect",
    "model",
    "stream",
    "lenient",
    "params",
    "tools",
    "tool_choice",
    "extra",
    "messages",
    "steps",
    "operation",
    "texts",
    "encoding",
    "expect",
];
const OF_A_STEP: &[&str] = &["answers", "append"];

/// A case whose steps have not been read yet.
pub struct Case<'a> {
    members: Members<'a>,
    steps: Vec<(usize, Entries<'a>)>,
    notes: Vec<String>,
}

/// One call, with the case's members where it has none of its own.
pub struct Step<'a> {
    members: Members<'a>,
    /// Whether the conversation begins here.
    begins: bool,
}

/// Where the provider is.
pub enum ProviderSource {
    /// At this address, as `provider::from_env` takes it.
    At(String),
    /// Nowhere: recorded traffic of this wire.
    Recorded(String),
}

type Entries<'a> = BTreeMap<String, &'a RawValue>;

/// The members of a JSON object, each with its path in the case.
#[derive(Clone)]
pub struct Members<'a> {
    source: &'a str,
    entries: BTreeMap<String, Member<'a>>,
}

/// A value and its path in the case.
#[derive(Clone)]
pub struct Member<'a> {
    source: &'a str,
    path: String,
    value: &'a RawValue,
}

impl<'a> Case<'a> {
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let entries: Entries<'a> = serde_json::from_str(text)
            .map_err(|error| wrong(&format!("the case is no JSON object: {error}")))?;
        let members = Members::new(text, "", &entries);
        let steps: Vec<Entries<'a>> = match members.get("steps") {
            Some(steps) => steps.read()?,
            None => vec![Entries::new()],
        };
        let unknown = |path: &str, entries: &Entries<'a>, known: &[&[&str]]| -> Vec<String> {
            let names = entries
                .keys()
                .filter(|name| !known.iter().any(|names| names.contains(&name.as_str())));
            names
                .map(|name| format!("`{path}{name}` is no member of the format; it is not read"))
                .collect()
        };
        let mut notes = unknown("", &entries, &[OF_A_CASE]);
        for (index, step) in steps.iter().enumerate() {
            let path = format!("steps[{index}].");
            notes.extend(unknown(&path, step, &[OF_A_CASE, OF_A_STEP]));
        }
        Ok(Case {
            members,
            steps: steps.into_iter().enumerate().collect(),
            notes,
        })
    }

    /// Members that the format does not have.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub fn steps(&self) -> impl Iterator<Item = Result<Step<'a>, Error>> {
        self.steps.iter().map(|(index, entries)| {
            let own = Members::new(self.members.source, &format!("steps[{index}]."), entries);
            let mut members = self.members.clone();
            let begins = *index == 0 || own.get("messages").is_some();
            // The step that names a wire means that wire, whatever address the case has.
            if own.get("dialect").is_some() && own.get("base_url").is_none() {
                members.entries.remove("base_url");
            }
            members.entries.extend(own.entries);
            Ok(Step { members, begins })
        })
    }
}

impl<'a> Step<'a> {
    pub fn provider(&self) -> Result<String, Error> {
        self.members.need("provider")?.read()
    }

    pub fn place(&self) -> Result<ProviderSource, Error> {
        match (self.members.get("base_url"), self.members.get("dialect")) {
            (Some(url), _) => Ok(ProviderSource::At(url.read()?)),
            (None, Some(dialect)) => Ok(ProviderSource::Recorded(dialect.read()?)),
            (None, None) => Err(wrong(
                "`base_url` and `dialect` are missing: one of them says how the provider is made",
            )),
        }
    }

    pub fn is_embed(&self) -> Result<bool, Error> {
        let Some(operation) = self.members.get("operation") else {
            return Ok(false);
        };
        match operation.read::<String>()?.as_str() {
            "chat" => Ok(false),
            "embed" => Ok(true),
            _ => Err(operation.wrong("known are `chat` and `embed`")),
        }
    }

    /// The messages with which the conversation begins; `None` if it goes on.
    pub fn messages(&self) -> Result<Option<Vec<Message>>, Error> {
        match self.members.get("messages").filter(|_| self.begins) {
            Some(messages) => all_messages(messages).map(Some),
            None => Ok(None),
        }
    }

    pub fn answers(&self) -> Result<Option<Vec<Answer>>, Error> {
        let Some(answers) = self.members.get("answers") else {
            return Ok(None);
        };
        let answers: Vec<Answer> = answers
            .elements()?
            .iter()
            .map(Answer::read)
            .collect::<Result<_, _>>()?;
        Ok((!answers.is_empty()).then_some(answers))
    }

    pub fn append(&self) -> Result<Vec<Message>, Error> {
        match self.members.get("append") {
            Some(messages) => all_messages(messages),
            None => Ok(Vec::new()),
        }
    }

    pub fn get(&self, name: &str) -> Option<&Member<'a>> {
        self.members.get(name)
    }

    /// A member that is `false` where it is absent.
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        self.members
            .get(name)
            .map_or(Ok(false), |member| member.read())
    }

    pub fn model(&self) -> Result<String, Error> {
        self.members
            .get("model")
            .map_or_else(|| Ok("model".to_owned()), |model| model.read())
    }
}

fn all_messages(list: &Member<'_>) -> Result<Vec<Message>, Error> {
    list.elements()?.iter().map(Member::read).collect()
}

impl<'a> Members<'a> {
    fn new(source: &'a str, path: &str, entries: &Entries<'a>) -> Self {
        let member = |(name, value): (&String, &&'a RawValue)| {
            let path = format!("{path}{name}");
            let value: &'a RawValue = value;
            (
                name.clone(),
                Member {
                    source,
                    path,
                    value,
                },
            )
        };
        Members {
            source,
            entries: entries.iter().map(member).collect(),
        }
    }

    /// A member that is there and not null.
    pub fn get(&self, name: &str) -> Option<&Member<'a>> {
        self.entries
            .get(name)
            .filter(|member| member.value.get() != "null")
    }

    pub fn need(&self, name: &str) -> Result<&Member<'a>, Error> {
        self.get(name)
            .ok_or_else(|| wrong(&format!("`{name}` is missing")))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Member<'a>)> {
        self.entries
            .iter()
            .map(|(name, member)| (name.as_str(), member))
    }
}

impl<'a> Member<'a> {
    pub fn read<T: Deserialize<'a>>(&self) -> Result<T, Error> {
        serde_json::from_str(self.value.get()).map_err(|error| {
            let said = error.to_string();
            let what = said
                .rsplit_once(" at line ")
                .map_or(said.as_str(), |(what, _)| what);
            self.wrong_at(error.line().saturating_sub(1), what)
        })
    }

    pub fn members(&self) -> Result<Members<'a>, Error> {
        let path = format!("{}.", self.path);
        Ok(Members::new(self.source, &path, &self.read()?))
    }

    pub fn elements(&self) -> Result<Vec<Member<'a>>, Error> {
        let values: Vec<&'a RawValue> = self.read()?;
        let element = |(index, value): (usize, &'a RawValue)| Member {
            source: self.source,
            path: format!("{}[{index}]", self.path),
            value,
        };
        Ok(values.into_iter().enumerate().map(element).collect())
    }

    /// The JSON text as it is in the case.
    pub fn text(&self) -> &'a str {
        self.value.get()
    }

    pub fn wrong(&self, what: &str) -> Error {
        self.wrong_at(0, what)
    }

    fn wrong_at(&self, lines_below: usize, what: &str) -> Error {
        let start = self.source.as_ptr().addr();
        let offset = self.value.get().as_ptr().addr().saturating_sub(start);
        let before = self.source.as_bytes().get(..offset).unwrap_or_default();
        let line = before
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            .saturating_add(lines_below)
            .saturating_add(1);
        wrong(&format!("line {line}: `{}`: {what}", self.path))
    }
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}
