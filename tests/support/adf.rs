//! Checks a document in Atlassian Document Format as Jira does: the nodes and marks that it may
//! have, and no empty text. Used by the unit tests, the stand-in of Jira, and the tests of both.

use serde_json::Value;

/// The most characters of a description or a comment.
const CHARACTERS_MAX: usize = 32_767;

/// The text of a valid document, one line per paragraph.
///
/// # Errors
/// The fault, for a document that Jira would refuse.
pub(crate) fn text(document: &Value) -> Result<String, String> {
    if document["version"] != 1 || document["type"] != "doc" {
        return Err("not a document of version 1".to_owned());
    }
    let characters = document.to_string().chars().count();
    if characters > CHARACTERS_MAX {
        return Err(format!("{characters} characters"));
    }
    node(document)
}

fn node(node: &Value) -> Result<String, String> {
    let (kind, fields) = fields(node)?;
    let (expected, children): (&[&str], &[&str]) = match kind {
        "doc" => (&["content", "type", "version"], &["paragraph", "codeBlock", "bulletList"]),
        "paragraph" | "codeBlock" => (&["content", "type"], &["text"]),
        "bulletList" => (&["content", "type"], &["listItem"]),
        "listItem" => (&["content", "type"], &["paragraph"]),
        "text" => return plain_text(node, &fields),
        _ => return Err(format!("unknown node {kind}")),
    };
    if fields != expected {
        return Err(format!("{kind} with fields {fields:?}"));
    }
    let content = node["content"].as_array().filter(|content| !content.is_empty());
    let mut text = String::new();
    for child in content.ok_or(format!("{kind} without content"))? {
        let child_kind = child["type"].as_str().unwrap_or_default();
        if !children.contains(&child_kind) {
            return Err(format!("{child_kind} in {kind}"));
        }
        if kind == "codeBlock" && child.get("marks").is_some() {
            return Err("marks in codeBlock".to_owned());
        }
        text += &self::node(child)?;
    }
    Ok(text + if matches!(kind, "paragraph" | "codeBlock") { "\n" } else { "" })
}

/// The type of a node, and the names of its fields in order.
fn fields(node: &Value) -> Result<(&str, Vec<&str>), String> {
    let fields = node.as_object().ok_or("a node that is no object")?;
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    Ok((node["type"].as_str().ok_or("a node without a type")?, names))
}

fn plain_text(node: &Value, fields: &[&str]) -> Result<String, String> {
    let marks: Vec<&Value> = match (fields, &node["marks"]) {
        (["text", "type"], _) => vec![],
        (["marks", "text", "type"], Value::Array(marks)) if !marks.is_empty() => {
            marks.iter().collect()
        }
        _ => return Err(format!("text with fields {fields:?}")),
    };
    let kinds: Vec<&str> = marks.iter().map(|mark| mark["type"].as_str().unwrap_or("?")).collect();
    match kinds[..] {
        [] | ["strong" | "code"] => {}
        ["link"] => {
            let url = marks[0]["attrs"]["href"].as_str().unwrap_or_default();
            if !url.starts_with("https://") || url.contains(|c: char| !c.is_ascii_graphic()) {
                return Err(format!("a link to {url:?}"));
            }
        }
        _ => return Err(format!("marks {kinds:?}")),
    }
    let text = node["text"].as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or("an empty text".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_that_jira_refuses_is_found() {
        let doc = |content: Value| json!({"type": "doc", "version": 1, "content": content});
        let paragraph = |content: Value| doc(json!([{"type": "paragraph", "content": content}]));
        let marked = |marks: Value| json!([{"type": "text", "text": "x", "marks": marks}]);
        let link = json!([{"type": "link", "attrs": {"href": "javascript:x"}}]);
        let code = json!([{"type": "codeBlock", "content": marked(json!([{"type": "code"}]))}]);
        let cases = [
            (json!("x"), "not a document of version 1"),
            (doc(json!([])), "doc without content"),
            (doc(json!([{"type": "table"}])), "table in doc"),
            (paragraph(json!([])), "paragraph without content"),
            (paragraph(json!([{"type": "text", "text": ""}])), "an empty text"),
            (paragraph(marked(json!([]))), "text with fields [\"marks\", \"text\", \"type\"]"),
            (
                paragraph(marked(json!([{"type": "code"}, {"type": "strong"}]))),
                "marks [\"code\", \"strong\"]",
            ),
            (paragraph(marked(link)), "a link to \"javascript:x\""),
            (doc(code), "marks in codeBlock"),
            (paragraph(json!([{"type": "text", "text": "x".repeat(32_767)}])), "32864 characters"),
        ];
        for (document, expected) in cases {
            assert_eq!(text(&document), Err(expected.to_owned()), "{document:.200}");
        }
        let whole = paragraph(marked(json!([{"type": "strong"}])));
        assert_eq!(text(&whole), Ok("x\n".to_owned()));
    }
}
