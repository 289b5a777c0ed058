//! The two settings files of AWS programs, parsed by the rules of the AWS SDKs' shared test cases.

use crate::{Error, credentials::errors::config};
use std::collections::BTreeMap;

pub(super) type Section = BTreeMap<String, String>;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `[profile x]`, `[sso-session x]`, `[services x]`
    Config,
    /// `[x]`
    Credentials,
}

/// The content of both files.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    profiles: BTreeMap<String, Section>,
    sessions: BTreeMap<String, Section>,
    services: BTreeMap<String, Section>,
}

impl Profiles {
    /// Adds a file. Its fields have precedence over those of earlier files.
    pub(super) fn add(&mut self, text: &str, kind: FileKind, path: &str) -> Result<(), Error> {
        let mut file = Profiles::default();
        let mut plain_default = Section::new();
        let mut heading = Heading::None;
        let mut last_key: Option<String> = None;
        for (number, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
            let wrong = |what: &str| {
                let number = number.saturating_add(1);
                config(format!("line {number} of {path}: {what}"))
            };
            let line = line.strip_suffix('\r').unwrap_or(line);
            let trimmed = line.trim_matches(BLANK);
            if trimmed.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let is_continued = line.starts_with(BLANK);
            if !is_continued && line.starts_with('[') {
                let name = line.get(1..).and_then(|rest| rest.split_once(']'));
                let (name, _) = name.ok_or_else(|| wrong("a heading without `]`"))?;
                heading = Heading::parse(name, kind);
                last_key = None;
                // A section counts even if it is empty.
                let _ = file.section(&heading, &mut plain_default);
                continue;
            }
            if matches!(heading, Heading::None) {
                return Err(wrong("a setting above the first heading"));
            }
            let Some(section) = file.section(&heading, &mut plain_default) else {
                continue;
            };
            if is_continued {
                let key = last_key
                    .as_ref()
                    .ok_or_else(|| wrong("an indented line below no setting"))?;
                if let Some(value) = section.get_mut(key) {
                    if value.is_empty() && !trimmed.contains('=') {
                        return Err(wrong("an indented setting without `=`"));
                    }
                    value.push('\n');
                    value.push_str(trimmed);
                }
                continue;
            }
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| wrong("a setting without `=`"))?;
            let key = key.trim_matches(BLANK).to_ascii_lowercase();
            if key.is_empty() {
                return Err(wrong("a setting without a name"));
            }
            section.insert(key.clone(), without_comment(value).to_owned());
            last_key = Some(key);
        }
        // `[profile default]` has precedence over `[default]`.
        if !plain_default.is_empty() || heading_seen(text) {
            file.profiles
                .entry(DEFAULT.to_owned())
                .or_insert(plain_default);
        }
        for (from, to) in [
            (file.profiles, &mut self.profiles),
            (file.sessions, &mut self.sessions),
            (file.services, &mut self.services),
        ] {
            for (name, section) in from {
                to.entry(name).or_default().extend(section);
            }
        }
        Ok(())
    }

    fn section<'a>(
        &'a mut self,
        heading: &Heading,
        plain_default: &'a mut Section,
    ) -> Option<&'a mut Section> {
        match heading {
            Heading::None | Heading::Ignored => None,
            Heading::PlainDefault => Some(plain_default),
            Heading::Profile(name) => Some(self.profiles.entry(name.clone()).or_default()),
            Heading::Session(name) => Some(self.sessions.entry(name.clone()).or_default()),
            Heading::Services(name) => Some(self.services.entry(name.clone()).or_default()),
        }
    }

    pub(crate) fn profile(&self, name: &str) -> Option<&Section> {
        self.profiles.get(name)
    }

    pub(super) fn session(&self, name: &str) -> Option<&Section> {
        self.sessions.get(name)
    }

    /// A setting of one service in a `[services x]` section. Its settings are the indented lines below its name.
    pub(super) fn service(&self, section: &str, service: &str, setting: &str) -> Option<&str> {
        let lines = self.services.get(section)?.get(service)?.lines();
        let mut settings = lines.filter_map(|line| line.split_once('='));
        let (_, value) =
            settings.rfind(|(name, _)| name.trim_matches(BLANK).eq_ignore_ascii_case(setting))?;
        let value = value.trim_matches(BLANK);
        (!value.is_empty()).then_some(value)
    }
}

const BLANK: [char; 2] = [' ', '\t'];
pub(super) const DEFAULT: &str = "default";

fn heading_seen(text: &str) -> bool {
    text.lines().any(|line| {
        line.strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .is_some_and(|(name, _)| name.trim_matches(BLANK) == DEFAULT)
    })
}

