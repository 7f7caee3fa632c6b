//! Downloads from a hub on the loopback that misbehaves as networks do.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dreamfuse_hub::{Cache, Hub, HubError, ModelId, Notice};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// What the hub does with a request for the weights of the U-Net; it serves all else.
#[derive(Clone, Copy, Debug)]
enum Act {
    Serve,
    /// The connection ends after so many bytes.
    Cut(usize),
    /// Nothing more comes after so many bytes.
    Stall(usize),
    /// All of the file, whatever part was asked for.
    Whole,
    /// A file of the same size.
    Corrupt,
    Status(u16),
}

/// A hub with one model.
struct Mock {
    endpoint: String,
    script: Arc<Mutex<VecDeque<Act>>>,
    /// First bytes of the ranges that were asked for.
    starts: Arc<Mutex<Vec<usize>>>,
}

fn weights() -> Vec<u8> {
    (0..100_000u32).flat_map(u32::to_le_bytes).collect()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let small = |name: &'static str| (name, b"{}".to_vec());
    let mut files: Vec<_> = [
        "unet/config.json",
        "text_encoder/config.json",
        "tokenizer/vocab.json",
        "scheduler/scheduler_config.json",
    ]
    .map(small)
    .into();
    files.extend([
        (UNET, weights()),
        ("text_encoder/model.safetensors", b"text".to_vec()),
    ]);
    files.push(("README.md", b"unwanted".to_vec()));
    files
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn info() -> String {
    let sibling = |(name, bytes): &(&str, Vec<u8>)| {
        let size = bytes.len();
        if name.ends_with(".safetensors") {
            let hash = hex(&Sha256::digest(bytes));
            format!(
                r#"{{"rfilename":"{name}","size":{size},"lfs":{{"sha256":"{hash}","size":{size}}}}}"#
            )
        } else {
            // `git hash-object` of "{}" without a newline.
            let hash = "9e26dfeeb6e641a33dae4961196235bdb965b21b";
            format!(r#"{{"rfilename":"{name}","size":{size},"blobId":"{hash}"}}"#)
        }
    };
    let siblings: Vec<_> = files().iter().map(sibling).collect();
    format!(
        r#"{{"sha":"{COMMIT}","siblings":[{}]}}"#,
        siblings.join(",")
    )
}

impl Mock {
    fn new(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mock = Self {
            endpoint,
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            starts: Arc::default(),
        };
        let (script, starts) = (Arc::clone(&mock.script), Arc::clone(&mock.starts));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, starts) = (Arc::clone(&script), Arc::clone(&starts));
                std::thread::spawn(move || answer(stream, &script, &starts));
            }
        });
        mock
    }

    fn hub(&self, cache: &Path) -> Hub {
        Hub {
            endpoint: self.endpoint.clone(),
            token: Some("secret".into()),
            is_offline: false,
            cache: Cache::at(cache.to_owned()),
            patience: Duration::from_millis(400),
            answer_patience: Duration::from_millis(400),
            certificates: None,
            is_silent: false,
        }
    }

    fn get(&self, cache: &Path) -> Result<std::path::PathBuf, HubError> {
        self.hub(cache).snapshot(&model("owner/model"), &mut |_| {})
    }
}

fn model(name: &str) -> ModelId {
    ModelId::parse(name).unwrap()
}

