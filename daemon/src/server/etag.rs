//! Entity tags: what a client has seen, and whether that is still so. Tags are weak: the same facts, not the same
//! bytes (a report states when it was made).

use axum::http::{HeaderMap, header};

/// A weak tag of these parts.
pub(crate) fn weak(version: u64, parts: &[&str]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let hash = context.finish();
    let short: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{version}-{short}\"")
}

/// Whether `If-None-Match` names `tag`.
pub(crate) fn seen(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tag_is_found_in_any_form_a_client_may_send_it() {
        let tag = weak(7, &["capital-gains", "2025"]);
        let seen_as = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().unwrap());
            seen(&headers, &tag)
        };
        assert!(seen_as(&tag) && seen_as("*") && seen_as(&format!("\"a\", {tag}")));
        assert!(seen_as(tag.trim_start_matches("W/")), "the comparison is weak");
        assert!(!seen_as(&weak(8, &["capital-gains", "2025"])));
        assert!(!seen_as(&weak(7, &["capital-gains2", "025"])), "parts do not run into each other");
        assert!(!seen(&HeaderMap::new(), &tag));
    }
}
