//! Whatever the text, an answer comes back and is sound.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Config, ConfigDiagnostic, ConfigError, EXAMPLE, WINDOW_LIMIT, WINDOW_MIN};

/// What every answer has to be, whatever the text.
fn check_sound(text: &str) -> Result<(), TestCaseError> {
    match Config::parse(text, "f") {
        Ok(config) => {
            prop_assert!(!config.routes.is_empty());
            for route in &config.routes {
                prop_assert!(!route.markers.is_empty() && !route.notify.is_empty());
                prop_assert!(WINDOW_MIN <= route.window && route.window <= route.window_max);
                prop_assert!(route.window_max <= WINDOW_LIMIT);
            }
        }
        Err(ConfigError { problems, .. }) => {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.is_sorted_by_key(|problem| (problem.line, problem.column)));
            for ConfigDiagnostic { line, column, message } in problems {
                let chars = text.split('\n').nth(line - 1).map(|line| line.chars().count());
                prop_assert!(chars.is_some_and(|chars| (1..=chars + 1).contains(&column)));
                prop_assert!(!message.contains('\n'));
            }
        }
    }
    Ok(())
}

/// Pieces of TOML, so that a random text of them gets past the lexer now and then.
const PIECES: &str = r#"([a-c]|route|window|=|\[\[|\]\]|[\[\]{}.,'"\#=1-]|\n| |é){0,40}"#;

/// Short texts that break things.
const SPLINTERS: &str = r#"\PC{0,3}|[\n"'\[\]=.{}*]{0,3}"#;

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        check_sound(&text)?;
    }

    #[test]
    fn no_pieces_of_toml_panic(text in PIECES) {
        check_sound(&text)?;
    }

    #[test]
    fn no_damaged_example_panics(
        damages in prop::collection::vec((any::<Index>(), 0..20_usize, SPLINTERS), 1..8),
    ) {
        let mut chars: Vec<char> = EXAMPLE.chars().collect();
        for (at, removed, inserted) in damages {
            let at = at.index(chars.len());
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, inserted.chars());
        }
        check_sound(&chars.into_iter().collect::<String>())?;
    }

    #[test]
    fn no_shuffled_example_panics(
        lines in Just(EXAMPLE.lines().collect::<Vec<_>>()).prop_shuffle(),
        kept in 0..80_usize,
    ) {
        check_sound(&lines.into_iter().take(kept).collect::<Vec<_>>().join("\n"))?;
    }
}