fn answer(stream: TcpStream, script: &Mutex<VecDeque<Act>>, starts: &Mutex<Vec<usize>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap_or_default();
    let headers: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let header = |name: &str| {
        let line = headers
            .iter()
            .find(|line| line.to_lowercase().starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    assert_eq!(header("authorization").as_deref(), Some("Bearer secret"));
    if path.starts_with("/api/models/owner/model/revision/main?") {
        return send(&stream, 200, "", info().as_bytes(), None);
    }
    if path.starts_with("/api/models/busy/model/") {
        // Busy twice, then it answers; for another revision it stays so.
        let is_always = path.contains("revision/always");
        let count = {
            let mut starts = starts.lock().unwrap();
            starts.push(usize::MAX);
            starts.len()
        };
        let status = [429, 503][count % 2];
        if is_always || count <= 2 {
            return send(&stream, status, "Retry-After: 0\r\n", b"", None);
        }
        return send(&stream, 200, "", info().as_bytes(), None);
    }
    if let Some(rest) = path.strip_prefix("/api/models/refused/") {
        let (status, code) = rest.split_once('/').unwrap();
        let code = if code.starts_with("revision/gated") {
            "X-Error-Code: GatedRepo\r\n"
        } else {
            ""
        };
        return send(&stream, status.parse().unwrap(), code, b"", None);
    }
    let path = path.replacen("/busy/model/", "/owner/model/", 1);
    let Some(name) = path.strip_prefix(&format!("/owner/model/resolve/{COMMIT}/")) else {
        return send(&stream, 404, "", b"", None);
    };
    let bytes = files()
        .into_iter()
        .find(|(file, _)| *file == name)
        .unwrap()
        .1;
    let range = header("range").unwrap();
    let (start, end) = range
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let (start, end) = (
        start.parse::<usize>().unwrap(),
        end.parse::<usize>().unwrap() + 1,
    );
    let act = if name == UNET {
        starts.lock().unwrap().push(start);
        script.lock().unwrap().pop_front().unwrap_or(Act::Serve)
    } else {
        Act::Serve
    };
    match act {
        Act::Serve => send(&stream, 206, "", &bytes[start..end], None),
        Act::Cut(count) => send(&stream, 206, "", &bytes[start..end], Some(count)),
        Act::Stall(count) => {
            send(&stream, 206, "", &bytes[start..end], Some(count));
            std::thread::sleep(Duration::from_secs(3));
        }
        Act::Whole => send(&stream, 200, "", &bytes, None),
        Act::Corrupt => send(&stream, 206, "", &vec![7; end - start], None),
        Act::Status(status) => send(&stream, status, "", b"", None),
    }
}

/// Sends a body, or its first bytes under the length of the whole.
fn send(mut stream: &TcpStream, status: u16, headers: &str, body: &[u8], cut: Option<usize>) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // Whoever asked may have gone.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&body[..cut.unwrap_or(length)]));
    let _ = stream.flush();
}

fn assert_whole(folder: &Path) {
    assert!(folder.ends_with(format!("models--owner--model/snapshots/{COMMIT}")));
    assert_eq!(std::fs::read(folder.join(UNET)).unwrap(), weights());
    assert_eq!(
        std::fs::read(folder.join("unet/config.json")).unwrap(),
        b"{}"
    );
    assert!(!folder.join("README.md").exists());
}

fn has_model(cache: &Path) -> bool {
    let offline = Hub {
        is_offline: true,
        ..Mock::new([]).hub(cache)
    };
    offline.snapshot(&model("owner/model"), &mut |_| {}).is_ok()
}

#[test]
fn what_was_downloaded_is_found_without_a_network() {
    let cache = tempfile::tempdir().unwrap();
    let (mock, mut last) = (Mock::new([]), 0);
    let id = model("owner/model");
    let folder = mock
        .hub(cache.path())
        .snapshot(&id, &mut |notice| {
            if let Notice::Progress(progress) = notice {
                last = last.max(progress.done);
            }
        })
        .unwrap();
    assert_whole(&folder);
    assert_eq!(last, 400_000);
    let nowhere = Hub {
        endpoint: "http://127.0.0.1:9".into(),
        ..mock.hub(cache.path())
    };
    let offline = Hub {
        is_offline: true,
        ..nowhere
    };
    assert_eq!(offline.snapshot(&id, &mut |_| {}).unwrap(), folder);
    // A commit never changes: nothing has to be asked.
    let pinned = Hub {
        is_offline: false,
        ..offline
    };
    assert_eq!(
        pinned
            .snapshot(&model(&format!("owner/model@{COMMIT}")), &mut |_| {})
            .unwrap(),
        folder
    );
    // A branch may have moved; while nobody can say so, what is there is used.
    let mut warnings = 0;
    let found = pinned.snapshot(&id, &mut |notice| {
        warnings += usize::from(matches!(notice, Notice::Warning(_)));
    });
    assert_eq!((found.unwrap(), warnings), (folder.clone(), 1));
    let other = pinned.snapshot(&model("other/model"), &mut |_| {});
    assert!(matches!(other, Err(HubError::Unreachable { .. })));
    // A second visit asks for no file that is there.
    mock.get(cache.path()).unwrap();
    assert_eq!(*mock.starts.lock().unwrap(), [0]);
}

#[test]
fn what_python_left_without_links_is_not_downloaded_again() {
    let cache = tempfile::tempdir().unwrap();
    let mock = Mock::new([]);
    let unlinked = Hub {
        cache: Cache::at(cache.path().to_owned()).without_links(),
        ..mock.hub(cache.path())
    };
    let id = model("owner/model");
    let folder = unlinked.snapshot(&id, &mut |_| {}).unwrap();
    let blobs = cache.path().join("models--owner--model/blobs");
    std::fs::remove_dir_all(&blobs).unwrap();
    assert_eq!(mock.get(cache.path()).unwrap(), folder);
    assert_whole(&folder);
    assert!(!blobs.exists());
    assert_eq!(*mock.starts.lock().unwrap(), [0], "one download");
    // A file of another length is not what the hub has.
    std::fs::write(
        folder.join("unet/diffusion_pytorch_model.safetensors"),
        "torn",
    )
    .unwrap();
    mock.get(cache.path()).unwrap();
    assert_whole(&folder);
    assert_eq!(*mock.starts.lock().unwrap(), [0, 0]);
}

#[test]
fn broken_and_stalled_downloads_go_on_where_they_stopped() {
    for (script, starts) in [
        (
            vec![Act::Cut(150_000), Act::Cut(70_000)],
            vec![0, 150_000, 220_000],
        ),
        (vec![Act::Stall(150_000)], vec![0, 150_000]),
        (
            vec![Act::Status(503), Act::Cut(0), Act::Serve],
            vec![0, 0, 0],
        ),
        (vec![Act::Cut(150_000), Act::Whole], vec![0, 150_000]),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let mock = Mock::new(script.clone());
        assert_whole(&mock.get(cache.path()).unwrap());
        assert_eq!(*mock.starts.lock().unwrap(), starts, "{script:?}");
    }
}

#[test]
fn a_download_that_was_given_up_is_no_model_and_goes_on_the_next_time() {
    let cache = tempfile::tempdir().unwrap();
    let mock = Mock::new([
        Act::Cut(150_000),
        Act::Cut(0),
        Act::Cut(0),
        Act::Cut(0),
        Act::Cut(0),
    ]);
    let error = mock.get(cache.path()).unwrap_err().to_string();
    assert!(
        error.contains(UNET) && error.contains("150000 of 400000 bytes"),
        "{error}"
    );
    assert!(!has_model(cache.path()));
    assert_whole(&mock.get(cache.path()).unwrap());
    assert_eq!(mock.starts.lock().unwrap().last(), Some(&150_000));
    assert!(has_model(cache.path()));
}

#[test]
fn other_bytes_than_the_hub_announced_are_thrown_away() {
    let cache = tempfile::tempdir().unwrap();
    let mock = Mock::new([Act::Corrupt]);
    let error = mock.get(cache.path()).unwrap_err().to_string();
    assert!(
        error.contains(UNET) && error.contains("has the hash"),
        "{error}"
    );
    assert!(!has_model(cache.path()));
    assert_whole(&mock.get(cache.path()).unwrap());
}

#[test]
fn refusals_say_what_helps() {
    let cache = tempfile::tempdir().unwrap();
    let mock = Mock::new([]);
    for (name, parts) in [
        ("refused/401", ["no model refused/401", "HF_TOKEN"]),
        (
            "refused/401@gated",
            ["refused/401 is gated", "accept its terms"],
        ),
        ("refused/403", ["refused/403 is gated", "HF_TOKEN"]),
        (
            "refused/404",
            ["no model refused/404 with a revision main", "127.0.0.1"],
        ),
        ("refused/500", ["status 500", "refused/500"]),
    ] {
        let error = mock
            .hub(cache.path())
            .snapshot(&model(name), &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(
            parts.iter().all(|part| error.contains(part)) && !error.contains('\n'),
            "{name}: {error}"
        );
    }
    let offline = Hub {
        is_offline: true,
        ..mock.hub(cache.path())
    };
    let error = offline
        .snapshot(&model("owner/model"), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("HF_HUB_OFFLINE") && error.contains("owner/model"),
        "{error}"
    );
}

#[test]
fn a_busy_hub_is_asked_again_as_it_wishes() {
    let cache = tempfile::tempdir().unwrap();
    let mock = Mock::new([Act::Status(429)]);
    let hub = mock.hub(cache.path());
    let mut warnings = Vec::new();
    let folder = hub.snapshot(&model("busy/model"), &mut |notice| {
        if let Notice::Warning(message) = notice {
            warnings.push(message.to_owned());
        }
    });
    assert_eq!(
        std::fs::read(folder.unwrap().join(UNET)).unwrap(),
        weights()
    );
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let error = hub
        .snapshot(&model("busy/model@always"), &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, HubError::Status { .. }), "{error}");
}

/// Many processes share a cache: each finds the model, and nothing that is right is written again.
#[test]
fn readers_and_writers_of_one_cache_do_not_disturb_each_other() {
    let cache = tempfile::tempdir().unwrap();
    let mock = Mock::new([]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let folder = mock.get(cache.path()).unwrap();
                    assert_whole(&folder);
                }
            });
        }
    });
    let folder = mock.get(cache.path()).unwrap();
    let model = folder.parent().unwrap().parent().unwrap();
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&model.join("refs")), ["main"]);
    assert_eq!(
        names(&folder.join("unet")).len(),
        2,
        "something is left over"
    );
}

