//! Content → Atlassian Document Format, the JSON in which Jira Cloud keeps rich text
//! (developer.atlassian.com, "Atlassian Document Format"). A text node has no markup, so log text
//! cannot mention a user. Jira refuses empty texts and empty lists, so this module makes none.

use serde::Serialize;

use crate::message::compose::{Budget, compose};
use crate::message::content::{Content, GroupDetail, Inline, Link};
use crate::model::digest::Digest;

/// Jira takes 32,767 characters in a description or a comment. It does not say whether the names
/// of nodes count, so all bytes of the JSON do.
const BUDGET: Budget = Budget { size: size_before_end, size_max: ADF_BYTES_MAX - END_BYTES };

/// The largest document, in bytes of JSON.
pub(super) const ADF_BYTES_MAX: usize = 32_767;

/// Kept free for the end of the message: the count of the groups that are left out, and the
/// reference.
const END_BYTES: usize = 700;

/// A document: the description of an issue, or a comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "doc")]
pub(super) struct AdfDocument {
    version: u8,
    content: Vec<AdfBlock>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum AdfBlock {
    Paragraph {
        content: Vec<AdfText>,
    },
    /// Its text has no marks.
    CodeBlock {
        content: [AdfText; 1],
    },
    BulletList {
        content: Vec<AdfItem>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "listItem")]
struct AdfItem {
    content: [AdfBlock; 1],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "text")]
struct AdfText {
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<AdfMark>,
}

/// `code` goes with `link` only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum AdfMark {
    Strong,
    Code,
    Link { attrs: AdfLink },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct AdfLink {
    href: String,
}

/// The document for a digest, with as many groups as Jira has room for. Total: any digest gives a
/// document within Jira's limits.
pub(super) fn render(digest: &Digest) -> AdfDocument {
    document(&compose(digest, &BUDGET))
}

fn size_before_end(content: &Content) -> usize {
    serde_json::to_vec(&document(content)).map_or(usize::MAX, |json| json.len())
}

fn document(content: &Content) -> AdfDocument {
    let headline = paragraph(&[Inline::Strong(content.headline.clone())]);
    let bullets = content.more_groups.iter().filter_map(|group| paragraph(&group.line()));
    let bullets: Vec<AdfItem> = bullets.map(|line| AdfItem { content: [line] }).collect();
    let facts = content.facts.lines().filter_map(|line| paragraph(line));
    let blocks = headline
        .into_iter()
        .chain(facts)
        .chain(paragraph(&content.link_line()))
        .chain(content.groups.iter().flat_map(detail))
        .chain((!bullets.is_empty()).then_some(AdfBlock::BulletList { content: bullets }))
        .chain(content.left_out.and_then(|left_out| paragraph(&left_out.line())))
        .chain(paragraph(&[Inline::Plain(content.reference.to_string())]));
    AdfDocument { version: 1, content: blocks.collect() }
}

/// A group: its summary and excerpt, then where the excerpt was logged.
fn detail(group: &GroupDetail) -> impl Iterator<Item = AdfBlock> + use<> {
    let excerpt = text(&group.excerpt, vec![]).map(|text| AdfBlock::CodeBlock { content: [text] });
    let link = group.link.iter().cloned();
    let link = link.flat_map(|link| [Inline::Link(link), Inline::Plain(" · ".to_owned())]);
    let place: Vec<Inline> = link.chain([Inline::Plain(group.place.to_string())]).collect();
    paragraph(&group.summary).into_iter().chain(excerpt).chain(paragraph(&place))
}

fn paragraph(line: &[Inline]) -> Option<AdfBlock> {
    let content: Vec<AdfText> = line.iter().filter_map(inline).collect();
    (!content.is_empty()).then_some(AdfBlock::Paragraph { content })
}

/// `None` for a moment: the text beside it has it in UTC.
fn inline(inline: &Inline) -> Option<AdfText> {
    let marks = match inline {
        Inline::Plain(_) | Inline::LocalTime { .. } => vec![],
        Inline::Strong(_) => vec![AdfMark::Strong],
        Inline::Code(_) => vec![AdfMark::Code],
        Inline::Link(Link { url, .. }) => {
            vec![AdfMark::Link { attrs: AdfLink { href: url.clone() } }]
        }
    };
    text(inline.as_str(), marks)
}

fn text(text: &str, marks: Vec<AdfMark>) -> Option<AdfText> {
    (!text.is_empty()).then(|| AdfText { text: text.to_owned(), marks })
}

#[cfg(test)]
mod tests;
