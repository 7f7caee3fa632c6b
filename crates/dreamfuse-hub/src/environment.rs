//! What the environment says, as Python's `huggingface_hub` 2.4 reads it (its `constants.py`); docs/priors.md lists it.

use crate::cache::Cache;
use crate::hub::Hub;
use crate::tls;
use std::path::PathBuf;
use std::time::Duration;

/// How long an answer about a model may take (`HF_HUB_ETAG_TIMEOUT`).
const ETAG_TIMEOUT: u64 = 10;
/// How long the next part of a file may take (`HF_HUB_DOWNLOAD_TIMEOUT`). Python's 10 s end too many slow downloads.
const DOWNLOAD_TIMEOUT: u64 = 60;
const ENDPOINT: &str = "https://huggingface.co";

/// Variables, by whatever holds them.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// The first that is set and not empty; old names come last.
    fn first(&self, names: &[&str]) -> Option<String> {
        let set = names.iter().filter_map(|name| (self.0)(name));
        set.map(|value| value.trim().to_owned())
            .find(|value| !value.is_empty())
    }

    fn is_yes(&self, names: &[&str]) -> bool {
        let value = self.first(names).unwrap_or_default().to_ascii_uppercase();
        ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
    }

    fn seconds(&self, name: &str, default: u64) -> Duration {
        let value = self.first(&[name]).and_then(|value| value.parse().ok());
        Duration::from_secs(value.filter(|seconds| *seconds > 0).unwrap_or(default))
    }

    /// A path, in which `~` and variables stand for what they do in a shell.
    fn path(&self, names: &[&str]) -> Option<PathBuf> {
        self.first(names).map(|text| self.expanded(&text))
    }

    fn expanded(&self, text: &str) -> PathBuf {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, behind) = match after.strip_prefix('{').and_then(|a| a.split_once('}')) {
                Some(found) => found,
                None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
            };
            match (self.0)(name) {
                Some(value) if !name.is_empty() => out.push_str(&value),
                // As in Python, what is not set stays as it is written.
                _ => {
                    out.push('$');
                    out.push_str(&after[..after.len() - behind.len()]);
                }
            }
            rest = behind;
        }
        out.push_str(rest);
        match out.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\']) => {
                self.user().join(rest.trim_start_matches(['/', '\\']))
            }
            _ => out.into(),
        }
    }

    fn user(&self) -> PathBuf {
        let home = self.first(&["HOME", "USERPROFILE"]);
        home.map(PathBuf::from).unwrap_or_default()
    }

    /// `HF_HOME`, which also holds the token.
    fn home(&self) -> PathBuf {
        let caches = self
            .path(&["XDG_CACHE_HOME"])
            .unwrap_or_else(|| self.user().join(".cache"));
        self.path(&["HF_HOME"])
            .unwrap_or_else(|| caches.join("huggingface"))
    }

    fn token(&self) -> Option<String> {
        if self.is_yes(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]) {
            return None;
        }
        let file = || {
            let path = self
                .path(&["HF_TOKEN_PATH"])
                .unwrap_or_else(|| self.home().join("token"));
            std::fs::read_to_string(path).ok()
        };
        let token = self
            .first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
            .or_else(file)?;
        let token = token.replace(['\r', '\n'], "").trim().to_owned();
        (!token.is_empty()).then_some(token)
    }

    fn hub(&self) -> Hub {
        let endpoint = self.first(&["HF_ENDPOINT"]);
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.into());
        let root = self
            .path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
            .unwrap_or_else(|| self.home().join("hub"));
        let cache = Cache::at(root);
        Hub {
            endpoint: endpoint.trim_end_matches('/').into(),
            token: self.token(),
            is_offline: self.is_yes(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]),
            is_silent: self.is_yes(&["HF_HUB_DISABLE_PROGRESS_BARS"]),
            cache: if self.is_yes(&["HF_HUB_DISABLE_SYMLINKS"]) {
                cache.without_links()
            } else {
                cache
            },
            patience: self.seconds("HF_HUB_DOWNLOAD_TIMEOUT", DOWNLOAD_TIMEOUT),
            answer_patience: self.seconds("HF_HUB_ETAG_TIMEOUT", ETAG_TIMEOUT),
            certificates: self.path(&tls::VARIABLES).or_else(|| {
                let folders = self.path(&tls::FOLDERS);
                folders.filter(|folders| tls::has_files(folders))
            }),
        }
    }
}

