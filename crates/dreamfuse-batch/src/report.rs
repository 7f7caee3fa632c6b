//! Static pages of a plan's results: they open from the disk, ask nothing of a network, and treat a prompt as text alone.

use crate::status::ItemStatus;
use crate::{BatchError, ItemState, Plan, Status};
use base64::Engine as _;
use dreamfuse_core::files::{FileError, create_folder, read, write_atomically};
use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, ImageFormat, RgbImage};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Cursor;
use std::path::{Path, PathBuf};

const INDEX: &str = include_str!("report/index.html");
const INDEX_SCRIPT: &str = include_str!("report/index.js");
const RUN: &str = include_str!("report/run.html");
const VIEWER: &str = include_str!("report/viewer.js");
const STYLE: &str = include_str!("report/style.css");

/// Frames of a turntable that follows the pointer; index.js has the same number.
const FRAMES: usize = 12;

/// A run as a page and the tables show it.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    index: usize,
    key: String,
    prompt: String,
    seed: u64,
    steps: u64,
    state: &'static str,
    /// Exit code of a failure.
    code: Option<u8>,
    message: Option<String>,
    seconds: Option<f64>,
    /// Intersection over union of the mesh's silhouettes and the volume's.
    agreement: Option<f64>,
    vertices: Option<u64>,
    triangles: Option<u64>,
}

/// Writes `report/` into the folder of the runs; the path of its first page.
///
/// # Errors
/// When a result cannot be read or a page cannot be written.
pub fn write_report(plan: &Plan) -> Result<PathBuf, BatchError> {
    let folder = plan.root().join("report");
    create_folder(&folder)?;
    let status = Status::read(plan);
    let mut entries = Vec::with_capacity(status.items.len());
    for (item, status) in plan.items.iter().zip(&status.items) {
        let run = plan.folder(item);
        let mut entry = Entry::of(status, &run);
        if entry.state == "done"
            && let Err(error) = write_run(&folder, &run, &entry, &item.config.to_toml())
        {
            // One result that is damaged is no reason to show none.
            entry.state = "damaged";
            entry.message = Some(error.to_string());
        }
        entries.push(entry);
    }
    let json = serde_json::to_string(&entries).expect("entries are plain data");
    let parts = [
        ("style", STYLE),
        ("script", INDEX_SCRIPT),
        ("data", &in_script(&json)),
    ];
    let index = filled(INDEX, &parts);
    let page = folder.join("index.html");
    write_atomically(&page, index.as_bytes())?;
    write_atomically(&folder.join("runs.json"), json.as_bytes())?;
    write_atomically(&folder.join("runs.csv"), &table(&entries))?;
    Ok(page)
}

impl Entry {
    fn of(status: &ItemStatus, run: &Path) -> Self {
        let mesh = last_mesh(run);
        let of_mesh = |name: &str| mesh.as_ref().and_then(|event| event.get(name));
        let (state, code, message, seconds) = match &status.state {
            ItemState::Waiting => ("waiting", None, None, None),
            ItemState::Running { .. } => ("running", None, None, None),
            ItemState::Stopped { .. } => ("stopped", None, None, None),
            ItemState::Failed { code, message, .. } => {
                ("failed", Some(*code), Some(message.clone()), None)
            }
            ItemState::Done { seconds } => ("done", None, None, Some(*seconds)),
        };
        Self {
            index: status.index,
            key: status.key.clone(),
            prompt: status.prompt.clone(),
            seed: status.seed,
            steps: status.steps,
            state,
            code,
            message,
            seconds,
            agreement: of_mesh("silhouette_agreement").and_then(serde_json::Value::as_f64),
            vertices: of_mesh("vertices").and_then(serde_json::Value::as_u64),
            triangles: of_mesh("triangles").and_then(serde_json::Value::as_u64),
        }
    }
}

