//! A model's files, from the cache or from the hub.

use crate::cache::Cache;
use crate::download::{Blob, Download};
use crate::id::ModelId;
use crate::select::{needed, optional_parts};
use crate::tls;
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::tls::TlsConfig;

/// A model cannot be had; the message says what would help.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error(
        "there is no model {id} at {endpoint}, or it is private: set HF_TOKEN to a token that may read it"
    )]
    Unauthorized { id: String, endpoint: String },
    #[error("{id} is gated: accept its terms at {endpoint}/{id} and set HF_TOKEN to your token")]
    Gated { id: String, endpoint: String },
    #[error("there is no model {id} with a revision {revision} at {endpoint}")]
    NotFound {
        id: String,
        revision: String,
        endpoint: String,
    },
    #[error("{url}: the hub answers with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} cannot be reached: {reason}; HF_HUB_OFFLINE=1 uses what was downloaded before")]
    Unreachable { url: String, reason: String },
    #[error(
        "{file}: the connection broke off or stood still at {done} of {size} bytes, again and again; the same command goes on from there"
    )]
    Broken { file: String, done: u64, size: u64 },
    #[error("{file}: what came has the hash {found}, and {right} is right; it was thrown away")]
    WrongHash {
        file: String,
        found: String,
        right: String,
    },
    #[error("{id}: {reason}")]
    Incomplete { id: String, reason: String },
    #[error("{url}: the hub's answer makes no sense: {reason}")]
    Malformed { url: String, reason: String },
    #[error("HF_HUB_OFFLINE is set, and {id} with revision {revision} is not in {cache}")]
    Offline {
        id: String,
        revision: String,
        cache: PathBuf,
    },
    #[error(
        "{path}: {reason}; SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_DIR names this file"
    )]
    Certificates { path: PathBuf, reason: String },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

