//! [`Annotation`]: what the user said about an event. A fact, kept apart from the records.

use serde::{Deserialize, Serialize};

use crate::money::Rate;

/// Note, tags, exclusion and rate override of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// A note; changes no number.
    pub note: Option<String>,
    /// Tag codes, sorted; change no number.
    pub tags: Vec<String>,
    /// Whether the event's postings and lot effects are removed.
    pub excluded: bool,
    /// A rate in the book's currency that replaces the event's.
    pub rate: Option<Rate>,
}

impl Annotation {
    /// This annotation and another of the same event: the first note and rate count, tags and exclusion of both.
    pub fn and(mut self, other: Annotation) -> Annotation {
        self.tags.extend(other.tags);
        self.tags.sort();
        self.tags.dedup();
        Annotation {
            note: self.note.or(other.note),
            tags: self.tags,
            excluded: self.excluded || other.excluded,
            rate: self.rate.or(other.rate),
        }
    }
}

/// One edit of an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnotationEdit {
    /// Sets or removes the note.
    Note(Option<String>),
    /// Adds a tag (its lower-cased code).
    AddTag(String),
    /// Removes a tag.
    RemoveTag(String),
    /// Excludes or includes the event.
    Excluded(bool),
    /// Sets or removes the rate override.
    Rate(Option<Rate>),
}
