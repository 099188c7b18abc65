//! Pagination: `?limit=1..500&cursor=`, answered `{"items", "next_cursor"}`. A cursor is the key of the last
//! item sent, so pages stay stable while rows are added; to the client it is opaque.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::problem::{Code, Problem};

/// Items of a page unless the client says otherwise.
pub(crate) const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;
/// First byte of every cursor, so that a later format can be told apart.
const CURSOR_VERSION: u8 = 1;

/// Query parameters of a list without filters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items of the page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub(crate) limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Cursor of the next page, `null` on the last one.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of up to `limit` from `limit + 1` rows: the extra row only proves that more follow.
    pub(crate) fn cut(mut rows: Vec<T>, limit: usize, key: impl Fn(&T) -> Vec<u8>) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|row| encode_cursor(&key(row))) } else { None };
        Self { items: rows, next_cursor }
    }

    /// The same page with other items.
    pub(crate) fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(make).collect(), next_cursor: self.next_cursor }
    }
}

/// The page size asked for.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(DEFAULT_LIMIT),
        Some(n) if (1..=MAX_LIMIT).contains(&n) => Ok(n),
        Some(_) => Err(Problem::new(Code::InvalidQuery, format!("limit must be from 1 to {MAX_LIMIT}"))
            .with_details(serde_json::json!({ "field": "limit" }))),
    }
}

/// A key as an opaque cursor.
pub(crate) fn encode_cursor(key: &[u8]) -> String {
    let mut bytes = vec![CURSOR_VERSION];
    bytes.extend_from_slice(key);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key a cursor stands for.
pub(crate) fn decode_cursor(cursor: &str) -> Result<Vec<u8>, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    match bytes.split_first() {
        Some((&CURSOR_VERSION, key)) => Ok(key.to_vec()),
        _ => Err(bad_cursor()),
    }
}

/// The refusal of a cursor that this list did not hand out.
pub(crate) fn bad_cursor() -> Problem {
    Problem::new(Code::InvalidCursor, "pass next_cursor of the page before unchanged, or leave cursor out")
}

impl PageQuery {
    /// Page size and the first id to look at, for lists keyed by id.
    pub(crate) fn after_id(&self) -> Result<(usize, u128), Problem> {
        let limit = limit(self.limit)?;
        let Some(cursor) = &self.cursor else { return Ok((limit, 0)) };
        let key: [u8; 16] = decode_cursor(cursor)?.try_into().map_err(|_| bad_cursor())?;
        Ok((limit, u128::from_be_bytes(key).saturating_add(1)))
    }
}

/// Cursor key of a row with an id.
pub(crate) fn id_key(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Page, PageQuery, decode_cursor, encode_cursor};

    #[test]
    fn the_last_page_has_no_cursor_and_others_resume_after_their_last_item() {
        let page = Page::cut(vec![1_u8, 2, 3], 2, |n| vec![*n]);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(decode_cursor(&page.next_cursor.unwrap()).unwrap(), [2]);
        assert!(Page::cut(vec![1_u8, 2], 2, |n| vec![*n]).next_cursor.is_none());
    }

    #[test]
    fn foreign_cursors_and_limits_are_refused() {
        let query = |limit, cursor: &str| PageQuery { limit, cursor: Some(cursor.to_owned()) };
        for cursor in ["", "!", "AA", &encode_cursor(&[1, 2])] {
            assert!(query(None, cursor).after_id().is_err(), "{cursor}");
        }
        let good = encode_cursor(&7_u128.to_be_bytes());
        assert_eq!(query(Some(3), &good).after_id().unwrap(), (3, 8));
        for limit in [0, 501] {
            assert!(query(Some(limit), &good).after_id().is_err());
        }
    }
}
