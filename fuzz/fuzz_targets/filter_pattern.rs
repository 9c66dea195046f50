//! No pattern and no message panics. A valid pattern prints itself, and a message that matches has a
//! text that the pattern requires. The input is a pattern, a line break and a message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor::filter_pattern::{EventText, FilterPattern};

fuzz_target!(|input: &str| {
    let (pattern, message) = input.split_once('\n').unwrap_or((input, ""));
    let Ok(parsed) = pattern.parse::<FilterPattern>() else { return };
    assert_eq!(parsed.to_string().parse().as_ref(), Ok(&parsed), "{parsed}");
    let matches = parsed.matches(&EventText::new(message));
    let is_covered = |texts: stentor::filter_pattern::RequiredTexts| texts.with_escapes().any(|text| message.contains(&*text));
    assert!(!matches || parsed.required().is_none_or(is_covered), "{parsed}\n{message}");
});
