//! Files of prompts: a prompt a line, CSV with a header, or JSON lines.

use crate::BatchError;
use dreamfuse_core::files::read;
use serde_json::Value as Json;
use std::path::Path;
use toml::{Table, Value};

/// One item as its file says it: keys of a run's config.toml.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// From 1.
    pub line: usize,
    pub keys: Table,
}

/// Reads a file of prompts. `.csv` has a header with `prompt` and any other keys; in `.jsonl`, `.ndjson` and `.json`
/// each line is an object; of any other file each line is a prompt, and lines that begin with # are notes.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or a line has no prompt; the message has the line's number.
pub fn read_prompts(path: &Path) -> Result<Vec<Row>, BatchError> {
    let bytes = read(path)?;
    let at = |line: usize, reason: String| BatchError::Line {
        path: path.to_owned(),
        line,
        reason,
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        at(line, "expected UTF-8; hint: save the file as UTF-8".into())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let rows = match extension.to_lowercase().as_str() {
        "csv" => csv_rows(text),
        "jsonl" | "ndjson" | "json" => json_rows(text),
        _ => Ok(text_rows(text)),
    };
    let rows = rows.map_err(|(line, reason)| at(line, reason))?;
    if rows.is_empty() {
        return Err(BatchError::NoPrompts(path.to_owned()));
    }
    match rows.iter().find(|row| !row.says_what()) {
        Some(row) => Err(at(row.line, "it has no prompt".into())),
        None => Ok(rows),
    }
}

impl Row {
    /// Whether it has a prompt, or a picture in its place.
    fn says_what(&self) -> bool {
        let reference = self.keys.get("reference").and_then(Value::as_table);
        let picture = reference.and_then(|keys| keys.get("picture"));
        let texts = [self.keys.get("prompt"), picture];
        let mut texts = texts.into_iter().flatten().filter_map(Value::as_str);
        texts.any(|text| !text.trim().is_empty())
    }
}

/// A line's number and what is wrong with it.
type Wrong = (usize, String);

fn text_rows(text: &str) -> Vec<Row> {
    let prompts = text.lines().enumerate().filter_map(|(index, line)| {
        let prompt = line.trim();
        let is_prompt = !prompt.is_empty() && !prompt.starts_with('#');
        is_prompt.then(|| Row {
            line: index + 1,
            keys: Table::from_iter([("prompt".to_owned(), Value::from(prompt))]),
        })
    });
    prompts.collect()
}

fn csv_rows(text: &str) -> Result<Vec<Row>, Wrong> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, |at| at.line() as usize);
        let reason = match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => {
                format!("expected {expected_len} fields, got {len}; hint: quote texts with commas")
            }
            _ => error.to_string(),
        };
        (line, reason)
    };
    let header = reader.headers().map_err(wrong)?.clone();
    if !header.iter().any(|name| name == "prompt") {
        let names: Vec<&str> = header.iter().collect();
        let names = names.join(", ");
        return Err((
            1,
            format!("expected a column \"prompt\" in the header, got {names}"),
        ));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(0, |at| at.line() as usize);
        let mut keys = Table::new();
        // An empty field leaves the setting as it is.
        for (name, field) in header
            .iter()
            .zip(&record)
            .filter(|(_, field)| !field.is_empty())
        {
            let value = match name {
                "prompt" | "negative_prompt" => Value::from(field),
                _ => value_of(field),
            };
            put(&mut keys, name, value).map_err(|reason| (line, reason))?;
        }
        rows.push(Row { line, keys });
    }
    Ok(rows)
}

