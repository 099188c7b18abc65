//! Every path a file names, `use` trees written out: `use a::{b, c::*}` gives `a::b` and `a::c::*`.

use crate::source::{Token, is_word};

/// A path as written, from its first segment on.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedPath {
    pub segments: Vec<String>,
    pub line: usize,
}

impl NamedPath {
    pub fn starts_with(&self, prefix: &[&str]) -> bool {
        self.segments.len() >= prefix.len() && self.segments.iter().zip(prefix).all(|(a, b)| a == b)
    }

    pub fn ends_with(&self, suffix: &[&str]) -> bool {
        self.segments.len() >= suffix.len()
            && self.segments.iter().rev().zip(suffix.iter().rev()).all(|(a, b)| a == b)
    }
}

/// All paths, in order; a single word is a path of one segment.
pub fn named_paths(tokens: &[Token]) -> Vec<NamedPath> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = match tokens[at].text.as_str() {
            // `use<'a>` in a return type is no import.
            "use" if tokens.get(at + 1).is_some_and(|t| t.text != "<") => {
                use_tree(tokens, at + 1, &[], &mut paths)
            }
            word if is_word(word) => plain_path(tokens, at, &mut paths),
            _ => at + 1,
        };
    }
    paths
}

fn plain_path(tokens: &[Token], mut at: usize, paths: &mut Vec<NamedPath>) -> usize {
    let line = tokens[at].line;
    let mut segments = vec![tokens[at].text.clone()];
    while let [separator, next, ..] = &tokens[at + 1..]
        && separator.text == "::"
        && is_word(&next.text)
    {
        segments.push(next.text.clone());
        at += 2;
    }
    paths.push(NamedPath { segments, line });
    at + 1
}

/// One tree of a `use`, below `prefix`; the place after it.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
    let mut segments = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => return use_group(tokens, at + 1, &segments, paths),
            "as" => at += 2,
            text if is_word(text) || text == "*" => {
                segments.push(text.into());
                at += 1;
            }
            _ => break,
        }
    }
    if segments.len() > prefix.len() {
        paths.push(NamedPath { segments, line: tokens[at - 1].line });
    }
    at
}

fn use_group(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "}" => return at + 1,
            "," => at += 1,
            ";" => return at,
            _ => at = use_tree(tokens, at, prefix, paths).max(at + 1),
        }
    }
    at
}