/// The last event that tells of a mesh.
fn last_mesh(run: &Path) -> Option<serde_json::Value> {
    let text = std::fs::read(run.join("events.jsonl")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().rev().filter(|line| line.contains("\"mesh\""));
    let mut events = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    events.find(|event| event.get("event").is_some_and(|name| name == "mesh"))
}

/// A run's page and its turntable, unless they are newer than the result.
fn write_run(folder: &Path, run: &Path, entry: &Entry, settings: &str) -> Result<(), BatchError> {
    let page = folder.join(format!("{}.html", entry.key));
    if is_newer(&page, &run.join("result.json")) {
        return Ok(());
    }
    let strip =
        turntable(&read(&run.join("turntable.gif"))?).map_err(|reason| FileError::Damaged {
            path: run.join("turntable.gif"),
            reason: reason.to_string(),
        })?;
    write_atomically(&folder.join(format!("{}.png", entry.key)), &strip)?;
    let glb = base64::engine::general_purpose::STANDARD.encode(read(&run.join("mesh.glb"))?);
    let html = filled(
        RUN,
        &[
            ("style", STYLE),
            ("script", VIEWER),
            ("views", &format!("../{}/views.png", entry.key)),
            ("facts", &facts(entry)),
            ("glb", &glb),
            ("settings", &escaped(settings)),
            ("title", &escaped(&entry.prompt)),
        ],
    );
    Ok(write_atomically(&page, html.as_bytes())?)
}

/// A page with `{{name}}` replaced, in one pass: nothing is looked for in what a user wrote.
fn filled(page: &str, values: &[(&str, &str)]) -> String {
    let mut parts = page.split("{{");
    let mut html = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("pages are ours");
        let value = values.iter().find(|(known, _)| *known == name);
        html.push_str(value.expect("each name has a value").1);
        html.push_str(rest);
    }
    html
}

fn is_newer(path: &Path, than: &Path) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified());
    matches!((time(path), time(than)), (Ok(page), Ok(result)) if page > result)
}

fn facts(entry: &Entry) -> String {
    let number = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    let rows = [
        ("seed", entry.seed.to_string()),
        ("steps", entry.steps.to_string()),
        (
            "seconds",
            entry.seconds.map_or(String::new(), |s| format!("{s:.0}")),
        ),
        (
            "silhouette agreement",
            entry.agreement.map_or(String::new(), |a| format!("{a:.3}")),
        ),
        ("vertices", number(entry.vertices)),
        ("triangles", number(entry.triangles)),
        ("item", entry.index.to_string()),
        ("key", entry.key.clone()),
    ];
    rows.iter().fold(String::new(), |mut html, (name, value)| {
        let _ = write!(html, "<tr><th>{name}</th><td>{value}</td></tr>"); // a String takes all
        html
    })
}