impl HubError {
    /// Whether it says something of the network, the hub or the disk at this moment, and nothing of the model.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Malformed { .. }
            | Self::Write { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

/// Bytes of a file that are there, of how many.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    pub file: &'a str,
    pub done: u64,
    pub size: u64,
}

/// A hub and the cache for what comes from it.
pub struct Hub {
    pub endpoint: String,
    pub token: Option<String>,
    /// Ask nothing of the network.
    pub is_offline: bool,
    pub cache: Cache,
    /// How long the next part of a file may take.
    pub patience: Duration,
    /// How long an answer about a model may take.
    pub answer_patience: Duration,
    /// Certificates to trust instead of the system's: a file, or a folder of files.
    pub certificates: Option<PathBuf>,
    /// Show no progress.
    pub is_silent: bool,
}

/// What is told meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    Progress(Progress<'a>),
    /// The hub asks for patience, or what was downloaded before is used.
    Warning(&'a str),
}

/// Tries of a request that the hub may answer later.
const TRIES: u32 = 4;
/// The longest wait that a hub may ask for: cached files are better than a job that stands still.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What the hub says of a model (`GET /api/models/…?blobs=true`).
#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Hub {
    /// The folder of a model's files, all of which are there and whole.
    ///
    /// # Errors
    /// When one cannot be had; what has come of it stays, and the next call goes on from there.
    pub fn snapshot(
        &self,
        id: &ModelId,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<PathBuf, HubError> {
        if self.is_offline {
            return self.downloaded(id).ok_or_else(|| HubError::Offline {
                id: id.to_string(),
                revision: id.revision.clone(),
                cache: self.cache.root().to_owned(),
            });
        }
        match self.downloaded(id) {
            Some(folder) if id.is_pinned() => Ok(folder),
            before => match (self.fetch(id, observe), before) {
                (Err(error), Some(folder)) if error.is_passing() => {
                    observe(Notice::Warning(&format!(
                        "{error}; the files that were downloaded before are used"
                    )));
                    Ok(folder)
                }
                (result, _) => result,
            },
        }
    }

    /// The folder of a model all of whose files were downloaded before.
    fn downloaded(&self, id: &ModelId) -> Option<PathBuf> {
        let folder = self.cache.snapshot(id, &self.cache.commit(id)?);
        let files = files_under(&folder);
        if !has_parts_of_index(&folder) {
            return None;
        }
        needed(&files.iter().map(String::as_str).collect::<Vec<_>>())
            .is_ok()
            .then_some(folder)
    }

    fn fetch(&self, id: &ModelId, observe: &mut dyn FnMut(Notice)) -> Result<PathBuf, HubError> {
        let agent = self.agent(self.patience)?;
        let info = self.info(id, observe)?;
        let names: Vec<&str> = info
            .siblings
            .iter()
            .map(|sibling| sibling.rfilename.as_str())
            .collect();
        let incomplete = |reason: String| HubError::Incomplete {
            id: id.to_string(),
            reason,
        };
        let wanted = needed(&names).map_err(incomplete)?;
        for sibling in info
            .siblings
            .iter()
            .filter(|sibling| wanted.contains(&sibling.rfilename.as_str()))
        {
            let name = &sibling.rfilename;
            let blob = sibling
                .blob()
                .ok_or_else(|| incomplete(format!("the hub gives no size or hash of {name}")))?;
            if self.cache.has_file(id, &info.sha, name, blob.size()) {
                continue;
            }
            let path = self.cache.blob(id, blob.hash());
            let url = format!("{}/{id}/resolve/{}/{name}", self.endpoint, info.sha);
            Download {
                hub: self,
                agent: &agent,
                id,
                url,
                name,
                blob: &blob,
                path: &path,
            }
            .run(observe)?;
            let linked = self.cache.link(id, &info.sha, name, blob.hash());
            linked.map_err(|source| HubError::Write {
                path: self.cache.snapshot(id, &info.sha),
                source,
            })?;
        }
        let remembered = self.cache.remember_commit(id, &info.sha);
        remembered.map_err(|source| HubError::Write {
            path: self.cache.root().to_owned(),
            source,
        })?;
        Ok(self.cache.snapshot(id, &info.sha))
    }

    fn agent(&self, patience: Duration) -> Result<Agent, HubError> {
        let roots = tls::roots(self.certificates.as_deref())?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A model that was renamed is elsewhere on the same host; a file's own host gets no token.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_recv_body(Some(patience));
        Ok(config.build().into())
    }

    /// Asks, and again where the hub answers that it cannot now.
    fn info(&self, id: &ModelId, observe: &mut dyn FnMut(Notice)) -> Result<ModelInfo, HubError> {
        let agent = self.agent(self.answer_patience)?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask(&agent, id) {
                Err((error, Some(wait))) if tries < TRIES => {
                    let (wait, seconds) = (wait.min(LONGEST_WAIT), wait.as_secs_f32());
                    observe(Notice::Warning(&format!(
                        "{error}; again in {seconds:.0} s"
                    )));
                    std::thread::sleep(wait);
                }
                result => return result.map_err(|(error, _)| error),
            }
        }
    }

    /// An error comes with the time to wait for, where another try may help.
    fn ask(&self, agent: &Agent, id: &ModelId) -> Result<ModelInfo, (HubError, Option<Duration>)> {
        let revision = id.revision.replace('/', "%2F");
        let url = format!(
            "{}/api/models/{id}/revision/{revision}?blobs=true",
            self.endpoint
        );
        let unreachable = |e: ureq::Error| {
            let (url, mut reason) = (url.clone(), e.to_string());
            if reason.contains("certificate") {
                reason.push_str(" (SSL_CERT_FILE names certificates of a company's own)");
            }
            (HubError::Unreachable { url, reason }, None)
        };
        let mut answer = self.get(agent, &url, None).map_err(unreachable)?;
        let wait = wait_of(&answer);
        self.check(id, &url, &answer)
            .map_err(|error| (error, wait))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()
            .map_err(unreachable)?;
        read_info(url, &text).map_err(|error| (error, None))
    }

