//! What a file is that was taken for safetensors and is not: people have it in hand, and one line says what to do.

use super::CheckpointError;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes at the beginning that are looked at.
const HEAD: u64 = 512;

/// The error for a file of another known kind.
pub(crate) fn recognise(path: &Path) -> Option<CheckpointError> {
    let mut head = Vec::new();
    File::open(path)
        .ok()?
        .take(HEAD)
        .read_to_end(&mut head)
        .ok()?;
    recognise_bytes(path, &head)
}

/// The same for the beginning of the file called `path`.
pub(crate) fn recognise_bytes(path: &Path, bytes: &[u8]) -> Option<CheckpointError> {
    let head = &bytes[..bytes.len().min(HEAD as usize)];
    let text = String::from_utf8_lossy(head).trim_start().to_lowercase();
    let is_page = ["<!doctype", "<html", "<?xml", "<head"]
        .iter()
        .any(|start| text.starts_with(start));
    let reason = if text.starts_with("version https://git-lfs") {
        "this is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder, or download the file"
    } else if is_page {
        "this is a web page, not a model: the download needs you to sign in or to accept a licence; \
         do so in a browser, then download the file again (`HF_TOKEN` for the Hub)"
    } else if text.starts_with('{') && (text.contains("\"error\"") || text.contains("\"message\""))
    {
        "this is a server's error message, not a model; download the file again"
    } else if is_pickle(head) {
        return Some(CheckpointError::Pickle {
            path: path.to_owned(),
        });
    } else {
        other_format(head)?
    };
    Some(CheckpointError::Malformed {
        path: path.to_owned(),
        reason: reason.into(),
    })
}

/// PyTorch's own files: a pickle, or a ZIP archive with one in it.
fn is_pickle(head: &[u8]) -> bool {
    let is_zip_of_pickle = head.starts_with(b"PK\x03\x04")
        && head
            .windows(b"data.pkl".len())
            .any(|window| window == b"data.pkl");
    is_zip_of_pickle || matches!(head, [0x80, 2..=5, ..])
}

fn other_format(head: &[u8]) -> Option<&'static str> {
    const FORMATS: [(&[u8], &str); 8] = [
        (
            b"GGUF",
            "this is a GGUF file of quantized weights; dreamfuse reads safetensors alone",
        ),
        (
            b"\x89HDF",
            "this is an HDF5 file (Keras); dreamfuse reads safetensors alone",
        ),
        (
            b"PK\x03\x04",
            "this is a ZIP archive; unpack it and give what is in it",
        ),
        (b"\x1f\x8b", "this is a gzip archive; unpack it first"),
        (b"7z\xbc\xaf", "this is a 7-Zip archive; unpack it first"),
        (b"Rar!", "this is a RAR archive; unpack it first"),
        (
            b"\x89PNG",
            "this is a PNG image; dreamfuse reads safetensors alone",
        ),
        (
            b"\x93NUMPY",
            "this is a NumPy array; dreamfuse reads safetensors alone",
        ),
    ];
    // ONNX begins with its version and its producer.
    let is_onnx = matches!(head, [8, 1..=20, 0x12, ..]);
    FORMATS
        .iter()
        .find(|(magic, _)| head.starts_with(magic))
        .map(|(_, reason)| *reason)
        .or(is_onnx.then_some("this is an ONNX file; dreamfuse reads safetensors alone"))
}
