//! Names of models on a hub.

use std::fmt;

/// `owner/name`, perhaps `@revision`: a branch, a tag or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId {
    pub owner: String,
    pub name: String,
    pub revision: String,
}

const DEFAULT_REVISION: &str = "main";

impl ModelId {
    /// The model that a text names, if it has the form of a name.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        let (owner, name) = path.split_once('/')?;
        let is_word = |word: &str| {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !word.is_empty() && word.chars().all(letters) && !word.starts_with(['.', '-'])
        };
        // A branch may have several parts.
        let is_revision = !revision.is_empty() && revision.split('/').all(is_word);
        (is_word(owner) && is_word(name) && is_revision).then(|| Self {
            owner: owner.into(),
            name: name.into(),
            revision: revision.into(),
        })
    }

    /// Whether the revision is a commit, which never changes.
    pub fn is_pinned(&self) -> bool {
        self.revision.len() == 40 && self.revision.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        let id = ModelId::parse("DeepFloyd/IF-I-M-v1.0").unwrap();
        assert_eq!(
            (id.to_string().as_str(), id.revision.as_str()),
            ("DeepFloyd/IF-I-M-v1.0", "main")
        );
        let pinned = ModelId::parse(&format!("a/b@{}", "0f".repeat(20))).unwrap();
        assert!(pinned.is_pinned() && !id.is_pinned());
        assert_eq!(
            ModelId::parse("a/b@refs/pr/1").unwrap().revision,
            "refs/pr/1"
        );
        for path in [
            "embedded", "./a/b", "../b", "/a/b", "a/b/c", "a/", "/b", "a b/c", "a/b@", "a/b@../c",
            "~/b", "",
        ] {
            assert!(ModelId::parse(path).is_none(), "{path}");
        }
    }
}
