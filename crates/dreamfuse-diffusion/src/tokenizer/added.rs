//! Tokens beyond a vocabulary, which training adds for new words (textual inversion, Gal et al. 2022).

use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::{AddedToken, Tokenizer};

/// The added tokens by their ids, from `tokenizer_config.json` and `added_tokens.json`.
pub(super) fn tokens(
    config: &Value,
    added: Option<&str>,
) -> Result<BTreeMap<u32, AddedToken>, String> {
    let mut tokens = BTreeMap::new();
    let added: BTreeMap<String, u32> = match added {
        Some(text) => serde_json::from_str(text).map_err(|e| format!("added_tokens.json: {e}"))?,
        None => BTreeMap::new(),
    };
    for (content, id) in added {
        tokens.insert(id, AddedToken::from(content, false));
    }
    for (id, entry) in config["added_tokens_decoder"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let wrong = || format!("tokenizer_config.json: added_tokens_decoder.{id} is no token");
        let number: u32 = id.parse().map_err(|_| wrong())?;
        let content = entry["content"].as_str().ok_or_else(wrong)?;
        let is = |key: &str| entry[key] == true;
        let token = AddedToken::from(content, is("special"))
            .single_word(is("single_word"))
            .lstrip(is("lstrip"))
            .rstrip(is("rstrip"))
            .normalized(is("normalized"));
        tokens.insert(number, token);
    }
    Ok(tokens)
}

/// Adds them; each has to get the id that its file gives it.
pub(super) fn add(inner: &mut Tokenizer, tokens: BTreeMap<u32, AddedToken>) -> Result<(), String> {
    for (id, token) in tokens {
        let content = token.content.clone();
        if inner.token_to_id(&content).is_none() {
            let added = if token.special {
                inner.add_special_tokens([token])
            } else {
                inner.add_tokens([token])
            };
            added.map_err(|e| e.to_string())?;
        }
        let found = inner.token_to_id(&content);
        if found != Some(id) {
            let found = found.map_or("none".into(), |found| found.to_string());
            return Err(format!(
                "expected the id {id} for the token {content}, got {found}"
            ));
        }
    }
    Ok(())
}