impl Hub {
    /// The hub that the environment names.
    pub fn from_environment() -> Self {
        Variables(&|name| std::env::var(name).ok()).hub()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(set: &[(&str, &str)]) -> Hub {
        let of = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Variables(&of).hub()
    }

    #[test]
    fn variables_mean_what_python_makes_of_them() {
        let home = ("HOME", "/home/u");
        let root = |set: &[(&str, &str)]| hub(set).cache.root().display().to_string();
        let roots: [(&[(&str, &str)], &str); 9] = [
            (&[home], "/home/u/.cache/huggingface/hub"),
            (&[home, ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[home, ("HF_HOME", "~/hf")], "/home/u/hf/hub"),
            (&[home, ("HF_HOME", "$HOME/hf")], "/home/u/hf/hub"),
            (
                &[home, ("HF_HOME", "${HOME}/hf"), ("HF_HUB_CACHE", "")],
                "/home/u/hf/hub",
            ),
            (&[home, ("HF_HUB_CACHE", "/c")], "/c"),
            (&[home, ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (
                &[
                    home,
                    ("HUGGINGFACE_HUB_CACHE", "/old"),
                    ("HF_HUB_CACHE", "/c"),
                ],
                "/c",
            ),
            (&[home, ("HF_HUB_CACHE", "/c/$NOT_SET/~")], "/c/$NOT_SET/~"),
        ];
        for (set, expected) in roots {
            assert_eq!(root(set), expected, "{set:?}");
        }
        let token = |set: &[(&str, &str)]| hub(set).token;
        assert_eq!(token(&[("HF_TOKEN", " hf_a\n")]), Some("hf_a".into()));
        assert_eq!(
            token(&[("HUGGING_FACE_HUB_TOKEN", "hf_b")]),
            Some("hf_b".into())
        );
        assert_eq!(
            token(&[("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]),
            None
        );
        for (name, value, expected) in [
            ("HF_HUB_OFFLINE", "1", true),
            ("HF_HUB_OFFLINE", "on", true),
            ("HF_HUB_OFFLINE", "Yes", true),
            ("HF_HUB_OFFLINE", "0", false),
            ("HF_HUB_OFFLINE", "no", false),
            ("TRANSFORMERS_OFFLINE", "TRUE", true),
        ] {
            assert_eq!(hub(&[(name, value)]).is_offline, expected, "{name}={value}");
        }
        let patience = hub(&[
            ("HF_HUB_DOWNLOAD_TIMEOUT", "3"),
            ("HF_HUB_ETAG_TIMEOUT", "x"),
        ]);
        assert_eq!(
            (
                patience.patience.as_secs(),
                patience.answer_patience.as_secs()
            ),
            (3, 10)
        );
        assert_eq!(hub(&[("HF_ENDPOINT", "http://h/ ")]).endpoint, "http://h");
        let certificates =
            hub(&[("REQUESTS_CA_BUNDLE", "/a"), ("SSL_CERT_FILE", "/b")]).certificates;
        assert_eq!(certificates, Some("/b".into()));
    }

    #[test]
    fn a_token_is_read_from_its_file_and_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let home = folder.path().display().to_string();
        assert_eq!(hub(&[("HF_HOME", &home)]).token, Some("hf_file".into()));
        let path = folder.path().join("token").display().to_string();
        assert_eq!(
            hub(&[("HF_TOKEN_PATH", &path)]).token,
            Some("hf_file".into())
        );
    }
}