/// All that is in a folder, and when each was changed.
fn changes(folder: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            found.push((path, metadata.modified().unwrap()));
        }
    }
    found.sort();
    found
}

/// A cache that cannot be written is read.
#[cfg(unix)]
#[test]
fn a_read_only_cache_is_enough_for_what_is_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let cache = tempfile::tempdir().unwrap();
    let mock = Mock::new([]);
    mock.get(cache.path()).unwrap();
    let all = |mode: u32| {
        let mut folders = vec![cache.path().to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).unwrap();
            folders.extend(
                entries
                    .map(|e| e.unwrap().path())
                    .filter(|path| path.is_dir()),
            );
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    all(0o555);
    // Whoever may write all the same, as root may, writes nothing.
    let before = changes(cache.path());
    let folder = mock.get(cache.path());
    let after = changes(cache.path());
    all(0o755);
    assert_whole(&folder.unwrap());
    assert_eq!(before, after);
}

/// `/dev/full` is a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--owner--model/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let partial = blobs.join(format!("{}.incomplete", hex(&Sha256::digest(weights()))));
    std::os::unix::fs::symlink("/dev/full", partial).unwrap();
    let error = Mock::new([]).get(cache.path()).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write") && error.contains("No space left"),
        "{error}"
    );
    assert!(!has_model(cache.path()));
}
