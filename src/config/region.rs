//! The Regions of AWS, to find misspelled ones. The list may be out of date, so an unknown Region
//! is never refused.

/// The largest edit distance at which a known Region is suggested.
const EDITS_MAX: usize = 2;

/// Of all partitions (AWS General Reference, "AWS Regions").
pub(super) const KNOWN: [&str; 46] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-isoe-west-1",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
    "us-west-1",
    "us-west-2",
];

/// Whether a text has the form of a Region: `eu-west-1`, `us-gov-east-1`.
pub(super) fn has_shape(text: &str) -> bool {
    let mut parts = text.split('-');
    let number = parts.next_back().unwrap_or_default();
    let words: Vec<&str> = parts.collect();
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number =
        (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && words.len() >= 2 && words.iter().all(is_word)
}

/// The known Region that a text resembles.
pub(super) fn closest(text: &str) -> Option<&'static str> {
    let edits = |known: &&str| strsim::osa_distance(text, known);
    KNOWN.into_iter().min_by_key(edits).filter(|best| edits(best) <= EDITS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_region_has_the_shape() {
        assert!(KNOWN.iter().all(|known| has_shape(known)));
        assert!(KNOWN.is_sorted());
        for other in [
            "",
            "-",
            "1",
            "eu-1",
            "eu-west",
            "eu--1",
            "eu-west-",
            "eu-west-123",
            "eu-west-1 ",
            "Eu-west-1",
        ] {
            assert!(!has_shape(other), "{other}");
        }
    }
}
