//! Any text leads to a valid configuration or to valid diagnostics.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Config, ConfigError, Diagnostic, EXAMPLE, WINDOW_LIMIT, WINDOW_MIN};

/// Checks what holds for the result of any text.
fn check_parse(text: &str) -> Result<(), TestCaseError> {
    match Config::parse(text, "f") {
        Ok(config) => {
            prop_assert!(!config.routes.is_empty());
            for route in &config.routes {
                prop_assert!(route.conditions.has_message_condition() && !route.notify.is_empty());
                prop_assert!(WINDOW_MIN <= route.window && route.window <= route.window_max);
                prop_assert!(route.window_max <= WINDOW_LIMIT);
            }
        }
        Err(ConfigError { diagnostics, .. }) => {
            prop_assert!(!diagnostics.is_empty());
            prop_assert!(diagnostics.is_sorted_by_key(|found| (found.line, found.column)));
            for Diagnostic { line, column, message } in diagnostics {
                let chars = text.split('\n').nth(line - 1).map(|line| line.chars().count());
                prop_assert!(chars.is_some_and(|chars| (1..=chars + 1).contains(&column)));
                prop_assert!(!message.contains('\n'));
            }
        }
    }
    Ok(())
}

/// Pieces of TOML, so that some random texts get past the lexer.
const PIECES: &str = r#"([a-c]|route|window|=|\[\[|\]\]|[\[\]{}.,'"\#=1-]|\n| |é){0,40}"#;

/// Short texts that damage a file.
const DAMAGE: &str = r#"\PC{0,3}|[\n"'\[\]=.{}*]{0,3}"#;

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        check_parse(&text)?;
    }

    #[test]
    fn no_pieces_of_toml_panic(text in PIECES) {
        check_parse(&text)?;
    }

    #[test]
    fn no_damaged_example_panics(
        damages in prop::collection::vec((any::<Index>(), 0..20_usize, DAMAGE), 1..8),
    ) {
        let mut chars: Vec<char> = EXAMPLE.chars().collect();
        for (at, removed, inserted) in damages {
            let at = at.index(chars.len());
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, inserted.chars());
        }
        check_parse(&chars.into_iter().collect::<String>())?;
    }

    #[test]
    fn no_shuffled_example_panics(
        lines in Just(EXAMPLE.lines().collect::<Vec<_>>()).prop_shuffle(),
        kept in 0..80_usize,
    ) {
        check_parse(&lines.into_iter().take(kept).collect::<Vec<_>>().join("\n"))?;
    }
}
