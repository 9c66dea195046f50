//! Content as the markup of a chat: Discord, Mattermost or Google Chat. Log text is literal: it can
//! neither style the message nor mention anyone.

use super::content::{Content, GroupDetail, Inline, Line, plain};

/// Keeps a sign from having a meaning where a chat has no escape for it.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

const FENCE: &str = "```";

/// The markup of a chat.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Markup {
    /// Discord and Mattermost: `**bold**`, `[text](url)`, a backslash as the escape.
    CommonMark,
    /// Google Chat: `*bold*`, `<url|text>`, no escape.
    GoogleChat,
}

/// All of the content but the headline.
pub fn body(content: &Content, markup: Markup) -> String {
    let mut paragraphs: Vec<String> =
        vec![content.facts.lines().map(|line| markup.line(line)).collect::<Vec<_>>().join("\n")];
    paragraphs.push(markup.line(&content.link_line()));
    paragraphs.extend(content.groups.iter().map(|group| markup.group(group)));
    let more = content.more_groups.iter().map(|group| format!("• {}", markup.line(&group.line())));
    let left_out = content.left_out.map(|left_out| markup.line(&left_out.line()));
    paragraphs.push(more.chain(left_out).collect::<Vec<_>>().join("\n"));
    paragraphs.push(markup.literal(&content.reference.to_string()));
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.join("\n\n")
}

/// The headline as a line in bold, and the rest.
pub fn message(content: &Content, markup: Markup) -> String {
    let headline = markup.line(&[Inline::Strong(content.headline.clone())]);
    format!("{headline}\n{}", body(content, markup))
}

impl Markup {
    /// Text on one line that means nothing but itself.
    pub fn literal(self, text: &str) -> String {
        let mut literal = String::with_capacity(text.len());
        for c in text.chars() {
            match (self, c) {
                // A mention begins with one of these.
                (_, '@') | (Self::GoogleChat, '<') => {
                    literal.extend([c, ZERO_WIDTH_SPACE]);
                }
                (Self::CommonMark, _) if c.is_ascii_punctuation() => literal.extend(['\\', c]),
                // These style the text between two of them.
                (Self::GoogleChat, '*' | '_' | '~' | '`') => literal.extend([ZERO_WIDTH_SPACE, c]),
                _ => literal.push(c),
            }
        }
        literal
    }

    fn line(self, line: &[Inline]) -> String {
        line.iter().map(|inline| self.inline(inline)).collect()
    }

    fn inline(self, inline: &Inline) -> String {
        match (self, inline) {
            (_, Inline::LocalTime { .. }) => String::new(),
            (_, Inline::Plain(text)) => self.literal(text),
            (_, Inline::Strong(text)) if text.trim().is_empty() => self.literal(text),
            (Self::CommonMark, Inline::Strong(text)) => format!("**{}**", self.literal(text)),
            (Self::GoogleChat, Inline::Strong(text)) => format!("*{}*", self.literal(text)),
            (_, Inline::Code(text)) => format!("`{}`", self.code(text)),
            (Self::CommonMark, Inline::Link(link)) => {
                // A bracket in a URL could end it.
                let url = link.url.replace('(', "%28").replace(')', "%29");
                format!("[{}]({url})", self.literal(&link.text))
            }
            (Self::GoogleChat, Inline::Link(link)) => {
                format!("<{}|{}>", link.url, self.literal(&link.text))
            }
        }
    }

    /// Text between two fences or backticks. It is never empty, and none of its backticks ends it.
    fn code(self, text: &str) -> String {
        let text = text.replace('`', "'");
        let text = match self {
            Self::CommonMark => text,
            Self::GoogleChat => text.replace('<', &format!("<{ZERO_WIDTH_SPACE}")),
        };
        if text.trim().is_empty() { " ".to_owned() } else { text }
    }

    fn group(self, group: &GroupDetail) -> String {
        let link = group.link.clone().map(|link| vec![Inline::Link(link), plain(" · ")]);
        let place: Line =
            link.into_iter().flatten().chain([plain(group.place.to_string())]).collect();
        let excerpt = match group.excerpt.trim().is_empty() {
            true => String::new(),
            false => format!("{FENCE}\n{}\n{FENCE}", self.code(&group.excerpt)),
        };
        let parts = [self.line(&group.summary), excerpt, self.line(&place)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_literal() {
        let text = "*a* _b_ [c](d) <users/all> @here `e`";
        assert_eq!(
            Markup::CommonMark.literal(text),
            "\\*a\\* \\_b\\_ \\[c\\]\\(d\\) \\<users\\/all\\> @\u{200b}here \\`e\\`"
        );
        assert_eq!(
            Markup::GoogleChat.literal(text),
            "\u{200b}*a\u{200b}* \u{200b}_b\u{200b}_ [c](d) <\u{200b}users/all> @\u{200b}here \
             \u{200b}`e\u{200b}`"
        );
        assert_eq!(Markup::CommonMark.code("a```b"), "a'''b");
        assert_eq!(Markup::GoogleChat.code("<users/all>"), "<\u{200b}users/all>");
    }
}