    pub(crate) fn get(
        &self,
        agent: &Agent,
        url: &str,
        range: Option<String>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut request = agent.get(url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        request.call()
    }

    /// Turns the status of a refusal into its error.
    pub(crate) fn check(
        &self,
        id: &ModelId,
        url: &str,
        answer: &ureq::http::Response<ureq::Body>,
    ) -> Result<(), HubError> {
        let (status, id, endpoint) = (answer.status(), id, self.endpoint.clone());
        let is_gated = answer
            .headers()
            .get("x-error-code")
            .is_some_and(|code| code == "GatedRepo");
        match status.as_u16() {
            _ if is_gated => Err(HubError::Gated {
                id: id.to_string(),
                endpoint,
            }),
            200 | 206 => Ok(()),
            401 => Err(HubError::Unauthorized {
                id: id.to_string(),
                endpoint,
            }),
            403 => Err(HubError::Gated {
                id: id.to_string(),
                endpoint,
            }),
            404 => Err(HubError::NotFound {
                id: id.to_string(),
                revision: id.revision.clone(),
                endpoint,
            }),
            status => Err(HubError::Status {
                url: url.to_owned(),
                status,
            }),
        }
    }
}

/// How long to wait before another try, where the hub is busy or broken for now: as it asks.
pub(crate) fn wait_of(answer: &ureq::http::Response<ureq::Body>) -> Option<Duration> {
    let status = answer.status();
    if status.as_u16() != 429 && !status.is_server_error() {
        return None;
    }
    let asked = answer.headers().get("retry-after");
    let asked = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Some(Duration::from_secs(asked.unwrap_or(1)))
}

fn read_info(url: String, text: &str) -> Result<ModelInfo, HubError> {
    let info: ModelInfo = serde_json::from_str(text).map_err(|e| HubError::Malformed {
        url: url.clone(),
        reason: e.to_string(),
    })?;
    // Both become parts of paths.
    let is_plain = |name: &str| {
        !name.starts_with('/') && !name.split('/').any(|part| matches!(part, ".." | "." | ""))
    };
    let is_hash =
        |hash: &str| !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bad = info
        .siblings
        .iter()
        .find(|sibling| !is_plain(&sibling.rfilename));
    match bad {
        Some(sibling) => Err(HubError::Malformed {
            url,
            reason: format!("a file called {:?}", sibling.rfilename),
        }),
        None if !is_hash(&info.sha) => Err(HubError::Malformed {
            url,
            reason: format!("a commit {:?}", info.sha),
        }),
        None => Ok(info),
    }
}

impl Sibling {
    /// What the file has to be.
    fn blob(&self) -> Option<Blob> {
        let is_hash =
            |hash: &String| !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        match &self.lfs {
            Some(lfs) => is_hash(&lfs.sha256).then(|| Blob::Sha256 {
                hash: lfs.sha256.to_ascii_lowercase(),
                size: lfs.size,
            }),
            None => {
                let hash = self.blob_id.clone().filter(is_hash)?.to_ascii_lowercase();
                Some(Blob::Git {
                    hash,
                    size: self.size?,
                })
            }
        }
    }
}

/// Whether the parts that a snapshot's `model_index.json` names are there: of those that not every model has, a download that broke off
/// leaves no trace.
fn has_parts_of_index(folder: &Path) -> bool {
    let Ok(text) = std::fs::read(folder.join("model_index.json")) else {
        return true;
    };
    let index: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    optional_parts().all(|part| index[part][0].is_null() || folder.join(part).is_dir())
}

/// Files below a folder by their paths in it; links that lead nowhere are none.
fn files_under(folder: &Path) -> Vec<String> {
    let entries = |folder: &Path| {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let parts = entries(folder).flat_map(|path| {
        if path.is_dir() {
            entries(&path).collect()
        } else {
            vec![path]
        }
    });
    let name = |path: PathBuf| {
        Some(
            path.strip_prefix(folder)
                .ok()?
                .to_string_lossy()
                .replace('\\', "/"),
        )
    };
    parts
        .filter(|path| path.is_file())
        .filter_map(name)
        .collect()
}