enum Heading {
    /// Before the first section.
    None,
    Ignored,
    PlainDefault,
    Profile(String),
    Session(String),
    Services(String),
}

impl Heading {
    fn parse(text: &str, kind: FileKind) -> Heading {
        let text = text.trim_matches(BLANK);
        let (prefix, name) = match text.split_once(BLANK) {
            Some((prefix, name)) => (prefix, name.trim_matches(BLANK)),
            None => ("", text),
        };
        // Programs write names with spaces in quotes.
        let name = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'))
            .unwrap_or(name);
        let is_name = !name.is_empty() && !name.contains(['[', ']', '\n', '"']);
        match (kind, prefix, name) {
            _ if !is_name => Heading::Ignored,
            (_, "", DEFAULT) => Heading::PlainDefault,
            (FileKind::Config, "profile", name) => Heading::Profile(name.to_owned()),
            (FileKind::Config, "sso-session", name) => Heading::Session(name.to_owned()),
            (FileKind::Config, "services", name) => Heading::Services(name.to_owned()),
            (FileKind::Credentials, "", name) => Heading::Profile(name.to_owned()),
            _ => Heading::Ignored,
        }
    }
}

/// A comment begins with `#` or `;` after white space.
fn without_comment(value: &str) -> &str {
    let starts = [" #", " ;", "\t#", "\t;"];
    let ends = starts.iter().filter_map(|start| value.find(start));
    let end = ends.min().unwrap_or(value.len());
    value.get(..end).unwrap_or(value).trim_matches(BLANK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_file(text: &str) -> Result<Profiles, Error> {
        let mut profiles = Profiles::default();
        profiles.add(text, FileKind::Config, "config")?;
        Ok(profiles)
    }

    fn value<'a>(profiles: &'a Profiles, profile: &str, key: &str) -> Option<&'a str> {
        profiles.profile(profile)?.get(key).map(String::as_str)
    }

    #[test]
    fn settings_are_read_as_other_aws_programs_read_them() {
        let text = "\u{feff}# comment\r\n[ profile  a/b ] ; here\r\nKEY = v;w # c\r\nempty =\n  sub = 1 # kept\n\
                    long = one\n\t two\n \n[profile a/b]\nkey=later\n[x]\nkey=ignored\n[services s]\nsts =\n  endpoint_url = x\n";
        let profiles = config_file(text).unwrap();
        assert_eq!(value(&profiles, "a/b", "key"), Some("later"));
        assert_eq!(value(&profiles, "a/b", "empty"), Some("\nsub = 1 # kept"));
        assert_eq!(value(&profiles, "a/b", "long"), Some("one\ntwo"));
        assert!(profiles.profile("x").is_none());
        assert_eq!(profiles.service("s", "sts", "endpoint_url"), Some("x"));
        assert_eq!(profiles.service("s", "sso", "endpoint_url"), None);
        assert_eq!(profiles.service("t", "sts", "endpoint_url"), None);
    }

    #[test]
    fn profile_default_counts_instead_of_default() {
        let text = "[default]\na=1\nb=1\n[profile default]\na=2\n";
        let profiles = config_file(text).unwrap();
        assert_eq!(value(&profiles, "default", "a"), Some("2"));
        assert_eq!(value(&profiles, "default", "b"), None);
        assert!(
            config_file("[default]\n")
                .unwrap()
                .profile("default")
                .is_some()
        );
        assert!(
            config_file("[profile x]\n")
                .unwrap()
                .profile("default")
                .is_none()
        );
    }

    #[test]
    fn the_credentials_file_counts_before_the_config_file() {
        let mut profiles = config_file("[profile p]\na=1\nb=1\n[sso-session s]\nc=1\n").unwrap();
        let text = "[p]\na=2\n[profile p]\nb=2\n[sso-session s]\nc=2\n";
        profiles
            .add(text, FileKind::Credentials, "credentials")
            .unwrap();
        assert_eq!(value(&profiles, "p", "a"), Some("2"));
        assert_eq!(value(&profiles, "p", "b"), Some("1"));
        assert_eq!(profiles.session("s").unwrap()["c"], "1");
    }

    #[test]
    fn what_is_no_setting_is_an_error_with_its_line() {
        for (text, line) in [
            ("a=1", "line 1 of config"),
            ("[profile x]\nnothing", "line 2 of config"),
            ("[profile x]\n=1", "line 2"),
            ("[profile x]\n  a=1", "line 2"),
            ("[profile x]\na=\n  nothing", "line 3"),
            ("[profile x", "line 1"),
        ] {
            let error = config_file(text).unwrap_err();
            assert!(error.message().contains(line), "{error}");
        }
    }
}