/// TOML where it is, else a text.
fn value_of(field: &str) -> Value {
    let parsed: Result<Table, _> = toml::from_str(&format!("value = {field}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::from(field))
}

fn json_rows(text: &str) -> Result<Vec<Row>, Wrong> {
    let mut rows = Vec::new();
    for (index, text) in text.lines().enumerate() {
        if text.trim().is_empty() {
            continue;
        }
        let line = index + 1;
        let parsed: Json = serde_json::from_str(text).map_err(|error| {
            let reason = format!("expected a JSON object, column {}", error.column());
            (line, reason)
        })?;
        let Json::Object(object) = parsed else {
            return Err((line, "expected a JSON object".into()));
        };
        let mut keys = Table::new();
        for (name, value) in object {
            let value = toml_of(value).map_err(|reason| (line, format!("{name}: {reason}")))?;
            put(&mut keys, &name, value).map_err(|reason| (line, reason))?;
        }
        rows.push(Row { line, keys });
    }
    Ok(rows)
}

/// Dots in a key, at most.
const MOST_DOTS: usize = 4;

/// Puts a value at `scene.finest`, in tables that are made as needed.
fn put(keys: &mut Table, name: &str, value: Value) -> Result<(), String> {
    // No key is so deep, and a hostile one would be a table in a table without end.
    if name.matches('.').count() > MOST_DOTS {
        return Err(format!(
            "expected a key as scene.finest, got one of {} characters",
            name.len()
        ));
    }
    match name.split_once('.') {
        None if name.is_empty() => Err("expected a key, got an empty name".into()),
        None => match keys.insert(name.to_owned(), value) {
            Some(_) => Err(format!("{name} stands there twice")),
            None => Ok(()),
        },
        Some((first, rest)) => {
            let inner = keys
                .entry(first.trim())
                .or_insert_with(|| Value::Table(Table::new()));
            let inner = inner.as_table_mut();
            put(
                inner.ok_or(format!("{first} is a value and a table"))?,
                rest.trim(),
                value,
            )
        }
    }
}

fn toml_of(value: Json) -> Result<Value, String> {
    Value::try_from(value).map_err(|_| "expected a value, got null or a too large number".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<Row>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_prompts(&path).map_err(|error| {
            let message = error.to_string();
            message.replace(&format!("{}/", folder.path().display()), "")
        })
    }

    fn keys(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn all_three_kinds_say_the_same() {
        let expected = [
            keys("prompt = \"a red car\""),
            keys("prompt = \"a cup, blue\"\nseed = 3\nscene = { finest = 96 }"),
        ];
        let text = read("p.txt", b"\xef\xbb\xbf# notes\n\n a red car \r\n").unwrap();
        assert_eq!((text[0].line, &text[0].keys), (3, &expected[0]));
        let csv = b"prompt,seed,scene.finest\na red car,,\n\"a cup, blue\",3,96\n";
        let json = b"{\"prompt\":\"a red car\"}\n{\"prompt\":\"a cup, blue\",\"seed\":3,\"scene\":{\"finest\":96}}\n";
        let dotted = b"{\"prompt\":\"a red car\"}\r\n\n{\"prompt\":\"a cup, blue\",\"seed\":3,\"scene.finest\":96}";
        for (name, bytes) in [("p.csv", &csv[..]), ("p.jsonl", json), ("p.NDJSON", dotted)] {
            let rows = read(name, bytes).unwrap();
            let found: Vec<_> = rows.into_iter().map(|row| row.keys).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_picture_stands_in_for_a_prompt() {
        let rows = read("p.csv", b"prompt,reference.picture\n,cup.png\na cup,\n").unwrap();
        assert_eq!(rows[0].keys, keys("reference = { picture = \"cup.png\" }"));
        let rows = read("p.jsonl", b"{\"reference.picture\":\"cup.png\"}\n").unwrap();
        assert_eq!(rows[0].keys, keys("reference = { picture = \"cup.png\" }"));
    }

    #[test]
    fn prompts_of_csv_stay_texts_and_other_fields_are_values() {
        let rows = read("p.csv", b"prompt,guidance_scale,lit\n7,5:2,0.5\n").unwrap();
        let expected = keys("prompt = \"7\"\nguidance_scale = \"5:2\"\nlit = 0.5");
        assert_eq!(rows[0].keys, expected);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (name, bytes, expected) in [
            (
                "p.txt",
                &b"a car\na \xff car\n"[..],
                "p.txt, line 2: expected UTF-8",
            ),
            ("p.txt", b"# only notes\n", "p.txt holds no prompts"),
            (
                "p.csv",
                b"words\na car\n",
                "p.csv, line 1: expected a column \"prompt\"",
            ),
            (
                "p.csv",
                b"prompt,seed\na car, red, 3\n",
                "p.csv, line 2: expected 2 fields, got 3",
            ),
            (
                "p.csv",
                b"prompt,seed\n,3\n",
                "p.csv, line 2: it has no prompt",
            ),
            (
                "p.csv",
                b"prompt,seed,seed\na car,1,2\n",
                "p.csv, line 2: seed stands there twice",
            ),
            (
                "p.jsonl",
                b"{\"prompt\":\"a car\"}\n[1]\n",
                "p.jsonl, line 2: expected a JSON object",
            ),
            (
                "p.jsonl",
                b"{\"prompt\":\n",
                "p.jsonl, line 1: expected a JSON object",
            ),
            (
                "p.jsonl",
                b"{\"prompt\":3}\n",
                "p.jsonl, line 1: it has no prompt",
            ),
            (
                "p.jsonl",
                b"{\"prompt\":\"a\",\"seed\":null}\n",
                "p.jsonl, line 1: seed: expected a value",
            ),
            (
                "p.jsonl",
                b"{\"seed\":1,\"seed.a\":2}\n",
                "p.jsonl, line 1: seed is a value and a table",
            ),
        ] {
            let error = read(name, bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let missing = read_prompts(Path::new("nowhere.txt"))
            .unwrap_err()
            .to_string();
        assert!(missing.contains("nowhere.txt"), "{missing}");
    }
}