/// The frames of a turntable side by side, as PNG.
fn turntable(gif: &[u8]) -> Result<Vec<u8>, image::ImageError> {
    let frames = GifDecoder::new(Cursor::new(gif))?
        .into_frames()
        .collect_frames()?;
    let every = frames.len().div_ceil(FRAMES).max(1);
    let shown: Vec<RgbImage> = frames
        .into_iter()
        .step_by(every)
        .map(|frame| image::DynamicImage::ImageRgba8(frame.into_buffer()).into_rgb8())
        .collect();
    let (width, height) = shown.first().map_or((1, 1), |first| first.dimensions());
    let mut strip = RgbImage::new(width * shown.len().max(1) as u32, height);
    for (index, frame) in shown.iter().enumerate() {
        image::imageops::replace(&mut strip, frame, i64::from(width) * index as i64, 0);
    }
    let mut png = Cursor::new(Vec::new());
    strip.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// A text in HTML, between tags or quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

/// JSON within a script element: nothing in it can end the element.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// The entries as CSV.
fn table(entries: &[Entry]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for entry in entries {
        writer
            .serialize(entry)
            .expect("entries are flat, and memory takes all");
    }
    writer.into_inner().expect("memory takes all")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;
    use crate::published::Published;
    use dreamfuse_engine::RunConfig;

    const NASTY: &str = "</script><img src=x onerror=alert(1)> \"a\" 'b' & {{glb}}";

    fn gif() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        for level in 0..24u8 {
            let pixel = image::Rgba([10 * level, 0, 0, 255]);
            let frame = image::Frame::new(image::RgbaImage::from_pixel(8, 8, pixel));
            encoder.encode_frame(frame).unwrap();
        }
        drop(encoder);
        bytes
    }

    /// A plan of a run that is done and one that waits, and its report.
    fn reported(root: &Path) -> (Plan, PathBuf) {
        let item = |seed| {
            let prompt = NASTY.to_owned();
            Item::new(
                RunConfig {
                    prompt,
                    seed,
                    ..RunConfig::default()
                },
                "d".into(),
            )
        };
        let (plan, _) = Plan::append(root, vec![item(0), item(1)]).unwrap();
        let run = plan.folder(&plan.items[0]);
        create_folder(&run).unwrap();
        std::fs::write(run.join("mesh.glb"), b"glTF").unwrap();
        std::fs::write(run.join("turntable.gif"), gif()).unwrap();
        let event =
            "{\"event\":\"mesh\",\"vertices\":5,\"triangles\":6,\"silhouette_agreement\":0.93}\n";
        std::fs::write(run.join("events.jsonl"), event).unwrap();
        Published::publish(&run, &plan.items[0].key, 800, 61.0).unwrap();
        let page = write_report(&plan).unwrap();
        (plan, page)
    }

    #[test]
    fn a_prompt_stays_text_on_every_page() {
        let root = tempfile::tempdir().unwrap();
        let (plan, page) = reported(root.path());
        let run = root
            .path()
            .join(format!("report/{}.html", plan.items[0].key));
        for path in [&page, &run] {
            let html = std::fs::read_to_string(path).unwrap();
            assert!(
                !html.contains("<img src=x") && html.contains("onerror"),
                "{path:?}"
            );
            let asks = ["http:", "https:", "fetch("]
                .iter()
                .any(|way| html.contains(way));
            assert!(!asks, "{path:?} asks for something");
        }
        let html = std::fs::read_to_string(run).unwrap();
        assert!(
            html.contains("Z2xURg==") && html.contains("{{glb}}"),
            "the prompt was filled in"
        );
    }

    #[test]
    fn a_damaged_result_is_told_and_the_others_are_shown() {
        let root = tempfile::tempdir().unwrap();
        let (plan, _) = reported(root.path());
        let folder = root.path().join("report");
        std::fs::remove_file(folder.join(format!("{}.html", plan.items[0].key))).unwrap();
        std::fs::write(plan.folder(&plan.items[0]).join("turntable.gif"), "GIF").unwrap();
        write_report(&plan).unwrap();
        let json = std::fs::read_to_string(folder.join("runs.json")).unwrap();
        assert!(
            json.contains("\"damaged\"") && json.contains("turntable.gif"),
            "{json}"
        );
    }

    #[test]
    fn tables_hold_what_the_page_shows() {
        let root = tempfile::tempdir().unwrap();
        let (plan, _) = reported(root.path());
        let folder = root.path().join("report");
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("runs.json")).unwrap()).unwrap();
        assert_eq!(json[0]["prompt"], NASTY);
        assert_eq!(
            (&json[0]["triangles"], &json[1]["state"]),
            (&6.into(), &"waiting".into())
        );
        let mut reader = csv::Reader::from_path(folder.join("runs.csv")).unwrap();
        let first = reader.records().next().unwrap().unwrap();
        assert_eq!((&first[1], &first[2]), (plan.items[0].key.as_str(), NASTY));
        let strip = image::open(folder.join(format!("{}.png", plan.items[0].key))).unwrap();
        assert_eq!((strip.width(), strip.height()), (8 * FRAMES as u32, 8));
    }
}
